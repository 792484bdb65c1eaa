"""One account's state in Redis: the broker's script, its keys, its replies as Python values."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from discordproxy_ratelimit.redis.batch import BatchItem
from discordproxy_ratelimit.redis.link import RedisLink, Script

PARTS = (
    *(f"state/{name}" for name in ("call", "tables", "life", "state", "second", "limits", "learn", "queue", "slots")),
    *(
        f"transitions/{name}"
        for name in ("grant", "serve", "refusals", "acquire", "outcomes", "complete", "release", "batch")
    ),
)
"""The broker's script, in the order in which its parts are joined."""

AREA = "rl3"
"""The area of these keys. It changes with their layout: a worker must not read what another version has packed."""

BOT_KEYS = ("g", "slots", "paced", "held", "workers", "routes", "blocks", "gq", "seconds")


@dataclass(slots=True)
class ScriptReply:
    """What one script call answered.

    Attributes:
        replies: one per item.
        grants: (permit id, delay in us, bucket name, hash) for this worker. With a hash, that bucket is no longer the
            route's, and the permit must be requested again.
        pump_after_us: when the next global slot gets free while a call waits for it.
        pump_is_ours: whether it will go to this worker.
        dead: a worker whose lease has ended, or empty. This worker reaps it; others get it after a second.
        published: hints sent to other workers.
        was_expired: whether Redis counted this worker as dead until now; what it held may belong to another worker.
        next_dead_us: no call reports another dead worker before that.
    """

    replies: list[list[Any]]
    grants: list[tuple[str, int, str, str]]
    pump_after_us: int | None
    pump_is_ours: bool
    dead: str
    published: int
    was_expired: bool
    next_dead_us: int


class Store:
    """One account's state in Redis.

    Args:
        link: the shared connection.
        tag: the account's hash tag with its area, e.g. `{dp:1234}:rl3:`; every key begins with it.
        worker: this worker's name, unique among all.
        channels: prefix of the inboxes.
        global_limit: requests per second; 0 or less means none is known, and the script gets a very large one.
        lease_s: seconds without a script call after which this worker counts as dead.
        clock: returns us; None means Redis TIME. Only simulations set it.
    """

    BROKER = Script(*PARTS, entry="run_call")
    REAP = Script("transitions/reap")

    def __init__(
        self,
        link: RedisLink,
        tag: str,
        *,
        worker: str,
        channels: str,
        global_limit: int,
        lease_s: float,
        clock: Callable[[], int] | None = None,
    ) -> None:
        self._link, self.tag, self._worker, self.channels = link, tag, worker, channels
        self._keys = [tag + name for name in BOT_KEYS]
        self._fixed = [global_limit, int(lease_s * 1e6), channels]
        self._clock = clock

    def keys(self, lane: str, bucket: str, other: str = "") -> list[str]:
        """Return the four keys an item works on."""
        name = self.tag
        return [f"{name}l:{lane}", f"{name}q:{lane}", f"{name}b:{bucket}", f"{name}b:{other or bucket}"]

    async def run(self, items: list[BatchItem]) -> ScriptReply:
        """Apply a batch of transitions in one atomic step.

        Raises:
            BrokerUnavailable: no reply came.
        """
        home = [self._keys[0]] * 4
        keys = self._keys.copy()
        for item in items:
            keys += item.keys or home
        now = str(self._clock()) if self._clock else ""
        lost = "kept" if self._link.memory_kept else "1" if self._link.memory_lost else ""
        body = orjson.dumps([item.arguments for item in items])
        reply = await self._link.run(
            self.BROKER, keys, [now, self._worker, self._link.run_id, lost, *self._fixed, body]
        )
        replies, grants, pump, own, dead, published, was_expired, next_dead = reply
        return ScriptReply(
            [[value.decode() if isinstance(value, bytes) else value for value in one] for one in replies],
            [
                (permit_id.decode(), int(delay_us), bucket.decode(), known[0].decode() if known else "")
                for _, permit_id, delay_us, bucket, *known in grants
            ],
            int(pump) if pump else None,
            own == 1,
            _text(dead),
            published,
            was_expired == 1,
            int(next_dead),
        )

    async def held_by(self, worker: str, cursor: str) -> tuple[str, list[tuple[str, str, str, str]]]:
        """Return the next cursor and some of what a worker holds: (id, route name, lane, bucket name)."""
        keys = [self.tag + "held", self.tag + "workers"]
        cursor_, flat = await self._link.run(self.REAP, keys, [worker, cursor, "", ""])
        texts = [_text(part) for part in flat]
        return _text(cursor_), [(texts[i], texts[i + 1], texts[i + 2], texts[i + 3]) for i in range(0, len(texts), 4)]

    async def forget_worker(self, worker: str) -> None:
        """Drop a dead worker's name after all it held is buried."""
        now = str(self._clock()) if self._clock else ""
        await self._link.run(self.REAP, [self.tag + "held", self.tag + "workers"], [worker, "0", "1", now])


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
