"""The calls of this worker that wait for a permit, by lane, with their deadlines. No I/O."""

import asyncio
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from discordproxy_ratelimit.errors import WaitRefusedError
from discordproxy_ratelimit.limiter.bucket_cache import BucketCache
from discordproxy_ratelimit.permit import Caller
from discordproxy_ratelimit.process.tasks import Timer
from discordproxy_ratelimit.redis.batch import CLOCK_ERROR_S, BatchItem
from discordproxy_ratelimit.route import Route

EXPIRED = "The deadline passed while the call waited for a rate limit"

MAX_STALE = 64
"""Deadlines of calls that have ended, beside as many as of calls that wait."""


@dataclass(frozen=True, slots=True)
class Lane:
    """This worker's part of a lane.

    Attributes:
        name: route and major parameter, `GET /channels/{channel_id}|channel_id=1`.
        bucket: the bucket that is charged; `?...` while it is unknown.
        waiting: calls of this worker that wait.
        oldest_s: seconds since the first of them came.
    """

    name: str
    bucket: str
    waiting: int = 0
    oldest_s: float = 0.0


@dataclass(slots=True, eq=False)
class Waiter:
    """One call on its way to a permit.

    Attributes:
        deadline, until: loop times after which the permit is useless, or the caller does not wait for a limit.
        since: loop time at which the call came.
        grant: done when a permit is granted, or refused.
        seq: arrival at the broker, given by Redis; keeps the order across a restart. 0 = not yet known.
        placed: whether Redis has confirmed the place.
        returned: whether the call is repeated after a 429 and goes to the head of the queue.
        refusal: name of a stored refusal that applies to the call.
        waited: whether it had to wait behind others.
        tries: number of requests for its place.
        item: the request for its place that is queued or in flight.
        task: waits for Redis to request the place, and ends with the waiter.
        expires_at: loop time at which the call is refused.
        bucket: the bucket that the grant is charged to.
        outdated: the bucket of a permit that must be requested again, since it is no longer the route's.
        start_at: loop time from which on the request may leave, once granted.
    """

    id: str
    route: Route
    caller: Caller
    deadline: float
    until: float
    since: float
    grant: asyncio.Future[None]
    refusal: str = ""
    seq: int = 0
    placed: bool = False
    returned: bool = False
    waited: bool = False
    tries: int = 0
    item: BatchItem | None = None
    task: asyncio.Task[None] | None = None
    expires_at: float = float("inf")
    bucket: str = ""
    outdated: str = ""
    start_at: float = 0.0

    def accept(self, bucket: str, start_at: float) -> None:
        """Grant a permit."""
        self.placed = True
        self.bucket, self.start_at = bucket, start_at
        self.grant.set_result(None)

    def fail(self, error: BaseException) -> None:
        """Refuse a permit unless one has been granted."""
        if not self.grant.done():
            self.grant.set_exception(error)

    def end(self) -> None:
        """Cancel everything that is in progress for this call."""
        self.expires_at = float("inf")
        if self.item is not None:
            self.item.is_cancelled = True
        if self.task is not None:
            self.task.cancel()  # else it would request a place without a caller
        if not self.grant.cancel() and not self.grant.cancelled():
            self.grant.exception()  # retrieved, so that asyncio does not report it

    def reset(self) -> None:
        """Forget a place or a grant that may be void."""
        self.placed = False
        if self.grant.done() and not self.grant.cancelled() and self.grant.exception() is None:
            self.grant = asyncio.get_running_loop().create_future()


class WaitQueue:
    """Waiters by lane. Each lane has a timer at which it is served; all deadlines share one timer.

    Args:
        serve: called with a lane's first waiter at the lane's time, and whether it only replaces a lost hint.
    """

    def __init__(self, serve: Callable[[Waiter, bool], None]) -> None:
        self._serve = serve
        self._loop = asyncio.get_running_loop()
        self._lanes: dict[str, dict[str, Waiter]] = {}
        self._timers: dict[str, Timer] = {}
        self._by_id: dict[str, Waiter] = {}
        self._deadlines: list[tuple[float, int, Waiter]] = []  # a heap; waiters that have ended stay for a while
        self._numbers = itertools.count()
        self._expiry: Timer | None = None

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Waiter]:
        return iter(list(self._by_id.values()))

    def get(self, waiter_id: str) -> Waiter | None:
        """Return the waiter of this id."""
        return self._by_id.get(waiter_id)

    def queues(self) -> Iterator[tuple[str, list[Waiter]]]:
        """Yield each lane with its waiters in the order of their arrival."""
        for lane, waiting in self._lanes.items():
            yield lane, list(waiting.values())

    def first(self, lane: str) -> Waiter | None:
        """Return a lane's first waiter without a permit."""
        if lane in self._lanes:
            for waiter in self._lanes[lane].values():
                if not waiter.grant.done():
                    return waiter
        return None

    def add(self, waiter: Waiter) -> None:
        """Add a call, which is refused at its deadline."""
        self._by_id[waiter.id] = waiter
        self._lanes.setdefault(waiter.route.lane, {})[waiter.id] = waiter
        self.expire_at(waiter, waiter.deadline)

    def expire_at(self, waiter: Waiter, when: float) -> None:
        """Refuse a call at this loop time unless it is granted before."""
        waiter.expires_at = when
        heappush(self._deadlines, (when, next(self._numbers), waiter))
        if len(self._deadlines) > MAX_STALE + 2 * len(self._by_id):
            self._deadlines = [entry for entry in self._deadlines if entry[0] == entry[2].expires_at]
            heapify(self._deadlines)
        if self._expiry is None or when < self._expiry.at:
            self._start_expiry()

    def _start_expiry(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
        self._expiry = Timer.start(self._loop, self._deadlines[0][0], self._expire) if self._deadlines else None

    def _expire(self) -> None:
        self._expiry = None
        due = self._loop.time() + CLOCK_ERROR_S
        while self._deadlines:
            when, _, waiter = self._deadlines[0]
            is_current = when == waiter.expires_at
            if is_current and when > due:
                break
            heappop(self._deadlines)
            if is_current:
                waiter.fail(WaitRefusedError(EXPIRED))
        self._start_expiry()

    def remove(self, waiter: Waiter) -> None:
        """Remove a call that has its permit or was abandoned."""
        self._by_id.pop(waiter.id, None)
        lane = waiter.route.lane
        waiting = self._lanes.get(lane)
        if waiting is None:
            return
        waiting.pop(waiter.id, None)
        if not waiting:
            del self._lanes[lane]
            if lane in self._timers:
                self._stop(lane)

    def serve_in(self, lane: str, seconds: float, *, in_case: bool = False) -> None:
        """Serve a lane after a time, `in_case` a hint was lost or for good reason; an earlier time stays."""
        if lane not in self._lanes:
            return
        at = self._loop.time() + seconds
        timer = self._timers.get(lane)
        if timer is not None and timer.at <= at:
            return
        self._stop(lane)
        self._timers[lane] = Timer.start(self._loop, at, self._due, lane, in_case)

    def clear_timer(self, lane: str) -> None:
        """Cancel a lane's timer, which a newer reply replaces."""
        self._stop(lane)

    def _stop(self, lane: str) -> None:
        timer = self._timers.pop(lane, None)
        if timer:
            timer.cancel()

    def _due(self, lane: str, in_case: bool) -> None:  # noqa: FBT001 - a timer passes no names
        self._timers.pop(lane, None)
        waiter = self.first(lane)
        if waiter:
            self._serve(waiter, in_case)

    def close(self) -> None:
        """Stop all timers."""
        if self._expiry is not None:
            self._expiry.cancel()
        for lane in list(self._timers):
            self._stop(lane)


def busiest(lanes: WaitQueue, buckets: BucketCache, *, now: float, limit: int) -> list[Lane]:
    """Return a worker's lanes with waiting calls, longest queue first, then the most recently used ones.

    Args:
        lanes: the calls that wait.
        buckets: the cached buckets.
        now: loop time.
        limit: maximum number of lanes.
    """
    queues = sorted(lanes.queues(), key=lambda queue: len(queue[1]), reverse=True)
    found = {
        name: Lane(name, buckets.bucket_of(waiters[0].route), len(waiters), now - waiters[0].since)
        for name, waiters in itertools.islice(queues, limit)
    }
    for bucket, cached in buckets.newest(limit):
        if len(found) < limit:
            found.setdefault(cached.lane, Lane(cached.lane, bucket))
    return list(found.values())
