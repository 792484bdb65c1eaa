"""The calls of this worker that wait for a permit, lane by lane. No I/O: only who waits, and when to ask again."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from discordproxy_ratelimit.errors import WaitRefusedError
from discordproxy_ratelimit.limiter.bucket_cache import BucketCache
from discordproxy_ratelimit.permit import Caller
from discordproxy_ratelimit.route import Route

EXPIRED = "The deadline came while waiting for a rate limit"


@dataclass(frozen=True, slots=True)
class Lane:
    """A lane as one worker sees it.

    Attributes:
        name: route and major parameter, `GET /channels/{channel_id}|channel_id=1`.
        bucket: the bucket it is charged to; `?...` while Discord has not named one.
        waiting: calls of this worker that wait.
        oldest_s: for how long the first of them has waited.
    """

    name: str
    bucket: str
    waiting: int = 0
    oldest_s: float = 0.0


class Grant(NamedTuple):
    """A permit was granted: from `start_at` (loop time) on the request may leave."""

    bucket: str
    start_at: float


@dataclass(slots=True, eq=False)
class Waiter:
    """One call on its way to a permit.

    Attributes:
        deadline, until: loop times after which the caller does not want the answer, or to wait for a limit.
        seq: arrival at the broker, given by Redis; keeps the order across a restart. 0 = not told yet.
        placed: whether Redis has confirmed the place.
        returned: the call comes back after a 429 and goes to the head.
        since: loop time at which the call came.
        refusal: name of a remembered refusal to respect.
        waited: whether it had to wait behind others.
        tries: how often its place was asked for.
        asking: the reply to that which is awaited now.
        task: waits for Redis to ask for the place, and ends with the waiter.
        expires: refuses the call when its time is over.
    """

    id: str
    route: Route
    caller: Caller
    deadline: float
    until: float = float("inf")
    seq: int = 0
    placed: bool = False
    returned: bool = False
    grant: asyncio.Future[Grant] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    since: float = field(default_factory=lambda: asyncio.get_running_loop().time())
    refusal: str = ""
    waited: bool = False
    tries: int = 0
    asking: asyncio.Future[list[Any]] | None = None
    task: asyncio.Task[None] | None = None
    expires: asyncio.TimerHandle | None = None
    expires_at: float = float("inf")

    @property
    def is_placing(self) -> bool:
        """Whether its place is being asked for."""
        return self.asking is not None or (self.task is not None and not self.task.done())

    def expire_at(self, when: float) -> None:
        """Refuse the call at this loop time unless it is granted before."""
        if self.expires is not None:
            self.expires.cancel()
        self.expires_at = when
        self.expires = asyncio.get_running_loop().call_at(when, self._expire)

    def _expire(self) -> None:
        if not self.grant.done():
            self.grant.set_exception(WaitRefusedError(EXPIRED))

    def end(self) -> None:
        """Stop everything that goes on for this call."""
        if self.expires is not None:
            self.expires.cancel()
        if self.asking is not None:
            self.asking.cancel()
        if self.task is not None:
            self.task.cancel()  # or it would take a place for nobody
        if not self.grant.cancel() and not self.grant.cancelled():
            self.grant.exception()  # retrieved, so that asyncio does not report it

    def again(self) -> None:
        """Forget a place or a grant that may be void."""
        self.placed = False
        if self.grant.done() and not self.grant.cancelled() and self.grant.exception() is None:
            self.grant = asyncio.get_running_loop().create_future()


class WaitQueue:
    """Waiters by lane, each lane with the one timer at which it asks again.

    Args:
        ask: called with a lane's first waiter when its time has come; and whether only in case a hint was lost.
    """

    def __init__(self, ask: Callable[[Waiter, bool], None]) -> None:
        self._ask = ask
        self._lanes: dict[str, dict[str, Waiter]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._by_id: dict[str, Waiter] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Waiter]:
        return iter(list(self._by_id.values()))

    def get(self, waiter_id: str) -> Waiter | None:
        """Return the waiter of this id."""
        return self._by_id.get(waiter_id)

    def queues(self) -> Iterator[tuple[str, list[Waiter]]]:
        """Yield each lane with its waiters, who came first in front."""
        for lane, waiting in self._lanes.items():
            yield lane, list(waiting.values())

    def first(self, lane: str) -> Waiter | None:
        """Return the waiter of a lane that came first."""
        return next(iter(self._lanes.get(lane, {}).values()), None)

    def add(self, waiter: Waiter) -> None:
        """Let a call wait."""
        self._by_id[waiter.id] = waiter
        self._lanes.setdefault(waiter.route.lane, {})[waiter.id] = waiter

    def remove(self, waiter: Waiter) -> None:
        """A call has its permit, or gave up."""
        self._by_id.pop(waiter.id, None)
        lane = waiter.route.lane
        waiting = self._lanes.get(lane)
        if waiting is None:
            return
        waiting.pop(waiter.id, None)
        if not waiting:
            del self._lanes[lane]
            self._stop(lane)

    def ask_in(self, lane: str, seconds: float, *, in_case: bool = False) -> None:
        """Ask again for this lane after a time, for good reason or in case a hint was lost; an earlier time stays."""
        if lane not in self._lanes:
            return
        loop = asyncio.get_running_loop()
        at = loop.time() + seconds
        timer = self._timers.get(lane)
        if timer is not None and timer.when() <= at:
            return
        self._stop(lane)
        self._timers[lane] = loop.call_at(at, self._due, lane, in_case)

    def clear_timer(self, lane: str) -> None:
        """Forget a lane's appointment, because a newer answer makes another one."""
        self._stop(lane)

    def _stop(self, lane: str) -> None:
        timer = self._timers.pop(lane, None)
        if timer:
            timer.cancel()

    def _due(self, lane: str, in_case: bool) -> None:  # noqa: FBT001 - a timer passes no names
        self._timers.pop(lane, None)
        waiter = self.first(lane)
        if waiter:
            self._ask(waiter, in_case)

    def close(self) -> None:
        """Stop all timers."""
        for lane in list(self._timers):
            self._stop(lane)


def busiest(lanes: WaitQueue, buckets: BucketCache, *, now: float, most: int) -> list[Lane]:
    """Return a worker's lanes with waiting calls, longest queue first, then those that were answered last.

    Args:
        lanes: who waits.
        buckets: what was learned.
        now: loop time.
        most: so many at most.
    """
    queues = sorted(lanes.queues(), key=lambda queue: len(queue[1]), reverse=True)
    found = {
        name: Lane(name, buckets.bucket_of(waiters[0].route), len(waiters), now - waiters[0].since)
        for name, waiters in islice(queues, most)
    }
    for bucket, cached in buckets.newest(most):
        if len(found) < most:
            found.setdefault(cached.lane, Lane(cached.lane, bucket))
    return list(found.values())
