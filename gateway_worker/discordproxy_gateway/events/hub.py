"""Subscriptions of one process: filters, cursors, heartbeats, and the end of each."""

import asyncio
import contextlib
import enum
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError

from discordproxy_gateway.cache.state import GatewayState, read_state
from discordproxy_gateway.events.cursor import Cursor
from discordproxy_gateway.events.entry import Entry
from discordproxy_gateway.events.filters import Filter
from discordproxy_gateway.events.tail import EventsError, EventsUnavailableError, Feed, Tail
from discordproxy_gateway.keys import Keys
from discordproxy_gateway.tasks import end

HEARTBEAT_S = 15.0


class Kind(enum.Enum):
    """What an item of a subscription is."""

    DISPATCH = "dispatch"
    HEARTBEAT = "heartbeat"
    GAP = "gap"


@dataclass(frozen=True, slots=True)
class Item:
    """What a subscriber gets. `cursor` is the place to go on from once the item is processed."""

    kind: Kind
    cursor: Cursor
    entry: Entry | None = None


class Subscription:
    """Iterate to get items. At least once while events are kept, in order per shard.

    Iterating raises an EventsError when it cannot go on; `cursor` is then the place to resume from.
    """

    def __init__(self, heartbeat_s: float) -> None:
        self._heartbeat_s = heartbeat_s
        self._feeds: list[tuple[int, Feed]] = []
        self._news = asyncio.Event()
        self._turn = 0

    @property
    def cursor(self) -> Cursor:
        """The newest position, events that were filtered out included."""
        return Cursor({shard_id: feed.position for shard_id, feed in self._feeds})

    def wake(self) -> None:
        """Have the iterator look again."""
        self._news.set()

    def __aiter__(self) -> "Subscription":
        return self

    async def __anext__(self) -> Item:
        """Return the next item; a heartbeat when nothing came for a while."""
        deadline = asyncio.get_running_loop().time() + self._heartbeat_s
        while True:
            self._news.clear()
            entry = self._take()
            if entry is not None:
                return self._item(entry)
            if await self._refill():
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(deadline):
                    await self._news.wait()
            if not self._news.is_set():
                return Item(Kind.HEARTBEAT, self.cursor)

    def at_hand(self, most: int, most_bytes: int) -> list[Item]:
        """Return further items that need no waiting; what cannot go on is told by the next iteration."""
        items: list[Item] = []
        while len(items) < most and most_bytes > 0:
            try:
                entry = self._take()
            except EventsError:
                break
            if entry is None:
                break
            most_bytes -= len(entry.json)
            items.append(self._item(entry))
        return items

    def _item(self, entry: Entry) -> Item:
        return Item(Kind.GAP if entry.is_gap else Kind.DISPATCH, self.cursor, entry)

    def _take(self) -> Entry | None:
        """Return an entry of the next shard that has one, each in its turn."""
        for step in range(len(self._feeds)):
            place = (self._turn + step) % len(self._feeds)
            entry = self._feeds[place][1].take()
            if entry is not None:
                self._turn = place + 1
                return entry
        return None

    async def _refill(self) -> bool:
        try:
            return any([await feed.refill() for _, feed in self._feeds])
        except (RedisError, OSError) as error:
            raise EventsUnavailableError("Redis does not answer") from error

    def add(self, shard_id: int, feed: Feed) -> None:
        """Take events of another shard."""
        self._feeds.append((shard_id, feed))


class EventHub:
    """One per process: reads every shard's stream once and serves all subscriptions from it.

    Args:
        redis: for short reads.
        blocking: a client that waits longer than two seconds for a reply.
    """

    def __init__(self, redis: Redis, blocking: Redis, keys: Keys, *, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._redis = redis
        self._blocking = blocking
        self._keys = keys
        self._heartbeat_s = heartbeat_s
        self._tails: list[Tail] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._opening = asyncio.Lock()
        self.subscribers = 0

    async def close(self) -> None:
        """Stop reading. Subscriptions are to be ended before."""
        tasks, self._tasks, self._tails = self._tasks, [], []
        if tasks:
            await end(*tasks)

    async def state(self) -> GatewayState:
        """Return what the gateway worker says about itself.

        Raises:
            EventsUnavailableError: Redis is away.
        """
        try:
            return await read_state(self._redis, self._keys)
        except (RedisError, OSError) as error:
            raise EventsUnavailableError("Redis does not answer") from error

    @asynccontextmanager
    async def subscribe(
        self, wanted: Filter, *, cursor: Cursor | None = None, earliest: bool = False
    ) -> AsyncIterator[Subscription]:
        """Open a subscription.

        Args:
            wanted: what to get.
            cursor: go on after it; a shard that is not in it starts as without one.
            earliest: start with the oldest event that is kept instead of with what comes.

        Raises:
            EventsUnavailableError: no gateway worker has connected yet, or Redis is away.
            CursorExpiredError: events after the cursor are lost.
        """
        subscription = Subscription(self._heartbeat_s)
        opened: list[tuple[Tail, Feed]] = []
        try:
            for tail in await self._open():
                feed = Feed(tail, wanted, await tail.position(cursor, earliest=earliest), subscription.wake)
                tail.feeds.add(feed)
                opened.append((tail, feed))
                subscription.add(tail.shard_id, feed)
        except (RedisError, OSError) as error:
            _close(opened)
            raise EventsUnavailableError("Redis does not answer") from error
        except BaseException:
            _close(opened)
            raise
        self.subscribers += 1
        try:
            yield subscription
        finally:
            self.subscribers -= 1
            _close(opened)

    async def _open(self) -> list[Tail]:
        """Return the tails, reading anew when the number of shards has changed."""
        async with self._opening:
            shard_count = int(await self._redis.get(self._keys.shard_count) or 0)
            if not shard_count:
                raise EventsUnavailableError("no gateway worker has connected to Discord yet")
            if len(self._tails) != shard_count:
                for tail in self._tails:
                    for feed in tail.feeds:
                        feed.fail(EventsUnavailableError("the number of shards has changed"))
                await self.close()
                tails = [Tail(self._redis, self._blocking, self._keys, shard_id) for shard_id in range(shard_count)]
                for tail in tails:
                    await tail.open()
                self._tails = tails
                self._tasks = [asyncio.create_task(tail.run()) for tail in tails]
            return self._tails


def _close(opened: list[tuple[Tail, Feed]]) -> None:
    for tail, feed in opened:
        tail.feeds.discard(feed)
