"""The broker's algorithm once more: small, slow, lists and loops. The Lua must answer exactly like it, step by step.

Nothing is indexed or counted here: who is in flight, who waits and which slots are taken is looked up in one list each
time it is asked for. Times are us; a call's items have the shape the script's headers describe.
"""

import math
from dataclasses import dataclass, field
from typing import Any

SECOND, MINUTE = 1_000_000, 60_000_000
GUARD_US, SAFETY_US, PROBE_US = 1000, 5 * SECOND, 10 * SECOND
SAME_RESET_MS = 5
HEAD_START = {"high": 1000, "normal": 0, "low": -1000}
RETURNED, RESTORED = -1e9, -1e7
SCHEDULED, LONG_BACKLOG, GATHERING = 8, 12, 100_000
ENOUGH, MOST_LATENCY_US = 20, 30_000
FORBIDDEN_US, WEBHOOK_GONE_US = MINUTE, 86_400 * SECOND
ORDER = "nrocdxsag"


@dataclass
class Record:
    """A place (waiting for its bucket, or for the global limit) or a permit (granted)."""

    id: str
    worker: str
    route: str
    lane: str
    bucket: str
    seq: int
    state: str = "waiting"
    app: str = ""
    weight: float = 1.0
    priority: str = "normal"
    deadline: int = 0
    ordered: bool = False
    exempt: bool = False
    returned: bool = False
    restored: bool = False
    score: float = 0.0
    start: int = 0

    @property
    def turn(self) -> tuple[float, str]:
        return self.score, f"{self.seq:016d}{self.id}"


@dataclass
class Bucket:
    limit: int | None = None
    remaining: float = 0
    reset: float = 0
    rid: int = 0
    leaky: bool | None = None
    step: float | None = None
    period: float | None = None
    opened: float = 0
    heads: dict[str, int] = field(default_factory=dict)

    def rounded(self) -> None:
        """Redis keeps whole numbers."""
        for name in ("remaining", "reset", "step", "period"):
            value = getattr(self, name)
            setattr(self, name, None if value is None else round(value))


@dataclass
class Queue:
    """The virtual time of a fair queue: a lane's, or the global limit's."""

    v: float = 0.0
    finish: dict[str, float] = field(default_factory=dict)

    def start_of(self, app: str) -> float:
        return max(self.v, self.finish.get(app, 0))

    def place(self, record: Record) -> None:
        if record.returned or record.restored:
            record.score = (RETURNED if record.returned else RESTORED) + (record.seq % 1e12) / SECOND
            return
        start = self.start_of(record.app)
        self.finish[record.app] = start + 1 / record.weight
        record.score = start - HEAD_START[record.priority]

    def passed(self, record: Record) -> None:
        if record.score >= RESTORED / 2:
            self.v = max(self.v, record.score + HEAD_START[record.priority])


@dataclass
class Slot:
    id: str
    paced: bool
    free_at: float = math.inf


@dataclass
class Outcome:
    replies: list[list[Any]]
    grants: list[tuple[str, int, str]]
    pump: int | None
    own: bool
    dead: str
    hints: list[tuple[str, list[str]]]


class Model:
    """One account's state and the one way to change it: `call`."""

    def __init__(self, global_limit: int, lease_us: int) -> None:
        self.setting, self.lease_us = global_limit, lease_us
        self.now = self.clock = self.seq = self.recover = self.blocked = self.shrink = self.shrunk = 0
        self.rtt = self.rtt_old = self.rtt_at = self.rtts = 0
        self.phase = 0.0
        self.crowd = 0
        self.server = self.told = ""
        self.routes: dict[str, str] = {}
        self.flips: dict[str, int] = {}
        self.blocks: dict[str, tuple[int, int, int]] = {}
        self.line = Queue()
        self.lanes: dict[str, Queue] = {}
        self.records: list[Record] = []
        self.buckets: dict[str, Bucket] = {}
        self.slots: list[Slot] = []
        self.workers: dict[str, int] = {}

    def call(self, now: int, worker: str, server: str, lost: bool, items: list[list[Any]]) -> Outcome:
        self._open(now, worker, server, lost)
        replies: list[Any] = [None] * len(items)
        for kind in ORDER:
            for i, item in enumerate(items):
                if item[0] == kind:
                    replies[i] = getattr(self, f"_{kind}")(*item[1:])
        pump, own = self._pump()
        self._close()
        late = sorted((end, name) for name, end in self.workers.items() if end <= self.now)
        return Outcome(replies, self.grants, pump, own, late[0][1] if late else "", self.hints)

    def _open(self, now: int, worker: str, server: str, lost: bool) -> None:
        self.me, self.grants, self.hints = worker, [], []
        other_server = bool(self.server) and self.server != server
        if self.clock - now > 10 * SECOND or other_server or (lost and self.told != server):
            self.records, self.slots, self.workers, self.buckets, self.lanes = [], [], {}, {}, {}
            self.recover, self.clock, self.told = now + SECOND, 0, server
        self.now = self.clock = max(now, self.clock)
        self.server = server
        self.workers[worker] = self.now + self.lease_us
        self.slots = [slot for slot in self.slots if slot.free_at > self.now]

    def _close(self) -> None:
        for bucket in self.buckets.values():
            bucket.rounded()
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

    def in_flight(self, *, lane: str | None = None, bucket: str | None = None) -> int:
        charged = [record for record in self.records if record.state != "waiting"]
        return sum(record.lane == lane or record.bucket == bucket for record in charged)

    def _next_seq(self) -> int:
        self.seq = max(self.now, self.seq + 1)
        return self.seq

    # The arithmetic of one bucket

    def available(self, name: str, lane: str) -> tuple[int, float | None]:
        """How many may be sent now; if none, the instant one may, None if only an answer can tell."""
        b, infl = self.bucket(name), max(self.in_flight(bucket=name), self.in_flight(lane=lane))
        if b.limit is None:
            return int(infl == 0), None
        if b.leaky:
            free = math.floor((b.limit * b.step - max(0, b.reset - self.now)) / b.step) - infl
            at: float | None = max(self.now + 1, b.reset + (infl + 1 - b.limit) * b.step)
        elif 0 < b.reset <= self.now:
            free, at = b.limit - infl, None
        else:
            free, at = b.remaining - infl, b.reset or None
        return (free, None) if free >= 1 else (0, at if infl + 1 <= b.limit else None)

    def eta(self, name: str, k: int) -> float:
        """A lower bound of the instant the k-th waiting call can leave."""
        b, infl = self.bucket(name), self.in_flight(bucket=name)
        if b.limit is None:
            return self.now
        if b.leaky:
            return max(self.now, max(b.reset, self.now) + (infl + k - b.limit) * b.step)
        period, over = b.period or 0, 0 < b.reset <= self.now
        left = k + infl - (b.limit if over else b.remaining)
        if left <= 0:
            return self.now
        start = self.now + period if over else (b.reset or b.opened + period)
        return max(self.now, start + (math.ceil(left / b.limit) - 1) * period)

    def _roll(self, b: Bucket) -> None:
        if b.limit is not None and not b.leaky and 0 < b.reset <= self.now:
            b.remaining, b.reset, b.opened = b.limit, 0, self.now

    def _count_unseen(self, b: Bucket) -> None:
        if b.limit is None:
            return
        if b.leaky:
            b.reset = max(b.reset, self.now) + b.step
            return
        self._roll(b)
        b.remaining = max(0, b.remaining - 1)
        b.reset = b.reset or self.now + (b.period or 5 * SECOND)

    def _learn(self, b: Bucket, a: dict[str, Any]) -> None:
        after, remaining, rid = a["after_us"], a["remaining"], a["rid"]
        reset = self.now - a["age_us"] + after + GUARD_US - self._sure_latency()
        used = max(1, a["limit"] - remaining)
        least, most = max(1, (after - 500) / used), after / (used - 1) if used > 1 else after + 500
        limit_moved = b.limit != a["limit"]
        if b.limit is None:
            b.remaining, b.reset, b.rid, b.opened = remaining, reset, rid, self.now
        elif rid > b.rid + SAME_RESET_MS:
            old_passed = rid - after / 1000 >= b.rid
            if not old_passed and not limit_moved and (rid - b.rid) * 1000 >= least / 2:
                b.leaky = True
            b.remaining, b.reset, b.rid = remaining, reset, rid
        elif rid >= b.rid - SAME_RESET_MS:
            if b.leaky and b.limit > 1 and after > 0:
                b.leaky, b.remaining = False, min(remaining, b.remaining)
            if b.reset > 0:
                b.remaining, b.reset = min(b.remaining, remaining), min(b.reset, reset)
                b.leaky = bool(b.leaky)
        else:
            return
        if limit_moved:
            b.limit, b.step, b.period = a["limit"], None, None
        b.step = min(max(b.step or least, least), most)
        if not b.leaky:
            b.period = max(b.period or 0, after)

    def _exhaust(self, b: Bucket, retry_us: int) -> None:
        back = self.now + retry_us + GUARD_US
        if b.limit is None:
            b.limit, b.remaining, b.rid, b.reset, b.opened, b.step = 1, 0, 0, back, self.now, retry_us
        elif b.leaky:
            b.reset = max(b.reset, back + (b.limit - 1) * b.step)
        else:
            b.remaining, b.reset = 0, max(b.reset, back)

    # The global limit

    def limit(self) -> int:
        quiet = (self.now - self.shrunk) // MINUTE
        if self.shrink > 0 and quiet > 0:
            self.shrink, self.shrunk = max(0, self.shrink - quiet), self.now
        return max(1, math.floor(self.setting * (1 - 0.1 * min(self.shrink, 5))))

    def _sure_latency(self) -> float:
        if self.rtts < ENOUGH:
            return 0
        return min(min(rtt for rtt in (self.rtt, self.rtt_old) if rtt > 0) / 2, MOST_LATENCY_US)

    def _saw_round_trip(self, rtt: int) -> None:
        if self.now - self.rtt_at > MINUTE:
            self.rtts = 0
        if self.now - self.rtt_at > MINUTE / 2:
            self.rtt_old, self.rtt, self.rtt_at = self.rtt, 0, self.now
        self.rtt = min(self.rtt or rtt, rtt)
        self.rtts += 1

    def _take_slot(self, record: Record) -> tuple[bool, float | None]:
        """Whether a slot was taken; if not, the instant one can be, None if only an answer can tell."""
        blocked, limit = max(self.blocked, self.recover), self.limit()
        if self.now < blocked:
            return False, blocked
        spaced = limit // 5
        plain = [slot for slot in self.slots if not slot.paced]
        paced = [slot for slot in self.slots if slot.paced]
        if len(plain) < limit - spaced:
            self.slots.append(Slot(record.id, paced=False))
            return True, None
        crowd = any(other.state == "global" for other in self.records)
        known = crowd and self.now - self.crowd >= GATHERING
        hurry = record.priority == "high" or (known and self.backlog() <= LONG_BACKLOG * limit)
        if len(paced) < spaced and (hurry or self.now >= self.phase):
            self.slots.append(Slot(record.id, paced=True))
            if not hurry:
                self.phase = max(self.now, self.phase) + SECOND / spaced
            return True, None
        instants = [min((slot.free_at for slot in plain), default=math.inf)]
        if len(paced) < spaced:
            instants.append(self.phase)
        elif paced:
            first = min(slot.free_at for slot in paced)
            instants.append(first if hurry else max(first, self.phase))
        return False, min((at for at in instants if at < math.inf), default=None)

    def backlog(self) -> int:
        return sum(record.state in ("waiting", "global") for record in self.records)

    def _lightly_used(self) -> bool:
        open_ = self.now >= max(self.blocked, self.recover)
        return open_ and len(self.slots) < self.limit() / 2 and not self.waiting_for_a_slot()

    # From the head of a lane to a permit

    def _deliver(self, record: Record, start: float) -> None:
        record.state, record.start = "granted", start
        self._tell(record.id, record.worker, round(start - self.now), record.bucket)

    def _tell(self, record_id: str, worker: str, delay: int, bucket: str) -> None:
        if worker == self.me:
            self.grants.append((record_id, delay, bucket))
        else:
            self.hints.append((worker, ["G", record_id, str(delay), bucket]))

    def _to_global(self, record: Record, start: float) -> None:
        if record.exempt or (not self.waiting_for_a_slot() and self._take_slot(record)[0]):
            self._deliver(record, start)
            return
        if not any(other.state == "global" for other in self.records):
            self.crowd = self.now
        record.state = "global"
        self.line.place(record)

    def _pump(self) -> tuple[int | None, bool]:
        for record in self.waiting_for_a_slot():
            taken, at = self._take_slot(record)
            if not taken:
                after = SECOND / 10 if at is None else max(0, at - self.now)
                return round(after), record.worker == self.me
            self.line.passed(record)
            self._deliver(record, self.now)
        return None, False

    def _earlier_lane(self, b: Bucket, name: str, lane: str) -> str:
        """Of the lanes that wait for one bucket, the one whose head came first; '' when it is this lane's turn."""
        for other in list(b.heads):
            if self.routes.get(other.rpartition("|")[0], "?") != name.rpartition("|")[0] and other != lane:
                del b.heads[other]  # its route has moved to another bucket
        first = min(b.heads, key=lambda other: b.heads[other], default="")
        return "" if first == lane else first

    def _held_back(self, lane: str) -> int:
        return max(self.blocks.get(lane, (0, 0, 0))[0], self.recover)

    def _start_instant(self, record: Record, bucket: str, headerless: bool) -> tuple[float | None, float | None]:
        held_back = self._held_back(record.lane)
        if held_back > self.now:
            return None, held_back
        if record.ordered and self.in_flight(lane=record.lane):
            return None, None
        free, at = (1, None) if headerless else self.available(bucket, record.lane)
        return (self.now, None) if free else (None, at)

    def _serve(self, lane: str, bucket: str, headerless: bool) -> tuple[int, str]:
        """Grant all that can leave. Returns us until the head can (-1: after an answer), and whom to serve first."""
        b, ahead = self.bucket(bucket), 0
        while True:
            b.heads.pop(lane, None)
            queue = self.waiting(lane)
            if not queue:
                return -1, "" if headerless else self._earlier_lane(b, bucket, lane)
            record = queue[0]
            b.heads[lane] = record.seq
            if record.deadline < self.now or self.workers.get(record.worker, 0) <= self.now:
                self.records.remove(record)
                continue
            other = "" if headerless else self._earlier_lane(b, bucket, lane)
            if other:
                return -1, other
            at, later = self._start_instant(record, bucket, headerless)
            if at is None and later and self._held_back(lane) <= self.now:
                if ahead < SCHEDULED and later <= record.deadline and self._lightly_used():
                    at, ahead = later, ahead + 1
            if at is None:
                if later and record.worker != self.me:
                    self.hints.append((record.worker, ["S", lane, str(round(later - self.now))]))
                return round(later - self.now) if later else -1, ""
            self.lane(lane).passed(record)
            self._roll(b)
            record.bucket = bucket
            record.state = "on its way"
            self._to_global(record, at)

    # Acquire

    def _known_refusal(self, name: str) -> list[Any] | None:
        till, status, code = self.blocks.get(name, (0, 0, 0))
        if till > self.now:
            return ["known", status, code, till - self.now]
        if self.blocks.pop(name, None) and name == "token":
            self.blocks[name] = (self.now + PROBE_US, 401, 0)
        return None

    def _soonest(self, lane: str, bucket: str, o: dict[str, Any], headerless: bool) -> float:
        at, lead = self._held_back(lane), HEAD_START[o["priority"]]
        if not headerless:
            score = self.lane(lane).start_of(o["app"]) - lead
            at = max(at, self.eta(bucket, sum(r.score < score for r in self.waiting(lane)) + 1))
        if o.get("exempt"):
            return at
        score = self.line.start_of(o["app"]) - lead
        rounds = sum(r.score < score for r in self.waiting_for_a_slot()) // self.limit()
        return max(at, self.blocked, self.now + rounds * SECOND)

    def _wait_us(self, record: Record, bucket: str, after: int) -> int:
        """When the worker should ask again: the head at its instant, the others only in case a hint is lost."""
        ahead = self.waiting(record.lane).index(record)
        if ahead == 0 and after >= 0:
            return after
        instant = max(self.eta(bucket, ahead + 1), self._held_back(record.lane))
        return round(instant - self.now + SAFETY_US)

    def _a(self, record_id: str, route: str, lane: str, bucket: str, o: dict[str, Any]) -> list[Any]:
        before = self.record(record_id)
        if before and before.state == "granted":
            self.grants.append((record_id, max(0, round(before.start - self.now)), before.bucket))
            return ["granted", 0, before.seq]
        if before:
            return ["wait", SAFETY_US, before.seq]
        known = self.routes.get(route, "")
        if known != o["hash"]:
            return ["moved", known]
        refusal = (o.get("token") and self._known_refusal("token")) or (
            o.get("refusal") and self._known_refusal(o["refusal"])
        )
        if refusal:
            return refusal
        headerless = known == "-"
        at = self._soonest(lane, bucket, o, headerless)
        if at > self.now + o["left_us"]:
            return ["refused", round(at - self.now)]
        flags = {name: o.get(name, False) for name in ("ordered", "exempt", "returned", "restored")}
        record = Record(record_id, self.me, route, lane, bucket, o.get("seq") or self._next_seq(), **flags)
        record.app, record.weight, record.priority = o["app"], o["weight"], o["priority"]
        record.deadline = self.now + o["left_us"]
        b, alone = self.bucket(bucket), not self.waiting(lane)
        if alone and self._start_instant(record, bucket, headerless)[0] and not self._earlier_lane(b, bucket, lane):
            self._roll(b)
            self.records.append(record)
            record.state = "on its way"
            self._to_global(record, self.now)
            return [record.state, 0, record.seq]
        self.records.append(record)
        self.lane(lane).place(record)
        after, _ = self._serve(lane, bucket, headerless)
        if record.state != "waiting":
            return [record.state, 0, record.seq]
        return ["wait", self._wait_us(record, bucket, after), record.seq]

    # The ends of permits

    def _settle(self, record_id: str, age_us: int | None) -> None:
        """The record goes; its slot gets free a second after the answer, at once if nothing was sent."""
        if self.record(record_id) is None:
            return
        self.records = [record for record in self.records if record.id != record_id]
        slot = next((slot for slot in self.slots if slot.id == record_id), None)
        if slot and age_us is not None:
            slot.free_at = round(self.now - age_us + SECOND - self._sure_latency())
        if slot and (age_us is None or slot.free_at <= self.now):
            self.slots.remove(slot)

    def _learned_hash(self, route: str, told: str) -> str:
        known = self.routes.get(route)
        if known and known not in (told, "-"):
            if self.flips.get(route, 0) >= 3:
                return known
            self.flips[route] = self.flips.get(route, 0) + 1
        self.routes[route] = told
        return told

    def _served(self, lane: str, bucket: str, hash_: str, *, with_state: bool = False) -> list[Any]:
        """Serve the lane if this is still the bucket of its route; else the worker has to ask with the right one."""
        if hash_ not in ("", "-") and not bucket.startswith(f"{hash_}|"):
            return ["", -1, "", hash_]
        after, other = self._serve(lane, bucket, hash_ == "-")
        return [self.state_of(bucket) if with_state else "", after, other, hash_]

    def _c(self, record_id: str, route: str, lane: str, bucket: str, a: dict[str, Any], learned: str) -> list[Any]:
        if a["rtt_us"] > 0:
            self._saw_round_trip(a["rtt_us"])
        self._settle(record_id, a["age_us"])
        b, hash_ = self.bucket(bucket), self.routes.get(route, "")
        target = bucket
        if a.get("hash"):
            hash_ = self._learned_hash(route, a["hash"])
            if hash_ == a["hash"]:
                target = learned
                self._learn(self.bucket(learned), a)
            elif b.limit is not None:  # two limiters in turn: the worse of both
                b.remaining = min(b.remaining, a["remaining"])
                b.reset = max(b.reset, self.now - a["age_us"] + a["after_us"])
        elif a.get("headerless") and not hash_:
            hash_ = self.routes[route] = "-"
        elif a["outcome"] not in ("global", "paused"):
            self._count_unseen(b)
        if a["outcome"] == "exhausted":
            self._exhaust(self.bucket(target), a["retry_us"])
        elif a["outcome"] == "paused":
            till = max(self.blocks.get(lane, (0, 0, 0))[0], self.now + a["retry_us"])
            self.blocks[lane] = (till, 429, 0)
        elif a["outcome"] == "global":
            if self.now >= self.blocked:
                self.shrink, self.shrunk = self.shrink + 1, self.now
            self.blocked = max(self.blocked, self.now + a["retry_us"])
            self.hints.append(("all", ["B", "", str(a["retry_us"])]))
        if a.get("works"):
            self.blocks.pop("token", None)
        if a.get("refusal"):
            for_us = WEBHOOK_GONE_US if a["status"] == 404 else FORBIDDEN_US
            self.blocks[a["refusal"]] = (self.now + for_us, a["status"], a["code"])
        return self._served(lane, target, hash_, with_state=True)

    def state_of(self, bucket: str) -> str:
        """A bucket as a worker remembers it for a server that forgets."""
        b = self.bucket(bucket)
        if b.limit is None:
            return ""
        left = max(0, b.reset - self.now) if b.reset > 0 else 0
        leaky = "" if b.leaky is None else str(int(b.leaky))
        numbers = [b.limit, round(b.remaining), round(left), b.rid, leaky, round(b.step or 0), round(b.period or 0)]
        return "|".join(str(number) for number in numbers)

    def _leave(self, record: Record | None, route: str, lane: str, bucket: str, *, used: bool) -> list[Any]:
        hash_ = self.routes.get(route, "")
        if record is None:
            return ["", -1, "", hash_]
        if record.state != "waiting" and record.bucket != bucket:
            return ["", -1, "", hash_, record.bucket]  # granted meanwhile, in a bucket the worker did not think of
        if used:
            self._count_unseen(self.bucket(record.bucket))
        self._settle(record.id, 0 if used else None)
        return self._served(lane, bucket, hash_)

    def _x(self, record_id: str, route: str, lane: str, bucket: str) -> list[Any]:
        return self._leave(self.record(record_id), route, lane, bucket, used=False)

    def _d(self, record_id: str, route: str, lane: str, bucket: str) -> list[Any]:
        record = self.record(record_id)
        if record and self.workers.get(record.worker, 0) > self.now:
            record = None  # it lives after all
        return self._leave(record, route, lane, bucket, used=bool(record) and record.state == "granted")

    def _s(self, record_id: str, route: str, lane: str, bucket: str, believed: str) -> list[Any]:
        hash_ = self.routes.get(route, "")
        if hash_ != believed:
            return ["", -1, "", hash_]
        after, other = self._serve(lane, bucket, hash_ == "-")
        record = self.record(record_id)
        if record and record.state == "granted":
            self.grants.append((record_id, max(0, round(record.start - self.now)), record.bucket))
        elif record and record.state == "waiting":
            after = self._wait_us(record, bucket, after)
        return ["", after, other, hash_]

    # Signs of life, and a server that forgot

    def _n(self, *_: Any) -> list[Any]:
        return []

    def _g(self, *_: Any) -> list[Any]:
        self.workers.pop(self.me, None)
        return []

    def _r(self, _: str, route: str, lane: str, bucket: str, state: str, age_us: int, hash_: str) -> list[Any]:
        limit, remaining, left, rid, leaky, step, period = state.split("|")
        b, reset = self.bucket(bucket), self.now + max(0, int(left) - age_us)
        if hash_:
            self.routes.setdefault(route, hash_)
        if b.limit is not None and b.rid > int(rid):
            return []
        if b.limit is not None and b.rid == int(rid):
            b.remaining, b.reset = min(b.remaining, int(remaining)), max(b.reset, reset)
        else:
            b.remaining, b.reset = int(remaining), reset
        b.limit, b.rid, b.opened, b.step, b.period = int(limit), int(rid), self.now, int(step), int(period)
        b.leaky = None if leaky == "" else leaky == "1"
        return []

    def _o(self, record_id: str, route: str, lane: str, bucket: str, exempt: bool) -> list[Any]:
        if self.record(record_id) is None:
            record = Record(record_id, self.me, route, lane, bucket, self._next_seq(), "granted", exempt=exempt)
            record.start = self.now
            self.records.append(record)
            if not exempt:
                self.slots.append(Slot(record_id, paced=False))
        return []
