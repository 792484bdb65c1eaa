"""Combines the transitions of several calls into one script call; one call is in flight at a time.

It does not interpret the items. Items that release something (ends of permits) may be delayed to share a call. An
acquire is sent as soon as the event loop has nothing else to do: then no other item would join it. In a worker near its
capacity the loop only seems to be idle, since gRPC hands over new calls one at a time. There a call also waits for more
items while the loop's thread uses the CPU, which saves 7 to 19 % of the worker's CPU and a third of the server's.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from discordproxy_ratelimit.process.tasks import Timer, cancel

log = logging.getLogger(__name__)

MAX_ITEMS = 64
"""Items in one call, which blocks the server for about 30 us an item."""

MAX_FAILURES = 20
"""Failed calls in a row after which items are not sent again; the reaper ends what they concern."""

PAUSE_S = 0.01

MAX_DELAY_S = 0.002
"""Default of the maximum delay of an item that need not be sent at once."""

IDLE_TURN_S = 0.00006
"""A turn of the event loop in which nothing runs takes less; the calls of a busy worker join one script call instead of
making one each, which costs Redis and the worker three times as much."""

IDLE_TURNS = 2
"""So many turns in a row show that the event loop is idle: a single turn of a busy one can be short, too."""

MAX_GATHER_S = 0.002
"""A script call leaves after this time, however busy the event loop is."""

CROWD = 12
"""So many items in a call show that the worker is near its capacity. The next call then waits for more of them."""

CROWD_STEP_S = 0.001
"""It waits in steps of this length."""

CROWD_MIN_CPU = 0.3
"""It leaves after a step in which the loop's thread used less than this share of a CPU."""

MAX_CROWD_GATHER_S = 0.012
"""It leaves after this time, however busy the worker is."""

MAX_CLOSE_S = 1.0
"""Time for the last calls of a worker that stops."""

CLOCK_ERROR_S = 0.001
"""A timer of uvloop can fire half a millisecond early."""


@dataclass(slots=True, eq=False)
class BatchItem:
    """One transition.

    Attributes:
        arguments: of the script.
        keys: four, or none.
        on_reply: called with the reply of the script.
        on_error: called instead if the item was not sent, or if its call failed.
        lasting: sent again after a lost connection; only for transitions that may run twice.
        added_at: loop time.
        is_cancelled: whether the reply is useless; a queued item is then not sent.
    """

    arguments: list[Any]
    keys: list[str]
    on_reply: Callable[[list[Any]], None] | None = None
    on_error: Callable[[Exception], None] | None = None
    lasting: bool = False
    added_at: float = 0.0
    is_cancelled: bool = False


class ScriptBatch:
    """A queue of items and the task that sends them.

    Args:
        run: sends up to `MAX_ITEMS` items and returns one reply per item; raises if the replies are missing.
        until_up: waits until Redis is available after a failure.
        clock: returns seconds of real time, by which a busy event loop is detected.
        cpu_clock: returns the seconds of CPU that this thread has used.
    """

    def __init__(
        self,
        run: Callable[[list[BatchItem]], Awaitable[list[list[Any]]]],
        until_up: Callable[[], Awaitable[None]],
        *,
        clock: Callable[[], float] = time.perf_counter,
        cpu_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._run = run
        self._until_up = until_up
        self._clock, self._cpu_clock = clock, cpu_clock
        self._items: deque[BatchItem] = deque()
        self._in_front = 0
        self._failures = 0
        self._in_flight: list[BatchItem] = []
        self._loop = asyncio.get_running_loop()
        self._is_due = self._delays_nothing = False
        self._due_at = float("inf")
        self._timer: Timer | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_gathering = False
        self._began_at = self._turned_at = 0.0
        self._idle_turns = 0
        self._last_size = 0
        self._step: asyncio.TimerHandle | None = None
        self._used_s = 0.0

    def mentioned(self) -> set[str]:
        """Return the ids of places and permits with a queued item or one in flight."""
        return {item.arguments[1] for item in (*self._in_flight, *self._items) if len(item.arguments) > 1}

    @property
    def is_busy(self) -> bool:
        """Whether items are queued or in flight."""
        return bool(self._items or self._in_flight)

    def add(self, item: BatchItem, *, hurry: bool, max_delay_s: float = MAX_DELAY_S, urgent: bool = False) -> None:
        """Queue one transition.

        Args:
            item: the transition.
            hurry: send with the next call instead of waiting for other items.
            max_delay_s: how long it may wait for other items otherwise.
            urgent: goes before items that are not, if more than one call's worth is queued.
        """
        now = item.added_at = self._loop.time()
        if urgent:
            self._items.insert(self._in_front, item)
            self._in_front += 1
        else:
            self._items.append(item)
        if hurry or self._delays_nothing or len(self._items) >= MAX_ITEMS:
            self.send_now()
        elif now + max_delay_s < self._due_at:
            self._due_at = now + max_delay_s
            if self._timer is None or self._timer.at > self._due_at:
                self._start_timer()

    def send_now(self) -> None:
        """Send the queued items, if any, with the next call."""
        self._is_due = bool(self._items)
        if self._step is not None and self._must_leave():
            self._step.cancel()
            self._leave()
        if not self._is_due or self._task is not None or self._is_gathering:
            return
        self._is_gathering = True
        if self._last_size >= CROWD and not self._must_leave():
            self._began_at = self._turned_at = self._loop.time()
            self._used_s = self._cpu_clock()
            self._step = self._loop.call_later(CROWD_STEP_S, self._gather_in_steps)
        else:
            self._began_at = self._turned_at = self._clock()
            self._idle_turns = -1  # the first look is no turn
            self._gather_in_turns()

    def _gather_in_turns(self) -> None:
        """Send the items when the event loop has nothing else to do, or a call is full; after `MAX_GATHER_S`.

        Called in each turn of the event loop: a task that sleeps would enter four functions a turn.
        """
        now = self._clock()
        self._idle_turns = self._idle_turns + 1 if now - self._turned_at < IDLE_TURN_S else 0
        self._turned_at = now
        if self._idle_turns == IDLE_TURNS or now - self._began_at >= MAX_GATHER_S or self._must_leave():
            self._leave()
        else:
            self._loop.call_soon(self._gather_in_turns)

    def _gather_in_steps(self) -> None:
        """Send the items after a step without much work, or after `MAX_CROWD_GATHER_S`. Full calls do not wait."""
        now, used_s = self._loop.time(), self._cpu_clock()
        is_idle = used_s - self._used_s < CROWD_MIN_CPU * (now - self._turned_at)
        self._turned_at, self._used_s = now, used_s
        if is_idle or now - self._began_at > MAX_CROWD_GATHER_S - CLOCK_ERROR_S:
            self._leave()
        else:
            self._step = self._loop.call_later(CROWD_STEP_S, self._gather_in_steps)

    def _must_leave(self) -> bool:
        return len(self._items) >= MAX_ITEMS or self._delays_nothing

    def _leave(self) -> None:
        self._is_gathering, self._step = False, None
        self._task = self._loop.create_task(self._send_items(), name="broker-batch")

    def stop_delaying(self) -> None:
        """Send queued and later items without delay."""
        self._delays_nothing = True
        self.send_now()

    def _start_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = Timer.start(self._loop, self._due_at, self._on_timer)

    def _on_timer(self) -> None:
        """Send the items if they are due. A call does not cancel the timer, so they may be later ones."""
        self._timer = None
        if self._due_at <= self._loop.time() + CLOCK_ERROR_S:
            self.send_now()
        elif self._due_at != float("inf"):
            self._start_timer()

    def poke(self, kind: str = "n") -> None:
        """Make a call soon, also without items: a heartbeat that also grants what has become free."""
        self.add(BatchItem([kind], []), hurry=True)

    async def close(self) -> None:
        """Send the queued items and wait for their calls, at most `MAX_CLOSE_S`, then stop."""
        self.stop_delaying()
        if self._timer is not None:
            self._timer.cancel()
        with suppress(TimeoutError):
            async with asyncio.timeout(MAX_CLOSE_S):
                while self._is_gathering or self._task is not None:
                    await (asyncio.sleep(0) if self._task is None else asyncio.wait([self._task]))
        if self._task is not None:
            await cancel(self._task)

    async def _send_items(self) -> None:
        try:
            self._in_flight = self._next_items()
            self._last_size = len(self._in_flight)
            if self._in_flight:
                await self._send(self._in_flight)
        finally:
            self._task, self._in_flight = None, []
        if self._is_due:
            self.send_now()

    def _next_items(self) -> list[BatchItem]:
        items = list(islice(self._items, MAX_ITEMS))
        if len(items) == len(self._items):
            self._items.clear()
            self._is_due, self._due_at = False, float("inf")
        else:
            for _ in items:
                self._items.popleft()
        self._in_front = max(0, self._in_front - len(items))
        return [item for item in items if not item.is_cancelled]

    async def _send(self, items: list[BatchItem]) -> None:
        try:
            replied = list(zip(items, await self._run(items), strict=True))
        except Exception as error:  # noqa: BLE001 - every waiting call must get the error
            self._failures += 1
            self._fail(items, error)
            await self._until_up()
            await asyncio.sleep(min(PAUSE_S * self._failures, 1.0))  # a server may reply and still refuse the script
            return
        self._in_flight, self._failures = [], 0
        for item, reply in replied:
            if item.on_reply is not None and not item.is_cancelled:
                try:
                    item.on_reply(reply)
                except Exception:
                    log.exception("The reply to a transition cannot be processed")

    def _fail(self, items: list[BatchItem], error: Exception) -> None:
        """Fail the items of a failed call and those queued behind it, except the lasting ones: they are sent again."""
        hopeless = isinstance(error, (TypeError, ValueError)) or self._failures > MAX_FAILURES
        if hopeless and any(item.lasting for item in items):
            log.warning("%d ends of permits were dropped after %d failed calls", len(items), self._failures)
        again = [] if hopeless else [item for item in items if item.lasting]
        failed = [item for item in items if hopeless or not item.lasting]
        failed += [item for item in self._items if not item.lasting]
        self._items = deque([*again, *(item for item in self._items if item.lasting)])
        self._in_front = 0
        self._is_due = self._is_due or bool(again)
        for item in failed:
            if item.on_error is not None and not item.is_cancelled:
                item.on_error(error)
