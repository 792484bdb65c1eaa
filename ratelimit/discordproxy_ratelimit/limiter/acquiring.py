"""The lanes of this worker and the script: asks it to serve one, and follows what it says.

Decides nothing about limits: a reply names a lane's next instant, another lane that comes first, or another bucket.
"""

import asyncio
from typing import Any

from discordproxy_ratelimit.limiter.batch import COMPANY_S, BatchItem, ScriptBatch
from discordproxy_ratelimit.limiter.bucket_cache import BucketCache
from discordproxy_ratelimit.limiter.store import Store
from discordproxy_ratelimit.limiter.wait_queue import Waiter, WaitQueue
from discordproxy_ratelimit.permit import Permit
from discordproxy_ratelimit.redis.link import RedisLink
from discordproxy_ratelimit.route import Route

LASTING = frozenset("cxd")
"""Transitions that may run twice, and so outlive a lost connection."""

IN_CASE_S = 0.5
"""How long what is asked only in case a hint was lost waits for another call that takes it along."""


class Serving:
    """Speaks with the script about lanes.

    Args:
        link: nothing is asked while Redis is away.
        store: names the keys.
        batch: takes the items.
        memories: which bucket a route has.
        lease_s: after this time a lane asks in case all else was lost.
    """

    def __init__(
        self, link: RedisLink, store: Store, batch: ScriptBatch, memories: BucketCache, *, lease_s: float
    ) -> None:
        self._link, self._store, self._batch = link, store, batch
        self._memories, self._lease_s = memories, lease_s
        self._loop = asyncio.get_running_loop()
        self.lanes = WaitQueue(self._ask)

    def add(
        self,
        kind: str,
        who: Waiter | Permit,
        *rest: Any,
        hurry: bool,
        patience_s: float = COMPANY_S,
        other: str = "",
        bucket: str = "",
        urgent: bool = False,
    ) -> BatchItem:
        """Queue a transition of one call.

        Args:
            kind: its letter, as the script's header has it.
            who: the call.
            rest: arguments after the bucket's name.
            hurry: send it with the next tick.
            patience_s: how long it waits for company otherwise.
            other: name of another bucket that matters: that an answer speaks of, or that was the route's before.
            bucket: name of the bucket the call was charged to; empty = that of its route.
            urgent: goes before what others queued.
        """
        bucket = bucket or self._memories.bucket_of(who.route)
        arguments = [kind, who.id, who.route.name, who.route.lane, bucket, *rest]
        keys = self._store.keys(who.route.lane, bucket, other)
        lasting = kind in LASTING
        return self._batch.add(arguments, keys, hurry=hurry, patience_s=patience_s, lasting=lasting, urgent=urgent)

    def _ask(self, waiter: Waiter, in_case: bool = False) -> None:  # noqa: FBT001, FBT002 - the lanes' timer calls it
        """The time of a lane has come: let the script hand out what there is."""
        if not self._link.is_up:
            return
        known = self._memories.hash_of(waiter.route.name)
        former = self._memories.former_of(waiter.route, self._loop.time())
        rest = [known, former] if former else [known]
        item = self.add("s", waiter, *rest, hurry=not in_case, patience_s=IN_CASE_S, other=former)
        item.reply.add_done_callback(lambda reply: self.served(waiter.route, reply))

    def served(self, route: Route, reply: asyncio.Future[list[Any]]) -> None:
        """Follow what the script said after serving a lane: its next instant, another lane, another bucket."""
        if reply.cancelled() or reply.exception():
            return
        _, after_us, other, known = reply.result()
        first = self.lanes.first(route.lane)
        if known != self._memories.hash_of(route.name):
            self._memories.learn_hash(route.name, known, self._loop.time())
            if first:
                self._ask(first)
            return
        if other:
            self._serve_other(other, known)
        if first:
            self.lanes.clear_timer(route.lane)
            self.ask_in(route.lane, int(after_us))

    def ask_in(self, lane: str, after_us: int) -> None:
        """Ask when the script says: -1 = when an answer tells, below = in so many us, in case a hint is lost."""
        seconds = self._lease_s if after_us == -1 else abs(after_us) / 1e6
        self.lanes.ask_in(lane, seconds, in_case=after_us < 0)

    def _serve_other(self, lane: str, known: str) -> None:
        """Another lane of the same bucket came first."""
        name, _, major = lane.partition("|")
        route = Route(name, major)
        bucket = self._memories.bucket_of(route, known)
        item = self._batch.add(["s", "", name, lane, bucket, known], self._store.keys(lane, bucket), hurry=True)
        item.reply.add_done_callback(lambda reply: self.served(route, reply))

    def give_back(self, who: Waiter | Permit, bucket: str = "") -> None:
        """Give a place or an unused permit back."""
        item = self.add("x", who, hurry=False, bucket=bucket)
        item.reply.add_done_callback(lambda reply: self._given_back(who, reply))

    def _given_back(self, who: Waiter | Permit, reply: asyncio.Future[list[Any]]) -> None:
        if reply.cancelled() or reply.exception():
            return
        if len(reply.result()) > 4:  # noqa: PLR2004 - granted meanwhile, in a bucket this worker did not think of
            self.give_back(who, reply.result()[4])
        else:
            self.served(who.route, reply)

    def end(
        self, kind: str, permit_id: str, name: str, lane: str, bucket: str, *rest: Any
    ) -> asyncio.Future[list[Any]]:
        """End a place or a permit that no call of this worker holds, and serve its lane. Returns the script's reply."""
        keys = self._store.keys(lane, bucket)
        item = self._batch.add([kind, permit_id, name, lane, bucket, *rest], keys, hurry=False, lasting=True)
        route = Route(name, lane.partition("|")[2])
        item.reply.add_done_callback(lambda reply: self.served(route, reply))
        return item.reply

    def restore(self, now: float) -> None:
        """Tell a Redis that forgot its buckets what is remembered of them; `now` is loop time."""
        self._memories.forget_hashes()
        for bucket, memory in self._memories:
            age_us = int((now - memory.at) * 1e6)
            arguments = ["r", "", memory.route, memory.lane, bucket, memory.state, age_us, memory.hash]
            self._batch.add(arguments, self._store.keys(memory.lane, bucket), hurry=False, lasting=True)
