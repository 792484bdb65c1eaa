"""The REST port: Discord's HTTP API on a port that all workers share, served through the pipeline of gRPC."""

import asyncio
import contextlib
import logging
import ssl
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from http import HTTPStatus

import orjson
from aiohttp import web

from discordproxy_api.bind_policy import PortTakenError
from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.drain import Drain
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.metrics import OTHER, Metrics
from discordproxy_api.discord.request import Reply
from discordproxy_api.http.browsers import browser_refusal
from discordproxy_api.http.connections import ConnectionGuard, ConnectionLimits
from discordproxy_api.http.server import HEALTH_PATHS, is_no_protocol_error
from discordproxy_api.pipeline.pipeline import CallPipeline
from discordproxy_api.rest_edge.bot_tokens import HolderAuthenticator
from discordproxy_api.rest_edge.forward import Forward
from discordproxy_api.rest_edge.head import JSON, AnswerFacts, limit_headers, passed_headers, proxy_headers
from discordproxy_api.rest_edge.outgoing import RelayedError
from discordproxy_api.rest_edge.reception import Arrival, Reception, headers_of, request_id_of
from discordproxy_api.rest_edge.refusals import FailedCall, Refusal, refusal_of
from discordproxy_api.rpcs.route_policy import METHODS, RequestLine
from discordproxy_api.status.health import Health
from discordproxy_ratelimit.route import fingerprint, names_token

log = logging.getLogger("discordproxy_api.rest_edge")

FIRST_HEAD_S, KEEP_ALIVE_S = 10.0, 75.0
MAX_TARGET, MAX_HEADER, MAX_HEADERS = 16_384, 8_190, 64
LINGER_S = 1.0
"""How long the rest of a refused body is read and dropped, so that its sender can read the answer."""

NAME = "discordproxy"

MAX_HELD_BACK, HELD_BACK_S = 200, 1.0
"""A 429 of the proxy is delayed: some libraries repeat it at once. Only so many at a time, as each takes memory."""

MIN_RETRY_S = 0.1
"""Several libraries take a retry_after of 0 for a missing one."""

MAX_BUCKETS = 1_000

OUTAGE_GAP_S = 10.0
"""Failures of Redis that are further apart are separate outages."""

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


class _Outage:
    """How long Redis has not answered."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._last = 0.0

    def failed(self, now: float) -> float:
        """Record a failure; return the length of the outage in seconds."""
        if self._since is None or now - self._last > OUTAGE_GAP_S:
            self._since = now
        self._last = now
        return now - self._since

    def over(self) -> None:
        """Record a success."""
        self._since = None


class _Buckets:
    """Discord's names of buckets, so that a library finds a 429 of the proxy in the bucket that it knows."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def learn(self, line: RequestLine, name: str) -> None:
        """Record the bucket of a route."""
        if name:
            if len(self._names) >= MAX_BUCKETS:
                self._names.clear()
            self._names[_lane(line)] = name

    def name_of(self, line: RequestLine) -> str:
        """Return the bucket of a route; a name of its own if Discord's is unknown."""
        lane = _lane(line)
        return self._names.get(lane) or fingerprint(lane)


def _lane(line: RequestLine) -> str:
    return f"{line.route} {line.path.split('/', 3)[1:3]}"


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
        self._outage = _Outage()
        self._buckets = _Buckets()
        self._held_back = 0
        self._server: web.Server | None = None
        limits = ConnectionLimits(options.max_connections, FIRST_HEAD_S, KEEP_ALIVE_S, None)
        self._connections = ConnectionGuard(self._connected, tls=options.tls, limits=limits, shared=True)

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
        failed = FailedCall(request_id_of(request))
        try:
            self._refuse_browsers(request)
            arrival = self._reception.arrival(request, failed.request_id)
        except ApiError as error:
            return await self._refused(error, failed)
        return await self._serve(request, arrival)

    def _page(self, request: web.BaseRequest) -> web.Response | None:
        """Return the answer to a request that is none for Discord."""
        if request.method == "CONNECT" or not request.raw_path.startswith("/"):
            status = HTTPStatus.METHOD_NOT_ALLOWED if request.method == "CONNECT" else HTTPStatus.BAD_REQUEST
            response = web.Response(status=status, text=NO_FORWARD_PROXY)
            response.force_close()
            return response
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
            return await self._relayed(error, arrival)
        except ApiError as error:
            return await self._refused(error, self._failed(arrival), arrival)
        except TimeoutError:
            if not limit.expired():
                raise
            return await self._refused(_late(), self._failed(arrival), arrival)
        self._outage.over()
        transport = request.transport
        if incoming.undelivered is not None and (transport is None or transport.is_closing()):
            await incoming.undelivered()
        return self._response(reply, arrival)

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
        if token and arrival.presented.key:
            owner = self._holders.bot_of(token)
            if owner is None or self._forwards.get(owner) is not forward:
                text = "The token in Authorization is not that of the bot of this key."
                raise errors.refusal("UNAUTHENTICATED", "UNAUTHENTICATED", text)
        return forward

    def _failed(self, arrival: Arrival) -> FailedCall:
        call, line = arrival.call, arrival.incoming.line
        return FailedCall(
            call.request_id,
            sent=call.sent,
            repeat=arrival.incoming.repeat,
            route=self._buckets.name_of(line),
            own_credential=bool(arrival.presented.bot_token or arrival.presented.own or names_token(line.template)),
        )

    async def _relayed(self, error: RelayedError, arrival: Arrival) -> web.Response:
        """Return Discord's error, in the proxy's form where libraries would misunderstand it."""
        if error.is_from_edge and error.http_status == HTTPStatus.TOO_MANY_REQUESTS:
            error.scope = "global"
        refusal = refusal_of(error, self._failed(arrival))
        if refusal.status != error.http_status or refusal.status == HTTPStatus.TOO_MANY_REQUESTS:
            return await self._refused(error, self._failed(arrival), arrival)
        return self._response(error.reply, arrival)

    async def _refused(self, error: ApiError, failed: FailedCall, arrival: Arrival | None = None) -> web.Response:
        """Return an answer of the proxy itself; a 429 after a while."""
        if error.reason == "BROKER_UNAVAILABLE":
            outage_s = self._outage.failed(asyncio.get_running_loop().time())
            failed = replace(failed, outage_s=outage_s)
        refusal = refusal_of(error, failed)
        if refusal.status == HTTPStatus.TOO_MANY_REQUESTS and error.reason != "DRAINING":
            refusal = await self._held(refusal)
        facts = AnswerFacts(failed.request_id, failed.sent, _waited_s(arrival), time.time())
        headers = proxy_headers(facts) | refusal.headers(facts.now) | {"Content-Type": JSON}
        return web.Response(status=refusal.status, headers=headers, body=orjson.dumps(refusal.document(failed)))

    async def _held(self, refusal: Refusal) -> Refusal:
        """Return a refusal after a delay, with the wait that is left then."""
        wait_s = refusal.retry_after_s or 0.0
        if self._held_back >= MAX_HELD_BACK:
            return refusal
        self._held_back += 1
        self._metrics.http_held_back.set(self._held_back)
        began_at = asyncio.get_running_loop().time()
        try:
            with contextlib.suppress(ApiError):  # the drain has begun
                async with self._drain.interruptible():
                    await asyncio.sleep(min(wait_s, HELD_BACK_S))
        finally:
            self._held_back -= 1
            self._metrics.http_held_back.set(self._held_back)
        left_s = wait_s - (asyncio.get_running_loop().time() - began_at)
        return replace(refusal, retry_after_s=max(MIN_RETRY_S, left_s))

    def _response(self, reply: Reply, arrival: Arrival) -> web.Response:
        """Return an answer of Discord."""
        call, now = arrival.call, time.time()
        discord = {name.lower(): value for name, value in reply.headers.items()}
        facts = AnswerFacts(call.request_id, call.sent, _waited_s(arrival), now)
        self._buckets.learn(arrival.incoming.line, discord.get("x-ratelimit-bucket", ""))
        headers = passed_headers(discord) | proxy_headers(facts, discord.get("via", ""))
        headers |= limit_headers(discord, arrival.options.limit_headers, now)
        if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR and discord.get("retry-after", "").isdecimal():
            headers["Retry-After"] = discord["retry-after"]
        if arrival.options.preference_applied:
            headers["Preference-Applied"] = f"wait={arrival.options.wait_s:g}"
        if arrival.incoming.replayed:
            headers["Idempotent-Replayed"] = "true"
        return web.Response(status=reply.status, headers=headers, body=reply.body or None)


def _late() -> ApiError:
    text = "The call took longer than its wait and the time for Discord's answer allow."
    return errors.refusal("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", text)


def _waited_s(arrival: Arrival | None) -> float:
    """Return how long a call has waited for a limit."""
    began_at = None if arrival is None else arrival.incoming.began_at
    if arrival is None or began_at is None:
        return 0.0
    left_at = arrival.call.left_at
    return (asyncio.get_running_loop().time() if left_at is None else left_at) - began_at
