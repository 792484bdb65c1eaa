"""Requests places and permits from the script, serves lanes, and returns places and permits.

It decides nothing about limits. A reply of the script contains a lane's next start time, another lane that comes first,
or another bucket.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from discordproxy_ratelimit.errors import (
    BrokerUnavailableError,
    KnownRefusalError,
    TokenRejectedError,
    WaitRefusedError,
)
from discordproxy_ratelimit.limiter.bucket_cache import EACH_LANE, BucketCache
from discordproxy_ratelimit.limiter.outcomes import UNAUTHORIZED
from discordproxy_ratelimit.limiter.store import Store
from discordproxy_ratelimit.limiter.wait_queue import Waiter, WaitQueue
from discordproxy_ratelimit.metrics import Decisions
from discordproxy_ratelimit.permit import Permit
from discordproxy_ratelimit.redis.batch import MAX_DELAY_S, BatchItem, ScriptBatch
from discordproxy_ratelimit.redis.link import RedisLink
from discordproxy_ratelimit.route import Route

IDEMPOTENT = frozenset("cxd")
"""Transitions that may run twice and are therefore sent again after a lost connection."""

SAFETY_DELAY_S = 0.5
"""Maximum delay of an item that only replaces a lost hint."""

REDIS_GRACE_S = 0.7
"""How long a call waits for Redis if it is unavailable."""

MAX_TRIES = 5

SAFETY_US = -5_000_000
"""Delay in us (negative: a safety check only) after which a lane that waits only for the global limit is served."""


class Dispatcher:
    """Exchanges transitions of calls with the script.

    Args:
        link: the connection; no item is queued while Redis is unavailable.
        store: names the keys of items.
        batch: sends the items.
        buckets: the buckets of routes.
        decisions: the metrics.
        lease_s: seconds after which a lane is served again in case all else was lost.
        on_wait: called with a call that must wait behind others.
    """

    def __init__(
        self,
        link: RedisLink,
        store: Store,
        batch: ScriptBatch,
        buckets: BucketCache,
        decisions: Decisions,
        *,
        lease_s: float,
        on_wait: Callable[[Waiter], None],
    ) -> None:
        self._link, self._store, self._batch = link, store, batch
        self._buckets, self._decisions, self._lease_s = buckets, decisions, lease_s
        self._on_wait = on_wait
        self._loop = asyncio.get_running_loop()
        self.lanes = WaitQueue(self._serve)

    # A place for a call

    def place(self, waiter: Waiter) -> None:
        """Request a call's permit or place until Redis has answered; errors go to `waiter.grant`."""
        if waiter.grant.done():
            return
        waiter.placed = False
        if waiter.item is None and (waiter.task is None or waiter.task.done()):
            waiter.tries = 0
            self._place(waiter)

    def place_again(self, waiter: Waiter, bucket: str, known: str) -> None:
        """Request a permit anew whose bucket is no longer its route's; `known` is the hash by now."""
        self._buckets.learn_hash(waiter.route, known, self._loop.time())
        waiter.outdated = bucket
        self.place(waiter)

    def _place(self, waiter: Waiter) -> None:
        waiter.tries += 1
        if waiter.tries > MAX_TRIES:
            waiter.fail(
                BrokerUnavailableError("Redis replies, but not for long enough to grant a place", retry_after_s=1.0)
            )
        elif self._link.is_up:
            self._request_place(waiter)
        else:
            waiter.task = asyncio.create_task(self._place_when_up(waiter), name="broker-place")

    def _request_place(self, waiter: Waiter) -> None:
        now, route = self._loop.time(), waiter.route
        known, bucket, former = self._buckets.names_of(route, now)
        former = waiter.outdated or former
        options = options_of(waiter, known, former, now)
        if waiter.outdated:
            options["again"] = waiter.outdated
        waiter.item = BatchItem(
            ["a", waiter.id, route.name, route.lane, bucket, options],
            self._store.keys(route.lane, bucket, former),
            partial(self._on_placed, waiter, waiter.outdated),
            partial(self._on_not_placed, waiter),
        )
        self._batch.add(waiter.item, hurry=True, urgent=waiter.caller.priority == "high")

    async def _place_when_up(self, waiter: Waiter) -> None:
        try:
            async with asyncio.timeout(max(0.0, REDIS_GRACE_S - self._link.down_for_s())):
                await self._link.until_up()
        except TimeoutError:
            waiter.fail(self._link.unavailable())
            return
        waiter.task = None
        if not waiter.grant.done():
            self._request_place(waiter)

    def _on_placed(self, waiter: Waiter, outdated: str, reply: list[Any]) -> None:
        waiter.item = None
        outcome = reply[0]
        if outcome == "moved":
            self._buckets.learn_hash(waiter.route, reply[1], self._loop.time())
            if not waiter.grant.done():
                self._place(waiter)
            return
        if waiter.outdated != outdated and not waiter.grant.done():  # the hint of its grant was faster than this reply
            self._place(waiter)
            return
        waiter.placed, waiter.outdated = True, ""
        if outcome in {"refused", "known"}:
            waiter.fail(self._refusal(reply))
            return
        waiter.seq = int(reply[2])
        if outcome == "granted":
            return  # the grant came with the same call
        waiter.waited = True
        if outcome == "wait":
            self._decisions.waited()
            self.serve_in(waiter.route.lane, int(reply[1]))
            self._on_wait(waiter)
        else:  # "global"
            self.serve_in(waiter.route.lane, SAFETY_US)  # the hint of its grant may be lost, too
        if not waiter.grant.done():  # `until` bounds the wait for a limit, not the round trip to Redis
            self.lanes.expire_at(waiter, max(waiter.until, self._loop.time()))

    def _on_not_placed(self, waiter: Waiter, error: Exception) -> None:
        waiter.item, waiter.placed = None, False
        if not isinstance(error, BrokerUnavailableError):
            waiter.fail(error)
        elif not waiter.grant.done():
            self._place(waiter)  # it may have run; the same id is never charged twice

    def _refusal(self, reply: list[Any]) -> Exception:
        if reply[0] == "refused":
            self._decisions.refused("deadline")
            return WaitRefusedError(
                "The wait for a rate limit is longer than this call may wait", retry_after_s=int(reply[1]) / 1e6
            )
        status, code, again_s = int(reply[1]), int(reply[2]), int(reply[3]) / 1e6
        self._decisions.refused("known")
        if status == UNAUTHORIZED:
            return TokenRejectedError("Discord rejects this token", retry_after_s=again_s)
        text = f"Discord has refused the same call with {status} a moment ago"
        return KnownRefusalError(text, status=status, code=code, retry_after_s=again_s)

    # Lanes

    def add(
        self,
        kind: str,
        call: Waiter | Permit,
        bucket: str,
        *rest: Any,
        on_reply: Callable[[list[Any]], None] | None = None,
        hurry: bool = False,
        max_delay_s: float = MAX_DELAY_S,
        other: str = "",
    ) -> None:
        """Queue a transition of one call.

        Args:
            kind: its letter, as the script's header has it.
            call: the call.
            bucket: name of the bucket the call is charged to.
            rest: arguments after the bucket's name.
            on_reply: called with the script's reply.
            hurry: send it with the next script call.
            max_delay_s: how long it may wait for other items otherwise.
            other: name of another bucket involved: of a response, or of the route before.
        """
        route = call.route
        arguments = [kind, call.id, route.name, route.lane, bucket, *rest]
        keys = self._store.keys(route.lane, bucket, other)
        item = BatchItem(arguments, keys, on_reply, lasting=kind in IDEMPOTENT)
        self._batch.add(item, hurry=hurry, max_delay_s=max_delay_s)

    def _serve(self, waiter: Waiter, in_case: bool = False) -> None:  # noqa: FBT001, FBT002 - the lanes' timer calls it
        """Let the script grant permits of a lane whose start time has come."""
        if not self._link.is_up:
            return
        route = waiter.route
        known, bucket, former = self._buckets.names_of(route, self._loop.time())
        rest = [known, former] if former else [known]
        follow = partial(self.follow_serve, route)
        self.add(
            "s", waiter, bucket, *rest, on_reply=follow, hurry=not in_case, max_delay_s=SAFETY_DELAY_S, other=former
        )

    def follow_serve(self, route: Route, reply: list[Any]) -> None:
        """Process the reply to serving a lane: its next start time, another lane, another bucket."""
        _, after_us, other, known = reply
        first = self.lanes.first(route.lane)
        if known != self._buckets.known_of(route):
            self._buckets.learn_hash(route, known, self._loop.time())
            if first:
                self._serve(first)
            return
        if other:
            self._serve_other(other, known)
        if first:
            self.lanes.clear_timer(route.lane)
            self.serve_in(route.lane, int(after_us))

    def serve_in(self, lane: str, after_us: int) -> None:
        """Serve a lane again in `after_us`; -1: only after a response; lower: a safety check for a lost hint."""
        seconds = self._lease_s if after_us == -1 else abs(after_us) / 1e6
        self.lanes.serve_in(lane, seconds, in_case=after_us < 0)

    def _serve_other(self, lane: str, known: str) -> None:
        """Serve another lane of the same bucket, which came first."""
        name, _, major = lane.partition("|")
        route = Route(name, major)
        bucket = self._buckets.bucket_of(route, known)
        arguments, keys = ["s", "", name, lane, bucket, known.removeprefix(EACH_LANE)], self._store.keys(lane, bucket)
        self._batch.add(BatchItem(arguments, keys, partial(self.follow_serve, route)), hurry=True)

    def give_back(self, call: Waiter | Permit, bucket: str = "") -> None:
        """Return a place or an unused permit."""
        bucket = bucket or self._buckets.bucket_of(call.route)
        self.add("x", call, bucket, on_reply=partial(self._on_given_back, call))

    def _on_given_back(self, call: Waiter | Permit, reply: list[Any]) -> None:
        if len(reply) > 4:  # noqa: PLR2004 - granted meanwhile, from another bucket than this worker assumed
            self.give_back(call, reply[4])
        else:
            self.follow_serve(call.route, reply)

    def end(self, kind: str, permit_id: str, name: str, lane: str, bucket: str, *rest: Any) -> asyncio.Future[None]:
        """End a place or a permit that no call of this worker holds, and serve its lane. The future ends with it."""
        route, ended = Route(name, lane.partition("|")[2]), self._loop.create_future()

        def follow(reply: list[Any]) -> None:
            self.follow_serve(route, reply)
            if not ended.done():
                ended.set_result(None)

        def fail(error: Exception) -> None:
            if not ended.done():
                ended.set_exception(error)

        arguments = [kind, permit_id, name, lane, bucket, *rest]
        item = BatchItem(arguments, self._store.keys(lane, bucket), follow, fail, lasting=True)
        self._batch.add(item, hurry=False)
        return ended

    def restore(self, now: float) -> None:
        """Restore the cached buckets in a Redis that lost them; `now` is loop time."""
        self._buckets.forget_hashes()
        for bucket, cached in self._buckets:
            age_us = int((now - cached.at) * 1e6)
            arguments = ["r", "", cached.route, cached.lane, bucket, cached.state, age_us, cached.hash]
            self._batch.add(BatchItem(arguments, self._store.keys(cached.lane, bucket), lasting=True), hurry=False)


def options_of(waiter: Waiter, known: str, former: str, now: float) -> dict[str, Any]:
    """Return the options of an acquire item (lua/transitions/acquire.lua).

    Args:
        waiter: the call.
        known: hash that its route was last known to have.
        former: name of the bucket before that; empty for none.
        now: loop time.
    """
    route, caller = waiter.route, waiter.caller
    options: dict[str, Any] = {
        "left_us": max(0, int((waiter.until - now) * 1e6)),
        "app": caller.app,
        "weight": caller.weight,
        "priority": caller.priority,
        "hash": known,
    }
    if route.ordered:
        options["ordered"] = True
    if route.exempt:
        options["exempt"] = True
    if route.credential != "ip":
        options["token"] = True
    if waiter.seq:
        options["seq"] = waiter.seq
        options["returned" if waiter.returned else "restored"] = True
    elif waiter.returned:
        options["returned"] = True
    if waiter.refusal:
        options["refusal"] = waiter.refusal
    if former:
        options["former"] = former
    return options
