"""Gives back what nobody holds any more, a bounded step at a time: what a dead worker held, and what this one lost."""

import asyncio
import logging
from collections.abc import Callable

from discordproxy_ratelimit.errors import BrokerUnavailableError
from discordproxy_ratelimit.limiter.acquiring import Dispatcher
from discordproxy_ratelimit.limiter.store import Store
from discordproxy_ratelimit.process.tasks import cancel

log = logging.getLogger(__name__)

MAY_BE_USED = 1

PAUSE_S = 0.5
"""At least so long between two searches for what this worker lost."""


class Reaper:
    """Reaps one dead worker at a time; several workers may reap the same one without harm.

    Args:
        store: knows what is held.
        dispatcher: gives it back.
        worker: this worker's name.
        not_held: picks the ids that this worker neither holds nor is about to end.
    """

    def __init__(
        self, store: Store, dispatcher: Dispatcher, *, worker: str, not_held: Callable[[list[str]], set[str]]
    ) -> None:
        self._store, self._dispatcher, self._worker, self._not_held = store, dispatcher, worker, not_held
        self._look_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self._in_doubt = self._closed = False

    def doubt(self) -> None:
        """Redis may count a place or a permit as ours that nobody here holds; find out at the next opportunity."""
        self._in_doubt = True

    def call(self, dead: str) -> None:
        """Redis answers: begin to reap a dead worker (empty for none) or what is in doubt, unless at work already."""
        if self._closed or (self._task is not None and not self._task.done()):
            return
        if dead:
            self._task = asyncio.create_task(self._reap(dead), name="broker-reaper")
        elif self._in_doubt and asyncio.get_running_loop().time() >= self._look_at:
            self._task = asyncio.create_task(self._look_for_lost(), name="broker-reaper")

    async def _reap(self, worker: str) -> None:
        reaped: set[str] = set()
        try:
            while found := await self._round(worker, "d"):
                if found & reaped:
                    return  # still there: the worker has woken up and keeps what it holds
                reaped |= found
            await self._store.forget_worker(worker)
        except BrokerUnavailableError:
            log.debug("reaping %s goes on when Redis answers", worker)
        if reaped:
            log.warning(
                "The lease of worker %s has ended; its %d places and permits are given back", worker, len(reaped)
            )

    async def _look_for_lost(self) -> None:
        """A call that failed may have run after all, and what was to be told to Redis may have been given up."""
        self._in_doubt = False
        self._look_at = asyncio.get_running_loop().time() + PAUSE_S
        try:
            lost = await self._round(self._worker, "x", MAY_BE_USED)
        except BrokerUnavailableError:
            self._in_doubt = True  # the next call that is answered leads here again
            return
        if lost:
            log.warning("%d places and permits that no call holds any more are given back", len(lost))

    async def _round(self, worker: str, kind: str, *rest: int) -> set[str]:
        """Go once through everything that is held. Returns the ids of what was the worker's and nobody holds."""
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
        """Stop; somebody else will finish."""
        self._closed = True
        if self._task:
            await cancel(self._task)
