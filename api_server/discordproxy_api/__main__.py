"""An API worker: reads the settings, opens the ports, serves until a signal; `wiring/` builds the objects."""

import asyncio
import contextlib
import ctypes
import gc
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

import uvloop
from google.protobuf.internal import api_implementation

from discordproxy_api.access.authenticator import Authenticator
from discordproxy_api.bind_policy import PortTakenError, UnsafeBindError, bind_warning, is_local, require_safe_bind
from discordproxy_api.calls.call import call_facts
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.calls.tracing import Tracing, TracingUnavailableError, exporting_provider
from discordproxy_api.settings import ApiSettings
from discordproxy_api.status.gateway_metrics import GatewayMetrics
from discordproxy_api.status.health import Probe
from discordproxy_api.wiring.backends import Backend, backends_of
from discordproxy_api.wiring.worker import Worker, wired
from discordproxy_ratelimit.process import logs, streams
from discordproxy_ratelimit.process.exit_status import CONFIGURATION
from discordproxy_ratelimit.process.http_proxy import HttpProxyError, http_proxy_for
from discordproxy_ratelimit.process.reloading import UnusableFileError
from discordproxy_ratelimit.process.stop_signals import on_stop_signal
from discordproxy_ratelimit.process.tasks import steadily
from discordproxy_ratelimit.process.trace import no_trace
from discordproxy_ratelimit.settings import load

if TYPE_CHECKING:
    from discordproxy_api.http.server import Guard

log = logging.getLogger("discordproxy_api")

M_MMAP_THRESHOLD = -3
"""The number of this parameter in glibc's malloc.h."""


async def run(settings: ApiSettings) -> None:
    """Serve until a signal; a second one ends the drain."""
    _check_bind(settings)
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
        probes = _gateway_probes(backends, metrics)
        worker = await stack.enter_async_context(wired(settings, backends, metrics, probes, tracing))
        if settings.http_port is not None:
            await _serve_http(settings, settings.http_port, worker, stack)
        port = await worker.start(settings)
        for work, name in ((worker.health.run, "the health check"), (worker.reporter.run, "reporting")):
            stack.callback(asyncio.create_task(steadily(work, name)).cancel)
        log.info("worker %d serves on %s:%d", settings.worker, settings.host, port)
        gc.freeze()  # the wired objects live as long as the process; garbage collections need not traverse them
        await stop.wait()
        log.info("stopping: calls in flight may finish within %.0f s", settings.drain_timeout)
        await worker.stop(partial(_drain, backends), now)
        await worker.reporter.withdraw()


def _check_bind(settings: ApiSettings) -> None:
    """Refuse an address at which anybody could call, unless that is permitted; warn of what callers may not expect."""
    require_safe_bind(
        settings.host, authenticated=settings.authenticates_callers, allow_anonymous=settings.allow_anonymous
    )
    if text := bind_warning(
        settings.host, keys=settings.keys_file is not None, encrypted=settings.tls_cert is not None
    ):
        log.warning("%s", text)
    if len(settings.all_bots) > 1 and settings.keys_file is None:
        log.warning("all callers use the first of several bots: only keys select a bot; set DISCORDPROXY_KEYS_FILE")


def _gateway_probes(backends: Sequence[Backend], metrics: Metrics) -> dict[str, Probe]:
    """Return the probes of the bots' gateways by their names in health, and add their metrics."""
    gateways = GatewayMetrics()
    metrics.registry.register(gateways)
    return {
        f"gateway.{backend.bot.name}" if number else "gateway": gateways.watch(
            backend.bot.name, backend.gateway.events.state
        )
        for number, backend in enumerate(backends)
    }


async def _serve_http(settings: ApiSettings, port: int, worker: Worker, stack: AsyncExitStack) -> None:
    """Serve health, metrics and status page until the stack ends."""
    from discordproxy_api.http.pages import StatusPages  # noqa: PLC0415 - costs memory without an HTTP port
    from discordproxy_api.http.server import HttpServer  # noqa: PLC0415 - same

    tls = worker.tls.for_http() if worker.tls else None
    guard = http_guard(settings, worker.authenticator)
    http = HttpServer(worker.health, worker.metrics, pages=StatusPages(worker.console).routes(), guard=guard, tls=tls)
    stack.push_async_callback(http.close)
    await http.start(settings.host, port + settings.worker if port else 0)


def _tracing(settings: ApiSettings, stack: AsyncExitStack) -> Tracing | None:
    if settings.traces == "off":
        return None
    provider = exporting_provider()
    stack.push_async_callback(asyncio.to_thread, provider.shutdown)
    return Tracing(provider)


def _drain(backends: Sequence[Backend]) -> None:
    for backend in backends:
        backend.broker.drain()


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
    logs.set_up(settings.log_level, settings.log_format, secrets=settings.secrets, context=call_facts)
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
