"""One credential's limits, as one worker sees them: who waits, who holds a permit, what Redis said.

Decides nothing about limits: the script does. This is the worker's side of the conversation: places, timers, signs of
life, and what to tell a server that has lost its memory.
"""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

from discordproxy_ratelimit.batch import Batch, Item
from discordproxy_ratelimit.errors import BrokerUnavailable, Draining, KnownRefusal, TokenRejected, WaitRefused
from discordproxy_ratelimit.headers import TOO_MANY, Answer
from discordproxy_ratelimit.link import Link
from discordproxy_ratelimit.memory import Memories, Memory
from discordproxy_ratelimit.metrics import Decisions
from discordproxy_ratelimit.permit import Caller, Permit, Verdict
from discordproxy_ratelimit.report import UNAUTHORIZED, outcome_of, report_of, retry_after_s
from discordproxy_ratelimit.route import Route
from discordproxy_ratelimit.store import Call, Store
from discordproxy_ratelimit.undertaker import Undertaker
from discordproxy_ratelimit.waiting import Grant, Lanes, Waiter

GRACE_S = 0.7
"""For how long a call waits for a Redis that does not answer."""

STOPPING = "This worker is stopping; another one will serve the call"

PUMP_COMPANY_S = 0.002
"""How long the call for a free global slot waits for reports; twice that for one it was only told of."""

NOT_OURS_S = 0.1


class Account:
    """The limits of one credential.

    Args:
        store: the account's state in Redis.
        link: the connection, to know whether it is up.
        worker: this worker's name; permit ids begin with it.
        lease_s: how long Redis trusts this worker without a sign of life.
        decisions: the metrics.
        most_waiting: calls that may wait in this worker; one more is refused.
        heard: told of every answer, for the circuit.
    """

    def __init__(
        self,
        store: Store,
        link: Link,
        *,
        worker: str,
        lease_s: float,
        decisions: Decisions,
        most_waiting: int,
        heard: Callable[[Answer], None],
    ) -> None:
        self._store, self._link, self._worker, self._lease_s = store, link, worker, lease_s
        self._decisions, self._most_waiting, self._heard = decisions, most_waiting, heard
        self._loop = asyncio.get_running_loop()
        self._batch = Batch(self._run, link.until_up)
        self._numbers = itertools.count(1)
        self._hashes: dict[str, str] = {}
        self._memories = Memories()
        self._permits: dict[str, Permit] = {}
        self._lanes = Lanes(self._ask)
        self._drained: asyncio.Future[None] = self._loop.create_future()
        self._trusted_until = 0.0
        self._held_until = 0.0
        self._last_call = 0.0
        self._pump: asyncio.TimerHandle | None = None
        self._pulse: asyncio.Task[None] | None = None
        self._undertaker = Undertaker(store, self._batch)

    @property
    def waiting(self) -> int:
        """Calls of this worker that wait for a permit."""
        return len(self._lanes)

    async def acquire(
        self,
        route: Route,
        *,
        deadline: float,
        caller: Caller,
        max_wait_s: float | None = None,
        refusal: str = "",
        returned: Permit | None = None,
    ) -> Permit:
        """Wait for a permit.

        Args:
            route: what is to be sent.
            deadline: loop time after which the caller does not want it any more.
            caller: for fairness.
            max_wait_s: the longest wait for a limit the caller accepts; None = until the deadline.
            refusal: name of a remembered refusal to respect.
            returned: the permit whose request was answered 429; the repeat goes to the head.

        Raises:
            BrokerError: nothing was granted. Cancelling gives the place back.
        """
        if len(self._lanes) >= self._most_waiting:
            raise WaitRefused("Too many calls are waiting already", reason="QUEUE_FULL", retry_after_s=1.0)
        until = deadline if max_wait_s is None else min(deadline, self._loop.time() + max_wait_s)
        waiter = Waiter(f"{self._worker}:{next(self._numbers)}", route, caller, deadline, until)
        if returned is not None:
            waiter.seq, waiter.returned = returned.seq, True
        self._lanes.add(waiter)
        self._keep_pulse()
        began = self._loop.time()
        try:
            grant = await self._granted(waiter, refusal)
        except BaseException:
            self._give_back(waiter)
            raise
        finally:
            self._lanes.remove(waiter)
        permit = Permit(self, waiter.id, route, grant.bucket, waiter.seq)
        permit.granted_at = self._loop.time()
        self._permits[waiter.id] = permit
        self._decisions.granted(permit.granted_at - began)
        return permit

    async def _granted(self, waiter: Waiter, refusal: str) -> Grant:
        try:
            async with asyncio.timeout_at(waiter.deadline) as bound:
                while True:
                    if not waiter.placed and not waiter.grant.done():
                        await self._place(waiter, refusal)
                        if not waiter.grant.done():  # what is bounded is the wait for a limit, not the way to Redis
                            bound.reschedule(max(waiter.until, self._loop.time()))
                    grant = await asyncio.shield(waiter.grant)
                    await self._until_start(grant)
                    if waiter.grant.done() and waiter.grant.result() is grant:
                        return grant
        except TimeoutError:
            raise WaitRefused("The deadline came while waiting for a rate limit") from None
        finally:
            if not waiter.grant.cancel() and not waiter.grant.cancelled():
                waiter.grant.exception()  # looked at, whoever raised first

    async def _until_start(self, grant: Grant) -> None:
        """Wait for the instant a permit was granted ahead for; a drain ends the wait."""
        while (pause_s := max(grant.start_at, self._held_until) - self._loop.time()) > 0:
            drained, _ = await asyncio.wait({self._drained}, timeout=pause_s)
            if drained:
                raise Draining(STOPPING, retry_after_s=1.0)

    async def _place(self, waiter: Waiter, refusal: str) -> None:
        """Ask for a permit until Redis has given one, a place, or a refusal."""
        for _ in range(5):
            await self._until_up()
            item = self._add("a", waiter, self._options(waiter, refusal), hurry=True)
            try:
                reply = await item.reply
            except BrokerUnavailable:
                waiter.placed = False  # whether it ran is unknown; the same id is never charged twice
                continue
            if reply[0] == "moved":
                self._hashes[waiter.route.name] = reply[1]
                continue
            waiter.placed = True
            self._raise_refusal(reply)
            waiter.seq = int(reply[2])
            if reply[0] == "wait":
                self._decisions.waited()
                self._lanes.ask_in(waiter.route.lane, int(reply[1]) / 1e6)
            return
        raise BrokerUnavailable("Redis answers, but not for long enough to give a place", retry_after_s=1.0)

    def _options(self, waiter: Waiter, refusal: str) -> dict[str, Any]:
        route, caller = waiter.route, waiter.caller
        options: dict[str, Any] = {
            "left_us": max(0, int((waiter.until - self._loop.time()) * 1e6)),
            "app": caller.app,
            "weight": caller.weight,
            "priority": caller.priority,
            "hash": self._hashes.get(route.name, ""),
        }
        flags = {"ordered": route.ordered, "exempt": route.exempt, "returned": waiter.returned}
        flags |= {"token": route.credential != "ip", "restored": bool(waiter.seq) and not waiter.returned}
        options |= {name: True for name, value in flags.items() if value}
        if waiter.seq:
            options["seq"] = waiter.seq
        if refusal:
            options["refusal"] = refusal
        return options

    def _raise_refusal(self, reply: list[Any]) -> None:
        if reply[0] == "refused":
            self._decisions.refused("deadline")
            raise WaitRefused("The wait for a rate limit would outlast the deadline", retry_after_s=int(reply[1]) / 1e6)
        if reply[0] == "known":
            status, code, again_s = int(reply[1]), int(reply[2]), int(reply[3]) / 1e6
            self._decisions.refused("known")
            if status == UNAUTHORIZED:
                raise TokenRejected("Discord refuses this token", retry_after_s=again_s)
            text = f"Discord answered {status} to this a moment ago"
            raise KnownRefusal(text, status=status, code=code, retry_after_s=again_s)

    async def _until_up(self) -> None:
        if self._link.is_up:
            return
        try:
            async with asyncio.timeout(max(0.0, GRACE_S - self._link.down_for_s())):
                await self._link.until_up()
        except TimeoutError:
            self._decisions.refused("unavailable")
            raise BrokerUnavailable("Redis does not answer", retry_after_s=1.0) from None

    def _bucket_name(self, route: Route, known: str) -> str:
        return f"{known}|{route.major}" if known not in {"", "-"} else f"?{route.name}|{route.major}"

    def _add(
        self, kind: str, who: Waiter | Permit, *rest: Any, hurry: bool, learned: str = "", bucket: str = ""
    ) -> Item:
        bucket = bucket or self._bucket_name(who.route, self._hashes.get(who.route.name, ""))
        arguments = [kind, who.id, who.route.name, who.route.lane, bucket, *rest]
        keys = self._store.keys(who.route.lane, bucket, learned)
        return self._batch.add(arguments, keys, hurry=hurry, lasting=kind in {"c", "x", "d"})

    def _ask(self, waiter: Waiter) -> None:
        """The time of a lane has come: let the script hand out what there is."""
        if not self._link.is_up:
            return
        known = self._hashes.get(waiter.route.name, "")
        item = self._add("s", waiter, known, hurry=True)
        item.reply.add_done_callback(lambda reply: self._served(waiter.route, reply))

    def _served(self, route: Route, reply: "asyncio.Future[list[Any]]") -> None:
        """Follow what the script said after serving a lane: its next instant, another lane, another bucket."""
        if reply.cancelled() or reply.exception():
            return
        _, after_us, other, known = reply.result()
        first = self._lanes.first(route.lane)
        if known != self._hashes.get(route.name, ""):
            self._hashes[route.name] = known
            if first:
                self._ask(first)
            return
        if other:
            self._serve_other(other, known)
        if first:
            self._lanes.clear_timer(route.lane)
            self._lanes.ask_in(route.lane, int(after_us) / 1e6 if int(after_us) >= 0 else self._lease_s)

    def _serve_other(self, lane: str, known: str) -> None:
        """Another lane of the same bucket came first."""
        name, _, major = lane.partition("|")
        bucket = f"{known}|{major}"
        item = self._batch.add(["s", "", name, lane, bucket, known], self._store.keys(lane, bucket), hurry=True)
        route = Route(name, major)
        item.reply.add_done_callback(lambda reply: self._served(route, reply))

    def _give_back(self, waiter: Waiter, bucket: str = "") -> None:
        item = self._add("x", waiter, hurry=False, bucket=bucket)
        item.reply.add_done_callback(lambda reply: self._given_back(waiter, reply))

    def _given_back(self, waiter: Waiter, reply: "asyncio.Future[list[Any]]") -> None:
        if reply.cancelled() or reply.exception():
            return
        if len(reply.result()) > 4:  # noqa: PLR2004 - granted meanwhile, in a bucket this worker did not think of
            self._give_back(waiter, reply.result()[4])
        else:
            self._served(waiter.route, reply)

    # What the script tells this worker

    async def _run(self, items: list[Item]) -> list[list[Any]]:
        began = self._loop.time()
        if self._lanes or self._permits:
            _stay(items)
        _tell_age(items, began)
        call = await self._store.run(items)
        self._last_call = began
        if began > self._trusted_until:
            self._place_anew()
        self._trusted_until = began + self._lease_s * 0.9
        self._heed(call)
        return call.replies

    def _heed(self, call: Call) -> None:
        for permit_id, delay_us, bucket in call.grants:
            self.told_grant(permit_id, delay_us, bucket)
        if self._pump:
            self._pump.cancel()
            self._pump = None
        if call.pump_after_us is not None and (call.pump_is_ours or self._lanes):
            self._pump_in(call.pump_after_us / 1e6 + (PUMP_COMPANY_S if call.pump_is_ours else NOT_OURS_S))
        if call.dead:
            self._undertaker.call(call.dead)

    def told(self, kind: str, subject: str, number: int, bucket: str) -> None:
        """Heed a hint of another worker's call; see `lua/grant.lua` for what it means."""
        match kind:
            case "G":
                self.told_grant(subject, number, bucket)
            case "S":
                self.told_instant(subject, number)
            case "P":
                self.told_slot(number)
            case "B":
                self.told_global_limit(number)

    def _pump_in(self, seconds: float) -> None:
        self._pump = self._loop.call_later(seconds, self._batch.poke)

    def told_grant(self, permit_id: str, delay_us: int, bucket: str) -> None:
        """A permit was granted, by this worker's call or by somebody else's."""
        waiter = self._lanes.get(permit_id)
        if waiter and not waiter.grant.done():
            waiter.placed = True
            waiter.grant.set_result(Grant(bucket, self._loop.time() + delay_us / 1e6))

    def told_instant(self, lane: str, after_us: int) -> None:
        """The head of a lane is this worker's and can leave at a known instant."""
        self._lanes.ask_in(lane, after_us / 1e6)

    def told_slot(self, after_us: int) -> None:
        """The first in the line for the global limit is this worker's; a slot is free at a known instant."""
        at = self._loop.time() + after_us / 1e6 + 2 * PUMP_COMPANY_S
        if self._pump is None or self._pump.when() > at:
            if self._pump:
                self._pump.cancel()
            self._pump_in(at - self._loop.time())

    def told_global_limit(self, retry_after_us: int) -> None:
        """Somebody got a global 429: nothing leaves before that."""
        self._held_until = max(self._held_until, self._loop.time() + retry_after_us / 1e6)

    # The ends of permits

    def leaving(self, permit: Permit) -> None:
        """Refuse to send with a permit that Redis may have given to somebody else."""
        permit.sent_at = self._loop.time()
        if permit.sent_at > self._trusted_until:
            raise BrokerUnavailable("This worker was out of touch with Redis for too long", retry_after_s=0.1)

    def ended(self, permit: Permit, answer: Answer | None) -> Verdict:
        """Report the end of a permit in the background."""
        self._permits.pop(permit.id, None)
        if answer is None:
            item = self._add("x", permit, hurry=False, bucket=permit.bucket)
            item.reply.add_done_callback(lambda reply: self._served(permit.route, reply))
            return Verdict("unused")
        outcome, wait_s, now = outcome_of(answer, permit.bucket), retry_after_s(answer), self._loop.time()
        learned = f"{answer.hash}|{permit.route.major}" if answer.hash else permit.bucket
        report = report_of(permit.route, answer, outcome, max(0, int((now - permit.sent_at) * 1e6)))
        item = self._add("c", permit, report, learned, hurry=False, learned=learned, bucket=permit.bucket)
        item.reply.add_done_callback(lambda reply: self._learned(permit, learned, reply))
        if outcome == "global":
            self.told_global_limit(int(wait_s * 1e6))
        self._decisions.answered(outcome, answer)
        self._heard(answer)
        return Verdict(outcome, wait_s if answer.status == TOO_MANY else None)

    def _learned(self, permit: Permit, bucket: str, reply: "asyncio.Future[list[Any]]") -> None:
        if reply.cancelled() or reply.exception():
            return
        state, _, _, known = reply.result()
        if state:
            self._memories.keep(bucket, Memory(permit.route.name, permit.route.lane, state, known, self._loop.time()))
        self._served(permit.route, reply)

    # Signs of life, the dead, a server without memory

    def _keep_pulse(self) -> None:
        if self._pulse is None or self._pulse.done():
            self._pulse = asyncio.create_task(self._beat(), name="broker-pulse")

    async def _beat(self) -> None:
        """Show a sign of life while anything is held."""
        while self._lanes or self._permits:
            if self._link.is_up and self._loop.time() - self._last_call >= self._lease_s * 0.55:
                self._batch.poke()
            await asyncio.sleep(self._lease_s * 0.15)
        self._batch.poke("g")

    def _place_anew(self) -> None:
        """Take every place again: this worker was silent for so long that others may have given them back."""
        for waiter in self._lanes:
            if waiter.placed:
                self._start_replacing(waiter)

    def link_up(self, *, other_server: bool) -> None:
        """Redis answers again: tell it what it may have forgotten, then take the places anew, in order."""
        if other_server:
            self._retell()
        for waiter in self._lanes:
            if other_server:
                waiter.again()
            self._start_replacing(waiter)

    def _start_replacing(self, waiter: Waiter) -> None:
        if not waiter.grant.done():
            waiter.placed = False
            asyncio.create_task(self._replace(waiter), name="broker-replace")  # noqa: RUF006 - ends with its waiter

    def link_down(self) -> None:
        """Redis does not answer: whoever waits is told so after a moment of grace."""
        self._loop.call_later(GRACE_S, self._fail_waiting)

    def drain(self) -> None:
        """This worker stops: whoever waits is told to ask another one."""
        if not self._drained.done():
            self._drained.set_result(None)
        for waiter in self._lanes:
            if not waiter.grant.done():
                waiter.grant.set_exception(Draining(STOPPING, retry_after_s=1.0))

    def _fail_waiting(self) -> None:
        if self._link.is_up or self._link.down_for_s() < GRACE_S - 0.01:
            return
        for waiter in self._lanes:
            if not waiter.grant.done():
                self._decisions.refused("unavailable")
                waiter.grant.set_exception(BrokerUnavailable("Redis does not answer", retry_after_s=1.0))

    async def _replace(self, waiter: Waiter) -> None:
        if waiter.placed or waiter.grant.done() or self._lanes.get(waiter.id) is None:
            return
        try:
            await self._place(waiter, "")
        except Exception as error:  # noqa: BLE001 - it belongs to the waiting caller
            if not waiter.grant.done():
                waiter.grant.set_exception(error)

    def _retell(self) -> None:
        self._hashes.clear()
        now = self._loop.time()
        for bucket, memory in self._memories:
            arguments = [
                "r",
                "",
                memory.route,
                memory.lane,
                bucket,
                memory.state,
                int((now - memory.at) * 1e6),
                memory.hash,
            ]
            self._batch.add(arguments, self._store.keys(memory.lane, bucket), hurry=False, lasting=True)
            self._hashes[memory.route] = memory.hash
        for permit in self._permits.values():
            self._add("o", permit, permit.route.exempt, hurry=False, bucket=permit.bucket)

    async def close(self) -> None:
        """Report what has ended, then stop."""
        self._lanes.close()
        if self._pump:
            self._pump.cancel()
        if self._pulse:
            self._pulse.cancel()
            await asyncio.gather(self._pulse, return_exceptions=True)
        await self._undertaker.close()
        await self._batch.close()


def _stay(items: list[Item]) -> None:
    """Turn a goodbye into a sign of life: somebody has come since it was queued."""
    for item in items:
        if item.arguments[0] == "g":
            item.arguments[0] = "n"


def _tell_age(items: list[Item], now: float) -> None:
    """An answer is as old as its report has waited: what it frees is free from its arrival on."""
    for item in items:
        if item.arguments[0] == "c":
            item.arguments[5]["age_us"] = int((now - item.at) * 1e6)
