"""The worker's HTTP port for operators: alive, ready, metrics. Most load balancers cannot ask gRPC."""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from discordproxy_api.bind_policy import is_local
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.http.connections import ConnectionGuard
from discordproxy_api.status.health import Health


class PortTakenError(Exception):
    """The address cannot be listened on; the text says what to do."""


Guard = Callable[[Mapping[str, str], str], bool]
"""From a request's headers and its peer's address to whether it may see more than health."""

OPEN = frozenset({"/livez", "/healthz", "/readyz"})

log = logging.getLogger("discordproxy_api.http.server")


class HttpServer:
    """Serves /livez, /healthz (the same), /readyz, /metrics, and other pages.

    Where only this machine can connect, only names of this machine are answered: else a web site whose name leads here
    could read the pages with the operator's browser. Health tells anybody whether it is good, and no more.

    Args:
        pages: more to serve, behind the same guard.
        guard: asked for everything but health; None lets everybody in.
        tls: serves HTTPS.
    """

    def __init__(
        self,
        health: Health,
        metrics: Metrics,
        *,
        pages: Iterable[web.RouteDef] = (),
        guard: Guard | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._health = health
        self._metrics = metrics
        self._guard = guard
        self._local_only = False
        app = web.Application(middlewares=[_of(self._guarded)])
        app.router.add_get("/livez", self._alive)
        app.router.add_get("/healthz", self._alive)
        app.router.add_get("/readyz", self._ready)
        app.router.add_get("/metrics", self._numbers)
        app.router.add_routes(pages)
        log.addFilter(_not_the_callers_fault)
        self._runner = web.AppRunner(app, access_log=None, logger=log, shutdown_timeout=1.0, lingering_time=0.0)
        self._door = ConnectionGuard(self._connected, tls=tls)

    def _connected(self) -> asyncio.Protocol:
        assert self._runner.server is not None, "set up by `start`"  # noqa: S101 - for the reader
        return self._runner.server()

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port.

        Raises:
            PortTaken: somebody else listens there.
        """
        self._local_only = is_local(host)
        await self._runner.setup()
        try:
            return await self._door.open(host, port)
        except OSError:
            raise PortTakenError(
                f"cannot listen on {host}:{port}; stop what listens there or set DISCORDPROXY_HTTP_PORT"
            ) from None

    async def close(self) -> None:
        """Stop listening."""
        await self._door.close()
        await self._runner.cleanup()
        await self._door.drop()

    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        with self._door.request(request.transport):
            return self._refusal(request) or await handler(request)

    def _refusal(self, request: web.Request) -> web.Response | None:
        if request.path not in OPEN and self._is_foreign(request):
            return web.Response(status=421, text="Ask for localhost or 127.0.0.1.\n")
        guard = None if request.path in OPEN else self._guard
        if guard is not None and not guard(request.headers, request.remote or ""):
            text = "This page needs a key that may see the status: as bearer token, or as password.\n"
            headers = {"WWW-Authenticate": 'Basic realm="Discord Proxy"'}
            return web.Response(status=401, text=text, headers=headers)
        return None

    def _is_foreign(self, request: web.Request) -> bool:
        """Tell whether a browser could be made to send this request by a web site; every browser sends a Host."""
        host = request.headers.get("Host")
        if host is None or not self._local_only:
            return False
        try:
            return not is_local(urlsplit(f"//{host}").hostname or "")
        except ValueError:
            return True

    async def _alive(self, _request: web.Request) -> web.Response:
        return web.Response(text="alive\n")  # never depends on Redis or Discord: a restart would not help them

    async def _ready(self, request: web.Request) -> web.Response:
        ready = self._health.ready
        facts: dict[str, object] = {"ready": ready}
        if not self._is_foreign(request):
            states = {name or "worker": up for name, up in self._health.states.items()}
            facts |= {"draining": self._health.stopping, "services": states}
        return web.json_response(facts, status=200 if ready else 503)

    async def _numbers(self, _request: web.Request) -> web.Response:
        body = await asyncio.to_thread(generate_latest, self._metrics.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


def _of(method: Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]) -> Middleware:
    """Return a bound method as middleware; the library's mark does not stick to one."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await method(request, handler)

    return middleware


def _not_the_callers_fault(record: logging.LogRecord) -> bool:
    """Leave out what the library logs, with a traceback, for each request that is not HTTP."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))
