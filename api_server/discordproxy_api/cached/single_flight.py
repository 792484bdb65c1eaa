"""Combines concurrent identical reads of all workers into one request to Discord.

A read that starts during a request waits for its response; a read that starts within a second after it gets the same
response, unless it must be fresh. The first read sends the request under the limits of its own call; if it gives up,
the next one sends. If Discord fails, all waiting reads fail: one after the other they would wait for as many failures.
"""

import asyncio
import hashlib
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from weakref import WeakValueDictionary

import orjson

from discordproxy_api.calls.drain import Drain
from discordproxy_api.calls.errors import ApiError, status_of
from discordproxy_ratelimit.errors import BrokerError
from discordproxy_ratelimit.shared.claims import Claims

SHARED_S = 1.0
LEASE_S = 6.0
_PAUSES_S = (0.01, 0.02, 0.05, 0.1, 0.25)
_SUCCESS, _REFUSAL = b"=", b"!"

_SHARED_STATUSES = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})

_UNREACHABLE = "DISCORD_UNREACHABLE"

Fetch = Callable[[], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class _Result:
    body: bytes
    at: float


@dataclass(frozen=True, slots=True)
class _Failure:
    error: ApiError
    at: float


class SingleFlight:
    """Shares responses by key.

    Args:
        claims: shared by all workers: the request in progress, and for a second its response.
    """

    def __init__(self, claims: Claims, drain: Drain) -> None:
        self._claims = claims
        self._drain = drain
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._results: dict[str, _Result] = {}
        self._failures: dict[str, _Failure] = {}

    async def share(self, key: str, fetch: Fetch, *, fresh: bool) -> bytes:
        """Return the result of one `fetch` for all concurrent calls with this key.

        Args:
            key: identifies the read.
            fetch: sends the request.
            fresh: refuse a response that was received before this call.

        Raises:
            ApiError: Discord refused the request or failed; or the wait of this call ended.
        """
        key = hashlib.sha256(key.encode()).hexdigest()
        loop = asyncio.get_running_loop()
        started_at = loop.time()
        async with self._locks.setdefault(key, asyncio.Lock()):
            result = self._results.get(key)
            if result is not None and not (fresh and result.at < started_at):
                return _decode(result.body)
            failure = self._failures.get(key)
            if failure is not None and failure.at >= started_at:
                raise failure.error.copy()
            try:
                body, new = await self._fetch_or_wait(f"read:{key}", fetch, fresh=fresh)
            except ApiError as error:
                if _affects_all(error):
                    self._failures[key] = _Failure(error.copy(), loop.time())
                    loop.call_later(SHARED_S, self._failures.pop, key, None)
                raise
            if new:
                self._results[key] = _Result(body, loop.time())
                loop.call_later(SHARED_S, self._results.pop, key, None)
        return _decode(body)

    async def _fetch_or_wait(self, name: str, fetch: Fetch, *, fresh: bool) -> tuple[bytes, bool]:
        """Return the response, and whether it was received after this call."""
        owner, turn = uuid.uuid4().hex, 0
        while True:
            try:
                claim = await self._claims.claim(name, "", owner=owner, lease_s=LEASE_S)
            except BrokerError:
                return await _encode(fetch), True
            if claim.state == "ours":
                return await self._fetch_for_all(name, owner, fetch), True
            if claim.state == "settled" and not _readable(claim.result):
                return await _encode(fetch), True
            if claim.state == "settled":
                return (claim.result, bool(turn)) if turn or not fresh else (await _encode(fetch), True)
            async with self._drain.interruptible():
                await asyncio.sleep(_PAUSES_S[min(turn, len(_PAUSES_S) - 1)])
            turn += 1

    async def _fetch_for_all(self, name: str, owner: str, fetch: Fetch) -> bytes:
        try:
            async with self._claims.hold(name, "", owner=owner, lease_s=LEASE_S):
                result = await _encode(fetch)
        except BaseException:
            await self._ignore_outage(self._claims.release(name, owner=owner))
            raise
        await self._ignore_outage(self._claims.complete(name, "", owner=owner, result=result, ttl_s=SHARED_S))
        return result

    async def _ignore_outage(self, change: Awaitable[None]) -> None:
        try:
            await change
        except BrokerError:
            return  # at worst another worker sends the same request


def _affects_all(error: ApiError) -> bool:
    return error.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR or error.reason == _UNREACHABLE


async def _encode(fetch: Fetch) -> bytes:
    """Return a response in its shared form, including refusals that apply to every caller."""
    try:
        return _SUCCESS + await fetch()
    except ApiError as error:
        of_discord = error.http_status in _SHARED_STATUSES and error.code  # not of the edge
        if not of_discord or error.retry_after_s is not None:
            raise
        facts = {"http_status": error.http_status, "code": error.code, "scope": error.scope, "bucket": error.bucket}
        return _REFUSAL + orjson.dumps([error.text, facts])


def _readable(result: bytes) -> bool:
    """Return whether this release can decode a response that another worker has shared."""
    try:
        _decode(result)
    except ApiError:
        return True
    except (ValueError, TypeError, LookupError):
        return False
    return True


def _decode(result: bytes) -> bytes:
    if result.startswith(_SUCCESS):
        return result[len(_SUCCESS) :]
    text, facts = orjson.loads(result[len(_REFUSAL) :])
    raise ApiError(status_of(facts["http_status"]), "DISCORD_ERROR", text, **facts)
