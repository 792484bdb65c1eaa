"""One credential's calls in one worker: each waits here for its permit, and the permit ends here.

It decides nothing about limits; the script does.
"""

import asyncio
import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

from discordproxy_ratelimit.errors import STOPPING, BrokerUnavailableError, DrainingError, WaitRefusedError
from discordproxy_ratelimit.headers import TOO_MANY, Answer
from discordproxy_ratelimit.limiter.acquiring import REDIS_GRACE_S, Dispatcher
from discordproxy_ratelimit.limiter.bucket_cache import BucketCache, CachedBucket
from discordproxy_ratelimit.limiter.heartbeat import Heartbeat
from discordproxy_ratelimit.limiter.hints import UNAWAITED_DELAY_S, Contention, Hints
from discordproxy_ratelimit.limiter.outcomes import outcome_of, report_of, retry_after_s
from discordproxy_ratelimit.limiter.reaper import Reaper
from discordproxy_ratelimit.limiter.store import Store
from discordproxy_ratelimit.limiter.wait_queue import EXPIRED, Lane, Waiter, busiest
from discordproxy_ratelimit.metrics import Decisions
from discordproxy_ratelimit.permit import Caller, Permit, Verdict
from discordproxy_ratelimit.redis.batch import MAX_DELAY_S, BatchItem, ScriptBatch
from discordproxy_ratelimit.redis.link import RedisLink
from discordproxy_ratelimit.route import Route

ANSWERED, UNKNOWN, UNUSED = Verdict("answered"), Verdict("unknown"), Verdict("unused")


class Account:
    """The limits of one credential.

    Args:
        store: the account's state in Redis.
        link: the connection to Redis.
        worker: this worker's name; permit ids begin with it.
        lease_s: seconds after its last heartbeat until this worker counts as dead.
        decisions: the metrics.
        max_waiting: calls that may wait in this worker; one more is refused.
        on_answer: called with every response of Discord and its application, for the circuit.
    """

    def __init__(
        self,
        store: Store,
        link: RedisLink,
        *,
        worker: str,
        lease_s: float,
        decisions: Decisions,
        max_waiting: int,
        on_answer: Callable[[Answer, str], None],
    ) -> None:
        self._store, self._link, self._worker = store, link, worker
        self._decisions, self._max_waiting, self._on_answer = decisions, max_waiting, on_answer
        self._loop = asyncio.get_running_loop()
        self._numbers = itertools.count(1)
        self._used_at = self._loop.time()
        self._permits: dict[str, Permit] = {}
        self._buckets = BucketCache()
        self._batch = ScriptBatch(self._run, link.until_up)
        self._dispatcher = Dispatcher(
            link, store, self._batch, self._buckets, decisions, lease_s=lease_s, on_wait=self._announce_wait
        )
        self._lanes = self._dispatcher.lanes
        self._hints = Hints(
            self._lanes,
            self._batch,
            on_unknown_grant=self._on_unknown_grant,
            on_outdated_grant=self._dispatcher.place_again,
        )
        self._contention = Contention(link, f"{store.channels}all", self.key)
        self._reaper = Reaper(store, self._dispatcher, self._batch, worker=worker, not_held=self._not_held)
        self._heartbeat = Heartbeat(
            link,
            self._batch,
            lease_s=lease_s,
            holds=lambda: bool(self._lanes or self._permits),
            each_lease=self._reaper.doubt,
        )
        self._drained: asyncio.Future[None] = self._loop.create_future()

    @property
    def key(self) -> str:
        """The key by which hints name this account."""
        return f"{self._store.tag}g"

    @property
    def idle_s(self) -> float | None:
        """Seconds since the last use of this account; None while it holds anything or has items to send."""
        busy = self._lanes or self._permits or self._batch.is_busy
        return None if busy else self._loop.time() - self._used_at

    @property
    def waiting(self) -> int:
        """Calls of this worker that wait for a permit."""
        return len(self._lanes)

    def lanes(self, limit: int) -> list[Lane]:
        """Return at most `limit` of this worker's busiest lanes."""
        return busiest(self._lanes, self._buckets, now=self._loop.time(), limit=limit)

    async def acquire(
        self,
        route: Route,
        deadline: float,
        until: float,
        caller: Caller,
        refusal: str = "",
        retry_of: Permit | None = None,
    ) -> Permit:
        """Wait for a permit.

        Args:
            route: of the request.
            deadline: loop time after which the permit is useless.
            until: loop time until which the caller waits for a limit.
            caller: for fairness.
            refusal: name of a stored refusal that applies to the call.
            retry_of: the permit of a request that got a 429; its repeat goes to the head of the queue.

        Raises:
            BrokerError: no permit was granted. A cancellation returns the place.
        """
        if len(self._lanes) >= self._max_waiting:
            raise WaitRefusedError("Too many calls are waiting already", reason="QUEUE_FULL", retry_after_s=1.0)
        loop = self._loop
        permit_id = f"{self._worker}:{next(self._numbers)}"
        waiter = Waiter(permit_id, route, caller, deadline, until, loop.time(), loop.create_future(), refusal)
        if retry_of is not None:
            waiter.seq, waiter.returned = retry_of.seq, True
        self._lanes.add(waiter)
        self._heartbeat.keep()
        self._dispatcher.place(waiter)
        try:
            grant = None
            while grant is not waiter.grant:  # which is a new one after a reset
                grant = waiter.grant
                await grant
                granted_at = loop.time()
                if waiter.start_at > granted_at or self._hints.held_until > granted_at:
                    granted_at = await self._until_start(waiter)
        except BaseException:
            self._used_at = loop.time()
            self._dispatcher.give_back(waiter)
            raise
        finally:
            waiter.end()
            self._lanes.remove(waiter)
        permit = Permit(self, permit_id, route, waiter.bucket, waiter.seq, granted_at=granted_at, waited=waiter.waited)
        self._permits[permit_id] = permit
        self._decisions.granted(granted_at - waiter.since)
        return permit

    async def _until_start(self, waiter: Waiter) -> float:
        """Wait for the start time of a permit that was granted early, and return the loop time then.

        A drain or the call's deadline ends the wait.
        """
        while (pause_s := max(waiter.start_at, self._hints.held_until) - (now := self._loop.time())) > 0:
            left_s = waiter.expires_at - now
            if left_s <= 0:
                raise WaitRefusedError(EXPIRED)
            drained, _ = await asyncio.wait({self._drained}, timeout=min(pause_s, left_s))
            if drained:
                raise DrainingError(STOPPING, retry_after_s=1.0)
        return now

    async def _run(self, items: list[BatchItem]) -> list[list[Any]]:
        began = self._loop.time()
        self._heartbeat.about_to_call(items, began)
        for item in items:
            if item.arguments[0] == "c":  # what a response frees is free from its arrival on
                item.arguments[5]["age_us"] = int((began - item.added_at) * 1e6)
        self._decisions.called()
        try:
            call = await self._store.run(items)
        except BrokerUnavailableError:
            self._reaper.doubt()  # it may have run
            raise
        if self._heartbeat.called(began, was_expired=call.was_expired):
            self._place_anew()
        self._hints.follow(call)
        self._reaper.follow(call)
        return call.replies

    def _announce_wait(self, waiter: Waiter) -> None:
        self._contention.wait_began(waiter.route, self._buckets.bucket_of(waiter.route), self._permits.values())

    def on_hint(self, kind: str, subject: str, number: int, *rest: str) -> None:
        """Follow a hint of another worker."""
        if kind == "W":
            self._contention.on_wait(subject, *rest)
            self._batch.send_now()
        else:
            self._hints.on_hint(kind, subject, number, *rest)

    def _not_held(self, ids: list[str]) -> set[str]:
        """Return the places and permits that no call of this worker holds or is about to end."""
        unknown = {name for name in ids if name not in self._permits and self._lanes.get(name) is None}
        return unknown - self._batch.mentioned() if unknown else unknown

    def _on_unknown_grant(self, permit_id: str) -> None:
        if permit_id not in self._permits:
            self._reaper.doubt()

    # The ends of permits

    def before_send(self, permit: Permit) -> None:
        """Raise BrokerUnavailableError if the permit may have expired, so that Redis has granted it to another call."""
        permit.sent_at = self._loop.time()
        if not self._heartbeat.is_trusted(permit.granted_at, permit.sent_at):
            raise BrokerUnavailableError("This worker had no contact with Redis for too long", retry_after_s=0.1)

    def on_end(self, permit: Permit, answer: Answer | None) -> Verdict:
        """Report the end of a permit in the background."""
        self._permits.pop(permit.id, None)
        now = self._used_at = self._loop.time()
        if answer is None:
            self._dispatcher.give_back(permit, permit.bucket)
            return UNUSED
        outcome = outcome_of(answer, permit.bucket)
        learned = f"{answer.hash}|{permit.route.major}" if answer.hash else permit.bucket
        report = report_of(permit.route, answer, permit.bucket, outcome, max(0, int((now - permit.sent_at) * 1e6)))
        is_news = answer.status == TOO_MANY or learned != permit.bucket or not answer.remaining
        self._dispatcher.add(
            "c",
            permit,
            permit.bucket,
            report,
            learned,
            on_reply=partial(self._learned, permit.route, learned),
            max_delay_s=MAX_DELAY_S if is_news or self._contention.is_awaited(permit) else UNAWAITED_DELAY_S,
            other=learned,
        )
        self._decisions.answered(outcome, answer)
        self._on_answer(answer, permit.app)
        if answer.status != TOO_MANY:
            return ANSWERED if outcome == "answered" else UNKNOWN
        wait_s = retry_after_s(answer)
        if outcome == "global":
            self._hints.hold_for(wait_s)
        return Verdict(outcome, wait_s)

    def _learned(self, route: Route, bucket: str, reply: list[Any]) -> None:
        state, _, _, known = reply
        if state:
            self._buckets.keep(bucket, CachedBucket(route.name, route.lane, state, known, self._loop.time()))
        self._dispatcher.follow_serve(route, reply)

    # Loss of the server's state, loss of the connection, the end

    def _place_anew(self) -> None:
        """Request all places again: this worker counted as dead, so that others may have ended its places."""
        for waiter in self._lanes:
            if waiter.placed:
                waiter.reset()
                self._dispatcher.place(waiter)

    def link_up(self, *, other_server: bool) -> None:
        """Restore the state of another server, then request the places again in their order."""
        if other_server:
            self._dispatcher.restore(self._loop.time())
            for permit in self._permits.values():
                self._dispatcher.add("o", permit, permit.bucket, permit.route.exempt)
        for waiter in self._lanes:
            if other_server:
                waiter.reset()
            self._dispatcher.place(waiter)
        self._batch.poke("g")  # the pause of another server begins now, not with the first call

    def link_down(self) -> None:
        """Fail the calls that wait, unless Redis is available again after `REDIS_GRACE_S`."""
        self._loop.call_later(REDIS_GRACE_S, self._fail_waiting)

    def _fail_waiting(self) -> None:
        if self._link.is_up or self._link.down_for_s() < REDIS_GRACE_S - 0.01:
            return
        for waiter in self._lanes:
            waiter.fail(self._link.unavailable())

    def drain(self) -> None:
        """Fail all calls that wait with `DrainingError`."""
        if not self._drained.done():
            self._drained.set_result(None)
        self._batch.stop_delaying()
        for waiter in self._lanes:
            waiter.fail(DrainingError(STOPPING, retry_after_s=1.0))

    async def close(self) -> None:
        """Report the ends of permits, then stop."""
        self._lanes.close()
        self._hints.close()
        await self._heartbeat.close()
        await self._reaper.close()
        await self._batch.close()
