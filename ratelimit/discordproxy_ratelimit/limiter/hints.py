"""Processes grants and hints, from the replies to this worker's script calls and from other workers."""

import asyncio
from collections.abc import Callable, Iterable

import orjson

from discordproxy_ratelimit.errors import BrokerUnavailableError
from discordproxy_ratelimit.limiter.store import ScriptReply
from discordproxy_ratelimit.limiter.wait_queue import Waiter, WaitQueue
from discordproxy_ratelimit.permit import Permit
from discordproxy_ratelimit.process.tasks import Timer
from discordproxy_ratelimit.redis.batch import ScriptBatch
from discordproxy_ratelimit.redis.link import RedisLink
from discordproxy_ratelimit.route import Route

SLOT_DELAY_S = 0.002
"""Delay of the call for a free global slot, so that it carries other items; doubled after a hint."""

NOT_OURS_S = 0.5
"""Additional delay of the call for a slot of another worker, which only replaces a lost hint."""

UNAWAITED_DELAY_S = 0.02
"""Maximum delay of the end of a permit while no call waits for it."""

ALONE_S = 1.0
"""How long a worker that is alone announces no waits."""

MAX_AWAITED = 10_000


class Hints:
    """Applies grants, start times and global 429s.

    Attributes:
        held_until: loop time before which no request may leave.

    Args:
        lanes: the calls that wait.
        batch: makes a call when a global slot is free.
        on_unknown_grant: called with the id of a permit that no call waits for.
        on_outdated_grant: called with a call, the bucket of its permit, and the hash that its route has by now.
    """

    def __init__(
        self,
        lanes: WaitQueue,
        batch: ScriptBatch,
        *,
        on_unknown_grant: Callable[[str], None],
        on_outdated_grant: Callable[[Waiter, str, str], None],
    ) -> None:
        self._lanes, self._batch = lanes, batch
        self._on_unknown_grant, self._on_outdated_grant = on_unknown_grant, on_outdated_grant
        self._loop = asyncio.get_running_loop()
        self._slot: Timer | None = None
        self.held_until = 0.0

    def follow(self, call: ScriptReply) -> None:
        """Process the parts of a script call's reply that do not belong to single items."""
        for grant in call.grants:
            self._on_grant(*grant)
        if self._slot:
            self.close()
        if call.pump_after_us is not None and (call.pump_is_ours or self._lanes):
            self._ask_in(call.pump_after_us / 1e6 + (SLOT_DELAY_S if call.pump_is_ours else NOT_OURS_S))

    def on_hint(self, kind: str, subject: str, number: int, *rest: str) -> None:
        """Process a hint of another worker; `lua/transitions/grant.lua` and `serve.lua` describe its kinds."""
        match kind:
            case "G":
                self._on_grant(subject, number, *rest)
                self._postpone_slot()
            case "S":  # the head of a lane is this worker's and has a start time
                self._lanes.serve_in(subject, number / 1e6)
            case "P":
                self._on_slot(number)
            case "B":
                self.hold_for(number / 1e6)

    def hold_for(self, seconds: float) -> None:
        """Hold all requests back until a global 429 ends."""
        self.held_until = max(self.held_until, self._loop.time() + seconds)

    def _on_grant(self, permit_id: str, delay_us: int, bucket: str, known: str = "") -> None:
        """Grant a permit to the call that waits for it."""
        waiter = self._lanes.get(permit_id)
        if waiter is None:
            self._on_unknown_grant(permit_id)
        elif known and not waiter.grant.done():
            self._on_outdated_grant(waiter, bucket, known)
        elif not waiter.grant.done():
            waiter.accept(bucket, self._loop.time() + delay_us / 1e6)

    def _on_slot(self, after_us: int) -> None:
        """Schedule a call for the next free slot: this worker's call is first in the queue for the global limit."""
        at = self._loop.time() + after_us / 1e6 + 2 * SLOT_DELAY_S
        if self._slot is None or self._slot.at > at:
            self.close()
            self._ask_in(at - self._loop.time())

    def _postpone_slot(self) -> None:
        """Postpone the call for a slot: the worker that granted a permit sends a hint for the next one, too."""
        if self._slot:
            left_s = self._slot.at - self._loop.time()
            self.close()
            self._ask_in(left_s + NOT_OURS_S)

    def _ask_in(self, seconds: float) -> None:
        self._slot = Timer.start(self._loop, self._loop.time() + seconds, self._batch.poke)

    def close(self) -> None:
        """Cancel the call for a global slot."""
        if self._slot:
            self._slot.cancel()
            self._slot = None


class Contention:
    """Detects whether a call of any worker may wait for a permit's end, which must then be reported without delay.

    No call waited behind a permit that was granted at once. Workers announce each call that begins to wait later.

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
        """Return whether a call may wait for the end of this permit."""
        if permit.waited:
            return True
        waits = self._waited_at
        return bool(waits) and permit.granted_at <= max(
            waits.get(permit.route.lane, -1.0), waits.get(permit.bucket, -1.0)
        )

    def wait_began(self, route: Route, bucket: str, permits: Iterable[Permit]) -> None:
        """Record that a call of this worker waits, and announce it unless it waits only for this worker."""
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
        """Record that a call waits in this lane for this bucket."""
        now = self._loop.time()
        for name in (lane, bucket):
            self._waited_at.pop(name, None)
            self._waited_at[name] = now
        while len(self._waited_at) > MAX_AWAITED:
            del self._waited_at[next(iter(self._waited_at))]
