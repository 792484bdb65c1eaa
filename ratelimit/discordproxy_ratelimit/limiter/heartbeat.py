"""The worker's heartbeat: each script call renews its lease in Redis."""

import asyncio
import itertools
from collections.abc import Callable

from discordproxy_ratelimit.process.tasks import cancel, steadily
from discordproxy_ratelimit.redis.batch import BatchItem, ScriptBatch
from discordproxy_ratelimit.redis.link import RedisLink

SURE, SILENCE, STEP = 0.9, 0.55, 0.15
"""Parts of a lease: how long a worker uses its permits, after which time it sends a heartbeat, how often it checks."""


class Heartbeat:
    """Renews the worker's lease while it holds anything.

    Args:
        link: the connection; no heartbeat is sent while Redis is unavailable.
        batch: sends the heartbeats.
        lease_s: length of the lease in seconds.
        holds: whether the worker holds a place or a permit.
        each_lease: called once a lease while it does.
    """

    def __init__(
        self,
        link: RedisLink,
        batch: ScriptBatch,
        *,
        lease_s: float,
        holds: Callable[[], bool],
        each_lease: Callable[[], None],
    ) -> None:
        self._link, self._batch, self._lease_s, self._holds = link, batch, lease_s, holds
        self._each_lease = each_lease
        self._loop = asyncio.get_running_loop()
        self._trusted_from = self._trusted_until = self._last_call = 0.0
        self._introduced = self._deregisters = False
        self._task: asyncio.Task[None] | None = None

    def is_trusted(self, granted_at: float, now: float) -> bool:
        """Return whether a permit is certainly valid; loop times."""
        return self._trusted_from <= granted_at and now <= self._trusted_until

    def keep(self) -> None:
        """Send heartbeats until nothing is held."""
        if self._task is None or self._task.done():
            beating = steadily(self._beat, "the worker's heartbeat", until_done=True)
            self._task = asyncio.create_task(beating, name="broker-heartbeat")

    def about_to_call(self, items: list[BatchItem], now: float) -> None:
        """Turn a deregistration into a heartbeat if a call was added after it.

        Until Redis knows this worker, it can hold nothing but what this call brings. A hint of a permit may be faster
        than the reply, and proves that the call has renewed the lease.
        """
        if not self._introduced:
            self._trusted_until = now + self._lease_s * SURE
        self._deregisters = False
        for item in items:
            if item.arguments[0] == "g":
                if self._holds():
                    item.arguments[0] = "n"
                else:
                    self._deregisters = True

    def called(self, began: float, *, was_expired: bool) -> bool:
        """Renew the lease after a script call.

        Args:
            began: loop time at which it was sent.
            was_expired: whether the lease had expired before.

        Returns:
            Whether other workers may have ended what this worker holds.
        """
        was_reaped = was_expired and self._introduced
        self._last_call, self._trusted_until = began, began + self._lease_s * SURE
        self._introduced = not self._deregisters
        if was_reaped:
            self._trusted_from = began
        return was_reaped

    async def _beat(self) -> None:
        for step in itertools.count(1):
            if not self._holds():
                break
            if step * STEP % 1 < STEP:
                self._each_lease()
            if self._link.is_up and self._loop.time() - self._last_call >= self._lease_s * SILENCE:
                self._batch.poke()
            await asyncio.sleep(self._lease_s * STEP)
        self._batch.poke("g")

    async def close(self) -> None:
        """Stop without deregistering."""
        if self._task:
            await cancel(self._task)
