"""Collects the transitions of one event-loop tick into one script call; one call is under way at a time.

Knows nothing of what the items mean. Items that give something back (ends of permits) may wait a moment for company;
an acquire leaves at once.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from discordproxy_ratelimit.process.tasks import steadily
from discordproxy_ratelimit.redis.client import stop

log = logging.getLogger(__name__)

MOST = 64
"""Items in one call: the server is blocked for the whole batch, some 30 us an item."""

MOST_FAILURES = 20
"""After so many failed calls in a row what was to be sent again is given up; the undertaker makes up for it."""

PAUSE_S = 0.01

COMPANY_S = 0.002
"""How long an item that is in no hurry waits for others."""

NEVER = float("inf")


@dataclass(slots=True, eq=False)
class BatchItem:
    """One transition: the script's arguments, its four keys, where the reply goes, and when it came (loop time)."""

    arguments: list[Any]
    keys: list[str]
    reply: asyncio.Future[list[Any]] = field(repr=False)
    lasting: bool = False
    at: float = 0.0


class ScriptBatch:
    """A queue of items and the one task that empties it.

    Args:
        run: sends up to `MOST` items and returns one reply per item; raises when none of them can be trusted to
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
        self._due = NEVER
        self._patience: asyncio.Timeout | None = None
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
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
        patience_s: float = COMPANY_S,
        lasting: bool = False,
        urgent: bool = False,
    ) -> BatchItem:
        """Queue one transition.

        Args:
            arguments: as the script wants them.
            keys: lane, queue, bucket, learned bucket.
            hurry: send with the next tick instead of waiting for company.
            patience_s: how long it waits for company otherwise.
            lasting: survives a lost connection and is sent again; only for what may run twice.
            urgent: goes before all that is not, when more than one call's worth is queued.
        """
        loop = asyncio.get_running_loop()
        item = BatchItem(arguments, keys, loop.create_future(), lasting, loop.time())
        if urgent:
            self._items.insert(self._in_front, item)
            self._in_front += 1
        else:
            self._items.append(item)
        self._wake.set()
        if hurry or len(self._items) >= MOST:
            self._hurry.set()
        else:
            self._come_by(item.at + patience_s)
        if self._task is None:
            self._task = asyncio.create_task(steadily(self._drain, "the batch of transitions"), name="broker-batch")
        return item

    def _come_by(self, due: float) -> None:
        self._due = min(self._due, due)
        if self._patience and not self._patience.expired():
            self._patience.reschedule(self._due)

    def poke(self, kind: str = "n") -> None:
        """Make a call soon even without items: a sign of life that also hands out what has become free."""
        self.add([kind], ["", "", "", ""], hurry=True).reply.add_done_callback(_ignore)

    async def close(self) -> None:
        """Send what is queued and wait for the call under way, at most a second, then stop."""
        self._hurry.set()
        replies = [item.reply for item in (*self._under_way, *self._items)]
        if replies and self._task and not self._task.done():
            await asyncio.wait(replies, timeout=1)
        if self._task:
            await stop(self._task)

    async def _drain(self) -> None:
        while True:
            await self._wake.wait()
            if not self._hurry.is_set():
                await self._company()
            taken = [self._items.popleft() for _ in range(min(MOST, len(self._items)))]
            self._in_front = max(0, self._in_front - len(taken))
            taken = [item for item in taken if not item.reply.cancelled()]  # whoever asked has gone
            if not self._items:
                self._wake.clear()
                self._hurry.clear()
                self._due = NEVER
            if taken:
                self._under_way = taken
                await self._send(taken)
                self._under_way = []

    async def _company(self) -> None:
        """Wait for somebody in a hurry, but no longer than the least patient item does."""
        self._patience = asyncio.timeout_at(self._due)
        with contextlib.suppress(TimeoutError):
            async with self._patience:
                await self._hurry.wait()
        self._patience = None

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
        hopeless = isinstance(error, (TypeError, ValueError)) or self._failures > MOST_FAILURES
        if hopeless and any(item.lasting for item in items):
            log.warning("%d ends of permits are given up after %d failed calls", len(items), self._failures)
        for item in reversed(items):
            if item.lasting and not hopeless and not item.reply.done():
                self._items.appendleft(item)
                self._wake.set()
                self._hurry.set()
            elif not item.reply.done():
                item.reply.set_exception(error)


def _ignore(reply: asyncio.Future[list[Any]]) -> None:
    if not reply.cancelled():
        reply.exception()
