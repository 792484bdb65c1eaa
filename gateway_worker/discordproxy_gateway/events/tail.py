"""Reads one shard's stream once per process and feeds every subscriber.

A slow subscriber leaves the live feed and reads from its own position until it has caught up. So the stream is the
buffer, memory per subscriber is bounded, and subscribers do not slow each other down.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from discordproxy_gateway.events.cursor import BEGINNING, Cursor, Place, Position
from discordproxy_gateway.events.entry import StreamEntry, decode, decode_all
from discordproxy_gateway.events.errors import (
    CursorExpiredError,
    EventsError,
    EventsUnavailableError,
    SubscriberTooSlowError,
)
from discordproxy_gateway.events.filters import Filter
from discordproxy_gateway.ids import number_of
from discordproxy_gateway.keys import Keys

log = logging.getLogger(__name__)

BLOCK_MS = 2_000

FOLLOWED_S = 10.0
"""How long the gateway worker counts a stream as followed after the last announcement."""

ANNOUNCE_S = 3.0
"""Interval between two announcements."""

FEED_LENGTH = 1_000
PAGE = 200
_AWAY_S = 5.0
_START = "0-0"
NEW_ERA = "the bot runs with another number of shards now"


class Feed:
    """Entries of one shard that one subscriber has not read yet."""

    def __init__(self, tail: "Tail", wanted: Filter, position: Position, wake: Callable[[], None]) -> None:
        self.position = position
        self.failure: EventsError | None = None
        self.wanted = wanted
        self._tail = tail
        self._wake = wake
        self._queue: deque[StreamEntry] = deque()
        self._live = False
        self.exhausted = False  # the end of a stream of an ended era is reached

    def push(self, entry: StreamEntry) -> None:
        """Add an entry that the tail has read; a full feed stops being live."""
        if not self._live:
            return
        if entry.position.ordinal <= self._newest.ordinal:
            if entry.position.was_stored_after(self._newest):  # the stream was restored from older data
                self._live = False
                self._wake()
        elif len(self._queue) >= FEED_LENGTH:
            self._live = False
        elif not self._queue and not self.wanted.passes(entry):
            self.position = entry.position
        else:
            self._queue.append(entry)
            self._wake()

    def fail(self, failure: EventsError) -> None:
        """End the feed after the queued entries."""
        self.failure = self.failure or failure
        self._wake()

    def pop(self) -> StreamEntry | None:
        """Return the next queued entry that passes the filter, or None.

        Raises:
            EventsError: the feed has failed, or entries are missing.
        """
        while self._queue:
            entry = self._queue.popleft()
            if entry.position.ordinal > self.position.ordinal + 1:
                raise SubscriberTooSlowError("events were dropped before they were read")
            self.position = entry.position
            if self.wanted.passes(entry):
                return entry
        if self.failure is not None:
            raise self.failure
        return None

    async def refill(self) -> bool:
        """Read from the own position unless the feed is live or has entries; True if entries may be queued."""
        if self._live or self._queue or self.failure is not None:
            return bool(self._queue) or self.failure is not None
        page = await self._tail.read(self.position)
        self._queue.extend(page)
        if not page and self._tail.last.ordinal <= self.position.ordinal:
            self.exhausted = self._tail.ended
            self._live = True  # nothing was offered since the tail's last entry: no await lies between
            return False
        if not page:  # at the end of the stream, and yet behind it
            try:
                await self._tail.require_kept(self.position)
            except CursorExpiredError:
                raise SubscriberTooSlowError("events were dropped before they were read") from None
        return True

    @property
    def _newest(self) -> Position:
        return self._queue[-1].position if self._queue else self.position


class Tail:
    """Reads one stream for all subscribers of this process.

    Args:
        redis: for short reads.
        blocking: a client whose timeout is longer than BLOCK_MS.
        ended: its era has ended, so there are no new entries and `run` is not required.
    """

    def __init__(self, redis: Redis, blocking: Redis, keys: Keys, place: Place, *, ended: bool = False) -> None:
        self.place = place
        self.ended = ended
        self.last = BEGINNING
        self.feeds: set[Feed] = set()
        self._redis = redis
        self._blocking = blocking
        self._eras = keys.eras
        self._stream = keys.stream(place.shard_id, place.era)
        self._meta = keys.stream_meta(place.shard_id, place.era)
        self._followers = keys.followers(place.shard_id, place.era)
        self._interaction_followers = keys.interaction_followers(place.shard_id, place.era)
        self._announce_at = 0.0

    async def open(self) -> None:
        """Find the end of the stream; of one that has not begun, that is its beginning."""
        epoch, ordinal, entry, _ = await self._ends()
        self.last = Position(epoch, ordinal, entry) if epoch else BEGINNING

    async def run(self) -> None:
        """Feed new entries, forever; an outage of Redis ends the feeds, not the tail."""
        away_since: float | None = None
        while True:
            try:
                for entry in await self._next():
                    self._dispatch_entry(entry)
                if asyncio.get_running_loop().time() >= self._announce_at:
                    await self.announce()
                away_since = None
            except (RedisError, OSError) as error:  # noqa: PERF203 - the loop survives outages
                now = asyncio.get_running_loop().time()
                away_since = away_since or now
                if now - away_since > _AWAY_S:
                    self._fail(EventsUnavailableError("Redis does not answer"))
                log.debug("stream of shard %d: %s", self.place.shard_id, type(error).__name__)
                await asyncio.sleep(0.2)
            except Exception as error:
                self._fail(EventsUnavailableError(f"reading failed ({type(error).__name__}) and restarts"))
                raise

    async def announce(self) -> None:
        """Publish that the stream is followed, if it is: the gateway worker then stores events without delay."""
        self._announce_at = asyncio.get_running_loop().time() + ANNOUNCE_S
        if not self.feeds or self.ended:
            return
        keys = [self._followers]
        if any(feed.wanted.includes("INTERACTION_CREATE") for feed in self.feeds):
            keys.append(self._interaction_followers)
        with contextlib.suppress(RedisError, OSError):  # reading reports an outage
            for key in keys:
                await self._redis.set(key, 1, px=round(FOLLOWED_S * 1000))

    async def position(self, cursor: Cursor | None, *, earliest: bool) -> Position:
        """Return where a new subscriber begins.

        Raises:
            CursorExpiredError: not everything after the cursor is kept.
        """
        if not self.ended:  # otherwise `run` could notice it later, and end the new feed as well
            await self._notice_new_stream()
        if cursor is not None:
            wanted = cursor.positions.get(self.place, BEGINNING)
            await self.require_kept(wanted)
            return wanted
        return (await self._earliest())[0] if earliest else self.last

    async def require_kept(self, position: Position) -> None:
        """Raise CursorExpiredError unless everything after `position` is kept."""
        first, first_ms, last = await self._earliest()
        begun = bool(first.epoch) or self.ended  # of an ended era, the hub opens only streams that have begun
        if position == BEGINNING and not begun:
            return
        same = position == BEGINNING or position.epoch == first.epoch
        if not (first.epoch and same and first.ordinal <= position.ordinal <= last):
            lost_from_ms = int(position.entry.partition("-")[0])
            earliest = Cursor({self.place: first} if first.epoch or not self.ended else {})
            raise CursorExpiredError(earliest, lost_from_ms=lost_from_ms, lost_to_ms=first_ms)

    async def read(self, position: Position) -> list[StreamEntry]:
        """Return the next entries after `position`, [] at the end.

        Raises:
            CursorExpiredError: the stream is another one by now.
        """
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.hget(self._meta, "epoch")
        pipeline.xrange(self._stream, f"({position.entry}", "+", count=PAGE)
        epoch, rows = await pipeline.execute()
        if epoch != position.epoch.encode():
            await self.require_kept(position)
        return decode_all(self.place.shard_id, (epoch or b"").decode(), rows, after=position.ordinal)

    async def _next(self) -> list[StreamEntry]:
        rows: Any = await self._blocking.xread({self._stream: self.last.entry}, count=PAGE * 2, block=BLOCK_MS)
        found, before = rows[0][1] if rows else (), self.last
        if not found or not before.epoch:
            await self._notice_new_stream()
            before = self.last if not before.epoch else before
        entries = decode_all(self.place.shard_id, self.last.epoch, found, after=self.last.ordinal)
        if found and (not entries or entries[0].position.ordinal != self.last.ordinal + 1):
            await self._notice_new_stream()
        return entries if self.last is before else []

    def _dispatch_entry(self, entry: StreamEntry) -> None:
        self.last = entry.position
        for feed in self.feeds:
            feed.push(entry)

    async def _notice_new_stream(self) -> None:
        """End all feeds if the stream was replaced: a server with older data, or none, continues counting from there.

        The same if its era has ended: a new subscription gets the rest of it, then the streams of the next era.
        """
        era = number_of(await self._redis.hget(self._eras, "now"))
        if era not in {None, self.place.era}:
            self._fail(EventsUnavailableError(NEW_ERA))
        before = self.last  # `run` and new subscribers call this at the same time
        epoch, ordinal, entry, first_ms = await self._ends()
        if not epoch or self.last is not before or (epoch == before.epoch and ordinal >= before.ordinal):
            return
        if not before.epoch:  # it has begun
            self.last = Position(epoch, 0, _START)
            return
        self.last = Position(epoch, ordinal, entry)
        earliest, *_ = await self._earliest()
        self._fail(CursorExpiredError(Cursor({self.place: earliest}), lost_to_ms=first_ms))

    def _fail(self, failure: EventsError) -> None:
        for feed in self.feeds:
            feed.fail(failure)

    async def _earliest(self) -> tuple[Position, int, int]:
        """Return the position before the first entry that is kept, that entry's time, and the last ordinal."""
        epoch, last, _, _ = await self._ends()
        rows: Any = await self._redis.xrange(self._stream, "-", "+", count=1)
        if not rows:
            return Position(epoch, last, _START), 0, last
        first = decode(self.place.shard_id, epoch, *rows[0])
        return Position(epoch, first.position.ordinal - 1, _START), first.received_at_ms, last

    async def _ends(self) -> tuple[str, int, str, int]:
        """Return epoch, last ordinal, id of the last entry and its time."""
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.hmget(self._meta, "epoch", "n")
        pipeline.xrevrange(self._stream, "+", "-", count=1)
        (epoch, ordinal), rows = await pipeline.execute()
        entry = rows[0][0].decode() if rows else _START
        return (epoch or b"").decode(), number_of(ordinal) or 0, entry, int(entry.partition("-")[0])
