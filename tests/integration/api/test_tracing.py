"""Traces: a caller's context yields spans of the call, the wait, Redis and Discord, without content."""

import asyncio
import subprocess
import sys
from contextlib import asynccontextmanager

import grpc
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from discordproxy.discord_api_pb2 import ChannelId, SendChannelMessageRequest
from discordproxy_api.calls.tracing import Tracing, TracingUnavailableError, exporting_provider
from discordproxy_ratelimit.broker import Broker
from discordproxy_ratelimit.metrics import Decisions
from discordproxy_ratelimit.redis.client import connect
from discordproxy_sandbox.world.population import CHANNEL_ID
from integration.api.conftest import serve

CHANNEL = int(CHANNEL_ID)
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
METADATA = (("traceparent", f"00-{TRACE}-{PARENT}-01"), ("x-discordproxy-app", "srp"))


@pytest.fixture
def spans():
    return InMemorySpanExporter()


@pytest.fixture
def tracing(spans):
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    return Tracing(provider)


@asynccontextmanager
async def broker_on(url: str, prefix: str, tracing: Tracing):
    decisions = Decisions(CollectorRegistry())
    broker = Broker(connect(url), prefix=prefix, bot_id="1", decisions=decisions, trace=tracing.part)
    await broker.start()
    await broker.ready()
    try:
        yield broker
    finally:
        await broker.close()


async def test_a_call_is_a_tree_of_spans_below_the_callers(discord, spans, tracing, valkey, key_prefix) -> None:
    async with broker_on(valkey, key_prefix, tracing) as broker, serve(discord, broker, tracing) as served:
        request = SendChannelMessageRequest(channel_id=CHANNEL, content="canary-content")
        request.options.idempotency_key = "once"
        await served.stub.SendChannelMessage(request, metadata=METADATA)
    found = {span.name: span for span in spans.get_finished_spans()}
    call = found["discord_api.DiscordApi/SendChannelMessage"]
    assert (f"{call.context.trace_id:032x}", f"{call.parent.span_id:016x}") == (TRACE, PARENT)
    assert call.kind.name == "SERVER"
    assert call.attributes["rpc.grpc.status_code"] == 0
    assert (call.attributes["discordproxy.app"], call.attributes["discordproxy.sent"]) == ("srp", "yes")
    wait, asked = found["wait for a permit"], found["discord POST /channels/{channel_id}/messages"]
    assert wait.parent.span_id == asked.parent.span_id == call.context.span_id
    assert asked.attributes["http.response.status_code"] == 200
    assert found["redis acquire"].parent.span_id == wait.context.span_id
    assert found["redis claim"].parent.span_id == call.context.span_id
    assert wait.end_time <= asked.start_time
    assert {span.context.trace_id for span in found.values()} == {call.context.trace_id}
    assert "canary" not in "".join(span.to_json() for span in spans.get_finished_spans())


async def test_the_span_of_a_failure_has_its_status_and_not_its_text(discord, spans, tracing) -> None:
    async with serve(discord, None, tracing) as served:
        for failing in (ChannelId(channel_id=1), ChannelId()):
            with pytest.raises(grpc.aio.AioRpcError):
                await served.stub.GetChannel(failing)
        await asyncio.gather(*(served.stub.GetChannel(ChannelId(channel_id=CHANNEL)) for _ in range(3)))
    calls = [span for span in spans.get_finished_spans() if span.kind.name == "SERVER"]
    assert sorted(span.attributes["rpc.grpc.status_code"] for span in calls) == [0, 0, 0, 3, 5]
    assert all(not span.events for span in calls)
    assert len({span.context.trace_id for span in calls}) == 5


def test_nothing_is_imported_without_traces() -> None:
    """The Redis library imports OpenTelemetry's metrics itself; only the proxy imports traces and exporters."""
    code = "import sys, discordproxy_api.__main__; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "discordproxy_api.calls.tracing" in found
    assert not [name for name in found if name.startswith(("opentelemetry.sdk.trace", "opentelemetry.exporter"))]


def test_missing_packages_are_reported_in_one_line(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(TracingUnavailableError, match=r"pip install 'discordproxy\[otel\]>=2'"):
        exporting_provider()
