"""How long to wait for another's answer, judged fairly: while this process stands still, nobody is silent but it."""

import asyncio
from types import TracebackType

STALL_S = 0.05
"""A timer that fires later than this has not been looked at in time; what came meanwhile was not, either."""

MAX_CHANCES = 3
"""How often in a row a stall is forgiven, so that a process that always stands still comes to an end, too."""


class StallTolerantTimeout:
    """`async with Patience(seconds)` is `asyncio.timeout(seconds)`, but does not blame the other side for our stalls.

    An event loop that was busy or suspended past the bound finds the answer and the timer together, and would drop
    the answer. So a timer that fires late first gives the loop as long again as it was late, `seconds` at most.

    Args:
        seconds: None waits for ever.

    Raises:
        TimeoutError: on leaving, when the bound was reached.
    """

    __slots__ = ("_bound", "_chances", "_due", "_loop", "_timer", "seconds")

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self._chances = MAX_CHANCES
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
        self._timer = self._loop.call_at(due, self._judge, seconds)

    def _judge(self, seconds: float) -> None:
        now = self._loop.time()
        late_s = now - self._due
        if late_s > STALL_S and self._chances:
            self._chances -= 1
            self._wait_until(now + min(late_s, seconds), seconds)
        else:
            self._bound.reschedule(now)
