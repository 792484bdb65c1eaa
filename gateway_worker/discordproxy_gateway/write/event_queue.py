"""The queue between a connection's socket and its writer. It decides when the next batch is due.

The first event after a quiet moment is due at once. Later ones wait until `GATHER_S` after the last batch began, so
that one script call stores several of them. An urgent event ends the wait, and so do `GATHER_EVENTS` events.
"""

import asyncio

from discordproxy_gateway.discord.dispatch import SESSION_EVENTS, Dispatch
from discordproxy_gateway.write.batch import EVENTS_PER_CALL

QUEUE_LENGTH = 2 * EVENTS_PER_CALL
"""One batch under way and one to come. A longer queue only evicts events from the processor's cache."""

GATHER_S = 0.04
"""Interval between the last batch and the next one at a low rate.

Measured at 100 events a second: 1 script call an event without it, 0.23 with it.
"""

GATHER_EVENTS = 10
"""Queued events that end the wait. It bounds the delay at 1,000 events a second to 10 ms."""

_URGENT = SESSION_EVENTS | {"INTERACTION_CREATE"}  # an interaction expires after 3 s
_HEAVY = frozenset({"GUILD_CREATE", "GUILD_MEMBERS_CHUNK"})  # up to some MB each
_MAX_HEAVY = 16

Item = Dispatch | float | None
"""An event, the loop time at which the connection was known to be current, or the end."""


class EventQueue:
    """A bounded queue with one reader, in order."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Item] = asyncio.Queue(QUEUE_LENGTH)
        self._heavy = asyncio.Semaphore(_MAX_HEAVY)
        self._due = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._gather_until = 0.0

    def __len__(self) -> int:
        return self._queue.qsize()

    def put_nowait(self, event: Dispatch) -> bool:
        """Add an event; False if it requires `put`."""
        if self._queue.full() or event.name in _HEAVY:
            return False
        self._queue.put_nowait(event)
        self._schedule(urgent=event.name in _URGENT)
        return True

    async def put(self, event: Dispatch) -> None:
        """Add an event; waits while the queue is full, or holds the maximum of heavy events."""
        heavy = event.name in _HEAVY
        if heavy:
            await self._heavy.acquire()
        await self._queue.put(event)
        self._schedule(urgent=heavy or event.name in _URGENT)

    async def put_confirmation(self, at: float) -> None:
        """Add that the connection was current at loop time `at`."""
        await self._queue.put(at)
        self._schedule(urgent=False)

    async def put_end(self) -> None:
        """Add the end."""
        await self._queue.put(None)
        self._schedule(urgent=True)

    async def wait_until_due(self) -> None:
        """Return when a batch is due; the interval to the next one begins."""
        await self._due.wait()
        while self._queue.empty():  # the previous batch had room for these items, too
            self._due.clear()
            await self._due.wait()
        self._due.clear()
        self._gather_until = asyncio.get_running_loop().time() + GATHER_S

    def get_nowait(self) -> Item:
        """Remove and return the next item; raises asyncio.QueueEmpty."""
        item = self._queue.get_nowait()
        if isinstance(item, Dispatch) and item.name in _HEAVY:
            self._heavy.release()
        return item

    def _schedule(self, *, urgent: bool) -> None:
        if self._due.is_set():
            return
        loop = asyncio.get_running_loop()
        if urgent or self._queue.qsize() >= GATHER_EVENTS or loop.time() >= self._gather_until:
            self._set_due()
        elif self._timer is None:
            self._timer = loop.call_at(self._gather_until, self._set_due)

    def _set_due(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due.set()
