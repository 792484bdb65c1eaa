"""Wires an API worker around the backends of its bots."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from discordproxy_api.access.authenticator import Authenticator
from discordproxy_api.access.key_file import watch_keys
from discordproxy_api.bind_policy import is_local
from discordproxy_api.calls.drain import Drain
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.calls.tracing import Tracing
from discordproxy_api.contract.contract import SERVICE, load_contract
from discordproxy_api.grpc_edge.server import Server, ServerOptions
from discordproxy_api.grpc_edge.services import grpc_services
from discordproxy_api.http.descriptors import possible_connections
from discordproxy_api.pipeline.access_log import AccessLog
from discordproxy_api.pipeline.admission import AdmissionLimits, KeyedAdmission
from discordproxy_api.pipeline.authentication import Authentication
from discordproxy_api.pipeline.pipeline import CallPipeline, TracedPipeline
from discordproxy_api.pipeline.receiving.uploads import UploadLimits, Uploads
from discordproxy_api.rest_edge.bot_tokens import HolderAuthenticator
from discordproxy_api.rest_edge.port import RestPort, RestPortOptions
from discordproxy_api.rest_edge.reception import Reception, ReceptionOptions
from discordproxy_api.rpcs.route_policy import RouteNames
from discordproxy_api.settings import ApiSettings
from discordproxy_api.status.doctor import Doctor, Setup
from discordproxy_api.status.endpoints import StatusService
from discordproxy_api.status.findings import address_of
from discordproxy_api.status.health import Health, Probe
from discordproxy_api.status.reporter import Reporter
from discordproxy_api.status.status_reader import StatusReader
from discordproxy_api.tls import Tls, TlsFiles
from discordproxy_api.wiring.backends import Backend, redis_url
from discordproxy_api.wiring.bot_service import BotService, Common, bot_service
from discordproxy_ratelimit.broker import Broker
from discordproxy_ratelimit.process.http_proxy import http_proxy_for
from discordproxy_ratelimit.redis.url import describe
from discordproxy_ratelimit.server.watch import inspect_url

log = logging.getLogger("discordproxy_api")


@dataclass(frozen=True, slots=True)
class Worker:
    """The wired objects of a worker."""

    server: Server
    rest_port: RestPort | None
    health: Health
    console: StatusService
    reporter: Reporter
    drain: Drain
    metrics: Metrics
    services: tuple[BotService, ...]
    authenticator: Authenticator
    tls: Tls | None

    async def finish(self) -> None:
        """Wait for the calls that continue without their callers."""
        for service in self.services:
            await service.finish()

    async def start(self, settings: ApiSettings) -> int:
        """Serve on all ports; return that of gRPC, which is the last to open: the supervisor waits for it."""
        if self.rest_port is not None and settings.rest_port is not None:
            rest_port = await self.rest_port.start(settings.host, settings.rest_port)
            log.info("worker %d serves Discord's HTTP API on %s:%d", settings.worker, settings.host, rest_port)
        return await self.server.start()

    async def stop(self, release: Callable[[], object], now: asyncio.Event) -> None:
        """Stop serving on all ports; see `Server.stop`."""
        ports = [self.server.stop(release, self.finish, now)]
        if self.rest_port is not None:
            ports.append(self.rest_port.stop(now))
        await asyncio.gather(*ports)


@asynccontextmanager
async def wired(
    settings: ApiSettings,
    backends: Sequence[Backend],
    metrics: Metrics,
    probes: Mapping[str, Probe],
    tracing: Tracing | None = None,
) -> AsyncIterator[Worker]:
    """Build the worker's objects around the backends of its bots; they are closed at the end of the block.

    Args:
        settings: settings of this worker.
        backends: one per bot, started, to be closed by the caller. The checks of `doctor` use the first one.
        metrics: metrics of this worker.
        probes: probes of further services that health reports.
        tracing: None for no traces.
    """
    drain, contract, first = Drain(), load_contract(), backends[0]
    bots = tuple(backend.bot.name for backend in backends if backend.bot.name)
    path = settings.keys_file
    authenticator = Authenticator(None if path is None else watch_keys(path, rpcs=tuple(contract), bots=bots), metrics)
    tls = _tls(settings)
    if tls:
        metrics.certificate_expires.set_function(tls.expires_at)
    limits = UploadLimits(held_bytes=settings.max_upload_bytes, message_bytes=settings.max_message_bytes)
    uploads = Uploads(limits, drain=drain, metrics=metrics)
    common = Common(settings, contract, drain, metrics, uploads, tracing)
    async with AsyncExitStack() as stack:
        services = [await stack.enter_async_context(bot_service(backend, common)) for backend in backends]
        required = {"broker": partial(_broker_is_up, first.broker), "discord": partial(_any_token_is_valid, services)}
        health = Health({**required, **probes}, metrics)
        brokers = {backend.bot.name: backend.broker for backend in backends}
        status = StatusReader(brokers, {backend.bot.name: backend.gateway for backend in backends})
        setup = _setup(settings, partial(_file_problems, tls, authenticator))
        doctor = Doctor(services[0].rest, status, partial(_inspect_redis, settings), setup)
        console = StatusService(status, doctor)
        by_bot = {service.backend.bot.name: service for service in services}
        admission = KeyedAdmission(drain, _admission_limits(settings))
        connections = possible_connections(settings.max_connections, 1 if settings.rest_port is None else 2)
        rest_port = None
        if settings.rest_port is not None:
            rest_port = _rest_port(settings, services, common, admission, authenticator, health, tls, connections)
            stack.push_async_callback(rest_port.close)
        reporter = Reporter(
            brokers,
            metrics,
            number=settings.worker,
            state=partial(_state, drain, health),
            rest="" if settings.rest_port is None else address_of(settings.host, settings.rest_port),
            rest_open=partial(_is_open, rest_port),
        )
        server = Server(
            _server_options(settings, tls, connections),
            handlers=grpc_services(
                contract,
                {"": services[0], **by_bot},
                health=health.handler(),
                console=console.handler(),
                reflection=settings.reflection,
                admission=admission,
                uploads=uploads,
                authenticator=authenticator,
                certificates=settings.tls_client_ca is not None,
                audited=settings.audited,
                drain=drain,
                metrics=metrics,
                tracing=tracing,
            ),
            health=health,
            drain=drain,
        )
        stack.push_async_callback(server.close)
        yield Worker(server, rest_port, health, console, reporter, drain, metrics, tuple(services), authenticator, tls)


def _rest_port(
    settings: ApiSettings,
    services: Sequence[BotService],
    common: Common,
    admission: KeyedAdmission,
    authenticator: Authenticator,
    health: Health,
    tls: Tls | None,
    connections: int,
) -> RestPort:
    tokens = {service.backend.bot.name: service.backend.bot.token.get_secret_value() for service in services}
    holders = HolderAuthenticator(authenticator, tokens)
    parts: dict[str, Any] = {
        "access_log": AccessLog(common.metrics, audited=settings.audited),
        "authentication": Authentication(holders, common.contract, audited=settings.audited),
        "admission": admission,
        "drain": common.drain,
    }
    tracing = common.tracing
    return RestPort(
        _rest_port_options(settings, tls, connections),
        pipeline=CallPipeline(**parts) if tracing is None else TracedPipeline(tracing, SERVICE.strip("/"), **parts),
        reception=Reception(_reception_options(settings), RouteNames(common.contract)),
        forwards={"": services[0].forward, **{each.backend.bot.name: each.forward for each in services}},
        holders=holders,
        health=health,
        drain=common.drain,
        metrics=common.metrics,
    )


def _server_options(settings: ApiSettings, tls: Tls | None, connections: int) -> ServerOptions:
    return ServerOptions(
        host=settings.host,
        port=settings.port,
        max_message_bytes=settings.max_message_bytes,
        max_connections=connections,
        drain_timeout_s=settings.drain_timeout,
        lame_duck_s=settings.lame_duck,
        keepalive_s=settings.keepalive,
        connection_age_s=settings.max_connection_age,
        credentials=tls.for_grpc() if tls else None,
    )


def _admission_limits(settings: ApiSettings) -> AdmissionLimits:
    return AdmissionLimits(
        calls=settings.max_calls,
        calls_per_app=settings.max_calls_per_app,
        streams=settings.max_streams,
        streams_per_app=settings.max_streams_per_app,
    )


def _rest_port_options(settings: ApiSettings, tls: Tls | None, connections: int) -> RestPortOptions:
    return RestPortOptions(
        hosts=settings.rest_hosts,
        max_connections=connections,
        drain_timeout_s=settings.drain_timeout,
        tls=tls.for_http() if tls else None,
    )


def _reception_options(settings: ApiSettings) -> ReceptionOptions:
    return ReceptionOptions(
        wait_s=settings.rest_max_wait,
        limit_headers=settings.rest_limit_headers,
        max_message_bytes=settings.max_message_bytes,
        http_timeout_s=settings.http_timeout,
    )


async def _broker_is_up(broker: Broker) -> bool:
    await broker.claims.get("health")  # a worker without traffic would not detect an outage of Redis
    return broker.is_up


async def _any_token_is_valid(services: Sequence[BotService]) -> bool:
    """Return whether any bot can be used; a rejected token must not make the worker unready for the other bots."""
    return not all(service.rest.token_refused for service in services)


def _state(drain: Drain, health: Health) -> str:
    return "draining" if drain.begun else "serving" if health.ready else "not serving"


def _is_open(rest_port: RestPort | None) -> bool:
    return rest_port is not None and rest_port.is_open


async def _inspect_redis(settings: ApiSettings) -> tuple[str, list[str]] | None:
    return await inspect_url(redis_url(settings))


def _file_problems(tls: Tls | None, authenticator: Authenticator) -> list[str]:
    return [problem for problem in (tls.problem() if tls else "", authenticator.problem()) if problem]


def _setup(settings: ApiSettings, file_problems: Callable[[], list[str]]) -> Setup:
    return Setup(
        discord_url=settings.discord_url,
        http_proxy=str(http_proxy_for(settings.discord_url) or ""),
        redis=describe(redis_url(settings)),
        host=settings.host,
        local=is_local(settings.host),
        encrypted=settings.tls_cert is not None,
        keys=settings.authenticates_callers,
        rest_port=settings.rest_port,
        file_problems=file_problems,
    )


def _tls(settings: ApiSettings) -> Tls | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return Tls(TlsFiles(settings.tls_cert, settings.tls_key, settings.tls_client_ca))
