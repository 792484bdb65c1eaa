"""Supervised tasks, and helpers that end tasks reliably.

Up to Python 3.11 `asyncio.wait_for`, which libraries use, can swallow a cancellation that comes in the same turn of the
loop as its result. So one `Task.cancel` may not be enough, and a cancelled task may return.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, NamedTuple, TypeVar

from typing_extensions import Self

log = logging.getLogger(__name__)

FIRST_PAUSE_S, MAX_PAUSE_S = 0.1, 30.0
HEALTHY_S = 60.0
"""A run of this length resets the pause."""

_CANCEL_AGAIN_S = 0.1

Result = TypeVar("Result")


async def steadily(
    work: Callable[[], Awaitable[None]],
    name: str,
    *,
    until_done: bool = False,
    fatal: tuple[type[Exception], ...] = (),
    first_pause_s: float = FIRST_PAUSE_S,
) -> None:
    """Run `work` forever: when it raises or returns, restart it after a pause that doubles each time.

    Args:
        work: starts the work; its state must outlive one run.
        name: names the work in the log.
        until_done: return when the work returns; only an error restarts it.
        fatal: errors that are raised instead of restarting the work.
        first_pause_s: the pause after the first failure.
    """
    loop = asyncio.get_running_loop()
    pause_s = first_pause_s
    while True:
        began = loop.time()
        try:
            await work()
        except fatal:
            raise
        except Exception:
            log.exception("%s failed; it starts again", name)
        else:
            if until_done:
                return
            log.error("%s ended; it starts again", name)
        if loop.time() - began > HEALTHY_S:
            pause_s = first_pause_s
        await asyncio.sleep(pause_s)
        pause_s = min(MAX_PAUSE_S, 2 * pause_s)


async def cancel(*tasks: asyncio.Future[Any]) -> None:
    """Cancel tasks until all have ended. Their outcomes stay readable; unread errors are not reported."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        done, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN_S)
        for task in done:
            if not task.cancelled():
                task.exception()


async def run_until(work: Coroutine[Any, Any, Result], stop: asyncio.Future[Any]) -> Result | None:
    """Return the result of `work`; None, with `work` cancelled and ended, when `stop` is done first.

    Work that ends before the cancellation reaches it still returns its result, so that the caller can undo it.
    """
    if stop.done():
        work.close()
        return None
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not task.done():
            await cancel(task)
    return None if task.cancelled() else task.result()


async def wait_any(*events: asyncio.Event) -> None:
    """Return when one of the events is set."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancel(*waiting)


async def run_all(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run all until they return; the first failure cancels the others and is raised."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        await cancel(*tasks)


class BackgroundTasks:
    """Tasks that may outlive the calls that start them."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Run `work` in a task. Await it with `asyncio.shield`, or not at all: its outcome need not be retrieved."""
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._discard)
        return task

    async def finish(self) -> None:
        """Wait until all tasks have ended, including those that start meanwhile."""
        while self._running:
            await asyncio.wait(self._running)

    def _discard(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved, so that asyncio does not report it


class Timer(NamedTuple):
    """A call at a loop time; uvloop's handle of a call that is due at once has no `when()`."""

    at: float
    handle: asyncio.Handle

    @classmethod
    def start(cls, loop: asyncio.AbstractEventLoop, at: float, callback: Callable[..., object], *words: Any) -> Self:
        """Call `callback(*words)` at loop time `at`."""
        return cls(at, loop.call_at(at, callback, *words))

    def cancel(self) -> None:
        """Make no call."""
        self.handle.cancel()
