"""Ends places and permits that no call holds: of dead workers, and lost ones of this worker."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from discordproxy_ratelimit.errors import BrokerUnavailableError
from discordproxy_ratelimit.limiter.acquiring import Dispatcher
from discordproxy_ratelimit.limiter.store import ScriptReply, Store
from discordproxy_ratelimit.process.tasks import cancel
from discordproxy_ratelimit.redis.batch import CLOCK_ERROR_S, ScriptBatch

log = logging.getLogger(__name__)

MAY_BE_USED = 1

PAUSE_S = 0.5
"""Minimum time between two searches for lost places and permits."""


class Reaper:
    """Reaps one dead worker at a time; several workers may reap the same one without harm.

    A call may wait for what a dead worker holds. So while calls wait, a script call is made whenever its reply may
    contain a dead worker.

    Args:
        store: lists places and permits.
        dispatcher: ends them; its calls wait.
        batch: makes the script calls.
        worker: this worker's name.
        not_held: picks the ids that this worker neither holds nor is about to end.
    """

    def __init__(
        self,
        store: Store,
        dispatcher: Dispatcher,
        batch: ScriptBatch,
        *,
        worker: str,
        not_held: Callable[[list[str]], set[str]],
    ) -> None:
        self._store, self._dispatcher, self._batch = store, dispatcher, batch
        self._worker, self._not_held = worker, not_held
        self._loop = asyncio.get_running_loop()
        self._next_dead_at = self._search_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._in_doubt = self._look_again = self._closed = False

    def doubt(self) -> None:
        """Search after the next script call for places and permits that Redis has for this worker but no call holds."""
        self._in_doubt = True

    def follow(self, call: ScriptReply) -> None:
        """Reap the dead worker that a script call reports; if there is none, look when there may be one."""
        self._next_dead_at = self._loop.time() + call.next_dead_us / 1e6
        if not call.dead and not self._closed and self._timer is None:
            self._await_dead()
        self.begin(call.dead)

    def begin(self, dead: str) -> None:
        """Begin to reap a dead worker (empty for none) or to search for lost items, unless one of it is in progress."""
        self._look_again = self._look_again or bool(dead)
        if self._closed or (self._task is not None and not self._task.done()):
            return
        if dead:
            self._start(partial(self._reap, dead))
        elif self._in_doubt and self._loop.time() >= self._search_at:
            self._start(self._end_lost)

    def _start(self, work: Callable[[], Awaitable[None]]) -> None:
        self._task = asyncio.create_task(self._then_look_again(work), name="broker-reaper")

    async def _then_look_again(self, work: Callable[[], Awaitable[None]]) -> None:
        """Make a script call after the work, which reports the next dead worker: several may have died at once."""
        await work()
        again, self._look_again = self._look_again, False
        if again:
            self._look()

    def _await_dead(self) -> None:
        if self._dispatcher.lanes:
            self._timer = self._loop.call_at(self._next_dead_at + CLOCK_ERROR_S, self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        if self._loop.time() < self._next_dead_at:
            self._await_dead()
        else:
            self._look()

    def _look(self) -> None:
        if self._dispatcher.lanes:
            self._batch.poke()

    async def _reap(self, worker: str) -> None:
        reaped: set[str] = set()
        try:
            while found := await self._round(worker, "d"):
                if found & reaped:
                    return  # still there: the worker is alive again and keeps what it holds
                reaped |= found
            await self._store.forget_worker(worker)
        except BrokerUnavailableError:
            log.debug("Reaping %s continues when Redis is available", worker)
        if reaped:
            log.warning("The lease of worker %s has expired; its %d places and permits were ended", worker, len(reaped))

    async def _end_lost(self) -> None:
        """End what no call holds: a failed script call may have run, and ends of permits may have been dropped."""
        self._in_doubt = False
        self._search_at = asyncio.get_running_loop().time() + PAUSE_S
        try:
            lost = await self._round(self._worker, "x", MAY_BE_USED)
        except BrokerUnavailableError:
            self._in_doubt = True  # the next successful call starts another search
            return
        if lost:
            log.warning("%d places and permits that no call held were ended", len(lost))

    async def _round(self, worker: str, kind: str, *rest: int) -> set[str]:
        """End what a worker holds in Redis and no call holds, page by page. Returns the ids."""
        cursor, found = "0", set[str]()
        while True:
            cursor, held = await self._store.held_by(worker, cursor)
            ids = self._not_held([one[0] for one in held])
            unheld = [one for one in held if one[0] in ids]
            replies = [self._dispatcher.end(kind, *one, *rest) for one in unheld]
            await asyncio.gather(*replies)
            found.update(permit_id for permit_id, *_ in unheld)
            if cursor == "0":
                return found

    async def close(self) -> None:
        """Stop; another worker will continue."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._task:
            await cancel(self._task)
