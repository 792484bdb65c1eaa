"""The proxy in one process: a local Discord, a gateway worker and API workers, on a Valkey of the caller's."""

import asyncio
import contextlib
import warnings
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import grpc

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # discord.py imports audioop
    import discord as _  # noqa: F401

from discordproxy.discord_api_pb2_grpc import DiscordApiStub
from discordproxy_api.calls.drain import Drain
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.gateway import gateway_behind
from discordproxy_api.settings import ApiSettings
from discordproxy_api.wiring.backends import Backend
from discordproxy_api.wiring.worker import wired
from discordproxy_gateway.cache import Keys
from discordproxy_gateway.options import GatewayOptions
from discordproxy_gateway.worker import GatewayWorker
from discordproxy_ratelimit.broker import Broker, Limits
from discordproxy_ratelimit.metrics import Decisions
from discordproxy_ratelimit.redis.client import connect
from discordproxy_sandbox.gateway.gateway import GatewayConfig
from discordproxy_sandbox.limits.book import LimitBook
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from discordproxy_sandbox.world.world import World
from fakes.gateway import TOKEN
from processes.fleet import in_real_time

INTENTS = ("guilds", "members", "expressions", "voice_states", "messages")


@dataclass
class Cluster:
    """Attributes:
    discord: without rate limits, so that nothing waits.
    stubs: one per API worker, each with a connection of its own.
    """

    discord: Sandbox
    url: str
    prefix: str
    stubs: list[DiscordApiStub] = field(default_factory=list)
    metrics: list[Metrics] = field(default_factory=list)
    drains: list[Drain] = field(default_factory=list)
    _gateway: asyncio.Task[None] | None = None
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def asked(self) -> list[str]:
        """The REST requests to Discord, in order."""
        return [f"{each.method} {each.path}" for each in self.discord.ledger.records if "/gateway" not in each.path]

    async def start_gateway(self, intents: tuple[str, ...] = INTENTS) -> None:
        self._stopping = asyncio.Event()
        self._gateway = asyncio.create_task(self._run_gateway(intents))

    async def stop_gateway(self) -> None:
        if self._gateway is not None:
            self._stopping.set()
            await self._gateway
            self._gateway = None

    async def _run_gateway(self, intents: tuple[str, ...]) -> None:
        redis = connect(self.url)
        try:
            options = GatewayOptions(rest_url=self.discord.rest_url, intents=intents)
            keys = Keys(self.prefix, "100000000000000001")
            await GatewayWorker(redis, keys, TOKEN, options).run(self._stopping)
        finally:
            await redis.aclose()


@contextlib.asynccontextmanager
async def cluster(
    url: str,
    prefix: str,
    *,
    workers: int = 2,
    world: World | None = None,
    gateway: GatewayConfig | None = None,
    limits: LimitBook | None = None,
    **settings: object,
) -> AsyncIterator[Cluster]:
    """Run the API workers; the gateway worker is started by `start_gateway`."""
    async with AsyncExitStack() as stack:
        limits = limits or LimitBook(default=None, global_limit=None)
        config = SandboxConfig(token=TOKEN, limits=limits, world=world, gateway=gateway or GatewayConfig())
        whole = Cluster(await stack.enter_async_context(Sandbox(config)), url, prefix)
        for _ in range(workers):
            await _add_worker(whole, stack, settings)
        stack.push_async_callback(whole.stop_gateway)
        yield whole


async def _add_worker(whole: Cluster, stack: AsyncExitStack, settings: dict[str, object]) -> None:
    values = {
        "DISCORD_BOT_TOKEN": TOKEN,
        "discord_url": whole.discord.rest_url,
        "port": 0,
        "key_prefix": whole.prefix,
        **settings,
    }
    configured = ApiSettings(**values)
    client = connect(whole.url)
    stack.push_async_callback(client.aclose)
    metrics = Metrics()
    broker = Broker(
        client,
        prefix=whole.prefix,
        bot_id=configured.bot_id,
        limits=in_real_time(Limits(global_limit=100_000, degraded=configured.degraded)),
        decisions=Decisions(metrics.registry),
    )
    await broker.start()
    stack.push_async_callback(broker.close)
    keys = Keys(whole.prefix, configured.bot_id)
    gateway = await stack.enter_async_context(gateway_behind(whole.url, keys, heartbeat_s=configured.event_heartbeat))
    backend = Backend(configured.chosen, broker, gateway)
    worker = await stack.enter_async_context(wired(configured, [backend], metrics, {}))
    port = await worker.server.start()
    stack.push_async_callback(worker.finish)
    options = [("grpc.use_local_subchannel_pool", 1)]
    channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}", options))
    whole.stubs.append(DiscordApiStub(channel))
    whole.metrics.append(metrics)
    whole.drains.append(worker.drain)
