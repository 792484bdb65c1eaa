"""The pipeline around gRPC handlers of all kinds: no internal text leaves the process, no failure returns OK."""

import asyncio
import contextlib
import json
import logging
from types import SimpleNamespace

import grpc
import pytest

from discordproxy.discord_api_pb2 import SendChannelMessageRequest
from discordproxy_api.access.permission import ChannelLocation, Permission
from discordproxy_api.calls import errors
from discordproxy_api.calls.call import CURRENT, Call
from discordproxy_api.calls.drain import Drain
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.calls.retry import Repeat
from discordproxy_api.contract.contract import load_contract
from discordproxy_api.discord.app_rate import AppRateWaits
from discordproxy_api.grpc_edge.handlers import GrpcAdapter
from discordproxy_api.pipeline.access_log import AccessLog
from discordproxy_api.pipeline.admission import AdmissionLimits, KeyedAdmission
from discordproxy_api.pipeline.idempotency import Idempotency
from discordproxy_api.pipeline.in_order import InOrder
from discordproxy_api.pipeline.pipeline import CallPipeline
from discordproxy_api.pipeline.receiving.uploads import UploadLimits, Uploads
from discordproxy_api.pipeline.unary_calls import Execution, UnaryCalls
from discordproxy_api.rpcs.procedure import Job
from discordproxy_api.rpcs.subscribe_events import MAX_REQUEST_BYTES
from discordproxy_sandbox.world.population import CHANNEL_ID
from fakes.broker import FakeClaims

SECRET = "secret token in an exception"
KINDS = ("unary_unary", "unary_stream", "stream_stream", "unary_writes")
SERVICE = "discord_api.DiscordApi"


class Handlers:
    """Handlers of every kind that run `self.inner` during their work."""

    def __init__(self, inner):
        self.inner = inner
        make = {
            "unary_unary": (grpc.unary_unary_rpc_method_handler, self.unary),
            "unary_stream": (grpc.unary_stream_rpc_method_handler, self.generate),
            "stream_stream": (grpc.stream_stream_rpc_method_handler, self.generate),
            "unary_writes": (grpc.unary_stream_rpc_method_handler, self.write),
        }
        self.handlers = {name: maker(function) for name, (maker, function) in make.items()}

    async def unary(self, _request, context):
        await self.inner(context)
        return b"done"

    async def generate(self, _request, context):
        yield b"first"
        await self.inner(context)
        yield b"done"

    async def write(self, _request, context):
        await context.write(b"first")
        await self.inner(context)
        await context.write(b"done")


@contextlib.asynccontextmanager
async def serving(inner, *, drain=None, max_call_s=1800.0, max_calls=10):
    metrics, drain = Metrics(), drain or Drain()
    pipeline = CallPipeline(
        access_log=AccessLog(metrics),
        authentication=None,
        admission=KeyedAdmission(drain, AdmissionLimits(max_calls, max_calls, max_calls, max_calls)),
        drain=drain,
        max_call_s=max_call_s,
    )
    handler = grpc.method_handlers_generic_handler(SERVICE, Handlers(inner).handlers)
    uploads = Uploads(UploadLimits(), drain=drain, metrics=metrics)
    async with channel_to(GrpcAdapter(drain).guarded(handler, pipeline, uploads)) as channel:
        yield channel, metrics


@contextlib.asynccontextmanager
async def channel_to(handler):
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)]) as channel:
        yield channel
    await server.stop(0)


async def invoke(channel, kind):
    path = f"/{SERVICE}/{kind}"
    if kind == "unary_unary":
        return [await channel.unary_unary(path)(b"x")]
    if kind in {"unary_stream", "unary_writes"}:
        return [answer async for answer in channel.unary_stream(path)(b"x")]
    return [answer async for answer in channel.stream_stream(path)(iter([b"x"]))]


async def be_refused(channel, kind):
    """Return the error of a call that is refused before its request is read.

    The stream sends no request: in gRPC's client, a write that meets the refusal hides it.
    """
    if kind != "stream_stream":
        return await fail(channel, kind)
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await channel.stream_stream(f"/{SERVICE}/{kind}")().read()
    return failed.value


async def fail(channel, kind):
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await invoke(channel, kind)
    return failed.value


@pytest.mark.parametrize("kind", KINDS)
async def test_responses_pass(kind):
    seen = []

    async def inner(_context):
        seen.append(CURRENT.get())

    async with serving(inner) as (channel, metrics):
        assert (await invoke(channel, kind))[-1] == b"done"
        assert seen[0].rpc == kind
        labels = {"rpc": kind, "status": "OK", "door": "grpc"}
        assert metrics.registry.get_sample_value("discordproxy_calls_total", labels) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_the_text_of_an_unexpected_failure_is_only_logged(kind, caplog):
    async def inner(_context):
        raise KeyError(SECRET)

    async with serving(inner) as (channel, metrics):
        error = await fail(channel, kind)
        assert error.code() is grpc.StatusCode.INTERNAL
        details = json.loads(error.details())
        assert SECRET not in error.details() + repr(error.trailing_metadata())
        assert details["reason"] == "INTERNAL"
        assert details["request_id"] in caplog.text
        assert SECRET in caplog.text
        labels = {"rpc": kind, "status": "INTERNAL", "door": "grpc"}
        assert metrics.registry.get_sample_value("discordproxy_calls_total", labels) == 1


@pytest.mark.parametrize("kind", KINDS)
async def test_api_errors_become_status_and_details(kind):
    async def inner(_context):
        raise errors.invalid_field("content", "CODE", "Too long")

    async with serving(inner) as (channel, _metrics):
        error = await fail(channel, kind)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert json.loads(error.details())["fields"][0]["path"] == "content"


async def test_an_error_that_cannot_be_encoded_is_internal():
    async def inner(_context):
        raise errors.refusal("UNAVAILABLE", "X", SECRET, retry_after_s=float("inf"))

    async with serving(inner) as (channel, _metrics):
        error = await fail(channel, "unary_unary")
        assert error.code() is grpc.StatusCode.INTERNAL
        assert SECRET not in error.details()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_handlers_own_abort_passes(kind, caplog):
    async def inner(context):
        await context.abort(grpc.StatusCode.NOT_FOUND, "not here")

    async with serving(inner) as (channel, _metrics):
        error = await fail(channel, kind)
        assert (error.code(), error.details()) == (grpc.StatusCode.NOT_FOUND, "not here")
    # asyncio may report that gRPC's poller still uses the loop of an earlier test
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR and record.name != "asyncio"]


@pytest.mark.parametrize("kind", KINDS)
async def test_new_calls_are_refused_during_the_drain(kind):
    drain = Drain()
    drain.begin()

    async def inner(_context):
        pytest.fail("must not run")

    async with serving(inner, drain=drain) as (channel, _metrics):
        error = await be_refused(channel, kind)
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert json.loads(error.details())["reason"] == "DRAINING"


@pytest.mark.parametrize("kind", KINDS)
async def test_streams_are_admitted_separately(kind):
    async def inner(_context):
        return

    async with serving(inner, max_calls=0) as (channel, _metrics):
        error = await be_refused(channel, kind)
        assert json.loads(error.details())["reason"] == "QUEUE_FULL"


async def test_calls_without_a_deadline_have_a_time_limit():
    async def inner(_context):
        await asyncio.Event().wait()

    async with serving(inner, max_call_s=0.05) as (channel, _metrics):
        error = await fail(channel, "unary_unary")
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert json.loads(error.details())["sent"] == "no"


class NoResponse:
    """A procedure that returns no response."""

    rpc = load_contract()["SendChannelMessage"]

    def job(self, _request, _call):
        async def run():
            return None

        return Job(run, Repeat.NEVER)


async def no_channel(_channel_id, _call):
    return ChannelLocation(known=False)


async def test_a_procedure_without_a_response_fails():
    drain, metrics = Drain(), Metrics()
    uploads = Uploads(UploadLimits(), drain=drain, metrics=metrics)
    calls = UnaryCalls(
        {"SendChannelMessage": NoResponse()},
        uploads=uploads,
        execution=Execution(
            idempotency=Idempotency(FakeClaims(), kept_s=1.0, drain=drain, metrics=metrics),
            permission=Permission(load_contract(), no_channel),
            app_rate=AppRateWaits(None, drain),
            in_order=InOrder(FakeClaims(), drain),
        ),
    )

    async def arrives():
        return SendChannelMessageRequest(channel_id=1, content="x").SerializeToString()

    with pytest.raises(TypeError, match="SendChannelMessage returned no"):
        await calls.serve(Call("SendChannelMessage", "id"), arrives)


@pytest.mark.parametrize(
    ("request_bytes", "status"), [(b"\xff" * 2**20, "INVALID_ARGUMENT"), (b"\xff" * 2**22, "RESOURCE_EXHAUSTED")]
)
async def test_a_subscription_that_is_refused_keeps_no_memory(request_bytes, status):
    metrics, drain = Metrics(), Drain()
    pipeline = CallPipeline(
        access_log=AccessLog(metrics),
        authentication=None,
        admission=KeyedAdmission(drain, AdmissionLimits(10, 10, 10, 10)),
        drain=drain,
    )
    uploads = Uploads(UploadLimits(), drain=drain, metrics=metrics)
    streams = {"SubscribeEvents": SimpleNamespace(max_request_bytes=MAX_REQUEST_BYTES)}
    bots = {"": SimpleNamespace(streams=streams)}
    async with channel_to(GrpcAdapter(drain).discord_api(load_contract(), pipeline, uploads, bots)) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await channel.unary_stream(f"/{SERVICE}/SubscribeEvents")(request_bytes).read()
    assert failed.value.code().name == status
    assert metrics.registry.get_sample_value("discordproxy_upload_bytes") == 0


async def test_the_log_contains_no_content(served, caplog):
    caplog.set_level(logging.DEBUG)
    request = SendChannelMessageRequest(channel_id=int(CHANNEL_ID), content="canary content", nonce="canary-nonce")
    await served.stub.SendChannelMessage(request)
    with pytest.raises(grpc.aio.AioRpcError):
        await served.stub.SendChannelMessage(SendChannelMessageRequest(channel_id=1, content="canary content"))
    assert "SendChannelMessage OK" in caplog.text
    assert "SendChannelMessage NOT_FOUND" in caplog.text
    assert "canary" not in caplog.text
