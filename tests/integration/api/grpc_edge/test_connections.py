"""Behaviour for load balancers: maximum age of connections, keepalive pings, readiness."""

import asyncio

import grpc
import pytest

from discordproxy.discord_api_pb2 import GetGuildChannelsRequest
from discordproxy_api.grpc_edge import server
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from discordproxy_sandbox.world.population import GUILD_ID
from hostile import attacks
from hostile.frames import ACK, HELLO, PING, SETTINGS, frame
from integration.api.conftest import TOKEN, serve

REQUEST = GetGuildChannelsRequest(guild_id=int(GUILD_ID))


async def test_an_old_connection_is_replaced_and_finishes_its_calls():
    config = SandboxConfig(token=TOKEN, global_limit=None, latency_s=0.3)
    async with Sandbox(config) as discord, serve(discord, max_connection_age=0.5) as served:
        await served.stub.GetGuildChannels(REQUEST)
        moved, calls = 0, []
        while moved < 2:
            gone = asyncio.create_task(served.channel.wait_for_state_change(grpc.ChannelConnectivity.READY))
            while not gone.done():
                calls.append(served.stub.GetGuildChannels(REQUEST, timeout=60))
                await asyncio.wait({gone}, timeout=0.02)
            moved += 1
            await served.stub.GetGuildChannels(REQUEST, wait_for_ready=True, timeout=60)
        answers = await asyncio.gather(*calls)
    assert all(answer.channels for answer in answers)
    assert len(answers) > 1


async def test_keepalive_pings_do_not_end_a_connection(discord):
    async with serve(discord, keepalive=0.05) as served:
        await served.stub.GetGuildChannels(REQUEST)
        gone = asyncio.create_task(served.channel.wait_for_state_change(grpc.ChannelConnectivity.READY))
        await asyncio.wait({gone}, timeout=0.5)  # ten pings later
        assert not gone.done(), "pings of the server must not end a connection"
        gone.cancel()
        await served.stub.GetGuildChannels(REQUEST)


@pytest.mark.parametrize("keepalive", [0.0, 60.0])
async def test_pings_of_callers_do_not_end_an_idle_connection(discord, monkeypatch, keepalive):
    """gRPC closes a connection at its third ping that comes too early."""
    monkeypatch.setattr(server, "MIN_PING_INTERVAL_MS", 1)
    async with serve(discord, keepalive=keepalive) as served, attacks.connection(served.port) as (reader, writer):
        writer.write(HELLO)
        for number in range(10):
            writer.write(frame(PING, number.to_bytes(8)))
            await _until_ping_is_answered(reader, writer, number.to_bytes(8))
            await asyncio.sleep(0.005)  # longer than the interval


async def _until_ping_is_answered(reader, writer, payload):
    """Raise IncompleteReadError if the server ends the connection instead."""
    while True:
        head = await reader.readexactly(9)
        data = await reader.readexactly(int.from_bytes(head[:3]))
        if head[3:5] == bytes((SETTINGS, 0)):
            writer.write(frame(SETTINGS, flags=ACK))
        if head[3:5] == bytes((PING, ACK)):
            assert data == payload
            return


async def test_a_worker_whose_token_discord_rejects_is_not_ready():
    async with Sandbox(SandboxConfig(token="another-token")) as discord, serve(discord) as served:
        assert served.worker.health.ready
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await served.stub.GetGuildChannels(REQUEST)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        await served.worker.health.probe()
        assert not served.worker.health.ready
        assert not served.worker.health.states["discord"]
        assert served.worker.health.states["broker"]
