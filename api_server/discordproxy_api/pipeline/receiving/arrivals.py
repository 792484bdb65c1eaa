"""Times out requests that do not arrive, with one timer for all of them."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from discordproxy_api.calls import errors
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.pipeline.receiving.shared_room import SharedRoom

_STALL_S = 0.01
_MAX_STALLS = 10

Read = Callable[[], Awaitable[bytes | None]]
"""Returns the bytes of a request, None when the caller has gone."""


class Arrivals:
    """Times out requests that do not arrive, with one timer for all of them.

    A request that has not arrived after `prompt_s` becomes slow if there is a place in `slow`; else it ends.
    """

    def __init__(self, prompt_s: float, timeout_s: float, slow: SharedRoom) -> None:
        self._prompt_s = prompt_s
        self._timeout_s = timeout_s
        self._slow = slow
        self._waiting: dict[_Arrival, None] = {}  # in the order of their beginning
        self._timer: asyncio.TimerHandle | None = None
        self._due_at = 0.0

    async def wait_for(self, read: Read, app: str) -> bytes | None:
        """Return what `read` returns to an application; raises ApiError if it takes too long."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None, "runs in a task"  # noqa: S101 - for the type checker
        arrival = _Arrival(task, task.cancelling(), loop.time(), app)
        self._waiting[arrival] = None
        if self._timer is None:
            self._arm(loop)
        try:
            return await read()
        except asyncio.CancelledError:
            if arrival.expired is None or task.uncancel() > arrival.cancelling:
                raise
            raise arrival.expired from None
        finally:
            del self._waiting[arrival]
            if arrival.is_slow:
                self._slow.release(app, 1)

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        self._due_at = loop.time() + self._prompt_s / 4
        self._timer = loop.call_at(self._due_at, self._look)

    def _look(self) -> None:
        """Find the late requests. After a stall, the loop runs its timers before it reads what has arrived."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._timer = None
        late_s = now - self._due_at
        for arrival in self._waiting:
            if arrival.expired is None:
                self._judge(arrival, now, late_s)
        if self._waiting:
            self._arm(loop)

    def _judge(self, arrival: "_Arrival", now: float, late_s: float) -> None:
        if now - arrival.began_at >= self._timeout_s + arrival.stalled_s:
            arrival.expire(late(self._timeout_s))
        elif late_s > _STALL_S:
            arrival.stalled_s = min(arrival.stalled_s + late_s, _MAX_STALLS * self._prompt_s)
            arrival.overdue = False
        elif not arrival.is_slow and now - arrival.began_at >= self._prompt_s + arrival.stalled_s:
            if not arrival.overdue:
                arrival.overdue = True  # the loop has not read since: look once more
            elif self._slow.try_acquire(arrival.app, 1):
                arrival.is_slow = True
            else:
                arrival.expire(_too_slow())


@dataclass(slots=True, eq=False)
class _Arrival:
    """One request that is being received.

    Attributes:
        cancelling: cancellations of the task before.
        stalled_s: duration of the event-loop stalls meanwhile.
        overdue: it should have arrived by the last look.
    """

    task: asyncio.Task[object]
    cancelling: int
    began_at: float
    app: str
    stalled_s: float = 0.0
    overdue: bool = False
    is_slow: bool = False
    expired: ApiError | None = None

    def expire(self, error: ApiError) -> None:
        self.expired = error
        self.task.cancel()


def late(timeout_s: float) -> ApiError:
    """Return the error of a request that did not arrive within the time for it."""
    text = f"The request did not arrive within {timeout_s:.0f} s."
    return errors.refusal("RESOURCE_EXHAUSTED", "QUEUE_FULL", text, retry_after_s=1.0)


def _too_slow() -> ApiError:
    text = "The request did not arrive at once, and this worker waits for as many slow callers as it can; call again."
    return errors.refusal("RESOURCE_EXHAUSTED", "QUEUE_FULL", text, retry_after_s=1.0)
