"""The model's queue and the slots of the global limit. Times are us."""

import math
from dataclasses import dataclass, field
from typing import Any

from model.ratelimit_bucket import MINUTE, SECOND, whole

HEAD_START = {"high": 1000, "normal": 0, "low": -1000}
RETURNED, RESTORED = -1e9, -1e7
LONG_BACKLOG, GATHERING_US, CALM_US, FAST = 12, 50_000, 20_000, 30
AHEAD_US, SOON_US, LEAD_US = 100_000, 20_000, 10_000
MIN_SAMPLES, MAX_LATENCY_US = 20, 30_000
ONE_BY_ONE_US, MAX_SINGLES = 5 * SECOND, 16


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
    start: float = 0
    early_turn: float | None = None

    @property
    def turn(self) -> tuple[float, str]:
        return self.score, f"{self.seq:016d}{self.id}"


@dataclass
class Queue:
    """The virtual time of a fair queue: a lane's, or the global limit's.

    Attributes:
        line: of a lane: a call of it that may wait for a slot.
        early: of a lane: a waiting call that has its turn at the global limit already.
    """

    v: float = 0.0
    finish: dict[str, float] = field(default_factory=dict)
    line: str = ""
    early: str = ""

    def start_of(self, app: str) -> float:
        return max(self.floor(), self.finish.get(app, 0))

    def has_apps_beside(self, app: str) -> bool:
        return any(finish > self.v for other, finish in self.finish.items() if other != app)

    def floor(self) -> float:
        return self.v

    def next_turn(self, record: Record) -> float:
        return self.start_of(record.app) - HEAD_START[record.priority]

    def turn(self, record: Record) -> float:
        if record.returned or record.restored:
            return (RETURNED if record.returned else RESTORED) + (record.seq % 1e12) / SECOND
        turn = self.next_turn(record)
        self.finish[record.app] = self.start_of(record.app) + 1 / record.weight
        return turn

    def place(self, record: Record, *, single: bool = False) -> None:
        record.score = self.turn(record) - (0.5 / record.weight if single else 0)

    def passed(self, record: Record, _now: int) -> None:
        if record.score >= RESTORED / 2:
            self.v = max(self.v, record.score + HEAD_START[record.priority])


@dataclass
class GlobalLine(Queue):
    """The queue of the global limit: an app may catch up what it has missed in the last second or two."""

    past: float = 0.0
    mark: float = 0.0
    marked: int = 0

    def floor(self) -> float:
        return self.past

    def passed(self, record: Record, now: int) -> None:
        if record.score >= RESTORED / 2 and now - self.marked >= SECOND:
            self.past = self.mark if now - self.marked < 2 * SECOND else self.v
            self.mark, self.marked = self.v, now
        super().passed(record, now)


@dataclass
class Slot:
    id: str
    paced: bool
    since: float
    free_at: float = math.inf


@dataclass
class GlobalLimit:
    """G slots; one is free again a second after its answer, less what the answer surely spent on the way."""

    setting: int
    slots: list[Slot] = field(default_factory=list)
    blocked: int = 0
    shrink: int = 0
    shrunk: int = 0
    phase: float = 0.0
    crowd: int = 0
    arrived: int = 0
    ways: list[tuple[int, int]] = field(default_factory=list)
    ways_before: list[tuple[int, int]] = field(default_factory=list)
    ways_at: int = 0
    seen: int = 0
    singles: dict[str, int] = field(default_factory=dict)
    shared: int = 0
    pace: float = 0.0

    def forget_instants(self) -> None:
        """The clock may be another one."""
        self.phase, self.singles, self.shared, self.pace = 0.0, {}, 0, 0.0

    def saw_single(self, now: int, app: str) -> None:
        """A call of this app arrives while others wait, and no call of it does."""
        if now - self.singles.get(app, -ONE_BY_ONE_US) < ONE_BY_ONE_US:
            self.shared = now
        self.singles = {other: at for other, at in self.singles.items() if now - at < ONE_BY_ONE_US}
        if app in self.singles or len(self.singles) < MAX_SINGLES:
            self.singles[app] = now

    def limit(self, now: int) -> int:
        quiet = (now - self.shrunk) // MINUTE
        if self.shrink > 0 and quiet > 0:
            self.shrink, self.shrunk = max(0, self.shrink - quiet), now
        return max(1, math.floor(self.setting * (1 - 0.1 * min(self.shrink, 5))))

    def block(self, now: int, retry_us: int) -> None:
        """A global 429: nobody sends for a while, and a tenth less for some minutes."""
        if now >= self.blocked:
            self.shrink, self.shrunk = self.shrink + 1, now
        self.blocked = max(self.blocked, now + retry_us)

    def take(self, now: int, record: Record, backlog: int, *, crowd: bool) -> tuple[bool, float | None]:
        """Whether a slot was taken and the instant it is free; if not, when to ask; None: only an answer can tell."""
        limit = self.limit(now)
        spaced = limit // 5
        short = crowd and backlog <= LONG_BACKLOG * limit and self._shows_its_size(now, backlog)
        shared = now - self.shared < ONE_BY_ONE_US
        short = short and not shared
        plain, paced = self._free_at(now, limit - spaced, paced=False), self._free_at(now, spaced, paced=True)
        if shared and record.priority != "high":
            plain = max(plain, self.pace)
        if plain == now:
            self._occupy_plain(record, limit - spaced, plain, shared=shared)
            return True, now
        if spaced and not (record.priority == "high" or short):
            paced = max(paced, self.phase)
        if paced <= min(now + SOON_US, plain) and self._count(paced=True) <= spaced:
            if not short:
                self.phase = max(paced, self.phase) + SECOND / spaced
            self._occupy(record, spaced, paced, paced=True)
            return True, paced
        if plain <= now + (SOON_US if shared else AHEAD_US) and self._count(paced=False) <= limit - spaced:
            self._occupy_plain(record, limit - spaced, plain, shared=shared)
            return True, plain
        at = min(max(now, plain - LEAD_US), paced)
        return False, at if at < math.inf else None

    def _shows_its_size(self, now: int, backlog: int) -> bool:
        age = now - self.crowd
        grows_fast = now - self.arrived < CALM_US and backlog >= FAST * self.limit(now) * age / SECOND
        return age >= GATHERING_US and not grows_fast

    def _count(self, *, paced: bool) -> int:
        return sum(slot.paced == paced for slot in self.slots)

    def _free_at(self, now: int, most: int, *, paced: bool) -> float:
        """When one of so many slots is free; never while all wait for answers."""
        if not most:
            return math.inf
        return now if self._count(paced=paced) < most else min(s.free_at for s in self.slots if s.paced == paced)

    def _occupy_plain(self, record: Record, most: int, since: float, *, shared: bool) -> None:
        if shared:
            self.pace = max(since, self.pace) + SECOND / most
        self._occupy(record, most, since, paced=False)

    def _occupy(self, record: Record, most: int, since: float, *, paced: bool) -> None:
        if self._count(paced=paced) >= most:
            self.slots.remove(min((s for s in self.slots if s.paced == paced), key=lambda s: (s.free_at, s.id)))
        self.slots.append(Slot(record.id, paced, since))

    def free(self, now: int, record_id: str, age_us: int | None) -> None:
        """Answered `age_us` ago; None: never sent, so the slot is free as it was before."""
        for slot in [slot for slot in self.slots if slot.id == record_id]:
            free_at = slot.since if age_us is None else now - age_us + SECOND - self.sure_latency()
            slot.free_at = whole(free_at)
        self.tidy(now)

    def tidy(self, now: int) -> None:
        self.slots = [slot for slot in self.slots if slot.free_at > now]

    def sure_latency(self) -> float:
        if self.seen < MIN_SAMPLES:
            return 0
        ways = self.ways_before + self.ways
        shortest = min(there for there, _ in ways) + min(back for _, back in ways)
        return min(max(0, shortest / 2), MAX_LATENCY_US)

    def saw_ways(self, now: int, answer: dict[str, Any]) -> None:
        """How long a request took there and its answer back, both but for the difference of the clocks."""
        answered, counted = now - answer["age_us"], answer["rid"] * 1000 - answer["after_us"]
        if now - self.ways_at > MINUTE:
            self.seen, self.ways = 0, []
        if now - self.ways_at > MINUTE / 2:
            self.ways_before, self.ways, self.ways_at = self.ways, [], now
        self.ways.append((counted - answered + answer["rtt_us"], answered - counted))
        self.seen += 1


@dataclass
class Outcome:
    """What one call answers: as the script, and the hints it publishes."""

    replies: list[list[Any]]
    grants: list[tuple[str, int, str]]
    pump: int | None
    own: bool
    dead: str
    hints: list[tuple[str, list[str]]]
    was_expired: bool
    next_dead: float
