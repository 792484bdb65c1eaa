"""Collects the transitions of one event-loop tick into one script call; one call is under way at a time.

Knows nothing of what the items mean. Items that give something back (ends of permits) may wait a moment for company;
an acquire leaves at once.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from discordproxy_ratelimit.process.tasks import cancel, steadily

log = logging.getLogger(__name__)

MAX_ITEMS = 64
"""Items in one call: the server is blocked for the whole batch, some 30 us an item."""

MAX_FAILURES = 20
"""After so many failed calls in a row items that would be sent again are dropped; the reaper makes up for it."""

PAUSE_S = 0.01

MAX_DELAY_S = 0.002
"""How long an item that is in no hurry waits for others, unless it names another time."""

QUIET_TURNS = 2
"""A call leaves after so many turns of the event loop that brought no new item."""


@dataclass(slots=True, eq=False)
class BatchItem:
    """One transition: arguments and keys (four, or none) of the script, the reply, the loop time of its arrival."""

    arguments: list[Any]
    keys: list[str]
    reply: asyncio.Future[list[Any]] = field(repr=False)
    lasting: bool = False
    at: float = 0.0


class ScriptBatch:
    """A queue of items and the one task that empties it.

    Args:
        run: sends up to `MAX_ITEMS` items and returns one reply per item; raises when none of them can be trusted to
            have run.
        until_up: waits until sending makes sense again after a failure.
    """

    def __init__(
        self, run: Callable[[list[BatchItem]], Awaitable[list[list[Any]]]], until_up: Callable[[], Awaitable[None]]
    ) -> None:
        self._run = run
        self._until_up = until_up
        self._items: deque[BatchItem] = deque()
        self._in_front = 0
        self._failures = 0
        self._under_way: list[BatchItem] = []
        self._loop = asyncio.get_running_loop()
        self._added = 0
        self._is_due = self._delays_nothing = False
        self._due: asyncio.TimerHandle | None = None
        self._idle: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    def mentioned(self) -> set[str]:
        """Return the places and permits about which something is queued or under way."""
        return {item.arguments[1] for item in (*self._under_way, *self._items) if len(item.arguments) > 1}

    @property
    def is_busy(self) -> bool:
        """Whether something is queued or under way."""
        return bool(self._items or self._under_way)

    def add(
        self,
        arguments: list[Any],
        keys: list[str],
        *,
        hurry: bool,
        max_delay_s: float = MAX_DELAY_S,
        lasting: bool = False,
        urgent: bool = False,
    ) -> BatchItem:
        """Queue one transition.

        Args:
            arguments: as the script wants them.
            keys: lane, queue, bucket, other bucket; none for an item that concerns the account alone.
            hurry: send with the next tick instead of waiting for company.
            max_delay_s: how long it may wait for other items otherwise.
            lasting: survives a lost connection and is sent again; only for what may run twice.
            urgent: goes before all that is not, when more than one call's worth is queued.
        """
        loop = self._loop
        item = BatchItem(arguments, keys, loop.create_future(), lasting, loop.time())
        self._added += 1
        if urgent:
            self._items.insert(self._in_front, item)
            self._in_front += 1
        else:
            self._items.append(item)
        if hurry or self._delays_nothing or len(self._items) >= MAX_ITEMS:
            self.send_now()
        elif not self._is_due and (self._due is None or self._due.when() > item.at + max_delay_s):
            self._cancel_timer()
            self._due = loop.call_at(item.at + max_delay_s, self.send_now)
        if self._task is None:
            self._task = asyncio.create_task(steadily(self._drain, "the batch of transitions"), name="broker-batch")
        return item

    def send_now(self) -> None:
        """Send what is queued, if anything, with the next call."""
        self._cancel_timer()
        self._is_due = bool(self._items)
        if self._is_due and self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def stop_delaying(self) -> None:
        """Send what is queued and all that comes from now on without delay."""
        self._delays_nothing = True
        self.send_now()

    def _cancel_timer(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def poke(self, kind: str = "n") -> None:
        """Make a call soon even without items: a sign of life that also hands out what has become free."""
        self.add([kind], [], hurry=True).reply.add_done_callback(_ignore)

    async def close(self) -> None:
        """Send what is queued and wait for the call under way, at most a second, then stop."""
        self.stop_delaying()
        replies = [item.reply for item in (*self._under_way, *self._items)]
        if replies and self._task and not self._task.done():
            await asyncio.wait(replies, timeout=1)
        if self._task:
            await cancel(self._task)

    async def _drain(self) -> None:
        while True:
            if not self._is_due:
                self._idle = self._loop.create_future()
                await self._idle
            await self._until_quiet()
            taken = [self._items.popleft() for _ in range(min(MAX_ITEMS, len(self._items)))]
            self._in_front = max(0, self._in_front - len(taken))
            taken = [item for item in taken if not item.reply.cancelled()]  # nobody waits for the reply any more
            if not self._items:
                self._is_due = False
                self._cancel_timer()
            if taken:
                self._under_way = taken
                await self._send(taken)
                self._under_way = []

    async def _until_quiet(self) -> None:
        """Wait until two turns of the event loop have brought no new item, or a call is full."""
        quiet, added = 0, self._added
        while quiet < QUIET_TURNS and len(self._items) < MAX_ITEMS and not self._delays_nothing:
            await asyncio.sleep(0)
            quiet, added = (quiet + 1, added) if added == self._added else (0, self._added)

    async def _send(self, items: list[BatchItem]) -> None:
        try:
            answered = list(zip(items, await self._run(items), strict=True))
        except Exception as error:  # noqa: BLE001 - every waiting caller must hear of it, whatever it was
            self._failures += 1
            self._fail_queued(error)
            self._failed(items, error)
            await self._until_up()
            await asyncio.sleep(min(PAUSE_S * self._failures, 1.0))  # a server may answer and still refuse the script
            return
        self._failures = 0
        for item, reply in answered:
            if not item.reply.done():
                item.reply.set_result(reply)

    def _fail_queued(self, error: Exception) -> None:
        """Tell those behind a failed call: nobody knows when the next one leaves, and they may want to do without."""
        behind, self._items = self._items, deque(item for item in self._items if item.lasting)
        self._in_front = 0
        for item in behind:
            if not item.lasting and not item.reply.done():
                item.reply.set_exception(error)

    def _failed(self, items: list[BatchItem], error: Exception) -> None:
        hopeless = isinstance(error, (TypeError, ValueError)) or self._failures > MAX_FAILURES
        if hopeless and any(item.lasting for item in items):
            log.warning("%d ends of permits are given up after %d failed calls", len(items), self._failures)
        for item in reversed(items):
            if item.lasting and not hopeless and not item.reply.done():
                self._items.appendleft(item)
                self._is_due = True
            elif not item.reply.done():
                item.reply.set_exception(error)


def _ignore(reply: asyncio.Future[list[Any]]) -> None:
    if not reply.cancelled():
        reply.exception()
