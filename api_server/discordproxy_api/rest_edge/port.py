"""The REST port: Discord's HTTP API on a port that all workers share, served through the pipeline of gRPC."""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Collection, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any

import orjson

from discordproxy_api.bind_policy import PortTakenError
from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call, request_id_of
from discordproxy_api.calls.drain import Drain
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.metrics import OTHER, Metrics
from discordproxy_api.http.browsers import browser_refusal
from discordproxy_api.http.connections import ConnectionGuard, ConnectionLimits
from discordproxy_api.http.http1.answer import HttpAnswer, text_answer
from discordproxy_api.http.http1.connection import ServerConnection
from discordproxy_api.http.http1.request import HttpRequest
from discordproxy_api.pipeline.pipeline import CallPipeline
from discordproxy_api.rest_edge.answers import Answers
from discordproxy_api.rest_edge.bot_tokens import HolderAuthenticator
from discordproxy_api.rest_edge.forward import Forward, Incoming
from discordproxy_api.rest_edge.head import JSON
from discordproxy_api.rest_edge.reception import Arrival, Reception, refuse_repeated
from discordproxy_api.rest_edge.refusals import FailedCall
from discordproxy_api.rest_edge.relay import RelayedError
from discordproxy_api.rpcs.route_policy import METHODS
from discordproxy_api.status.health import HEALTH_PATHS, Health

log = logging.getLogger("discordproxy_api.rest_edge")

FIRST_HEAD_S, KEEP_ALIVE_S = 10.0, 75.0
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
        self._counters: dict[tuple[str, int], Any] = {}  # by method and status
        limits = ConnectionLimits(options.max_connections, FIRST_HEAD_S, KEEP_ALIVE_S, None)
        self._connections = ConnectionGuard(self._connected, tls=options.tls, limits=limits, shared=True)

    @property
    def is_open(self) -> bool:
        """Whether connections are accepted."""
        return self._connections.is_open

    def _connected(self) -> ServerConnection:
        return ServerConnection(self._serve, KEEP_ALIVE_S)

    async def start(self, host: str, port: int) -> int:
        """Listen and return the port.

        Raises:
            PortTakenError: the address is in use.
        """
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

    def _serve(self, request: HttpRequest) -> Coroutine[Any, Any, None]:
        """Return what serves one request; it is cancelled when the client goes away."""
        page = self._page(request)
        return self._serve_call(request) if page is None else self._show(request, page)

    async def _show(self, request: HttpRequest, page: HttpAnswer) -> None:
        self._respond(request, page)

    def _respond(self, request: HttpRequest, answer: HttpAnswer) -> None:
        """Send an answer, and count it."""
        counted = request.method, answer.status
        counter = self._counters.get(counted)
        if counter is None:
            method = request.method if request.method in METHODS else OTHER
            counter = self._metrics.http_requests.labels(method, str(answer.status))
            self._counters[counted] = counter
        counter.inc()
        if self._drain.begun or self._health.stopping:
            answer.closes = True
        request.connection.respond(request, answer)

    async def _serve_call(self, request: HttpRequest) -> None:
        """Serve a request for Discord."""
        arrival = None
        request_id = request_id_of(request.headers.get("x-request-id", ""))
        try:
            if request.repeated:
                refuse_repeated(request.repeated)
            if not self._holders.requires_keys:
                self._refuse_browsers(request.headers)
            arrival = self._reception.arrival(request, request_id)
            request.connection.deadline_at = arrival.call.deadline_at
            await self._pipeline.serve(arrival.call, partial(self._work, request, arrival))
        except asyncio.CancelledError:
            if arrival is None or not request.connection.is_late:
                raise
            _uncancel()
            self._respond(request, await self._answers.refused(_late(), self._answers.failed(arrival), arrival))
        except Exception as error:  # noqa: BLE001 - each is answered
            self._respond(request, await self._failed(error, request_id, arrival))

    async def _failed(self, error: Exception, request_id: str, arrival: Arrival | None) -> HttpAnswer:
        """Return the answer to a request that has failed."""
        if isinstance(error, RelayedError) and arrival is not None:
            return await self._answers.relayed(error, arrival)
        if isinstance(error, ApiError):
            failed = FailedCall(request_id) if arrival is None else self._answers.failed(arrival)
            return await self._answers.refused(error, failed, arrival)
        log.error("A request failed [%s]", request_id, exc_info=error)
        return text_answer(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal Server Error\n", closes=True)

    def _page(self, request: HttpRequest) -> HttpAnswer | None:
        """Return the answer to a request that is none for Discord."""
        method, target = request.method, request.target
        if request.version == "" or not target.startswith("/"):
            return _refused_form(request)
        if method not in METHODS:
            if method == "CONNECT":
                return _refused_form(request)
            allow = {"Allow": ", ".join(METHODS)}
            return text_answer(HTTPStatus.METHOD_NOT_ALLOWED, "This method is unknown.\n", allow)
        if method == "GET" and target == "/":
            return text_answer(HTTPStatus.OK, HELP)
        if method == "GET" and target in HEALTH_PATHS:
            return self._health_page(target)
        return None

    def _health_page(self, path: str) -> HttpAnswer:
        if path != "/readyz":
            return text_answer(HTTPStatus.OK, "alive\n")
        ready = self._health.ready
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        return HttpAnswer(status, {"Content-Type": JSON}, orjson.dumps({"ready": ready}))

    def _refuse_browsers(self, headers: Mapping[str, str]) -> None:
        refusal = browser_refusal(headers, self._options.hosts)
        if refusal:
            raise errors.refusal("PERMISSION_DENIED", "FORBIDDEN_BY_OPERATOR", refusal)

    async def _work(self, request: HttpRequest, arrival: Arrival, call: Call) -> None:
        """Send Discord's answer to the caller; only then the call is counted and logged."""
        try:
            reply = await self._forward_of(arrival, call).serve(call, arrival.incoming)
        except asyncio.CancelledError:  # the caller may go while its answer is on its way through the proxy
            await _keep_undelivered(arrival.incoming, call)
            raise
        if request.connection.transport.is_closing():
            await _keep_undelivered(arrival.incoming, call)
        self._respond(request, self._answers.reply(reply, arrival))

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


async def _keep_undelivered(incoming: Incoming, call: Call) -> None:
    """Keep what a repeat of a request needs whose answer does not reach the caller."""
    if incoming.undelivered is not None and call.sent != "no":
        await asyncio.shield(incoming.undelivered())


def _refused_form(request: HttpRequest) -> HttpAnswer:
    """Return the answer to a request whose form has no meaning here; it ends the connection."""
    if not request.version:
        return text_answer(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "This port speaks HTTP/1.1.\n", closes=True)
    status = HTTPStatus.METHOD_NOT_ALLOWED if request.method == "CONNECT" else HTTPStatus.BAD_REQUEST
    return text_answer(status, NO_FORWARD_PROXY, closes=True)


def _uncancel() -> None:
    """Go on after a cancellation that has been dealt with."""
    task = asyncio.current_task()
    assert task is not None, "runs in a task"  # noqa: S101 - for the type checker
    task.uncancel()


def _late() -> ApiError:
    text = "The call took longer than its wait and the time for Discord's answer allow."
    return errors.refusal("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", text)
