"""The notice board of all workers in Redis: what each says about itself, and what they have counted together.

Knows nothing of what is said. A worker that dies is gone from the board after `VOID_S`; ticks outlive it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from discordproxy_ratelimit.redis.link import RedisLink, Script

TICK_S = 5
"""What is counted is added up for this long."""

TICKS = 60
"""So many finished ticks are kept, and the present one."""

AT_ONCE = 4
"""Ticks that one script call reads."""

VOID_S = 5.0
"""A worker that has not posted for so long is gone."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What hangs on the board.

    Attributes:
        at: Unix time of Redis, in seconds.
        posts: the latest document of each worker that is alive.
        ticks: what was counted in each tick, by name; oldest first, the last one is not over.
        tick_at: Unix time at which the last tick began.
    """

    at: float
    posts: dict[str, bytes] = field(repr=False)
    ticks: list[dict[str, int]] = field(repr=False)
    tick_at: int


class Registry:
    """One bot's board.

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

    async def post(self, worker: str, document: bytes, counted: Mapping[str, int]) -> None:
        """Hang up a worker's document in place of its last one, and add what it has counted since to the tick.

        An empty document takes the post down. Raises BrokerUnavailable: nothing may be counted as told then.
        """
        if not self._seen_ms:
            self._seen_ms = (await self._run("read", []))[0]  # a tick is named by Redis' clock, not by this machine's
        pairs = [word for name, number in counted.items() for word in (name, number)]
        kept_ms = (TICKS + 2) * TICK_S * 1000
        tick = self._tick(self._seen_ms // 1000)
        self._seen_ms = await self._run("post", [tick], worker, document, kept_ms, *pairs)

    async def read(self) -> Snapshot:
        """Return what hangs there. Raises BrokerUnavailable.

        Ticks that are over are read once, few at a time: Redis must not be held up by whoever looks on.
        """
        if not self._seen_ms:
            self._seen_ms = (await self._run("read", []))[0]
        newest = self._seen_ms // 1000 // TICK_S
        self._over = {tick: counts for tick, counts in self._over.items() if tick >= newest - TICKS}
        missing = [tick for tick in range(newest - TICKS, newest + 1) if tick not in self._over]
        found, posts = dict(self._over), list[bytes]()
        for some in (missing[i : i + AT_ONCE] for i in range(0, len(missing), AT_ONCE)):
            self._seen_ms, posts, ticks = await self._run("read", [self._tick(tick * TICK_S) for tick in some])
            found |= {tick: _numbers(counts) for tick, counts in zip(some, ticks, strict=True)}
        self._over = {tick: counts for tick, counts in found.items() if tick < newest - 1}  # the last may still grow
        return Snapshot(
            at=self._seen_ms / 1000,
            posts={worker.decode(): document for worker, document in zip(posts[::2], posts[1::2], strict=True)},
            ticks=[found[tick] for tick in range(newest - TICKS, newest + 1)],
            tick_at=newest * TICK_S,
        )

    def _tick(self, at_s: int) -> str:
        return f"{self._tag}t:{at_s // TICK_S}"

    async def _run(self, verb: str, ticks: list[str], *rest: Any) -> Any:
        keys = [self._tag + "seen", self._tag + "posts", *ticks]
        return await self._link.run(self.SCRIPT, keys, [verb, self._now_ms or "", int(VOID_S * 1000), *rest])


def _numbers(pairs: list[bytes]) -> dict[str, int]:
    return {name.decode(): int(number) for name, number in zip(pairs[::2], pairs[1::2], strict=True)}
