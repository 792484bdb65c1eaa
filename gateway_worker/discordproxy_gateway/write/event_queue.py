"""The queue between a connection's socket and its writer. It decides when the next batch is due.

The first event after a quiet moment is due at once. Later ones gather for an interval that begins with the last batch,
so that one script call stores several of them. They gather unread in the kernel if the socket can do that: one
wake-up then reads them all. Otherwise they gather here, where an urgent event ends the wait, and so do many events.
"""

import asyncio
import enum
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from discordproxy_gateway.discord.dispatch import SESSION_EVENTS
from discordproxy_gateway.write.batch import EVENTS_PER_CALL, EventBatch, PlannedEvent

QUEUE_LENGTH = 2 * EVENTS_PER_CALL
"""One batch under way and one to come. A longer queue only evicts events from the processor's cache."""

_HEAVY = frozenset({"GUILD_CREATE", "GUILD_MEMBERS_CHUNK"})  # up to some MB each
_URGENT = SESSION_EVENTS | _HEAVY | {"INTERACTION_CREATE"}  # an interaction expires after 3 s
_MAX_HEAVY = 16


@dataclass(frozen=True, slots=True)
class Gathering:
    """How events gather: for an interval after the last batch, or until there is a number of them.

    Attributes:
        interval_s: length of the interval, in seconds.
        events: number that ends it early.
        unread: events may stay in the kernel meanwhile.
    """

    interval_s: float
    events: int
    unread: bool = True


class Followers(enum.IntEnum):
    """Which events applications follow. The values are those of lua/apply.lua."""

    NONE = 0
    EVENTS = 1
    INTERACTIONS = 2


GATHERINGS = {
    # Only the caches use the events, and the proxy's own changes are visible before them.
    Followers.NONE: Gathering(0.4, 64),
    # Ten events bound the delay at 1,000 events a second to 10 ms.
    Followers.EVENTS: Gathering(0.04, 10),
    # An interaction is urgent, which only reading it shows.
    Followers.INTERACTIONS: Gathering(0.04, 10, unread=False),
}
"""The more a wake-up reads, the less an event costs: most of the price of a wake-up does not depend on their number."""


class EventSource(Protocol):
    """The socket as the queue needs it."""

    def gather(self, events: int) -> bool:
        """Leave what arrives unread until it is about this number of events; False if that is not possible now."""

    def stop_gathering(self) -> None:
        """Read what has arrived, and further events as they arrive."""


class EventQueue:
    """A bounded queue of batches with one reader, in order.

    Attributes:
        source: where the events come from; None if it cannot gather them.
    """

    def __init__(self) -> None:
        self.source: EventSource | None = None
        self._gathering = GATHERINGS[Followers.NONE]
        self._batches: deque[EventBatch] = deque()
        self._length = 0
        self._has_ended = False
        self._putting = asyncio.Lock()
        self._room = asyncio.Event()
        self._heavy = asyncio.Semaphore(_MAX_HEAVY)
        self._due = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._gather_until = 0.0
        self._source_gathers = False

    def __len__(self) -> int:
        """The number of queued events and confirmations."""
        return self._length

    def put_nowait(self, planned: PlannedEvent) -> bool:
        """Add an event or a confirmation; False if it requires `put`."""
        if self._length >= QUEUE_LENGTH or planned.name in _HEAVY:
            return False
        self._add(planned)
        return True

    async def put(self, planned: PlannedEvent) -> None:
        """Add an event or a confirmation; waits while the queue is full, or holds the maximum of heavy events."""
        if planned.name in _HEAVY:
            await self._heavy.acquire()
        async with self._putting:  # in order
            while self._length >= QUEUE_LENGTH:
                self._room.clear()
                await self._room.wait()
            self._add(planned)

    async def put_end(self) -> None:
        """Let the queue end after everything that is being put."""
        async with self._putting:
            self._has_ended = True
            self._due.set()

    async def next_batch(self) -> EventBatch | None:
        """Return the next batch when it is due; None at the end of the queue. The interval to the next one begins."""
        while not self._has_ended and not (self._batches and self._due.is_set()):
            self._due.clear()
            await self._due.wait()
        if not self._batches:
            return None
        batch = self._batches.popleft()
        self._length -= len(batch.planned)
        self._room.set()
        for event in batch.events:
            if event.name in _HEAVY:
                self._heavy.release()
        if not self._batches:  # further ones are due at once
            self._due.clear()
            self._begin_interval()
        return batch

    def _add(self, planned: PlannedEvent) -> None:
        if not self._batches or not self._batches[-1].try_add(planned):
            self._batches.append(EventBatch(planned))
        self._length += 1
        if not self._due.is_set():
            self._schedule(urgent=planned.name in _URGENT)

    def follow(self, followers: Followers) -> None:
        """Gather for these followers from now on."""
        gathering = GATHERINGS[followers]
        if gathering is not self._gathering:
            self._gathering = gathering
            if self._source_gathers:
                self._end_interval()

    def _begin_interval(self) -> None:
        self._cancel_timer()
        gathering = self._gathering
        self._gather_until = asyncio.get_running_loop().time() + gathering.interval_s
        self._source_gathers = gathering.unread and self.source is not None and self.source.gather(gathering.events)
        if self._source_gathers:
            self._set_timer()

    def _schedule(self, *, urgent: bool) -> None:
        loop = asyncio.get_running_loop()
        # What arrives from a source that gathers has gathered.
        many = self._source_gathers or self._length >= self._gathering.events
        if urgent or many or loop.time() >= self._gather_until:
            self._due.set()
        elif self._timer is None:
            self._set_timer()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_at(self._gather_until, self._end_interval)

    def _end_interval(self) -> None:
        self._cancel_timer()
        if self._source_gathers and self.source is not None:
            self._source_gathers = False
            self.source.stop_gathering()
        if self._batches:
            self._due.set()
