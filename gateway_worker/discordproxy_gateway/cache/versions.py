"""Versions of cached answers: an answer stays valid while its version is current, and costs one small command.

The gateway worker stamps the state of a guild with each change of its caches (`Keys.meta`). A version is the stamp that
an answer was read under. Answers that contain the proxy's own latest changes have no version: those expire by time.
"""

import asyncio
from typing import Any

from redis.exceptions import RedisError

from discordproxy_gateway.cache.commands import Commands
from discordproxy_gateway.cache.connection import ReadConnection
from discordproxy_gateway.cache.freshness import SHARD_FIELDS, Freshness, ShardFreshness, Version
from discordproxy_gateway.ids import number_of, text_of
from discordproxy_gateway.keys import Keys


class VersionChecks:
    """Checks versions. All checks of one event-loop turn share one round trip."""

    def __init__(self, connection: ReadConnection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys
        self._waiting: list[tuple[Version, asyncio.Future[Freshness | None]]] = []
        self._running: set[asyncio.Task[None]] = set()

    async def freshness_of(self, version: Version) -> Freshness | None:
        """Return the freshness of an answer of this version; None if the answer must be read again.

        The check starts after this call, so an answer that is still valid contains every change that was made before.
        """
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._start)
        result: asyncio.Future[Freshness | None] = loop.create_future()
        self._waiting.append((version, result))
        return await result

    async def aclose(self) -> None:
        """Wait for the checks that have begun."""
        await asyncio.gather(*self._running)

    def _start(self) -> None:
        waiting, self._waiting = self._waiting, []
        task = asyncio.create_task(self._check(waiting), name="cache-versions")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _check(self, waiting: list[tuple[Version, asyncio.Future[Freshness | None]]]) -> None:
        versions = list(dict.fromkeys(version for version, _ in waiting))
        found: dict[Version, Freshness | None] = {}
        try:
            found = await self._read(versions)
        except (RedisError, OSError, ValueError, TypeError):
            pass  # every reader reads its answer again, which reports the problem
        finally:
            for version, result in waiting:
                if not result.done():
                    result.set_result(found.get(version))

    async def _read(self, versions: list[Version]) -> dict[Version, Freshness | None]:
        """Return the freshness by version.

        The order of the commands matters. Status first: the freshness is not better than that of what follows. Overlays
        before stamps: an event that ends an overlay in between has changed the stamp.
        """
        statuses = list(dict.fromkeys(version.status for version in versions))
        commands = Commands()
        commands.get(self._keys.shard_count)
        for status in statuses:
            commands.hmget(status, SHARD_FIELDS)
        for version in versions:
            commands.exists(*version.overlays)
            commands.hmget(version.meta, version.fields)
        now_ms, (shard_count, *replies) = await self._connection.run_in_order(commands)
        rows = dict(zip(statuses, replies, strict=False))
        overlaid, metas = replies[len(statuses) :: 2], replies[len(statuses) + 1 :: 2]
        return {
            version: None
            if version.shard_count != shard_count or overlays or version.row != tuple(meta)
            else _freshness(version, rows[version.status], now_ms)
            for version, overlays, meta in zip(versions, overlaid, metas, strict=True)
        }


def _freshness(version: Version, status: list[Any], now_ms: int) -> Freshness | None:
    as_of_ms, mark = number_of(status[0]), status[1]
    if not as_of_ms or not mark or mark != version.row[0]:
        return None  # another session; the guild's state is still to come
    shard = ShardFreshness(now_ms, as_of_ms, text_of(mark), text_of(status[2]))
    return shard.freshness(complete=version.complete, not_after_ms=version.not_after_ms)
