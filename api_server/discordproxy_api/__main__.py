"""Composition root of an API worker: reads the settings, wires the objects, serves until a signal."""

import asyncio
import contextlib
import ctypes
import gc
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import uvloop
from google.protobuf.internal import api_implementation

from discordproxy_api.access.authenticator import Authenticator
from discordproxy_api.access.key_file import watch_keys
from discordproxy_api.bind_policy import PortTakenError, UnsafeBindError, bind_warning, is_local, require_safe_bind
from discordproxy_api.calls.call import call_facts
from discordproxy_api.calls.drain import Drain
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.calls.tracing import Tracing, TracingUnavailableError, exporting_provider
from discordproxy_api.contract.contract import SERVICE, load_contract
from discordproxy_api.gateway import gateway_behind
from discordproxy_api.grpc_edge.server import Server, ServerOptions
from discordproxy_api.grpc_edge.services import grpc_services
from discordproxy_api.http.descriptors import possible_connections
from discordproxy_api.pipeline.access_log import ACCESS_LOGGER, AccessLog
from discordproxy_api.pipeline.admission import AdmissionLimits, KeyedAdmission
from discordproxy_api.pipeline.authentication import Authentication
from discordproxy_api.pipeline.pipeline import CallPipeline, TracedPipeline
from discordproxy_api.pipeline.uploads import UploadLimits, Uploads
from discordproxy_api.rest_edge.bot_tokens import HolderAuthenticator
from discordproxy_api.rest_edge.port import RestPort, RestPortOptions
from discordproxy_api.rest_edge.reception import Reception, ReceptionOptions
from discordproxy_api.rpcs.route_policy import RouteNames
from discordproxy_api.settings import ApiSettings
from discordproxy_api.status.doctor import Doctor, Setup
from discordproxy_api.status.endpoints import StatusService
from discordproxy_api.status.findings import address_of
from discordproxy_api.status.gateway_metrics import GatewayMetrics
from discordproxy_api.status.health import Health, Probe
from discordproxy_api.status.reporter import Reporter
from discordproxy_api.status.status_reader import StatusReader
from discordproxy_api.tls import Tls, TlsFiles
from discordproxy_api.wiring.bot_service import Backend, BotService, Common, bot_service
from discordproxy_gateway.cache import Keys
from discordproxy_ratelimit.broker import Broker, Limits
from discordproxy_ratelimit.metrics import Decisions
from discordproxy_ratelimit.process import logs, streams
from discordproxy_ratelimit.process.exit_status import CONFIGURATION
from discordproxy_ratelimit.process.http_proxy import HttpProxyError, http_proxy_for
from discordproxy_ratelimit.process.reloading import UnusableFileError
from discordproxy_ratelimit.process.stop_signals import on_stop_signal
from discordproxy_ratelimit.process.tasks import steadily
from discordproxy_ratelimit.process.trace import Trace, no_trace
from discordproxy_ratelimit.redis.client import connect
from discordproxy_ratelimit.redis.url import describe
from discordproxy_ratelimit.server.embedded import broker_url
from discordproxy_ratelimit.server.watch import inspect_url
from discordproxy_ratelimit.settings import load

if TYPE_CHECKING:
    from discordproxy_api.http.server import Guard

log = logging.getLogger("discordproxy_api")

M_MMAP_THRESHOLD = -3
"""The number of this parameter in glibc's malloc.h."""


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
        setup = _setup(settings)
        doctor = Doctor(services[0].rest, status, partial(_inspect_redis, settings), setup)
        console = StatusService(status, doctor)
        by_bot = {service.backend.bot.name: service for service in services}
        admission = KeyedAdmission(
            drain,
            AdmissionLimits(
                calls=settings.max_calls,
                calls_per_app=settings.max_calls_per_app,
                streams=settings.max_streams,
                streams_per_app=settings.max_streams_per_app,
            ),
        )
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
            ServerOptions(
                host=settings.host,
                port=settings.port,
                max_message_bytes=settings.max_message_bytes,
                max_connections=connections,
                drain_timeout_s=settings.drain_timeout,
                lame_duck_s=settings.lame_duck,
                keepalive_s=settings.keepalive,
                connection_age_s=settings.max_connection_age,
                credentials=tls.for_grpc() if tls else None,
            ),
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
        RestPortOptions(
            hosts=settings.rest_hosts,
            max_connections=connections,
            drain_timeout_s=settings.drain_timeout,
            tls=tls.for_http() if tls else None,
        ),
        pipeline=CallPipeline(**parts) if tracing is None else TracedPipeline(tracing, SERVICE.strip("/"), **parts),
        reception=Reception(
            ReceptionOptions(
                wait_s=settings.rest_max_wait,
                limit_headers=settings.rest_limit_headers,
                max_message_bytes=settings.max_message_bytes,
                http_timeout_s=settings.http_timeout,
            ),
            RouteNames(common.contract),
        ),
        forwards={"": services[0].forward, **{each.backend.bot.name: each.forward for each in services}},
        holders=holders,
        health=health,
        drain=common.drain,
        metrics=common.metrics,
    )


@asynccontextmanager
async def backends_of(settings: ApiSettings, metrics: Metrics, trace: Trace = no_trace) -> AsyncIterator[list[Backend]]:
    """Open the backend of each bot; they are closed at the end of the block."""
    url = _redis_url(settings)
    decisions = Decisions(metrics.registry, limited=metrics.recent_stats.limited)
    async with AsyncExitStack() as stack:
        backends = []
        for bot in settings.all_bots:
            limits = Limits(
                global_limit=bot.global_limit or settings.global_limit,
                egress=settings.egress,
                degraded=settings.degraded,
                workers=settings.workers,
            )
            broker = Broker(
                connect(url),
                prefix=settings.namespace,
                bot_id=bot.id,
                limits=limits,
                decisions=decisions,
                trace=trace,
            )
            await broker.start()
            stack.push_async_callback(broker.close)
            keys = Keys(settings.namespace, bot.id)
            gateway = await stack.enter_async_context(gateway_behind(url, keys, heartbeat_s=settings.event_heartbeat))
            backends.append(Backend(bot, broker, gateway))
        yield backends


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


def _redis_url(settings: ApiSettings) -> str:
    return broker_url(settings.redis_url.get_secret_value(), settings.home_token.get_secret_value())


async def _inspect_redis(settings: ApiSettings) -> tuple[str, list[str]] | None:
    return await inspect_url(_redis_url(settings))


def _setup(settings: ApiSettings) -> Setup:
    return Setup(
        discord_url=settings.discord_url,
        http_proxy=str(http_proxy_for(settings.discord_url) or ""),
        redis=describe(_redis_url(settings)),
        host=settings.host,
        local=is_local(settings.host),
        encrypted=settings.tls_cert is not None,
        keys=settings.authenticates_callers,
        rest_port=settings.rest_port,
    )


async def run(settings: ApiSettings) -> None:
    """Serve until a signal; a second one ends the drain."""
    require_safe_bind(
        settings.host, authenticated=settings.authenticates_callers, allow_anonymous=settings.allow_anonymous
    )
    if text := bind_warning(
        settings.host, keys=settings.keys_file is not None, encrypted=settings.tls_cert is not None
    ):
        log.warning("%s", text)
    if len(settings.all_bots) > 1 and settings.keys_file is None:
        log.warning("all callers use the first of several bots: only keys select a bot; set DISCORDPROXY_KEYS_FILE")
    if http_proxy := http_proxy_for(settings.discord_url):
        log.info("requests to Discord use the HTTP proxy %s", http_proxy)
    metrics = Metrics()
    stop, now = asyncio.Event(), asyncio.Event()

    def on_signal() -> None:
        (now if stop.is_set() else stop).set()

    on_stop_signal(on_signal)
    async with AsyncExitStack() as stack:
        tracing = _tracing(settings, stack)
        trace = tracing.part if tracing else no_trace
        backends = await stack.enter_async_context(backends_of(settings, metrics, trace))
        gateways = GatewayMetrics()
        metrics.registry.register(gateways)
        probes = {
            _gateway_name(number, backend): gateways.watch(backend.bot.name, backend.gateway.events.state)
            for number, backend in enumerate(backends)
        }
        worker = await stack.enter_async_context(wired(settings, backends, metrics, probes, tracing))
        if settings.http_port is not None:
            from discordproxy_api.http.pages import StatusPages  # noqa: PLC0415 - costs memory without an HTTP port
            from discordproxy_api.http.server import HttpServer  # noqa: PLC0415 - same

            tls = worker.tls.for_http() if worker.tls else None
            guard = http_guard(settings, worker.authenticator)
            pages = StatusPages(worker.console).routes()
            http = HttpServer(worker.health, metrics, pages=pages, guard=guard, tls=tls)
            stack.push_async_callback(http.close)
            await http.start(settings.host, settings.http_port + settings.worker if settings.http_port else 0)
        port = await worker.start(settings)
        for work, name in ((worker.health.run, "the health check"), (worker.reporter.run, "reporting")):
            stack.callback(asyncio.create_task(steadily(work, name)).cancel)
        log.info("worker %d serves on %s:%d", settings.worker, settings.host, port)
        gc.freeze()  # the wired objects live as long as the process; garbage collections need not traverse them
        await stop.wait()
        log.info("stopping: calls in flight may finish within %.0f s", settings.drain_timeout)
        await worker.stop(partial(_drain, backends), now)
        await worker.reporter.withdraw()


def _gateway_name(number: int, backend: Backend) -> str:
    """Return the name of a bot's gateway in health."""
    return f"gateway.{backend.bot.name}" if number else "gateway"


def _tracing(settings: ApiSettings, stack: AsyncExitStack) -> Tracing | None:
    if settings.traces == "off":
        return None
    provider = exporting_provider()
    stack.push_async_callback(asyncio.to_thread, provider.shutdown)
    return Tracing(provider)


def _drain(backends: Sequence[Backend]) -> None:
    for backend in backends:
        backend.broker.drain()


def _tls(settings: ApiSettings) -> Tls | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    return Tls(TlsFiles(settings.tls_cert, settings.tls_key, settings.tls_client_ca))


def http_guard(settings: ApiSettings, authenticator: Authenticator) -> "Guard":
    """Return the guard of the HTTP port's pages other than health; on a loopback address all callers pass."""
    if is_local(settings.host) or (settings.allow_anonymous and not authenticator.requires_keys):
        return lambda _headers, _peer: True
    if not authenticator.requires_keys:
        return lambda _headers, _peer: False  # only the gRPC port requests certificates
    return lambda headers, peer: authenticator.allowed(headers, peer) is not None


def _return_large_blocks() -> None:
    """Let glibc map each large block separately, so that an upload's memory returns to the system when it is freed.

    By default the threshold grows to 32 MiB with the first upload, and freed blocks stay with the process.
    """
    with contextlib.suppress(OSError, AttributeError):  # other C libraries have no such function
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 1024 * 1024)


def main() -> None:
    """Run the process; an error that requires the operator ends it with one line."""
    streams.prepare()
    settings = load(ApiSettings)
    logs.set_up(
        settings.log_level, settings.log_format, secrets=settings.secrets, context=call_facts, deferred=ACCESS_LOGGER
    )
    _return_large_blocks()
    if api_implementation.Type() != "upb":
        log.warning("protobuf runs without its C extension: translation is ten times slower")
    try:
        uvloop.run(run(settings))
    except (UnsafeBindError, UnusableFileError, TracingUnavailableError, HttpProxyError) as error:
        _fail(str(error), 2)
    except PortTakenError as error:
        _fail(str(error), CONFIGURATION)


def _fail(line: str, status: int) -> None:
    streams.complain(f"ERROR: {line}")
    raise SystemExit(status)


if __name__ == "__main__":
    main()
