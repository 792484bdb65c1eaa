"""One API worker as a process: start, operators' port, signals, and one line per error."""

import asyncio
import json
import signal
import socket

import aiohttp
import grpc
import pytest

from discordproxy.discord_api_pb2 import SendChannelMessageRequest
from discordproxy_sandbox.rest.faults import Fault
from fakes import ports
from processes.deployment import CHANNEL, TOKEN
from processes.process import Process

MESSAGE = SendChannelMessageRequest(channel_id=CHANNEL, content="Hello")


@pytest.fixture
def http_port():
    return ports.free_port()


@pytest.fixture
def environment(settings, valkey, key_prefix, http_port):
    return {
        **settings,
        "DISCORDPROXY_REDIS_URL": valkey,
        "DISCORDPROXY_KEY_PREFIX": key_prefix,
        "DISCORDPROXY_HTTP_PORT": str(http_port),
    }


async def get(port, path):
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as response:
        return response.status, await response.text()


async def ready(port):
    async with asyncio.timeout(60):
        while (await get(port, "/readyz"))[0] != 200:  # noqa: ASYNC110 - the condition is another process's
            await asyncio.sleep(0.02)


async def test_operators_port(discord, environment, http_port, tmp_path, connect):
    async with Process.module("discordproxy_api", env=environment, cwd=tmp_path) as worker:
        await worker.line("serves on")
        await ready(http_port)
        await connect().SendChannelMessage(MESSAGE)
        assert await get(http_port, "/livez") == await get(http_port, "/healthz") == (200, "alive\n")
        status, text = await get(http_port, "/readyz")
        services = json.loads(text)["services"]
        assert (status, services["broker"], services["gateway"]) == (200, True, False)
        _, metrics = await get(http_port, "/metrics")
        assert 'discordproxy_calls_total{door="grpc",rpc="SendChannelMessage",status="OK"} 1.0' in metrics
        assert "discordproxy_permit_granted_total 1.0" in metrics
        assert TOKEN not in metrics
        assert json.loads(text)["draining"] is False
        worker.signal(signal.SIGTERM)
        assert await worker.ended() == 0


async def test_not_ready_without_redis(discord, environment, http_port, tmp_path, own_valkey):
    environment["DISCORDPROXY_REDIS_URL"] = own_valkey.url
    async with Process.module("discordproxy_api", env=environment, cwd=tmp_path) as worker:
        await worker.line("serves on")
        await ready(http_port)
        own_valkey.stop()
        async with asyncio.timeout(60):
            while (await get(http_port, "/readyz"))[0] != 503:  # noqa: ASYNC110 - the condition is another process's
                await asyncio.sleep(0.02)
        assert (await get(http_port, "/livez"))[0] == 200
        own_valkey.start()
        await ready(http_port)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_signals_drain(discord, environment, tmp_path, connect, number):
    discord.faults.add(Fault(kind="slow", delay_s=0.5))
    async with Process.module("discordproxy_api", env=environment, cwd=tmp_path) as worker:
        await worker.line("serves on")
        call = asyncio.ensure_future(connect().SendChannelMessage(MESSAGE, timeout=20))
        async with asyncio.timeout(60):
            while not discord.ledger.records:  # noqa: ASYNC110 - the condition is another process's
                await asyncio.sleep(0.01)
        worker.signal(number)
        assert (await call).message.content == "Hello"
        assert await worker.ended() == 0
        assert not [line for line in worker.lines if "Traceback" in line]


async def test_a_second_signal_stops_at_once(discord, environment, tmp_path, connect):
    discord.faults.add(Fault(kind="silent"))
    environment |= {"DISCORDPROXY_DRAIN_TIMEOUT": "600", "DISCORDPROXY_HTTP_TIMEOUT": "600"}
    async with Process.module("discordproxy_api", env=environment, cwd=tmp_path) as worker:
        await worker.line("serves on")
        call = asyncio.ensure_future(connect().SendChannelMessage(MESSAGE, timeout=600))
        async with asyncio.timeout(60):
            while not discord.ledger.records:  # noqa: ASYNC110 - the condition is another process's
                await asyncio.sleep(0.01)
        worker.signal(signal.SIGTERM)
        await worker.line("stopping")
        worker.signal(signal.SIGTERM)
        assert await worker.ended() == 0
        with pytest.raises(grpc.aio.AioRpcError):
            await call


async def one_line(environment, tmp_path, **changes):
    async with Process.module("discordproxy_api", env={**environment, **changes}, cwd=tmp_path) as worker:
        status = await worker.ended()
        assert len(worker.lines) == 1, (status, worker.lines)
        return status, worker.lines[0]


async def test_wrong_settings_are_one_line(environment, tmp_path):
    status, line = await one_line(environment, tmp_path, DISCORDPROXY_MAX_CALLS="many")
    assert status == 2
    assert "DISCORDPROXY_MAX_CALLS" in line
    status, line = await one_line(environment, tmp_path, DISCORDPROXY_HOST="0.0.0.0")
    assert status == 2
    assert "DISCORDPROXY_ALLOW_ANONYMOUS" in line


async def test_taken_ports_are_one_line(environment, tmp_path, free_port, http_port):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", free_port))
        taken.listen()
        status, line = await one_line(environment, tmp_path)
        assert status == 78
        assert f"127.0.0.1:{free_port}" in line
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", http_port))
        taken.listen()
        status, line = await one_line(environment, tmp_path)
        assert status == 78
        assert "DISCORDPROXY_HTTP_PORT" in line
