"""The sandbox as one object: wires world, limits, REST and gateway, and serves them on one port."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Self

from aiohttp import web

from discordproxy_sandbox.access import Access
from discordproxy_sandbox.gateway.connection import GatewayConnection
from discordproxy_sandbox.gateway.gateway import GatewayConfig, SandboxGateway
from discordproxy_sandbox.ledger import Record
from discordproxy_sandbox.limits.book import LimitBook
from discordproxy_sandbox.limits.defaults import default_book
from discordproxy_sandbox.limits.limits import GlobalModel, InvalidRequests, Kind, SlidingWindow
from discordproxy_sandbox.resources import generic
from discordproxy_sandbox.resources.application import (
    applications,
    command_permissions,
    commands,
    gateway_info,
    interactions,
    users,
    webhooks,
)
from discordproxy_sandbox.resources.channel import (
    channels,
    invites,
    messages,
    pins,
    polls,
    reactions,
    search,
    threads,
)
from discordproxy_sandbox.resources.exchange import Routes
from discordproxy_sandbox.resources.guild import bans, guilds, members, roles, scheduled_events, voice_states
from discordproxy_sandbox.resources.people import People
from discordproxy_sandbox.rest.control import Control
from discordproxy_sandbox.rest.latency import Latency
from discordproxy_sandbox.rest.router import Router
from discordproxy_sandbox.rest.server import RestServer
from discordproxy_sandbox.world.population import default_world
from discordproxy_sandbox.world.world import World

_RESOURCES = (
    applications,
    bans,
    channels,
    command_permissions,
    commands,
    generic,
    guilds,
    interactions,
    invites,
    members,
    messages,
    pins,
    polls,
    reactions,
    roles,
    scheduled_events,
    search,
    threads,
    users,
    voice_states,
    webhooks,
)
_DM_WINDOW_S = 600.0


@dataclass(frozen=True, kw_only=True)
class SandboxConfig:
    """Configuration of a sandbox; times are in seconds.

    `token`: the only bot token accepted; None accepts any. `kind` makes every bucket fixed or leaky; None leaves each
    route its own. `clock_offset_s`: error of Discord's clock; `clock` replaces it (epoch seconds).
    `strict`: unknown JSON keys are refused. `new_dms`: DM channels that may be opened in 10 minutes.
    """

    host: str = "127.0.0.1"
    port: int = 0
    token: str | None = field(default=None, repr=False)
    kind: Kind | None = None
    global_limit: int | None = 50
    global_model: GlobalModel = "sliding"
    latency_s: float = 0.0
    jitter_s: float = 0.0
    inbound_share: float = 0.5
    spike_chance: float = 0.0
    spike_s: float = 0.0
    clock_offset_s: float = 0.0
    invalid_limit: int = 10_000
    invalid_window_s: float = 600.0
    ban_s: float = 3600.0
    strict: bool = False
    new_dms: int | None = None
    seed: int = 0
    clock: Callable[[], float] | None = None
    gateway: GatewayConfig = field(default_factory=GatewayConfig)
    limits: LimitBook | None = None
    world: World | None = None
    log: Callable[[Record], None] = lambda _: None


class Sandbox:
    """A local Discord that serves inside its context; `world`, `limits`, `faults`, `ledger` are public."""

    def __init__(self, config: SandboxConfig | None = None) -> None:
        self.config = config = config or SandboxConfig()
        self.clock = config.clock or _clock(config.clock_offset_s)
        self.world = config.world or default_world(self.clock)
        self.world.new_dms = SlidingWindow(config.new_dms, _DM_WINDOW_S) if config.new_dms else None
        self.limits = config.limits or default_book()
        if config.limits is None:
            self.limits.kind = config.kind
            self.limits.global_limit = config.global_limit
            self.limits.global_model = config.global_model
        self.access = Access({config.token} if config.token else None)
        self.rest = RestServer(
            router=Router(_routes(lambda: self.gateway)),
            world=self.world,
            limits=self.limits,
            clock=self.clock,
            random=Random(config.seed),  # noqa: S311 - reproducible latency, not cryptography
            latency=Latency(
                latency_s=config.latency_s,
                jitter_s=config.jitter_s,
                inbound_share=config.inbound_share,
                spike_chance=config.spike_chance,
                spike_s=config.spike_s,
            ),
            access=self.access,
            invalid=InvalidRequests(config.invalid_limit, config.invalid_window_s, config.ban_s),
            strict=config.strict,
            log=config.log,
        )
        self.gateway = SandboxGateway(self.world, self.access, self.clock, config.gateway)
        self.faults = self.rest.faults
        self.ledger = self.rest.ledger
        self.people = People(self.world)
        self._control = Control(self.world, self.people, self.limits, self.faults, self.ledger, self.gateway)
        self.port = config.port
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """The address without a path."""
        return f"http://{self.config.host}:{self.port}"

    @property
    def rest_url(self) -> str:
        """The base URL for clients of the REST API."""
        return f"{self.url}/api/v10"

    @property
    def gateway_url(self) -> str:
        """The URL for clients of the gateway."""
        return f"ws://{self.config.host}:{self.port}/gateway"

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=1 << 26)
        self._control.add_to(app)
        app.router.add_get("/gateway", self._serve_gateway)
        app.router.add_get("/gateway/resume", self._serve_gateway)
        app.router.add_route("*", "/{path:.*}", self.rest.handle)
        # The shutdown waits for no client: faults keep connections open on purpose.
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self.config.host, self.config.port, backlog=1024)
        await site.start()
        self.port = self._runner.addresses[0][1]
        self.gateway.url, self.gateway.resume_url = self.gateway_url, f"{self.gateway_url}/resume"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.rest.closing.set()
        self.gateway.drop()
        await asyncio.sleep(0)
        if self._runner:
            await self._runner.cleanup()

    async def _serve_gateway(self, http: web.Request) -> web.StreamResponse:
        if http.headers.get("Upgrade", "").lower() != "websocket":
            return await self.rest.handle(http)
        return await GatewayConnection(self.gateway, http).run()


def _clock(offset_s: float) -> Callable[[], float]:
    """Return a clock of epoch seconds that does not follow jumps of the machine's clock."""
    start = time.time() - time.monotonic() + offset_s
    return lambda: start + time.monotonic()


def _routes(gateway: Callable[[], SandboxGateway]) -> Routes:
    routes = gateway_info.routes(gateway)
    for resource in _RESOURCES:
        routes |= resource.ROUTES
    return routes
