"""What this worker is told: by the replies to its own calls, and by hints of other workers' calls."""

import asyncio
from collections.abc import Callable, Iterable

import orjson

from discordproxy_ratelimit.errors import BrokerUnavailableError
from discordproxy_ratelimit.limiter.store import ScriptReply
from discordproxy_ratelimit.limiter.wait_queue import WaitQueue
from discordproxy_ratelimit.permit import Permit
from discordproxy_ratelimit.redis.batch import ScriptBatch
from discordproxy_ratelimit.redis.link import RedisLink
from discordproxy_ratelimit.route import Route

SLOT_DELAY_S = 0.002
"""How long the call for a free global slot waits for reports; twice that for one it was only told of."""

NOT_OURS_S = 0.5
"""How much later the call for a global slot comes when the slot is not this worker's: in case a hint was lost."""

UNAWAITED_DELAY_S = 0.02
"""How long the end of a permit waits for the next acquire while no call waits for that end."""

ALONE_S = 1.0
"""How long a worker that found no other one announces no waits."""

MAX_AWAITED = 10_000


class Hints:
    """Heeds grants, instants at which to ask, and global 429s.

    Attributes:
        held_until: loop time before which nothing may leave.

    Args:
        lanes: who waits.
        batch: poked when a global slot is free.
        on_unknown_grant: called with the id of a permit that no call waits for.
    """

    def __init__(self, lanes: WaitQueue, batch: ScriptBatch, on_unknown_grant: Callable[[str], None]) -> None:
        self._lanes, self._batch, self._on_unknown_grant = lanes, batch, on_unknown_grant
        self._loop = asyncio.get_running_loop()
        self._slot: asyncio.TimerHandle | None = None
        self.held_until = 0.0

    def follow(self, call: ScriptReply) -> None:
        """Follow what a call of this worker was answered beside its items."""
        for permit_id, delay_us, bucket in call.grants:
            self._on_grant(permit_id, delay_us, bucket)
        if self._slot:
            self.close()
        if call.pump_after_us is not None and (call.pump_is_ours or self._lanes):
            self._ask_in(call.pump_after_us / 1e6 + (SLOT_DELAY_S if call.pump_is_ours else NOT_OURS_S))

    def on_hint(self, kind: str, subject: str, number: int, bucket: str = "") -> None:
        """Heed a hint of another worker's call; `lua/transitions/grant.lua` and `serve.lua` say what it means."""
        match kind:
            case "G":
                self._on_grant(subject, number, bucket)
                self._leave_it_to_others()
            case "S":  # the head of a lane is this worker's and can leave at a known instant
                self._lanes.ask_in(subject, number / 1e6)
            case "P":
                self._on_slot(number)
            case "B":
                self.hold_for(number / 1e6)

    def hold_for(self, seconds: float) -> None:
        """Somebody got a global 429: nothing leaves before it ends."""
        self.held_until = max(self.held_until, self._loop.time() + seconds)

    def _on_grant(self, permit_id: str, delay_us: int, bucket: str) -> None:
        """A permit was granted, by this worker's call or by somebody else's."""
        waiter = self._lanes.get(permit_id)
        if waiter is None:
            self._on_unknown_grant(permit_id)
        elif not waiter.grant.done():
            waiter.accept(bucket, self._loop.time() + delay_us / 1e6)

    def _on_slot(self, after_us: int) -> None:
        """The first in the line for the global limit is this worker's; a slot is free at a known instant."""
        at = self._loop.time() + after_us / 1e6 + 2 * SLOT_DELAY_S
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


class Contention:
    """Whether a call of any worker may wait for a permit's end, so that the end must be reported without delay.

    When a permit was granted at once, nobody waited behind it. Workers announce each call that begins to wait later.

    Args:
        link: publishes announcements.
        channel: of all workers.
        key: names the account.
    """

    def __init__(self, link: RedisLink, channel: str, key: str) -> None:
        self._link, self._channel, self._key = link, channel, key
        self._loop = asyncio.get_running_loop()
        self._waited_at: dict[str, float] = {}
        self._alone_until = 0.0
        self._announcements: set[asyncio.Task[None]] = set()

    def is_awaited(self, permit: Permit) -> bool:
        """Whether a call may wait for the end of this permit."""
        if permit.waited:
            return True
        waits = self._waited_at
        return bool(waits) and permit.granted_at <= max(
            waits.get(permit.route.lane, -1.0), waits.get(permit.bucket, -1.0)
        )

    def wait_began(self, route: Route, bucket: str, permits: Iterable[Permit]) -> None:
        """Note that a call of this worker waits, and announce it unless it waits for this worker alone."""
        self.on_wait(route.lane, bucket)
        if self._loop.time() < self._alone_until or (
            route.ordered and any(p.route.lane == route.lane for p in permits)
        ):
            return
        task = asyncio.create_task(self._announce(route.lane, bucket), name="broker-announce-wait")
        self._announcements.add(task)
        task.add_done_callback(self._announcements.discard)

    async def _announce(self, lane: str, bucket: str) -> None:
        try:
            announcement = orjson.dumps([self._key, ["W", lane, 0, bucket]])
            receivers = await self._link.execute("PUBLISH", self._channel, announcement)
        except BrokerUnavailableError:
            return
        if receivers <= 1:
            self._alone_until = self._loop.time() + ALONE_S

    def on_wait(self, lane: str, bucket: str) -> None:
        """Note that a call waits in this lane for this bucket."""
        now = self._loop.time()
        for name in (lane, bucket):
            self._waited_at.pop(name, None)
            self._waited_at[name] = now
        while len(self._waited_at) > MAX_AWAITED:
            del self._waited_at[next(iter(self._waited_at))]
