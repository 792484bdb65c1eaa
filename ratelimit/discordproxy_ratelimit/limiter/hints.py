"""What this worker is told: by the replies to its own calls, and by hints of other workers' calls."""

import asyncio
from collections.abc import Callable

from discordproxy_ratelimit.limiter.store import ScriptReply
from discordproxy_ratelimit.limiter.wait_queue import Grant, WaitQueue
from discordproxy_ratelimit.redis.batch import ScriptBatch

COMPANY_S = 0.002
"""How long the call for a free global slot waits for reports; twice that for one it was only told of."""

NOT_OURS_S = 0.5
"""How much later the call for a global slot comes when the slot is not this worker's: in case a hint was lost."""


class Hints:
    """Heeds grants, instants at which to ask, and global 429s.

    Attributes:
        held_until: loop time before which nothing may leave.

    Args:
        lanes: who waits.
        batch: poked when a global slot is free.
        stray: told of a permit that no call waits for.
    """

    def __init__(self, lanes: WaitQueue, batch: ScriptBatch, stray: Callable[[str], None]) -> None:
        self._lanes, self._batch, self._stray = lanes, batch, stray
        self._loop = asyncio.get_running_loop()
        self._slot: asyncio.TimerHandle | None = None
        self.held_until = 0.0

    def heed(self, call: ScriptReply) -> None:
        """Follow what a call of this worker was answered beside its items."""
        for permit_id, delay_us, bucket in call.grants:
            self._told_grant(permit_id, delay_us, bucket)
        self.close()
        if call.pump_after_us is not None and (call.pump_is_ours or self._lanes):
            self._ask_in(call.pump_after_us / 1e6 + (COMPANY_S if call.pump_is_ours else NOT_OURS_S))

    def told(self, kind: str, subject: str, number: int, bucket: str = "") -> None:
        """Heed a hint of another worker's call; `lua/transitions/grant.lua` and `serve.lua` say what it means."""
        match kind:
            case "G":
                self._told_grant(subject, number, bucket)
                self._leave_it_to_others()
            case "S":  # the head of a lane is this worker's and can leave at a known instant
                self._lanes.ask_in(subject, number / 1e6)
            case "P":
                self._told_slot(number)
            case "B":
                self.hold_for(number / 1e6)

    def hold_for(self, seconds: float) -> None:
        """Somebody got a global 429: nothing leaves before it ends."""
        self.held_until = max(self.held_until, self._loop.time() + seconds)

    def _told_grant(self, permit_id: str, delay_us: int, bucket: str) -> None:
        """A permit was granted, by this worker's call or by somebody else's."""
        waiter = self._lanes.get(permit_id)
        if waiter is None:
            self._stray(permit_id)
        elif not waiter.grant.done():
            waiter.placed = True
            waiter.grant.set_result(Grant(bucket, self._loop.time() + delay_us / 1e6))

    def _told_slot(self, after_us: int) -> None:
        """The first in the line for the global limit is this worker's; a slot is free at a known instant."""
        at = self._loop.time() + after_us / 1e6 + 2 * COMPANY_S
        if self._slot is None or self._slot.when() > at:
            self.close()
            self._ask_in(at - self._loop.time())

    def _leave_it_to_others(self) -> None:
        """Whoever granted a permit has looked at the line, too, and tells whose turn is next; unless that gets lost."""
        if self._slot:
            left_s = self._slot.when() - self._loop.time()
            self.close()
            self._ask_in(left_s + NOT_OURS_S)

    def _ask_in(self, seconds: float) -> None:
        self._slot = self._loop.call_later(seconds, self._batch.poke)

    def close(self) -> None:
        """Drop the appointment for a global slot."""
        if self._slot:
            self._slot.cancel()
            self._slot = None
