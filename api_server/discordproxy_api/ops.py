"""The worker's HTTP port for operators: alive, ready, metrics. Most load balancers cannot ask gRPC."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from discordproxy_api.health import Health
from discordproxy_api.metrics import Metrics


class PortTaken(Exception):  # noqa: N818 - says what is the case
    """The address cannot be listened on; the text says what to do."""


Guard = Callable[[Mapping[str, str], str], bool]
"""From a request's headers and its peer's address to whether it may see more than health."""

OPEN = frozenset({"/livez", "/healthz", "/readyz"})


class Ops:
    """Serves /livez, /healthz (the same), /readyz, /metrics, and other pages.

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
        self._tls = tls
        app = web.Application(middlewares=[_of(self._guarded)])
        app.router.add_get("/livez", self._alive)
        app.router.add_get("/healthz", self._alive)
        app.router.add_get("/readyz", self._ready)
        app.router.add_get("/metrics", self._numbers)
        app.router.add_routes(pages)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)

    async def start(self, host: str, port: int) -> int:
        """Listen; return the port.

        Raises:
            PortTaken: somebody else listens there.
        """
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port, ssl_context=self._tls).start()
        except OSError:
            raise PortTaken(
                f"cannot listen on {host}:{port}; stop what listens there or set DISCORDPROXY_HTTP_PORT"
            ) from None
        return int(self._runner.addresses[0][1])

    async def close(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()

    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        guard = None if request.path in OPEN else self._guard
        if guard is not None and not guard(request.headers, request.remote or ""):
            text = "This page needs a key that may see the status: as bearer token, or as password.\n"
            headers = {"WWW-Authenticate": 'Basic realm="Discord Proxy"'}
            return web.Response(status=401, text=text, headers=headers)
        return await handler(request)

    async def _alive(self, _request: web.Request) -> web.Response:
        return web.Response(text="alive\n")  # never depends on Redis or Discord: a restart would not help them

    async def _ready(self, _request: web.Request) -> web.Response:
        states = {name or "worker": up for name, up in self._health.states.items()}
        ready, draining = self._health.ready, self._health.leaving
        facts = {"ready": ready, "draining": draining, "services": states}
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
