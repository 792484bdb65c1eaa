"""One shard of this process: stands by for its lease, and runs a term whenever it holds the lease."""

import asyncio
import logging

from discordproxy_gateway.shard.context import ShardContext
from discordproxy_gateway.shard.term import FailureHistory, Term
from discordproxy_gateway.store.lease import LeaderElection, Lease
from discordproxy_ratelimit.process.tasks import cancel, run_until, steadily, wait_any

log = logging.getLogger(__name__)

MIN_TERM_S = 1.0
"""Minimum time between the starts of two terms."""


class Shard:
    """Runs one slot until the process stops."""

    def __init__(self, context: ShardContext, election: LeaderElection) -> None:
        self.slot = election.slot
        self._context = context
        self._election = election
        self._history = FailureHistory()

    async def run(self, stopping: asyncio.Event) -> None:
        """Lead whenever the lease is free, until `stopping` is set; then hand over and return.

        Raises:
            FatalError: connecting cannot work; the lease is released.
        """
        clock = asyncio.get_running_loop().time
        stop = asyncio.ensure_future(wait_any(stopping))
        try:
            while (lease := await run_until(self._election.acquire(), stop)) is not None:
                began = clock()
                await self._lead(lease, stopping)
                if (left_s := began + MIN_TERM_S - clock()) > 0:  # leases may be lost at once, again and again
                    await asyncio.wait({stop}, timeout=left_s)
        finally:
            stop.cancel()

    async def _lead(self, lease: Lease, stopping: asyncio.Event) -> None:
        log.info("leading shard %s with fence %d", lease.slot, lease.fence)
        renewing = asyncio.create_task(steadily(lease.keep, f"the lease of shard {lease.slot}", until_done=True))
        try:
            await Term(self._context, lease, self._history).run(stopping)
        finally:
            await cancel(renewing)
            await lease.release()
