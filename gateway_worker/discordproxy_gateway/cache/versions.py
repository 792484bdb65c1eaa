"""Versions of cached answers: an answer stays valid while its version is current.

The gateway worker stamps the state of a guild with each change of its caches (`Keys.meta`). A version is the state that
an answer was read under. Answers that contain the proxy's own latest changes have no version: those expire by time.
"""

import asyncio
from functools import partial
from typing import Any

from redis.exceptions import RedisError

from discordproxy_gateway.cache.connection import ReadConnection
from discordproxy_gateway.cache.freshness import Freshness, Version
from discordproxy_gateway.cache.stored_state import SHARD_FIELDS, ShardFreshness
from discordproxy_gateway.ids import number_of, text_of
from discordproxy_gateway.keys import Keys
from discordproxy_gateway.store.server_time import milliseconds
from discordproxy_ratelimit.redis.pipeline import pack

_Waiter = tuple[Version, asyncio.Future[Freshness | None]]


def check_commands(status: str, meta: str, fields: tuple[str, ...], overlays: tuple[str, ...]) -> bytes:
    """Return the encoded commands that read the state of an answer. Their order matters.

    Status first: the freshness is not better than that of what follows. Overlays before stamps: an event that ends an
    overlay in between has changed the stamp.

    Args:
        status: key of the shard's status.
        meta: key of the guild's state.
        fields: of the guild's state.
        overlays: keys of the overlays of the answer's objects, none of which exists.
    """
    return pack([("HMGET", status, *SHARD_FIELDS), ("EXISTS", *overlays), ("HMGET", meta, *fields)])


_COMMANDS_EACH = 3


class VersionChecks:
    """Checks versions. All checks of one event-loop turn share one round trip."""

    def __init__(self, connection: ReadConnection, keys: Keys) -> None:
        self._connection = connection
        self._first = pack([("TIME",), ("GET", keys.shard_count)])
        self._waiters: list[_Waiter] = []

    async def freshness_of(self, version: Version) -> Freshness | None:
        """Return the freshness of an answer of this version; None if the answer must be read again.

        The check starts after this call, so an answer that is still valid contains every change that was made before.
        """
        loop = asyncio.get_running_loop()
        if not self._waiters:
            loop.call_soon(self._send)
        result: asyncio.Future[Freshness | None] = loop.create_future()
        self._waiters.append((version, result))
        return await result

    def _send(self) -> None:
        waiters, self._waiters = self._waiters, []
        versions = list({version: None for version, _ in waiters})
        packed = b"".join([self._first, *[version.checks for version in versions]])
        try:
            replies = self._connection.send_packed(packed, 2 + _COMMANDS_EACH * len(versions))
        except RedisError:
            replies = None
        if replies is None:
            _resolve(waiters, {})
        else:
            replies.add_done_callback(partial(_received, versions, waiters))


def _received(versions: list[Version], waiters: list[_Waiter], replies: asyncio.Future[list[Any]]) -> None:
    found: dict[Version, Freshness | None] = {}
    try:
        time, shard_count, *states = replies.result()
        now_ms = milliseconds(time)
        for place, version in enumerate(versions):
            status, overlays, row = states[_COMMANDS_EACH * place : _COMMANDS_EACH * (place + 1)]
            if version.row == row and not overlays and version.shard_count == shard_count:
                found[version] = _freshness(version, status, now_ms)
    except (RedisError, OSError, ValueError, TypeError, asyncio.CancelledError):
        pass  # every reader reads its answer again, which reports the problem
    _resolve(waiters, found)


def _resolve(waiters: list[_Waiter], found: dict[Version, Freshness | None]) -> None:
    for version, result in waiters:
        if not result.done():  # its caller was cancelled
            result.set_result(found.get(version))


def _freshness(version: Version, status: list[bytes | None], now_ms: int) -> Freshness | None:
    as_of, mark, connected_since = status
    as_of_ms = number_of(as_of)
    if not as_of_ms or not mark or mark != version.row[0]:
        return None  # another session; the guild's state is still to come
    shard = ShardFreshness(now_ms, as_of_ms, "", text_of(connected_since))
    return shard.freshness(complete=version.complete, not_after_ms=version.not_after_ms)
