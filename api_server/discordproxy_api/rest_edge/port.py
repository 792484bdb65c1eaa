"""The REST port: Discord's HTTP API on a port that all workers share, served through the pipeline of gRPC."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus

from aiohttp import HttpVersion10, HttpVersion11, web

from discordproxy_api.bind_policy import PortTakenError
from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call, request_id_of
from discordproxy_api.calls.drain import Drain
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.metrics import OTHER, Metrics
from discordproxy_api.discord.request import Reply
from discordproxy_api.http.browsers import browser_refusal
from discordproxy_api.http.connections import ConnectionGuard, ConnectionLimits
from discordproxy_api.http.server import HEALTH_PATHS, is_no_protocol_error
from discordproxy_api.pipeline.pipeline import CallPipeline
from discordproxy_api.rest_edge.answers import Answers
from discordproxy_api.rest_edge.bot_tokens import HolderAuthenticator
from discordproxy_api.rest_edge.forward import Forward
from discordproxy_api.rest_edge.reception import Arrival, Reception, headers_of
from discordproxy_api.rest_edge.refusals import FailedCall
from discordproxy_api.rest_edge.relay import RelayedError
from discordproxy_api.rpcs.route_policy import METHODS
from discordproxy_api.status.health import Health

log = logging.getLogger("discordproxy_api.rest_edge")

FIRST_HEAD_S, KEEP_ALIVE_S = 10.0, 75.0
MAX_TARGET, MAX_HEADER, MAX_HEADERS = 16_384, 8_190, 64
LINGER_S = 1.0
"""How long the rest of a refused body is read and dropped, so that its sender can read the answer."""

NAME = "discordproxy"

HELP = """Discord Proxy: Discord's HTTP API with shared rate limits.
Set the base URL of your Discord library to this address followed by /api/v10, and its token to a key of this proxy.
Options go in front, such as /app=shop/wait=240/api/v10. This is no forward proxy.
"""
NO_FORWARD_PROXY = "This is no forward proxy: set the base URL of the Discord library to this address, /api/v10.\n"


@dataclass(frozen=True, slots=True)
class RestPortOptions:
    """How to listen.

    Attributes:
        hosts: further names of this server, for requests that need no key.
        max_connections: at once.
        drain_timeout_s: time for calls in progress when the worker stops.
        tls: TLS context; None for plain HTTP.
    """

    hosts: Collection[str] = ()
    max_connections: int = 10_000
    drain_timeout_s: float = 30.0
    tls: ssl.SSLContext | None = field(default=None, repr=False)


class _Protocol(web.RequestHandler):
    """The library's protocol of one connection, without its name and the sender's bytes in errors."""

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 - an argument of the library
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it quotes what was sent
    ) -> web.StreamResponse:
        """Return the answer to a request that cannot be read."""
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self.log_exception("A request failed", exc_info=exc)
        response = web.Response(status=status, text=f"{HTTPStatus(status).phrase}\n", headers={"Server": NAME})
        response.force_close()
        return response


class RestPort:
    """Serves HTTP requests.

    Args:
        forwards: of the bots, by name; "" is the first.
        holders: authenticates the callers.
    """

    def __init__(
        self,
        options: RestPortOptions,
        *,
        pipeline: CallPipeline,
        reception: Reception,
        forwards: Mapping[str, Forward],
        holders: HolderAuthenticator,
        health: Health,
        drain: Drain,
        metrics: Metrics,
    ) -> None:
        self._options = options
        self._pipeline = pipeline
        self._reception = reception
        self._forwards = forwards
        self._holders = holders
        self._health = health
        self._drain = drain
        self._metrics = metrics
        self._answers = Answers(drain, metrics)
        self._server: web.Server | None = None
        limits = ConnectionLimits(options.max_connections, FIRST_HEAD_S, KEEP_ALIVE_S, None)
        self._connections = ConnectionGuard(self._connected, tls=options.tls, limits=limits, shared=True)

    @property
    def is_open(self) -> bool:
        """Whether connections are accepted."""
        return self._connections.is_open

    def _connected(self) -> asyncio.Protocol:
        assert self._server is not None, "set by `start`"  # noqa: S101 - for the reader
        return _Protocol(
            self._server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type] # for no log of its own
            logger=log,
            auto_decompress=False,
            keepalive_timeout=KEEP_ALIVE_S,
            lingering_time=LINGER_S,
            max_line_size=MAX_TARGET,
            max_field_size=MAX_HEADER,
            max_headers=MAX_HEADERS,
        )

    async def start(self, host: str, port: int) -> int:
        """Listen and return the port.

        Raises:
            PortTakenError: the address is in use.
        """
        log.addFilter(is_no_protocol_error)
        self._server = web.Server(self._handle, handler_cancellation=True)
        try:
            return await self._connections.open(host, port)
        except OSError:
            raise PortTakenError(
                f"cannot listen on {host}:{port}; stop the other process, or set DISCORDPROXY_REST_PORT"
            ) from None

    async def stop(self, now: asyncio.Event) -> None:
        """Wait for the drain, then stop listening and let calls in progress finish; `now` cuts this short."""
        ending = asyncio.create_task(self._end())
        stopping = asyncio.create_task(now.wait())
        await asyncio.wait({ending, stopping}, return_when=asyncio.FIRST_COMPLETED)
        for task in (ending, stopping):
            task.cancel()
        await asyncio.gather(ending, stopping, return_exceptions=True)
        await self.close()

    async def _end(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._options.drain_timeout_s):
                with contextlib.suppress(ApiError):
                    async with self._drain.interruptible():
                        await asyncio.Event().wait()
                await self._connections.close()
                await self._connections.finish()

    async def close(self) -> None:
        """Stop at once."""
        await self._connections.close()
        await self._connections.drop()

    async def _handle(self, request: web.BaseRequest) -> web.Response:
        with self._connections.request(request.transport):
            response = await self._answer(request)
        method = request.method if request.method in METHODS else OTHER
        self._metrics.http_requests.labels(method, str(response.status)).inc()
        response.headers["Server"] = NAME  # else the library names itself
        if self._drain.begun or self._health.stopping:
            response.force_close()
        return response

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        page = self._page(request)
        if page is not None:
            return page
        failed = FailedCall(request_id_of(request.headers.get("X-Request-Id", "")))
        try:
            self._refuse_browsers(request)
            arrival = self._reception.arrival(request, failed.request_id)
        except ApiError as error:
            return await self._answers.refused(error, failed)
        return await self._serve(request, arrival)

    def _page(self, request: web.BaseRequest) -> web.Response | None:
        """Return the answer to a request that is none for Discord."""
        if (refusal := _refused_form(request)) is not None:
            return refusal
        if request.method not in METHODS:
            allow = {"Allow": ", ".join(METHODS)}
            return web.Response(status=HTTPStatus.METHOD_NOT_ALLOWED, headers=allow, text="This method is unknown.\n")
        if request.method == "GET" and request.raw_path == "/":
            return web.Response(text=HELP)
        if request.method == "GET" and request.raw_path in HEALTH_PATHS:
            return self._health_page(request.raw_path)
        return None

    def _health_page(self, path: str) -> web.Response:
        if path != "/readyz":
            return web.Response(text="alive\n")
        ready = self._health.ready
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return web.json_response({"ready": ready}, status=status)

    def _refuse_browsers(self, request: web.BaseRequest) -> None:
        if self._holders.requires_keys:
            return
        refusal = browser_refusal(headers_of(request), self._options.hosts)
        if refusal:
            raise errors.refusal("PERMISSION_DENIED", "FORBIDDEN_BY_OPERATOR", refusal)

    async def _serve(self, request: web.BaseRequest, arrival: Arrival) -> web.Response:
        call, incoming = arrival.call, arrival.incoming
        limit = asyncio.timeout_at(call.deadline_at)
        try:
            async with limit:
                reply = await self._pipeline.serve(call, partial(self._work, arrival))
        except RelayedError as error:
            return await self._answers.relayed(error, arrival)
        except ApiError as error:
            return await self._answers.refused(error, self._answers.failed(arrival), arrival)
        except TimeoutError:
            if not limit.expired():
                raise
            return await self._answers.refused(_late(), self._answers.failed(arrival), arrival)
        transport = request.transport
        if incoming.undelivered is not None and (transport is None or transport.is_closing()):
            await incoming.undelivered()
        return self._answers.reply(reply, arrival)

    async def _work(self, arrival: Arrival, call: Call) -> Reply:
        return await self._forward_of(arrival, call).serve(call, arrival.incoming)

    def _forward_of(self, arrival: Arrival, call: Call) -> Forward:
        """Return the service of the caller's bot."""
        token, bot = arrival.presented.bot_token, call.principal.bot
        if arrival.bot and not token and not self._holders.requires_keys:
            bot = arrival.bot
        forward = self._forwards.get(bot)
        if forward is None:
            raise errors.invalid_field("bot", "BASE_TYPE_CHOICES", "There is no bot of this name.")
        if arrival.bot and self._forwards.get(arrival.bot) is not forward:
            text = "The credential of this request does not belong to a bot of this name."
            raise errors.invalid_field("bot", "BASE_TYPE_CHOICES", text)
        if token and arrival.presented.key:
            owner = self._holders.bot_of(token)
            if owner is None or self._forwards.get(owner) is not forward:
                text = "The token in Authorization is not that of the bot of this key."
                raise errors.refusal("UNAUTHENTICATED", "UNAUTHENTICATED", text)
        return forward


def _refused_form(request: web.BaseRequest) -> web.Response | None:
    """Return the answer to a request whose form has no meaning here, None if it has one."""
    if request.version not in {HttpVersion10, HttpVersion11}:
        return _closing(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "This port speaks HTTP/1.1.\n")
    if request.version == HttpVersion10 and "Transfer-Encoding" in request.headers:
        return _closing(HTTPStatus.BAD_REQUEST, "HTTP/1.0 has no Transfer-Encoding.\n")
    if request.method == "CONNECT":
        return _closing(HTTPStatus.METHOD_NOT_ALLOWED, NO_FORWARD_PROXY)
    return None if request.raw_path.startswith("/") else _closing(HTTPStatus.BAD_REQUEST, NO_FORWARD_PROXY)


def _closing(status: int, text: str) -> web.Response:
    """Return an answer that ends the connection: what follows might be part of this request."""
    response = web.Response(status=status, text=text)
    response.force_close()
    return response


def _late() -> ApiError:
    text = "The call took longer than its wait and the time for Discord's answer allow."
    return errors.refusal("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", text)
