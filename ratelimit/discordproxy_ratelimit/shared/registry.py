"""The registry of workers in Redis: their status documents, and counters in ticks of five seconds.

It does not interpret the documents. A worker without an update expires after `EXPIRES_S`; its counts remain.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from discordproxy_ratelimit.redis.link import RedisLink, Script

TICK_S = 5
"""Length of a tick, the window over which counts are added."""

TICKS = 60
"""Number of stored ticks, in addition to the current one."""

MAX_TICKS_READ = 4
"""Ticks that one script call reads, so that it does not block Redis."""

EXPIRES_S = 5.0
"""A worker without an update for this time is not listed."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The content of the registry.

    Attributes:
        at: Unix time of Redis, in seconds.
        documents: the latest document of each living worker.
        ticks: the counts of each tick, by name; oldest first, the last one is not complete.
        tick_at: Unix time at which the last tick began.
    """

    at: float
    documents: dict[str, bytes] = field(repr=False)
    ticks: list[dict[str, int]] = field(repr=False)
    tick_at: int


class Registry:
    """The registry of one bot's workers.

    Args:
        link: connection to Redis.
        tag: prefix with the hash tag, e.g. `{dp:1234}:board:`.
        now_ms: Unix time in ms; 0 means Redis TIME. Only tests set it.
    """

    SCRIPT = Script("registry")

    def __init__(self, link: RedisLink, tag: str, *, now_ms: int = 0) -> None:
        self._link, self._tag = link, tag
        self._now_ms = now_ms
        self._seen_ms = 0
        self._over: dict[int, dict[str, int]] = {}

    async def publish(self, worker: str, document: bytes, counted: Mapping[str, int]) -> None:
        """Replace a worker's document, and add its counts since the last update to the current tick.

        An empty document removes the worker. Raises BrokerUnavailableError: the counts must be published again.
        """
        if not self._seen_ms:
            self._seen_ms = (await self._run("read", []))[0]  # a tick is named by Redis' clock, not by this machine's
        pairs = [word for name, number in counted.items() for word in (name, number)]
        kept_ms = (TICKS + 2) * TICK_S * 1000
        tick = self._tick(self._seen_ms // 1000)
        self._seen_ms = await self._run("post", [tick], worker, document, kept_ms, *pairs)

    async def snapshot(self) -> Snapshot:
        """Return the current content. Raises BrokerUnavailableError.

        Complete ticks are read once, and few at a time, so that readers do not block Redis.
        """
        if not self._seen_ms:
            self._seen_ms = (await self._run("read", []))[0]
        newest = self._seen_ms // 1000 // TICK_S
        self._over = {tick: counts for tick, counts in self._over.items() if tick >= newest - TICKS}
        missing = [tick for tick in range(newest - TICKS, newest + 1) if tick not in self._over]
        found, documents = dict(self._over), list[bytes]()
        for some in (missing[i : i + MAX_TICKS_READ] for i in range(0, len(missing), MAX_TICKS_READ)):
            self._seen_ms, documents, ticks = await self._run("read", [self._tick(tick * TICK_S) for tick in some])
            found |= {tick: _numbers(counts) for tick, counts in zip(some, ticks, strict=True)}
        self._over = {
            tick: counts for tick, counts in found.items() if tick < newest - 1
        }  # the last one may still change
        return Snapshot(
            at=self._seen_ms / 1000,
            documents={
                worker.decode(): document for worker, document in zip(documents[::2], documents[1::2], strict=True)
            },
            ticks=[found[tick] for tick in range(newest - TICKS, newest + 1)],
            tick_at=newest * TICK_S,
        )

    def _tick(self, at_s: int) -> str:
        return f"{self._tag}t:{at_s // TICK_S}"

    async def _run(self, verb: str, ticks: list[str], *rest: Any) -> Any:
        keys = [self._tag + "seen", self._tag + "posts", *ticks]
        return await self._link.run(self.SCRIPT, keys, [verb, self._now_ms or "", int(EXPIRES_S * 1000), *rest])


def _numbers(pairs: list[bytes]) -> dict[str, int]:
    return {name.decode(): int(number) for name, number in zip(pairs[::2], pairs[1::2], strict=True)}
