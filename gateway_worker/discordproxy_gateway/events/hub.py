"""Subscriptions of one process: filters, cursors, heartbeats, and the end of each."""

import asyncio
import contextlib
import enum
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from redis.asyncio import Redis

from discordproxy_gateway.cache.state import GatewayState, read_state
from discordproxy_gateway.events.cursor import Cursor, Place, Position
from discordproxy_gateway.events.entry import StreamEntry
from discordproxy_gateway.events.eras import Eras, read_eras
from discordproxy_gateway.events.errors import CursorExpiredError, EventsError, EventsUnavailableError, redis_errors
from discordproxy_gateway.events.filters import Filter
from discordproxy_gateway.events.tail import NEW_ERA, Feed, Tail
from discordproxy_gateway.keys import Keys
from discordproxy_ratelimit.process.tasks import cancel, steadily

HEARTBEAT_S = 15.0

_UNKNOWN = 0
"""Of a time in ms since 1970."""


class ItemKind(enum.Enum):
    """Kinds of subscription items."""

    DISPATCH = "dispatch"
    HEARTBEAT = "heartbeat"
    GAP = "gap"


@dataclass(frozen=True, slots=True)
class SubscriptionItem:
    """An item of a subscription. `cursor` resumes after it."""

    kind: ItemKind
    cursor: Cursor
    entry: StreamEntry | None = None


class Subscription:
    """Iterate to get items. At least once while events are kept, in order per shard.

    Iterating raises an EventsError when it cannot continue; `cursor` then resumes without a loss.
    """

    def __init__(self, heartbeat_s: float) -> None:
        self._heartbeat_s = heartbeat_s
        self._feeds: list[tuple[Place, Feed]] = []
        self._changed = asyncio.Event()
        self._turn = 0

    @property
    def cursor(self) -> Cursor:
        """The newest position, events that were filtered out included."""
        return Cursor({place: feed.position for place, feed in self._feeds})

    def wake(self) -> None:
        """Wake up the iterator."""
        self._changed.set()

    def __aiter__(self) -> "Subscription":
        return self

    async def __anext__(self) -> SubscriptionItem:
        """Return the next item; a heartbeat after `heartbeat_s` without one."""
        try:
            return await self._next()
        except CursorExpiredError as error:  # of one stream: the others stay where they are
            raise error.among(self.cursor.positions) from None

    async def _next(self) -> SubscriptionItem:
        deadline = asyncio.get_running_loop().time() + self._heartbeat_s
        while True:
            self._changed.clear()
            entry = self._pop()
            if entry is not None:
                return self._item(entry)
            if await self._refill():
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
            if not self._changed.is_set():
                return SubscriptionItem(ItemKind.HEARTBEAT, self.cursor)

    def items_nowait(self, max_items: int, max_bytes: int) -> list[SubscriptionItem]:
        """Return further items without waiting; the next iteration raises errors."""
        items: list[SubscriptionItem] = []
        while len(items) < max_items and max_bytes > 0:
            try:
                entry = self._pop()
            except EventsError:
                break
            if entry is None:
                break
            max_bytes -= len(entry.json)
            items.append(self._item(entry))
        return items

    def _item(self, entry: StreamEntry) -> SubscriptionItem:
        return SubscriptionItem(ItemKind.GAP if entry.is_gap else ItemKind.DISPATCH, self.cursor, entry)

    def _pop(self) -> StreamEntry | None:
        """Return the next entry, shards in turn, ended eras first."""
        era = self._feeds[0][0].era
        for step in range(len(self._feeds)):
            turn = (self._turn + step) % len(self._feeds)
            place, feed = self._feeds[turn]
            entry = feed.pop() if place.era == era else None
            if entry is not None:
                self._turn = turn + 1
                return entry
        return None

    async def _refill(self) -> bool:
        with redis_errors():
            more = any([await feed.refill() for _, feed in self._feeds])
        left = [(place, feed) for place, feed in self._feeds if not feed.exhausted]
        ended, self._feeds = len(left) < len(self._feeds), left
        return more or ended

    def add(self, place: Place, feed: Feed) -> None:
        """Add the feed of another stream; those of earlier eras first."""
        self._feeds.append((place, feed))


class EventHub:
    """One per process: reads every shard's stream once and serves all subscriptions from it.

    Args:
        redis: for short reads.
        blocking: a client whose timeout is longer than two seconds.
    """

    def __init__(self, redis: Redis, blocking: Redis, keys: Keys, *, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._redis = redis
        self._blocking = blocking
        self._keys = keys
        self.heartbeat_s = heartbeat_s
        self._tails: list[Tail] = []
        self._era = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._opening = asyncio.Lock()

    async def close(self) -> None:
        """Stop reading. End all subscriptions first."""
        tasks, self._tasks, self._tails = self._tasks, [], []
        if tasks:
            await cancel(*tasks)

    async def state(self) -> GatewayState:
        """Return the published state of the gateway worker.

        Raises:
            EventsUnavailableError: Redis is unavailable.
        """
        with redis_errors():
            return await read_state(self._redis, self._keys)

    @asynccontextmanager
    async def subscribe(
        self, wanted: Filter, *, cursor: Cursor | None = None, earliest: bool = False
    ) -> AsyncIterator[Subscription]:
        """Open a subscription.

        Args:
            wanted: which events.
            cursor: continue after it.
            earliest: start with the oldest event that is kept instead of the next one.

        Raises:
            EventsUnavailableError: no gateway worker has connected yet, or Redis is unavailable.
            CursorExpiredError: events after the cursor are lost.
        """
        subscription = Subscription(self.heartbeat_s)
        with contextlib.ExitStack() as opened:
            with redis_errors():
                eras = await self._eras()
                tails = [*await self._ended(eras, cursor, earliest=earliest), *await self._live(eras)]
                positions = await _positions(eras, tails, cursor, earliest=earliest)
                for tail in tails:
                    feed = Feed(tail, wanted, positions[tail.place], subscription.wake)
                    tail.feeds.add(feed)
                    opened.callback(tail.feeds.discard, feed)
                    subscription.add(tail.place, feed)
                    await tail.announce()
            yield subscription

    async def _eras(self) -> Eras:
        eras = await read_eras(self._redis, self._keys)
        if not eras.now:
            raise EventsUnavailableError("no gateway worker has connected to Discord yet")
        return eras

    async def _ended(self, eras: Eras, cursor: Cursor | None, *, earliest: bool) -> list[Tail]:
        """Return the tails of ended eras that a subscription has to read first."""
        if cursor is None and not earliest:
            return []
        places = eras.after(cursor) if cursor else eras.begun
        tails = [Tail(self._redis, self._blocking, self._keys, p, ended=True) for p in places if p.era < eras.now]
        for tail in tails:
            await tail.open()
        return tails if cursor else [tail for tail in tails if tail.last.epoch]  # others are no longer kept

    async def _live(self, eras: Eras) -> list[Tail]:
        """Return the tails of the present era, reading anew when another has begun."""
        async with self._opening:
            if (self._era, len(self._tails)) != (eras.now, eras.shards):
                for tail in self._tails:
                    for feed in tail.feeds:
                        feed.fail(EventsUnavailableError(NEW_ERA))
                await self.close()
                places = [Place(eras.now, shard_id) for shard_id in range(eras.shards)]
                tails = [Tail(self._redis, self._blocking, self._keys, place) for place in places]
                for tail in tails:
                    await tail.open()
                self._era, self._tails = eras.now, tails
                self._tasks = [
                    asyncio.create_task(steadily(tail.run, f"events of shard {tail.place.shard_id}")) for tail in tails
                ]
            return self._tails


async def _positions(
    eras: Eras, tails: Sequence[Tail], cursor: Cursor | None, *, earliest: bool
) -> dict[Place, Position]:
    """Return the position at which each stream is read.

    Raises:
        CursorExpiredError: some streams lost events; its cursor continues without a further loss in all.
    """
    positions: dict[Place, Position] = {}
    expired: list[CursorExpiredError] = []
    for tail in tails:
        try:
            positions[tail.place] = await tail.position(cursor, earliest=earliest)
        except CursorExpiredError as error:  # noqa: PERF203 - each stream by itself
            positions |= error.earliest.positions
            expired.append(error)
    lost_from = [error.lost_from_ms for error in expired]
    lost_to = [error.lost_to_ms for error in expired]
    if cursor is not None and not eras.cover(cursor):
        lost_from.append(cursor.read_until_ms)
        lost_to.append(_UNKNOWN)
    if lost_from:
        to_ms = _UNKNOWN if _UNKNOWN in lost_to else max(lost_to)
        raise CursorExpiredError(Cursor(positions), lost_from_ms=min(lost_from), lost_to_ms=to_ms)
    return positions
