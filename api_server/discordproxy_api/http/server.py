"""Serves health, metrics and the status page over HTTP."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from discordproxy_api.bind_policy import PortTakenError, is_local
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.http.connections import ConnectionGuard, ConnectionLimits
from discordproxy_api.http.forwarding import ForwardingConnections
from discordproxy_api.status.health import HEALTH_PATHS, Health

Guard = Callable[[Mapping[str, str], str], bool]
"""Receives a request's headers and client address; returns whether it may see more than health."""

log = logging.getLogger("discordproxy_api.http.server")


class HttpServer:
    """Serves /livez, /healthz (the same), /readyz, /metrics and further pages.

    On a loopback address, only loopback host names are accepted. Otherwise a web site could read the pages through the
    operator's browser (DNS rebinding). Health works under any name, with details only under these.

    Args:
        pages: further routes, behind the same guard.
        guard: authorizes all requests except health; None allows everyone.
        tls: TLS context; None for plain HTTP.
        limits: of connections.
    """

    def __init__(
        self,
        health: Health,
        metrics: Metrics,
        *,
        pages: Iterable[web.RouteDef] = (),
        guard: Guard | None = None,
        tls: ssl.SSLContext | None = None,
        limits: ConnectionLimits = ConnectionLimits(),  # noqa: B008 - immutable
    ) -> None:
        self._health = health
        self._metrics = metrics
        self._guard = guard
        self._local_only = False
        app = web.Application(middlewares=[_as_middleware(self._guarded)])
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/healthz", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics_page)
        app.router.add_routes(pages)
        log.addFilter(is_no_protocol_error)
        self._runner = web.AppRunner(app, access_log=None, logger=log, shutdown_timeout=1.0, lingering_time=0.0)
        self._forwarding = ForwardingConnections(self._protocol, limits)
        self._connections = ConnectionGuard(self._forwarding.new, tls=tls, limits=limits)

    def _protocol(self) -> asyncio.Protocol:
        assert self._runner.server is not None, "set by `start`"  # noqa: S101 - for the reader
        return self._runner.server()

    async def start(self, host: str, port: int) -> int:
        """Listen and return the port.

        Raises:
            PortTakenError: the address is in use.
        """
        self._local_only = is_local(host)
        await self._runner.setup()
        try:
            return await self._connections.open(host, port)
        except OSError:
            raise PortTakenError(
                f"cannot listen on {host}:{port}; stop the other process, or set DISCORDPROXY_HTTP_PORT"
            ) from None

    async def close(self) -> None:
        """Stop listening."""
        await self._connections.close()
        await self._runner.cleanup()
        await self._connections.drop()

    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        with self._forwarding.request(request.transport):
            return self._refusal(request) or await handler(request)

    def _refusal(self, request: web.Request) -> web.Response | None:
        if request.path not in HEALTH_PATHS and self._is_foreign(request):
            return web.Response(status=421, text="Use the host name localhost or 127.0.0.1.\n")
        guard = None if request.path in HEALTH_PATHS else self._guard
        if guard is not None and not guard(request.headers, request.remote or ""):
            text = "This page requires a key with status, as bearer token or as password.\n"
            headers = {"WWW-Authenticate": 'Basic realm="Discord Proxy"'}
            return web.Response(status=401, text=text, headers=headers)
        return None

    def _is_foreign(self, request: web.Request) -> bool:
        """Return whether a web site could have caused this request; every browser sends a Host."""
        host = request.headers.get("Host")
        if host is None or not self._local_only:
            return False
        try:
            return not is_local(urlsplit(f"//{host}").hostname or "")
        except ValueError:
            return True

    async def _livez(self, _request: web.Request) -> web.Response:
        return web.Response(text="alive\n")  # independent of Redis and Discord: a restart would not repair them

    async def _readyz(self, request: web.Request) -> web.Response:
        ready = self._health.ready
        facts: dict[str, object] = {"ready": ready}
        if not self._is_foreign(request):
            states = {name or "worker": up for name, up in self._health.states.items()}
            facts |= {"draining": self._health.stopping, "services": states}
        return web.json_response(facts, status=200 if ready else 503)

    async def _metrics_page(self, _request: web.Request) -> web.Response:
        body = await asyncio.to_thread(generate_latest, self._metrics.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


def _as_middleware(method: Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]) -> Middleware:
    """Return a bound method as middleware; the library's decorator cannot mark one."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await method(request, handler)

    return middleware


def is_no_protocol_error(record: logging.LogRecord) -> bool:
    """Drop the traceback that the library logs for each request that is not HTTP."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
