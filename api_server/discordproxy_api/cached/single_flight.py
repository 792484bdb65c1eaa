"""One request to Discord for all who ask the same at the same time, in this worker and in others.

Who comes while a request is under way waits for its answer, and so does who comes up to a second later, unless he wants
it fresh. Whoever asks first sends, under the limits of his own call; when he gives up, the next one sends. When Discord
itself fails, all fail who waited: one after the other they would wait for as many failures.
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
_FOUND, _REFUSED = b"=", b"!"

_FOR_EVERYBODY = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})

_UNREACHABLE = "DISCORD_UNREACHABLE"

Fetch = Callable[[], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class _Landed:
    result: bytes
    at: float


@dataclass(frozen=True, slots=True)
class _Crashed:
    error: ApiError
    at: float


class SingleFlight:
    """Shares answers by key.

    Args:
        notes: tells the workers who is under way, and for a moment the answer.
    """

    def __init__(self, notes: Claims, drain: Drain) -> None:
        self._notes = notes
        self._drain = drain
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._landed: dict[str, _Landed] = {}
        self._crashed: dict[str, _Crashed] = {}

    async def share(self, key: str, fetch: Fetch, *, fresh: bool) -> bytes:
        """Return what `fetch` of the first who asked returned.

        Args:
            key: names what is asked.
            fetch: asks Discord.
            fresh: an answer that was there before the question will not do.

        Raises:
            ApiError: Discord refused or failed, to whoever asked; or this call's own wait ended.
        """
        key = hashlib.sha256(key.encode()).hexdigest()
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        async with self._locks.setdefault(key, asyncio.Lock()):
            landed = self._landed.get(key)
            if landed is not None and not (fresh and landed.at < asked_at):
                return _open(landed.result)
            crashed = self._crashed.get(key)
            if crashed is not None and crashed.at >= asked_at:
                raise _again(crashed.error)
            try:
                result, new = await self._fly(f"read:{key}", fetch, fresh=fresh)
            except ApiError as error:
                if _concerns_all(error):
                    self._crashed[key] = _Crashed(_again(error), loop.time())
                    loop.call_later(SHARED_S, self._crashed.pop, key, None)
                raise
            if new:
                self._landed[key] = _Landed(result, loop.time())
                loop.call_later(SHARED_S, self._landed.pop, key, None)
        return _open(result)

    async def _fly(self, name: str, fetch: Fetch, *, fresh: bool) -> tuple[bytes, bool]:
        """Return the answer, and whether it came after the question."""
        owner, turn = uuid.uuid4().hex, 0
        while True:
            try:
                claim = await self._notes.claim(name, "", owner=owner, lease_s=LEASE_S)
            except BrokerError:
                return await _closed(fetch), True
            if claim.state == "ours":
                return await self._first(name, owner, fetch), True
            if claim.state == "settled" and not _readable(claim.result):
                return await _closed(fetch), True
            if claim.state == "settled":
                return (claim.result, bool(turn)) if turn or not fresh else (await _closed(fetch), True)
            async with self._drain.interruptible():
                await asyncio.sleep(_PAUSES_S[min(turn, len(_PAUSES_S) - 1)])
            turn += 1

    async def _first(self, name: str, owner: str, fetch: Fetch) -> bytes:
        try:
            async with self._notes.hold(name, "", owner=owner, lease_s=LEASE_S):
                result = await _closed(fetch)
        except BaseException:
            await self._quietly(self._notes.release(name, owner=owner))
            raise
        await self._quietly(self._notes.settle(name, "", owner=owner, result=result, ttl_s=SHARED_S))
        return result

    async def _quietly(self, change: Awaitable[None]) -> None:
        try:
            await change
        except BrokerError:
            return  # at worst another worker asks Discord, too


def _concerns_all(error: ApiError) -> bool:
    return error.http_status >= HTTPStatus.INTERNAL_SERVER_ERROR or error.reason == _UNREACHABLE


def _again(error: ApiError) -> ApiError:
    """Return the failure for another call; an error that has been raised belongs to one."""
    return ApiError(
        error.status,
        error.reason,
        error.text,
        http_status=error.http_status,
        code=error.code,
        retry_after_s=error.retry_after_s,
        scope=error.scope,
        bucket=error.bucket,
    )


async def _closed(fetch: Fetch) -> bytes:
    """Return an answer as it is shared; a refusal that would meet every caller alike is one."""
    try:
        return _FOUND + await fetch()
    except ApiError as error:
        if error.http_status not in _FOR_EVERYBODY or error.retry_after_s is not None:
            raise
        facts = {"http_status": error.http_status, "code": error.code, "scope": error.scope, "bucket": error.bucket}
        return _REFUSED + orjson.dumps([error.text, facts])


def _readable(result: bytes) -> bool:
    """Tell whether an answer is in the form of this release."""
    try:
        _open(result)
    except ApiError:
        return True
    except (ValueError, TypeError, LookupError):
        return False
    return True


def _open(result: bytes) -> bytes:
    if result.startswith(_FOUND):
        return result[len(_FOUND) :]
    text, facts = orjson.loads(result[len(_REFUSED) :])
    raise ApiError(status_of(facts["http_status"]), "DISCORD_ERROR", text, **facts)
