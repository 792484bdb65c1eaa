"""A worker in this process between a real gRPC client and a local Discord, with a fake broker."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc
import pytest

from discordproxy.discord_api_pb2_grpc import DiscordApiStub
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.calls.tracing import Tracing
from discordproxy_api.gateway import gateway_behind
from discordproxy_api.http import connections
from discordproxy_api.settings import ApiSettings
from discordproxy_api.wiring.backends import Backend
from discordproxy_api.wiring.worker import Worker, wired
from discordproxy_gateway.cache import Keys
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from fakes.broker import FakeBroker
from fakes.ports import free_port

TOKEN = "canary.token.of-the-bot"
NOWHERE = "unix:///nowhere/valkey.sock"


@dataclass
class Served:
    """A serving worker and its surroundings."""

    worker: Worker
    broker: FakeBroker
    discord: Sandbox
    port: int
    channel: grpc.aio.Channel
    stub: DiscordApiStub
    rest_port: int = 0

    @property
    def rest_url(self) -> str:
        """Base of the REST port."""
        return f"http://127.0.0.1:{self.rest_port}"


@contextlib.asynccontextmanager
async def serve(
    discord: Sandbox, broker: FakeBroker | None = None, tracing: Tracing | None = None, **settings
) -> AsyncIterator[Served]:
    broker = broker or FakeBroker()
    values = {"DISCORD_BOT_TOKEN": TOKEN, "discord_url": discord.rest_url, "port": 0, "drain_timeout": 5.0, **settings}
    url = values.pop("redis", NOWHERE)
    configured = ApiSettings(**values)
    async with (
        gateway_behind(
            url, Keys(configured.key_prefix, configured.bot_id), heartbeat_s=configured.event_heartbeat
        ) as gateway,
        wired(configured, [Backend(configured.chosen, broker, gateway)], Metrics(), {}, tracing) as worker,
    ):
        port = await worker.server.start()
        rest_port = await worker.rest_port.start("127.0.0.1", 0) if worker.rest_port is not None else 0
        await worker.health.probe()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", [("grpc.use_local_subchannel_pool", 1)]) as channel:
            yield Served(worker, broker, discord, port, channel, DiscordApiStub(channel), rest_port)
        await worker.stop(broker.drain, _set())


def _set():
    event = asyncio.Event()
    event.set()
    return event


@pytest.fixture(autouse=True)
def _frequent_sweeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """End what has been idle for too long at once, not up to a second later."""
    monkeypatch.setattr(connections, "SWEEP_S", 0.02)


@pytest.fixture
def unused_port() -> int:
    return free_port()


@pytest.fixture
async def discord() -> AsyncIterator[Sandbox]:
    async with Sandbox(SandboxConfig(token=TOKEN, global_limit=None)) as sandbox:
        yield sandbox


@pytest.fixture
async def served(discord) -> AsyncIterator[Served]:
    async with serve(discord) as served:
        yield served
