"""A timeout that ignores event-loop stalls."""

import asyncio
from types import TracebackType

STALL_S = 0.05
"""A timer that is later than this indicates a stall, in which received data was not read, either."""

MAX_EXTENSIONS = 3
"""Extensions in a row after stalls, so that the timeout also ends in a process that always stalls."""


class StallTolerantTimeout:
    """As `asyncio.timeout(seconds)`, except that a stall of the event loop extends it.

    After a stall, the reply and the timer are due together, and the reply would be dropped. A late timer therefore
    waits again for as long as it was late, at most `seconds`.

    Args:
        seconds: None = no timeout.

    Raises:
        TimeoutError: at the end of the block, if the timeout has expired.
    """

    __slots__ = ("_bound", "_due", "_extensions", "_loop", "_timer", "seconds")

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._extensions = MAX_EXTENSIONS
        self._bound = asyncio.timeout(None)
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> None:
        await self._bound.__aenter__()
        if self.seconds is not None:
            self._loop = asyncio.get_running_loop()
            self._wait_until(self._loop.time() + self.seconds, self.seconds)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._bound.__aexit__(kind, error, traceback)

    def _wait_until(self, due: float, seconds: float) -> None:
        self._due = due
        self._timer = self._loop.call_at(due, self._check_timeout, seconds)

    def _check_timeout(self, seconds: float) -> None:
        now = self._loop.time()
        late_s = now - self._due
        if late_s > STALL_S and self._extensions:
            self._extensions -= 1
            self._wait_until(now + min(late_s, seconds), seconds)
        else:
            self._bound.reschedule(now)
