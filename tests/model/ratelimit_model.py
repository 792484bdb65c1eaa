"""A model of the broker's algorithm: small, slow, lists and loops. The Lua must reply exactly the same, step by step.

The model has no indexes and no counters: it scans lists for calls in flight, waiting calls and taken slots. Times are
us; a call's items have the form that the script's headers describe.
"""

import math
from typing import Any

from model.ratelimit_bucket import MINUTE, SECOND, Bucket
from model.ratelimit_line import HEAD_START, GlobalLimit, GlobalLine, Outcome, Queue, Record, Slot
from model.ratelimit_second import Second, Sent

SAFETY_US, PROBE_US = 5 * SECOND, 10 * SECOND
FORBIDDEN_US, WEBHOOK_GONE_US = MINUTE, 86_400 * SECOND
SCHEDULED = 8
FEW, LOOKED_AT = 5, 8
RENEWED = 1.125  # leases that a renewal lasts, so that not each call renews
ORDER = "nrocdxsag"


class Model:
    """The state of one account; `call` is the only way to change it."""

    def __init__(self, global_limit: int, lease_us: int) -> None:
        self.lease_us = lease_us
        self.now = self.clock = self.seq = self.recover = 0
        self.server = self.told = ""
        self.routes: dict[str, str] = {}
        self.moves: dict[
            str, tuple[int, int, str, str]
        ] = {}  # since when, returns, the former hash, the lane it came by
        self.blocks: dict[str, tuple[int, int, int]] = {}
        self.line, self.lanes = GlobalLine(), dict[str, Queue]()
        self.records: list[Record] = []
        self.buckets: dict[str, Bucket] = {}
        self.seconds: dict[str, Second] = {}
        self.globally = GlobalLimit(global_limit)
        self.workers: dict[str, int] = {}
        self.reaped, self.reaped_until = "", 0

    def call(self, now: int, worker: str, server: str, items: list[list[Any]], *, lost: bool, kept: bool) -> Outcome:
        self.me, self.grants, self.hints, self.stirred = worker, [], [], False
        self._open(now, server, lost=lost, kept=kept)
        replies: list[Any] = [None] * len(items)
        for kind in ORDER:
            for i, item in enumerate(items):
                if item[0] == kind:
                    replies[i] = getattr(self, f"_{kind}")(*item[1:])
        pump, own = self._pump()
        self._close()
        dead, next_dead = self._dead_worker()
        return Outcome(replies, self.grants, pump, own, dead, self.hints, self.was_expired, next_dead)

    def _dead_worker(self) -> tuple[str, float]:
        """A worker whose lease has ended, which no other worker gets within a second; us until there may be another."""
        end, name = min(((end, name) for name, end in self.workers.items()), default=(math.inf, ""))
        if end > self.now:
            return "", end - self.now
        if name == self.reaped and self.now < self.reaped_until:
            return "", self.reaped_until - self.now
        self.reaped, self.reaped_until = name, self.now + SECOND
        return name, 0

    def _open(self, now: int, server: str, *, lost: bool, kept: bool) -> None:
        other_server = bool(self.server) and self.server != server and not kept
        if self.clock - now > 10 * SECOND or other_server or (lost and self.told != server):
            self.records, self.globally.slots, self.workers, self.buckets, self.lanes = [], [], {}, {}, {}
            self.recover, self.clock, self.told = now + SECOND, 0, server
            self.reaped_until = 0
            self.globally.forget_instants()
            self.line.past, self.line.marked = self.line.v, 0
            for second in self.seconds.values():
                second.forget()
        self.now = self.clock = max(now, self.clock)
        self.server = server
        self.was_expired = not self.is_alive(self.me)
        if self.workers.get(self.me, 0) < self.now + self.lease_us:
            self.workers[self.me] = self.now + math.floor(self.lease_us * RENEWED)
        self.globally.tidy(self.now)

    def _close(self) -> None:
        for bucket in self.buckets.values():
            bucket.rounded()
        self.seconds = {lane: second for lane, second in self.seconds.items() if second.close(self.now)}
        in_use = {record.lane for record in self.records}
        self.lanes = {name: queue for name, queue in self.lanes.items() if name in in_use}

    # Who is where

    def lane(self, name: str) -> Queue:
        return self.lanes.setdefault(name, Queue())

    def bucket(self, name: str) -> Bucket:
        return self.buckets.setdefault(name, Bucket())

    def record(self, record_id: str) -> Record | None:
        return next((record for record in self.records if record.id == record_id), None)

    def waiting(self, lane: str) -> list[Record]:
        return sorted((r for r in self.records if r.lane == lane and r.state == "waiting"), key=lambda r: r.turn)

    def waiting_for_a_slot(self) -> list[Record]:
        return sorted((r for r in self.records if r.state == "global"), key=lambda r: r.turn)

    def backlog(self) -> int:
        return sum(record.state in ("waiting", "global") for record in self.records)

    def in_flight(self, *, lane: str | None = None, bucket: str | None = None) -> int:
        charged = [record for record in self.records if record.state != "waiting"]
        return sum(record.lane == lane or record.bucket == bucket for record in charged)

    def is_alive(self, worker: str) -> bool:
        return self.workers.get(worker, 0) > self.now

    def is_headerless(self, lane: str) -> bool:
        return self.hash_of(lane) == "-"

    def hash_name(self, lane: str) -> str:
        """The name under which a lane's hash is stored: its route's, or its own if each lane has its own hash."""
        route = lane.rpartition("|")[0]
        return lane if self.routes.get(route) == "*" else route

    def hash_of(self, lane: str) -> str:
        return self.routes.get(self.hash_name(lane), "")

    def known_of(self, lane: str) -> str:
        return ("*" if self.hash_name(lane) == lane else "") + self.hash_of(lane)

    def _next_seq(self) -> int:
        self.seq = max(self.now, self.seq + 1)
        return self.seq

    # From the head of a lane to a permit

    def _deliver(self, record: Record, start: float | None) -> None:
        record.state, record.start = "granted", start
        self._grant(record)

    def _grant(self, record: Record) -> None:
        if record.worker == self.me:
            self._tell_again(record)
        else:
            delay, known = self._delay(record), [] if record.start is not None else [self.known_of(record.lane)]
            self.hints.append((record.worker, ["G", record.id, delay, record.bucket, *known]))

    def _tell_again(self, record: Record) -> None:
        known = "" if record.start is not None else self.known_of(record.lane)
        self.grants.append((record.id, int(self._delay(record)), record.bucket, known))

    def _delay(self, record: Record) -> int | str:
        """0 for an outdated permit, which has no start; numbers that may be large are texts."""
        return 0 if record.start is None else str(max(0, round(record.start - self.now)))

    def _is_outdated(self, record: Record) -> bool:
        """The call waits for a slot with the admission of a bucket that is no longer its route's."""
        return self.hash_of(record.lane) not in ("", "-", record.bucket.rpartition("|")[0])

    def _take_slot(self, record: Record) -> tuple[bool, float | None]:
        blocked = max(self.globally.blocked, self.recover)
        if self.now < blocked:
            return False, blocked
        return self.globally.take(self.now, record, self.backlog(), crowd=bool(self.waiting_for_a_slot()))

    def _to_global(self, record: Record, start: float) -> None:
        """The bucket agreed; now the global limit has to."""
        record.state, lane = "on its way", self.lane(record.lane)
        if lane.early == record.id:
            lane.early = ""
        if record.exempt:
            self._deliver(record, start)
            return
        if not self.waiting_for_a_slot():
            taken, at = self._take_slot(record)
            if taken:
                self._deliver(record, max(start, at))
                return
        if not self.waiting_for_a_slot():
            self.globally.crowd = self.now
        record.state = "global"
        record.score = self.line.turn(record) if record.early_turn is None else record.early_turn
        owner = self._early(lane)
        if owner and owner.early_turn < record.score:
            record.score, record.priority = owner.early_turn, owner.priority
        if not lane.line or self.in_flight(lane=record.lane) == 1:
            lane.line = record.id
        self.stirred = True

    def _early(self, lane: Queue) -> Record | None:
        """The waiting call of a lane whose turn at the global limit the calls ahead of it take over."""
        owner = self.record(lane.early)
        return owner if owner and owner.state == "waiting" else None

    def _ahead(self, lane: str) -> Record | None:
        """The call of a lane that waits for a slot only."""
        record = self.record(self.lane(lane).line)
        return record if record and record.state == "global" else None

    def _is_behind_other_app(self, record: Record) -> bool:
        ahead, owner = self._ahead(record.lane), self._early(self.lane(record.lane))
        if ahead is None or record.early_turn is not None or record.exempt or record.returned or record.restored:
            return False
        turn = self.line.next_turn(record)
        return ahead.app != record.app and turn < ahead.score and (owner is None or turn < owner.early_turn)

    def _hasten_line(self, head: Record) -> None:
        """A call behind another app's call has its turn from now on: the head, or one of the first of another app."""
        record, ahead, lane = head, self._ahead(head.lane), self.lane(head.lane)
        if ahead and head.early_turn is None and head.app == ahead.app and lane.has_apps_beside(head.app):
            others = (
                each
                for each in self.waiting(head.lane)[1 : LOOKED_AT + 1]
                if each.early_turn is not None or each.app != ahead.app
            )
            record = next(others, head)
        if self._is_behind_other_app(record):
            record.early_turn = self.line.turn(record)
        self._hasten(record)

    def _hasten(self, record: Record) -> None:
        """The call of the lane that waits for a slot takes over the turn of this waiting call, if it has one."""
        lane, turn = self.lane(record.lane), record.early_turn
        owner = self._early(lane)
        if turn is None or (owner and owner is not record and owner.early_turn <= turn):
            return
        lane.early = record.id
        ahead = self.record(lane.line)
        if ahead and ahead.state == "global" and ahead.score > turn:
            ahead.score, ahead.priority, self.stirred = turn, record.priority, True

    def _pump(self) -> tuple[int | None, bool]:
        """Hand out the global slots there are. Returns us until the next one, and whether it is for the caller."""
        for record in self.waiting_for_a_slot():
            if self._is_outdated(record):
                self.stirred = True
                self._deliver(record, None)
                continue
            taken, at = self._take_slot(record)
            if not taken:
                after = round(SECOND / 10 if at is None else max(0, at - self.now))
                if self.stirred and record.worker != self.me:  # it has to ask for a slot, and may not know it
                    self.hints.append((record.worker, ["P", "", str(after)]))
                return after, record.worker == self.me
            self.stirred = True
            self.line.passed(record, self.now)
            self._deliver(record, at)
        return None, False

    def _earlier_lane(self, bucket: str, lane: str, *, behind: bool = False) -> str:
        """Of the lanes that wait for one bucket and are not held back, the one whose head came first.

        Returns '' when it is this lane's turn; `behind`: it never is.
        """
        if self.is_headerless(lane):
            return ""
        heads, hash_ = self.bucket(bucket).heads, bucket.rpartition("|")[0]
        for other in [other for other in heads if other != lane]:
            if self.hash_of(other) != hash_:
                del heads[other]  # its route has moved to another bucket
        free = [
            each for each in heads if (each == lane and not behind) or (each != lane and not self._is_held_back(each))
        ]
        first = min(free, key=lambda other: heads[other], default=lane)
        return "" if first == lane else first

    def _is_held_back(self, lane: str) -> bool:
        second = self.seconds.get(lane)
        return self.blocks.get(lane, (0, 0, 0))[0] > self.now or bool(second and second.is_closed(self.now))

    def _held_back(self, lane: str) -> int:
        return max(self.blocks.get(lane, (0, 0, 0))[0], self.recover)

    def _start_instant(self, record: Record, bucket: str) -> tuple[float | None, float | None]:
        """Now or None; if None, the instant it can be, None if only an answer can tell."""
        held_back = self._held_back(record.lane)
        if held_back > self.now:
            return None, held_back
        if record.ordered and self.in_flight(lane=record.lane):
            return None, None
        second = self.seconds.get(record.lane)
        open_, later = second.instant(self.now) if second else (True, None)
        if not open_ and later is None:
            return None, None
        now = self.now if open_ else None
        if self.is_headerless(record.lane):
            return now, later
        infl = max(self.in_flight(bucket=bucket), self.in_flight(lane=record.lane))
        free, at = self.bucket(bucket).available(self.now, infl)
        if free:
            return now, later
        return None, None if at is None else max(at, later or 0)

    def _charge(self, record: Record, bucket: str) -> None:
        self.bucket(bucket).charged(self.now)
        if second := self.seconds.get(record.lane):
            second.sent(self.now, record.id)

    def _may_be_scheduled(self, record: Record, later: float | None, ahead: int) -> bool:
        """A permit may be granted ahead of its instant while nothing else binds."""
        if not later or later > record.deadline or self._held_back(record.lane) > self.now or ahead >= SCHEDULED:
            return False
        quiet = self.now >= self.globally.blocked and not self.waiting_for_a_slot()
        return (
            quiet and record.lane not in self.seconds and len(self.globally.slots) < self.globally.limit(self.now) / 2
        )

    def _serve(self, lane: str, bucket: str) -> tuple[int, str]:
        """Grant all that can leave. Returns us until the head can (-1: an answer first) and whom to serve first."""
        heads, ahead = self.bucket(bucket).heads, 0
        while True:
            heads.pop(lane, None)
            queue = self.waiting(lane)
            if not queue:
                return -1, self._earlier_lane(bucket, lane)
            record = queue[0]
            heads[lane] = record.seq
            if record.deadline < self.now or not self.is_alive(record.worker):
                self.records.remove(record)
                continue
            if other := self._earlier_lane(bucket, lane):
                return -1, other
            at, later = self._start_instant(record, bucket)
            if at is None and self._may_be_scheduled(record, later, ahead):
                at, ahead = later, ahead + 1
            if at is None:
                self._hasten_line(record)
                held_back = self._is_held_back(lane)
                return self._come_back(record, later), self._earlier_lane(
                    bucket, lane, behind=True
                ) if held_back else ""
            self.lane(lane).passed(record, self.now)
            self._charge(record, bucket)
            record.bucket = bucket
            self._to_global(record, at)

    def _come_back(self, record: Record, later: float | None) -> int:
        if later is None:
            return -1
        if record.worker != self.me:
            self.hints.append((record.worker, ["S", record.lane, str(round(later - self.now))]))
        return round(later - self.now)

    # Acquire

    def _a(self, record_id: str, route: str, lane: str, bucket: str, o: dict[str, Any]) -> list[Any]:
        before, seq = self.record(record_id), o.get("seq")
        outdated = before and before.state == "granted" and before.start is None and before.bucket == o.get("again")
        if before and not outdated:
            return self._repeated(before)
        if self.hash_of(lane) != o["hash"]:
            return ["moved", self.known_of(lane)]
        if refusal := self._known_refusal(o):
            return refusal
        if before:
            self._settle(record_id, None)
            seq, o = before.seq, o | {"returned": True, "turn": before.score}
        self._inherit(bucket, o.get("former", ""))
        at = self._soonest(lane, bucket, o)
        if at > self.now + o["left_us"]:
            return ["refused", round(at - self.now)]
        self.globally.arrived = self.now
        single = self._has_few(o, 0)
        if single:
            self.globally.saw_single(self.now, o["app"])
        flags = {name: o.get(name, False) for name in ("ordered", "exempt", "returned", "restored")}
        record = Record(record_id, self.me, route, lane, bucket, seq or self._next_seq(), **flags)
        record.app, record.weight, record.priority = o["app"], o["weight"], o["priority"]
        record.deadline, record.early_turn = self.now + o["left_us"], o.get("turn")
        few = self._has_few(o, math.inf if o["priority"] == "high" else FEW)
        return self._placed(record, alone=not self.waiting(lane), single=single, few=few)

    def _placed(self, record: Record, *, alone: bool, single: bool, few: bool) -> list[Any]:
        lane, bucket, after = record.lane, record.bucket, -1
        at_once = alone and self._start_instant(record, bucket)[0] and not self._earlier_lane(bucket, lane)
        self.records.append(record)
        if at_once:
            self._charge(record, bucket)
            self._to_global(record, self.now)
        else:
            few = few or self._is_behind_other_app(record)
            record.early_turn = self.line.turn(record) if few else record.early_turn
            self.lane(lane).place(record, single=single)
            after, _ = self._serve(lane, bucket)
        if record.state != "waiting":
            return [record.state, 0, record.seq]
        self._hasten(record)
        return ["wait", self._wait_us(record, bucket, after), record.seq]

    def _has_few(self, o: dict[str, Any], calls: float) -> bool:
        """Whether others wait for a slot, and at most so many calls of this app."""
        if any(o.get(name) for name in ("exempt", "returned", "restored")) or not self.waiting_for_a_slot():
            return False
        return self.line.finish.get(o["app"], 0) <= self.line.v + calls / o["weight"]

    def _repeated(self, record: Record) -> list[Any]:
        """The reply to the first attempt was lost."""
        if record.state != "granted":
            return ["wait", -SAFETY_US, record.seq]
        self._tell_again(record)
        return ["granted", 0, record.seq]

    def _known_refusal(self, o: dict[str, Any]) -> list[Any] | None:
        for name in [name for name in ("token" if o.get("token") else "", o.get("refusal", "")) if name]:
            till, status, code = self.blocks.get(name, (0, 0, 0))
            if till > self.now:
                return ["known", status, code, till - self.now]
            if self.blocks.pop(name, None) and name == "token":
                self.blocks[name] = (self.now + PROBE_US, 401, 0)  # this call finds out, the others wait for it
        return None

    def _soonest(self, lane: str, bucket: str, o: dict[str, Any]) -> float:
        """A lower bound of the instant a newcomer can leave."""
        at, lead = self._held_back(lane), HEAD_START[o["priority"]]
        if not self.is_headerless(lane):
            score = self.lane(lane).start_of(o["app"]) - lead
            at = max(at, self._eta(bucket, sum(r.score < score for r in self.waiting(lane)) + 1))
        if o.get("exempt"):
            return at
        score = self.line.start_of(o["app"]) - lead
        rounds = sum(r.score < score for r in self.waiting_for_a_slot()) // self.globally.limit(self.now)
        return max(at, self.globally.blocked, self.now + rounds * SECOND)

    def _eta(self, bucket: str, k: int) -> float:
        return self.bucket(bucket).eta(self.now, self.in_flight(bucket=bucket), k)

    def _wait_us(self, record: Record, bucket: str, after: int) -> int:
        """When the worker should ask again: the head at its instant; below 0: the others, in case a hint is lost."""
        ahead = self.waiting(record.lane).index(record)
        if ahead == 0 and after >= 0:
            return after
        instant = max(self._eta(bucket, ahead + 1), self._held_back(record.lane))
        return -round(instant - self.now + SAFETY_US)

    # The ends of permits

    def _settle(self, record_id: str, answer: dict[str, Any] | None) -> Sent | None:
        """The record goes and its slot gets free; `answer` None: nothing was sent. Returns what its lane had logged."""
        record = self.record(record_id)
        if record is None:
            return None
        self.records.remove(record)
        if self.lane(record.lane).line == record_id and record.state != "waiting":
            self.lane(record.lane).line = ""
        self.globally.free(self.now, record_id, answer and answer["age_us"])
        second = self.seconds.get(record.lane) if record.state != "waiting" else None
        return second and second.ended(self.now, record_id, answer)

    def _served(self, lane: str, bucket: str, *, with_state: bool = False) -> list[Any]:
        """Serve the lane if this is still the bucket of its route; else the worker has to ask with the right one."""
        hash_, known = self.hash_of(lane), self.known_of(lane)
        if hash_ not in ("", "-") and not bucket.startswith(f"{hash_}|"):
            return ["", 0, "", known]
        after, other = self._serve(lane, bucket)
        return [self.bucket(bucket).told(self.now) if with_state else "", after, other, known]

    def _c(self, record_id: str, route: str, lane: str, bucket: str, a: dict[str, Any], learned: str) -> list[Any]:
        if a["rtt_us"] > 0 and a.get("hash") and a["rid"] > 0:
            self.globally.saw_ways(self.now, a)
        entry = self._settle(record_id, a)
        self._learn(lane, bucket, a, learned)
        hash_ = self.hash_of(lane)
        target = learned if hash_ == a.get("hash", "") else bucket
        self.bucket(target).heard(a["outcome"])
        if a["outcome"] == "exhausted":
            a = self._exhausted(self.bucket(target), a)
        if a["outcome"] == "paused":
            pause = self.seconds.setdefault(lane, Second()).refused(self.now, a, entry)
            till = max(self.blocks.get(lane, (0, 0, 0))[0], self.now + pause)
            self.blocks[lane] = (till, 429, 0)
        elif a["outcome"] == "global":
            self.globally.block(self.now, a["retry_us"])
            self.hints.append(("all", ["B", "", str(a["retry_us"])]))
        self._remember_refusal(a)
        return self._served(lane, target, with_state=True)

    def _learn(self, lane: str, bucket: str, a: dict[str, Any], learned: str) -> None:
        b = self.bucket(bucket)
        if a.get("hash"):
            another = self.bucket(learned) if learned != bucket else None
            if self._learned_hash(lane, a, had=another is not None and another.limit is not None) == a["hash"]:
                if another and another.limit is None and b.limit == a["limit"]:
                    another.leaky, another.full = b.leaky, b.full
                    another.proven, another.cautious = b.proven, b.cautious
                self.bucket(learned).learn(self.now, a, self.globally.sure_latency())
            elif b.limit is None:
                b.learn(self.now, a, self.globally.sure_latency())
            else:  # two limiters in turn: the worse of both
                b.roll(self.now)
                b.remaining = min(b.remaining, a["remaining"])
                b.reset = max(b.reset, self.now - a["age_us"] + a["after_us"])
        elif a.get("headerless") and not self.hash_of(lane):
            self.routes[self.hash_name(lane)] = "-"
        elif a["outcome"] != "global":
            b.count_unseen(self.now)

    def _exhausted(self, b: Bucket, a: dict[str, Any]) -> dict[str, Any]:
        """The bucket is exhausted, or the route is counted apart: then the answer is that of a second limiter."""
        mixed = b.is_mixed(self.now)
        if a.get("hash") and mixed and b.was_cautious(self.now, a["age_us"] + a["rtt_us"]):
            b.grow_cautious(self.now)
            b.heard("paused")
            return a | {"outcome": "paused", "second": {"name": a["hash"], **{n: a[n] for n in ("limit", "after_us")}}}
        leaks_indeed = a["retry_us"] + 1000 < a.get("after_us", 0) and not mixed
        b.exhaust(self.now, a["retry_us"], leaks_indeed=leaks_indeed)
        return a

    def _learned_hash(self, lane: str, a: dict[str, Any], *, had: bool) -> str:
        name, told, sent = self.hash_name(lane), a["hash"], self.now - a["age_us"] - a["rtt_us"]
        known = self.hash_of(lane)
        if known and known not in (told, "-"):
            since, returns, former, by = self.moves.get(name, (0, 0, "", ""))
            if sent < since <= self.now:  # the answer was late
                return known
            if had and by not in ("", lane):  # the lane still has its hash after another one got another hash
                self.routes |= {name: "*", by: known}
                name = lane
            else:
                back = former == told and 0 <= self.now - since < 5 * MINUTE
                if back and returns >= 2:
                    return known
                self.moves[name] = sent, returns + 1 if back else 0, known, lane
        self.routes[name] = told
        return told

    def _inherit(self, bucket: str, former: str) -> None:
        b = self.bucket(bucket)
        if former and b.limit is None:
            b.take_over(self.bucket(former))

    def _remember_refusal(self, a: dict[str, Any]) -> None:
        if a.get("works"):
            self.blocks.pop("token", None)
        if a.get("refusal"):
            for_us = WEBHOOK_GONE_US if a["status"] == 404 else FORBIDDEN_US
            self.blocks[a["refusal"]] = (self.now + for_us, a["status"], a["code"])

    def _leave(self, record: Record | None, route: str, lane: str, bucket: str, *, used: bool) -> list[Any]:
        if record is None:
            return ["", -1, "", self.known_of(lane)]
        if record.state != "waiting" and record.bucket != bucket:
            return [
                "",
                -1,
                "",
                self.known_of(lane),
                record.bucket,
            ]  # granted meanwhile, in a bucket the worker did not think of
        if used:
            self.bucket(record.bucket).count_unseen(self.now)
        self._settle(record.id, {"age_us": 0} if used else None)
        return self._served(lane, bucket)

    def _x(self, record_id: str, route: str, lane: str, bucket: str, used: int = 0) -> list[Any]:
        record = self.record(record_id)
        sent = used == 1 and record is not None and record.state == "granted"
        return self._leave(record, route, lane, bucket, used=sent)

    def _d(self, record_id: str, route: str, lane: str, bucket: str) -> list[Any]:
        record = self.record(record_id)
        if record and self.is_alive(record.worker):
            record = None  # it lives after all
        return self._leave(record, route, lane, bucket, used=bool(record) and record.state == "granted")

    def _s(self, record_id: str, route: str, lane: str, bucket: str, believed: str, former: str = "") -> list[Any]:
        if self.hash_of(lane) != believed:
            return ["", 0, "", self.known_of(lane)]
        self._inherit(bucket, former)
        after, other = self._serve(lane, bucket)
        record = self.record(record_id)
        if record and record.state == "granted":
            self._tell_again(record)
        elif record and record.state == "waiting":
            after = self._wait_us(record, bucket, after)
        return ["", after, other, self.known_of(lane)]

    # Signs of life, and a server that forgot

    def _n(self) -> list[Any]:
        return []

    def _g(self) -> list[Any]:
        self.workers.pop(self.me, None)
        return []

    def _r(self, _: str, route: str, lane: str, bucket: str, told: str, age_us: int, hash_: str) -> list[Any]:
        if hash_.startswith("*"):
            self.routes.setdefault(route, "*")
        if hash_.strip("*"):
            self.routes.setdefault(self.hash_name(lane), hash_.strip("*"))
        self.bucket(bucket).restore(self.now, told, age_us)
        return []

    def _o(self, record_id: str, route: str, lane: str, bucket: str, exempt: Any) -> list[Any]:
        if self.record(record_id) is None:
            record = Record(record_id, self.me, route, lane, bucket, self._next_seq(), "granted", exempt=exempt)
            record.start = self.now
            self.records.append(record)
            if second := self.seconds.get(lane):
                second.sent(self.now, record_id)
            if not exempt:
                self.globally.slots.append(Slot(record_id, paced=False, since=self.now))
        return []
