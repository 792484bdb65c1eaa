"""Limits of callers without a key: nothing is decompressed, little memory is used, other callers are served."""

import asyncio
import gzip

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from discordproxy.discord_api_pb2 import SendChannelMessageRequest
from discordproxy_api.access.log_budget import MAX_LINES
from discordproxy_api.grpc_edge import services
from discordproxy_api.grpc_edge.services import KEYLESS_UPLOADS
from discordproxy_api.pipeline.admission import Bound
from discordproxy_api.pipeline.receiving import uploads
from discordproxy_sandbox.world.population import CHANNEL_ID
from fakes.eventually import eventually
from hostile import attacks
from hostile.frames import HELLO, INITIAL_WINDOW_SIZE, PREFACE, SETTINGS, call, call_start, frame, setting
from integration.api.access.test_access import keyed
from integration.api.conftest import serve

CHANNEL = int(CHANNEL_ID)
GZIP, DEFLATE = grpc.Compression.Gzip, grpc.Compression.Deflate
NO_KEY = {"/grpc.health.v1.Health/Watch", "/grpc.health.v1.Health/Check"}


@pytest.fixture
def inflated(monkeypatch) -> list[int]:
    """Sizes of the decompressed requests."""
    sizes: list[int] = []
    inflate = uploads.inflate
    monkeypatch.setattr(uploads, "inflate", lambda data, size: (sizes.append(size), inflate(data, size))[1])
    return sizes


def own_channel(served, compression=None):
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_send_message_length", -1)]
    return grpc.aio.insecure_channel(f"127.0.0.1:{served.port}", options, compression=compression)


async def status_of(channel, method: str, data: bytes) -> tuple[str, str]:
    path = method if method.startswith("/") else f"/discord_api.DiscordApi/{method}"
    try:
        await channel.unary_unary(path)(data, timeout=60)
    except grpc.aio.AioRpcError as error:
        return error.code().name, error.details()
    return "OK", ""


@pytest.mark.parametrize("method", attacks.BEFORE_THE_KEY)
async def test_nothing_is_inflated_without_a_key(discord, tmp_path, inflated, method):
    async with keyed(discord, tmp_path, {}) as keyed_, own_channel(keyed_.served, GZIP) as channel:
        status, text = await status_of(channel, method, bytes(32 * attacks.MIB))
        assert status == ("RESOURCE_EXHAUSTED" if method in NO_KEY else "UNAUTHENTICATED"), text
        assert not inflated


async def test_requests_to_the_health_service_are_limited_in_size(served, inflated):
    for data, compression in ((b"x" * 5000, None), (b"x" * 5000, GZIP)):
        async with own_channel(served, compression) as channel:
            status, text = await status_of(channel, "/grpc.health.v1.Health/Check", data)
        assert status == "RESOURCE_EXHAUSTED"
        assert "5000 bytes" in text
        assert str(KEYLESS_UPLOADS.message_bytes) in text
    assert not inflated


async def test_compressed_requests_are_served(discord, tmp_path, inflated):
    text = "all work and no play " * 90
    async with keyed(discord, tmp_path, {}) as keyed_, own_channel(keyed_.served, GZIP) as channel:
        metadata = [("authorization", f"Bearer {keyed_.key}")]
        send = channel.unary_unary("/discord_api.DiscordApi/SendChannelMessage")
        await send(SendChannelMessageRequest(channel_id=CHANNEL, content=text).SerializeToString(), metadata=metadata)
        assert len(inflated) == 1
        request = HealthCheckRequest(service="discord_api.DiscordApi")
        assert (await HealthStub(channel).Check(request)).status == HealthCheckResponse.SERVING
        reflect = channel.stream_stream(
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
            ServerReflectionRequest.SerializeToString,
            ServerReflectionResponse.FromString,
        )
        asked = ServerReflectionRequest(file_containing_symbol="discord_api.DiscordApi", host="x" * 500)
        answers = reflect(iter([asked, asked]), metadata=metadata)
        assert [answer.HasField("file_descriptor_response") async for answer in answers] == [True, True]
    assert discord.ledger.records[-1].status == 200


async def test_a_compressed_request_requires_memory_for_its_inflated_size(discord, inflated):
    async with serve(discord, max_upload_bytes=1, max_message_bytes=10 * attacks.MIB) as served:
        async with own_channel(served, GZIP) as channel:
            status, text = await status_of(channel, "SendChannelMessage", bytes(11 * attacks.MIB))
            assert (status, "at most" in text) == ("RESOURCE_EXHAUSTED", True)
            assert not inflated
            await status_of(channel, "SendChannelMessage", bytes(9 * attacks.MIB))
            assert inflated == [9 * attacks.MIB]
        damaged = gzip.compress(b"x" * 500)[:-30]
        async with own_channel(served) as channel:
            status, text = await status_of(channel, "SendChannelMessage", damaged)
            assert status == "INVALID_ARGUMENT"


async def test_another_compression_is_refused_by_name(served):
    async with own_channel(served, DEFLATE) as channel:
        status, text = await status_of(channel, "SendChannelMessage", b"x" * 500)
    assert (status, text) == ("UNIMPLEMENTED", "Compression algorithm 'deflate' is disabled.")


@pytest.mark.parametrize("method", ["/grpc.health.v1.Health/Check", "/discordproxy.Console/Status", "SubscribeEvents"])
async def test_undecodable_requests_are_refused(served, method):
    assert (await status_of(served.channel, method, b"\x0a\xff"))[0] == "INVALID_ARGUMENT"


async def test_watchers_are_limited_per_connection_and_in_total(discord, tmp_path, monkeypatch):
    monkeypatch.setattr(services, "WATCHES", Bound(2, 3))
    async with keyed(discord, tmp_path, {}) as keyed_, own_channel(keyed_.served) as other:
        mine = [HealthStub(keyed_.served.channel).Watch(HealthCheckRequest()) for _ in range(2)]
        assert [(await watch.read()).status for watch in mine] == 2 * [HealthCheckResponse.SERVING]
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await HealthStub(keyed_.served.channel).Watch(HealthCheckRequest()).read()
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        third = HealthStub(other).Watch(HealthCheckRequest())
        assert (await third.read()).status == HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AioRpcError):
            await HealthStub(other).Watch(HealthCheckRequest()).read()
        await HealthStub(other).Check(HealthCheckRequest())
        await keyed_.call("SendChannelMessage", channel_id=CHANNEL, content="x")
        mine[0].cancel()

        async def a_watch_is_admitted() -> bool:
            try:
                return (await HealthStub(other).Watch(HealthCheckRequest()).read()).status != 0
            except grpc.aio.AioRpcError:
                return False

        await eventually(a_watch_is_admitted)


async def test_a_flood_of_watchers_leaves_room_for_calls_with_a_key(discord, tmp_path):
    async with keyed(discord, tmp_path, {}) as keyed_:
        discord.limits.set("POST /channels/{channel_id}/messages", None)
        port = keyed_.served.port
        async with attacks.open_connections(port, 12, attacks.watchers(500), read=False):
            for _ in range(20):
                await keyed_.call("SendChannelMessage", channel_id=CHANNEL, content="x")


async def test_checks_without_a_request_do_not_delay_others(served):
    check = "/grpc.health.v1.Health/Check"
    mute = HELLO + b"".join(call_start(check, number) for number in range(1, 200, 2))
    async with attacks.open_connections(served.port, 5, mute):
        for _ in range(5):
            status = (await HealthStub(served.channel).Check(HealthCheckRequest(), timeout=60)).status
            assert status == HealthCheckResponse.SERVING


async def test_a_watcher_that_reads_nothing_delays_no_other(served):
    hello = PREFACE + frame(SETTINGS, setting(INITIAL_WINDOW_SIZE, 0))
    watch = HealthStub(served.channel).Watch(HealthCheckRequest())
    assert (await watch.read()).status == HealthCheckResponse.SERVING
    deaf = hello + call("/grpc.health.v1.Health/Watch", 1, b"")
    async with attacks.open_connections(served.port, 1, deaf) as opened:
        assert opened == 1
        await _settled(served)
        served.broker.claims.down = True
        await asyncio.wait_for(served.worker.health.probe(), 30)
        assert (await asyncio.wait_for(watch.read(), 30)).status == HealthCheckResponse.NOT_SERVING
    watch.cancel()


async def _settled(served) -> None:
    """Return when the call of the watcher that reads nothing has begun."""
    await eventually(lambda: served.worker.metrics.in_progress == 2)


async def test_a_flood_without_a_key_writes_few_log_lines(discord, tmp_path, caplog):
    caplog.set_level("INFO")
    async with keyed(discord, tmp_path, {}) as keyed_:
        for _ in range(3 * MAX_LINES):
            assert (await status_of(keyed_.served.channel, "SendChannelMessage", b""))[0] == "UNAUTHENTICATED"
        await keyed_.call("SendChannelMessage", channel_id=CHANNEL, content="x")
    lines = [record for record in caplog.records if "(unauthenticated)" in record.getMessage()]
    assert len(lines) <= 2 * MAX_LINES  # of the access log and of the audit log
    assert any("SendChannelMessage OK" in record.getMessage() for record in caplog.records)
