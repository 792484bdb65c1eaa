"""Gives back what a dead worker held, a bounded step at a time."""

import asyncio
import logging

from discordproxy_ratelimit.batch import Batch
from discordproxy_ratelimit.connection import stop
from discordproxy_ratelimit.errors import BrokerUnavailable
from discordproxy_ratelimit.store import Store

log = logging.getLogger(__name__)


class Undertaker:
    """Buries one dead worker at a time; several workers may bury the same one without harm."""

    def __init__(self, store: Store, batch: Batch) -> None:
        self._store, self._batch = store, batch
        self._task: asyncio.Task[None] | None = None

    def call(self, worker: str) -> None:
        """Begin, unless at work already."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._bury(worker), name="broker-undertaker")

    async def _bury(self, worker: str) -> None:
        buried: set[str] = set()
        try:
            while found := await self._round(worker):
                if found & buried:
                    return  # still there: the worker has woken up and keeps what it holds
                buried |= found
            await self._store.forget_worker(worker)
        except BrokerUnavailable:
            log.debug("the burial of %s goes on when Redis answers", worker)
        if buried:
            log.warning(
                "Worker %s shows no sign of life; its %d places and permits are given back", worker, len(buried)
            )

    async def _round(self, worker: str) -> set[str]:
        """Go once through everything that is held. Returns the ids of what was the dead worker's."""
        cursor, found = "0", set[str]()
        while True:
            cursor, held = await self._store.held_by(worker, cursor)
            replies = [
                self._batch.add(
                    ["d", permit_id, name, lane, bucket], self._store.keys(lane, bucket), hurry=False, lasting=True
                ).reply
                for permit_id, name, lane, bucket in held
            ]
            await asyncio.gather(*replies)
            found.update(permit_id for permit_id, *_ in held)
            if cursor == "0":
                return found

    async def close(self) -> None:
        """Stop; somebody else will finish."""
        if self._task:
            await stop(self._task)
