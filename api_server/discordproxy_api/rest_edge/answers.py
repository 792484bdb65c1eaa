"""The answers of the REST port: Discord's own, and refusals that are delayed where a library would repeat at once."""

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import replace
from http import HTTPStatus

import orjson

from discordproxy_api.calls.drain import Drain
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.calls.retry import Repeat
from discordproxy_api.discord.http1.response import Headers
from discordproxy_api.discord.request import Reply
from discordproxy_api.http.http1.answer import HttpAnswer
from discordproxy_api.rest_edge.head import JSON, limit_headers, own_headers, passed_headers, proxy_headers
from discordproxy_api.rest_edge.reception import Arrival
from discordproxy_api.rest_edge.refusals import FailedCall, Refusal, refusal_of
from discordproxy_api.rest_edge.relay import RelayedError
from discordproxy_api.rpcs.route_policy import CALLBACK, RequestLine
from discordproxy_ratelimit.route import fingerprint, names_token, requires_user

MAX_HELD_BACK, HELD_BACK_S = 200, 1.0
"""A 429 of the proxy is delayed: some libraries repeat it at once. Only so many at a time, as each takes memory."""

MIN_RETRY_S = 0.1
"""Several libraries take a retry_after of 0 for a missing one."""

MAX_BUCKETS = 1_000

UNLIMITED = frozenset({CALLBACK, "/oauth2/token", "/oauth2/token/revoke"})
"""Routes that hikari does not limit; it reports limits in their responses as errors."""

INTERNAL_SERVER_ERROR = int(HTTPStatus.INTERNAL_SERVER_ERROR)

OUTAGE_GAP_S = 10.0
"""Failures of Redis that are further apart are separate outages."""


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
        if self._names.get(line.lane) == name:
            return
        if len(self._names) >= MAX_BUCKETS:
            self._names.clear()
        self._names[line.lane] = name

    def name_of(self, line: RequestLine) -> str:
        """Return the bucket of a route; a name of its own if Discord's is unknown."""
        return self._names.get(line.lane) or fingerprint(line.route)


class Answers:
    """Makes the answers of one worker."""

    def __init__(self, drain: Drain, metrics: Metrics) -> None:
        self._drain = drain
        self._metrics = metrics
        self._outage = _Outage()
        self._buckets = _Buckets()
        self._held_back = 0

    async def relayed(self, error: RelayedError, arrival: Arrival) -> HttpAnswer:
        """Return Discord's error, in the proxy's form where libraries would misunderstand it."""
        if error.is_from_edge and error.http_status == HTTPStatus.TOO_MANY_REQUESTS:
            error.scope = "global"
        failed = self.failed(arrival)
        if arrival.incoming.line.template == CALLBACK:  # Discord accepts one first response
            failed = replace(failed, repeat=Repeat.ALWAYS)
        refusal = refusal_of(error, failed)
        if refusal.status != error.http_status or refusal.status == HTTPStatus.TOO_MANY_REQUESTS:
            return await self.refused(error, failed, arrival)
        return self.reply(error.reply, arrival)

    async def refused(self, error: ApiError, failed: FailedCall, arrival: Arrival | None = None) -> HttpAnswer:
        """Return an answer of the proxy itself; a 429 after a while."""
        if error.reason == "BROKER_UNAVAILABLE":
            outage_s = self._outage.failed(asyncio.get_running_loop().time())
            failed = replace(failed, outage_s=outage_s)
        refusal = refusal_of(error, failed)
        if refusal.status == HTTPStatus.TOO_MANY_REQUESTS and error.reason != "DRAINING":
            refusal = await self._held(refusal)
        headers = proxy_headers(failed.request_id, failed.sent, _waited_s(arrival))
        headers |= refusal.headers(time.time()) | {"Content-Type": JSON}
        return HttpAnswer(refusal.status, headers, orjson.dumps(refusal.document(failed)))

    def reply(self, reply: Reply, arrival: Arrival) -> HttpAnswer:
        """Return an answer of Discord."""
        self._outage.over()
        call, options = arrival.call, arrival.options
        discord = _by_lower_name(reply.headers)
        headers = passed_headers(discord)
        headers |= proxy_headers(call.request_id, call.sent, _waited_s(arrival), discord.get("via", ""))
        bucket = discord.get("x-ratelimit-bucket", "")
        if bucket:
            self._buckets.learn(arrival.incoming.line, bucket)
            headers |= limit_headers(discord, options.limit_headers, time.time())
        elif self._is_limited_by_libraries(reply, arrival):
            headers |= own_headers(self._buckets.name_of(arrival.incoming.line), time.time())
        if reply.status >= INTERNAL_SERVER_ERROR and discord.get("retry-after", "").isdecimal():
            headers["Retry-After"] = discord["retry-after"]
        if options.preference_applied:
            headers["Preference-Applied"] = f"wait={options.wait_s:g}"
        if arrival.incoming.replayed:
            headers["Idempotent-Replayed"] = "true"
        return HttpAnswer(reply.status, headers, reply.body)

    def _is_limited_by_libraries(self, reply: Reply, arrival: Arrival) -> bool:
        """Whether libraries send one request at a time until a response states a limit, and this one states none."""
        is_own = arrival.options.limit_headers == "own" and reply.status < INTERNAL_SERVER_ERROR
        return is_own and arrival.incoming.line.template not in UNLIMITED

    def failed(self, arrival: Arrival) -> FailedCall:
        """Return what the answer to a failed call depends on."""
        call, line = arrival.call, arrival.incoming.line
        return FailedCall(
            call.request_id,
            sent=call.sent,
            repeat=arrival.incoming.repeat,
            route=self._buckets.name_of(line),
            own_credential=bool(arrival.presented.bot_token or arrival.presented.own)
            or names_token(line.template)
            or requires_user(line.template),
        )

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


def _by_lower_name(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers as a plain dict, which is faster to read."""
    if isinstance(headers, Headers):
        return dict(headers)
    return {name.lower(): value for name, value in headers.items()}


def _waited_s(arrival: Arrival | None) -> float:
    """Return how long a call has waited for a limit."""
    began_at = None if arrival is None else arrival.incoming.began_at
    if arrival is None or began_at is None:
        return 0.0
    left_at = arrival.call.left_at
    return (asyncio.get_running_loop().time() if left_at is None else left_at) - began_at
