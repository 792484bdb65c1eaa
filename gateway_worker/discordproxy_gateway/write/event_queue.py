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
from discordproxy_gateway.write.batch import EVENTS_PER_CALL, PlannedEvent

QUEUE_LENGTH = 2 * EVENTS_PER_CALL
"""One batch under way and one to come. A longer queue only evicts events from the processor's cache."""

_URGENT = SESSION_EVENTS | {"INTERACTION_CREATE"}  # an interaction expires after 3 s
_HEAVY = frozenset({"GUILD_CREATE", "GUILD_MEMBERS_CHUNK"})  # up to some MB each
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
    Followers.NONE: Gathering(0.2, 50),
    Followers.EVENTS: Gathering(0.04, 10),
    # An unread interaction cannot be told from another event.
    Followers.INTERACTIONS: Gathering(0.04, 10, unread=False),
}
"""Ten events bound the delay at 1,000 events a second to 10 ms."""


class EventSource(Protocol):
    """The socket as the queue needs it."""

    def gather(self, events: int) -> bool:
        """Leave what arrives unread until it is about this number of events; False if that is not possible now."""

    def stop_gathering(self) -> None:
        """Read what has arrived, and further events as they arrive."""


class EventQueue:
    """A bounded queue with one reader, in order.

    Attributes:
        source: where the events come from; None if it cannot gather them.
    """

    def __init__(self) -> None:
        self.source: EventSource | None = None
        self._gathering = GATHERINGS[Followers.NONE]
        self._items: deque[PlannedEvent | None] = deque()  # None: the end
        self._putting = asyncio.Lock()
        self._room = asyncio.Event()
        self._heavy = asyncio.Semaphore(_MAX_HEAVY)
        self._due = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._gather_until = 0.0
        self._source_gathers = False

    def __len__(self) -> int:
        return len(self._items)

    def put_nowait(self, planned: PlannedEvent) -> bool:
        """Add an event or a confirmation; False if it requires `put`."""
        if len(self._items) >= QUEUE_LENGTH or planned.name in _HEAVY:
            return False
        self._items.append(planned)
        if not self._due.is_set():
            self._schedule(urgent=planned.name in _URGENT)
        return True

    async def put(self, planned: PlannedEvent) -> None:
        """Add an event or a confirmation; waits while the queue is full, or holds the maximum of heavy events."""
        heavy = planned.name in _HEAVY
        if heavy:
            await self._heavy.acquire()
        await self._put(planned, urgent=heavy or planned.name in _URGENT)

    async def put_end(self) -> None:
        """Add the end."""
        await self._put(None, urgent=True)

    async def wait_until_due(self) -> None:
        """Return when a batch is due; the interval to the next one begins."""
        await self._due.wait()
        while not self._items:  # the previous batch had room for these items, too
            self._due.clear()
            await self._due.wait()
        self._due.clear()
        self._begin_interval()

    def get_nowait(self) -> PlannedEvent | None:
        """Remove and return the next item, None at the end; raises IndexError if there is none."""
        if len(self._items) == QUEUE_LENGTH:
            self._room.set()
        item = self._items.popleft()
        if item is not None and item.name in _HEAVY:
            self._heavy.release()
        return item

    async def _put(self, item: PlannedEvent | None, *, urgent: bool) -> None:
        async with self._putting:  # in order
            while len(self._items) >= QUEUE_LENGTH:
                self._room.clear()
                await self._room.wait()
            self._items.append(item)
        if not self._due.is_set():
            self._schedule(urgent=urgent)

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
        many = self._source_gathers or len(self._items) >= self._gathering.events
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
        if self._items:
            self._due.set()
