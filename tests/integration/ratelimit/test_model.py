"""The Lua and the model of `tests/model` do the same, step by step: replies, permits, hints and counters."""

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from discordproxy_ratelimit.batch import Item
from discordproxy_ratelimit.store import Store
from discordproxy_sandbox.limits import Decision, FixedWindow, Gcra
from model.ratelimit_model import MINUTE, SECOND, Model, Record

EPOCH_US = 1_790_000_000 * SECOND
LEASE_S = 5.0
WORKERS = ("w0", "w1", "w2")
ROUTES = ("GET /a", "POST /b", "PUT /c")
MAJORS = ("x=1", "x=2")
HASHES = ("h1", "h2", "h3")
EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "250"))
STEPS = int(os.environ.get("MODEL_STEPS", "60"))


class OneServer:
    """A link without an event loop: every script call is answered before it returns."""

    def __init__(self, client: Any) -> None:
        self.client, self.run_id, self.memory_lost, self.touched = client, "run0", False, set()

    async def run(self, lua: Any, keys: list[str], arguments: list[Any]) -> Any:
        self.touched.update(keys)
        try:
            return self.client.evalsha(lua.sha, len(keys), *keys, *arguments)
        except redis.exceptions.NoScriptError:
            return self.client.eval(lua.text, len(keys), *keys, *arguments)


def at_once(coroutine: Any) -> Any:
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it wanted to wait")


# What can happen. Each is plain data, so that a failing story prints as it is and shrinks to little.


@dataclass(frozen=True)
class Pass:
    """Time goes by; it may also fall back, as after a failover."""

    us: int


@dataclass(frozen=True)
class Moves:
    """Discord answers a route with another hash from now on."""

    route: int
    hash: int


@dataclass(frozen=True)
class Restart:
    """Another server answers; a replica still has the old data, a new start has none."""

    stale: bool


@dataclass(frozen=True)
class Acquire:
    route: int
    major: int = 0
    app: str = "a"
    weight: float = 1.0
    priority: str = "normal"
    left_us: int = 30 * SECOND
    flags: tuple[str, ...] = ()
    knows: bool = True


@dataclass(frozen=True)
class Repeat:
    """The same acquire once more: its reply was lost."""

    pick: int


@dataclass(frozen=True)
class Returned:
    """The repeat of a request that got a 429, or a place taken anew after a restart."""

    pick: int
    flag: str


@dataclass(frozen=True)
class Send:
    """The request of a permit reaches Discord; its answer is on the way."""

    pick: int


@dataclass(frozen=True)
class Complete:
    """The end of a permit; `says` None is what Discord really said when it judged the request."""

    pick: int
    says: "Says | None" = None
    age_us: int = 0
    rtt_us: int = 0


@dataclass(frozen=True)
class Says:
    """An answer nobody expects."""

    outcome: str = "answered"
    status: int = 200
    hash: int | None = None
    limit: int = 5
    remaining: int = 0
    rid_ms: int = 0
    after_us: int = SECOND
    retry_us: int = SECOND
    refusal: str = ""


@dataclass(frozen=True)
class Cancel:
    pick: int


@dataclass(frozen=True)
class Serve:
    pick: int
    knows: bool = True


@dataclass(frozen=True)
class Bury:
    worker: int


@dataclass(frozen=True)
class Restore:
    pick: int
    age_us: int = 0


@dataclass(frozen=True)
class Adopt:
    route: int
    major: int
    exempt: bool


@dataclass(frozen=True)
class Sign:
    """A sign of life, or a goodbye."""

    kind: str


@dataclass(frozen=True)
class Call:
    """One script call of a worker with everything its tick brought together."""

    worker: int
    items: tuple[Any, ...]


@dataclass
class Story:
    """The state of the world around both implementations."""

    client: Any
    inbox: Any
    tag: str
    limit: int
    leaky: bool
    now: int = EPOCH_US
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.link = OneServer(self.client)
        self.generation = 0
        self.model = Model(self.limit, int(LEASE_S * SECOND))
        self.hash_of = {route: HASHES[i // 2] for i, route in enumerate(ROUTES)}  # the first two share a bucket
        self.buckets: dict[str, Any] = {}
        self.answers: dict[str, tuple[str, Decision]] = {}
        self.ended: list[Record] = []
        self.memories: list[list[Any]] = []
        self.stores = self._stores()

    def _stores(self) -> list[Store]:
        tag = f"{{{self.tag}:{self.generation}}}:"
        return [
            Store(
                self.link,
                tag,
                worker=worker,
                channels=f"{self.tag}:in:",
                global_limit=self.limit,
                lease_s=LEASE_S,
                clock=lambda: self.now,
            )
            for worker in WORKERS
        ]

    def clean_up(self) -> None:
        if self.link.touched:
            self.client.unlink(*self.link.touched)

    # From a step to the script's items

    def bucket_name(self, route: str, major: str) -> str:
        known = self.model.routes.get(route, "")
        return f"{known}|{major}" if known not in ("", "-") else f"?{route}|{major}"

    def picked(self, pick: int, *, ended: bool = False) -> Record | None:
        records = self.model.records + (self.ended[-3:] if ended else [])
        return records[pick % len(records)] if records else None

    def item(self, step: Any) -> list[Any] | None:
        return getattr(self, f"_{type(step).__name__.lower()}")(step)

    def _acquire(self, step: Acquire) -> list[Any]:
        route, major = ROUTES[step.route], MAJORS[step.major]
        options = {"left_us": step.left_us, "app": step.app, "weight": step.weight, "priority": step.priority}
        options["hash"] = self.model.routes.get(route, "") if step.knows else "h9"
        options |= dict.fromkeys(step.flags, True)
        if "refusal" in step.flags:
            options["refusal"] = f"gone {major}"
        name = f"{next(self.ids)}"
        return ["a", name, route, f"{route}|{major}", self.bucket_name(route, major), options]

    def _repeat(self, step: Repeat) -> list[Any] | None:
        record = self.picked(step.pick)
        return record and self._place_again(record, record.id, {})

    def _returned(self, step: Returned) -> list[Any] | None:
        record = self.picked(step.pick, ended=True)
        if record is None:
            return None
        return self._place_again(record, f"{next(self.ids)}", {step.flag: True, "seq": record.seq})

    def _place_again(self, record: Record, name: str, more: dict[str, Any]) -> list[Any]:
        options = {"left_us": 30 * SECOND, "app": record.app, "weight": record.weight, "priority": record.priority}
        options |= {"hash": self.model.routes.get(record.route, "")} | more
        bucket = self.bucket_name(record.route, record.lane.rpartition("|")[2])
        return ["a", name, record.route, record.lane, bucket, options]

    def _send(self, step: Send) -> None:
        record = self.picked(step.pick)
        if record and record.state == "granted" and record.id not in self.answers:
            hash_ = self.hash_of[record.route]
            key = f"{hash_}|{record.lane.rpartition('|')[2]}"
            if key not in self.buckets:
                self.buckets[key] = Gcra(3, 3.0) if self.leaky else FixedWindow(3, 3.0)
            self.answers[record.id] = hash_, self.buckets[key].hit(self.now / SECOND)

    def _complete(self, step: Complete) -> list[Any] | None:
        record = self.picked(step.pick, ended=True)
        if record is None or record.state in ("waiting", "global"):
            return None
        self._send(Send(self.model.records.index(record) if record in self.model.records else 0))
        if step.says is None and record.id not in self.answers:
            return None
        self.ended.append(record)
        hash_, body = self._told(record, step.says) if step.says else self._judged(record)
        body |= {"age_us": step.age_us, "rtt_us": step.rtt_us}
        learned = f"{hash_}|{record.lane.rpartition('|')[2]}" if hash_ else record.bucket
        return ["c", record.id, record.route, record.lane, record.bucket, body, learned]

    def _judged(self, record: Record) -> tuple[str, dict[str, Any]]:
        hash_, d = self.answers[record.id]
        outcome = "answered" if d.allowed else "exhausted"
        body = {"outcome": outcome, "retry_us": int(d.retry_after * SECOND), "status": 200 if d.allowed else 429}
        body |= {"code": 0, "hash": hash_, "limit": d.limit, "remaining": d.remaining, "rid": round(d.reset * 1000)}
        return hash_, body | {"after_us": int(round(d.reset_after, 3) * SECOND)}

    def _told(self, record: Record, says: Says) -> tuple[str, dict[str, Any]]:
        body: dict[str, Any] = {"outcome": says.outcome, "retry_us": says.retry_us, "status": says.status, "code": 0}
        hash_ = HASHES[says.hash] if says.hash is not None and says.outcome != "paused" else ""
        if hash_:
            rid = max(0, self.now // 1000 + says.rid_ms)
            body |= {"hash": hash_, "limit": says.limit, "remaining": min(says.remaining, says.limit), "rid": rid}
            body["after_us"] = says.after_us
        elif says.status == 200:
            body |= {"headerless": True, "works": True}
        if says.refusal:
            body["refusal"] = "token" if says.status == 401 else f"gone {record.lane.rpartition('|')[2]}"
        return hash_, body

    def _cancel(self, step: Cancel) -> list[Any] | None:
        record = self.picked(step.pick, ended=True)
        return record and ["x", record.id, record.route, record.lane, record.bucket]

    def _serve(self, step: Serve) -> list[Any] | None:
        record = self.picked(step.pick)
        if record is None:
            return None
        believed = self.model.routes.get(record.route, "") if step.knows else "h9"
        bucket = self.bucket_name(record.route, record.lane.rpartition("|")[2])
        return ["s", record.id, record.route, record.lane, bucket, believed]

    def _restore(self, step: Restore) -> list[Any] | None:
        if not self.memories:
            return None
        *memory, hash_ = self.memories[step.pick % len(self.memories)]
        return ["r", "", *memory, step.age_us, hash_]

    def _adopt(self, step: Adopt) -> list[Any]:
        route, major = ROUTES[step.route], MAJORS[step.major]
        lane = f"{route}|{major}"
        return ["o", f"{next(self.ids)}", route, lane, self.bucket_name(route, major), step.exempt]

    def _sign(self, step: Sign) -> list[Any]:
        return [step.kind]

    # Both implementations, side by side

    def follow(self, step: Any) -> None:
        if isinstance(step, Pass):
            self.now += step.us
        elif isinstance(step, Moves):
            self.hash_of[ROUTES[step.route]] = HASHES[step.hash]
        elif isinstance(step, Restart):
            self._restart(stale=step.stale)
        elif isinstance(step, Bury):
            self._bury(WORKERS[step.worker])
        elif isinstance(step, Send):
            self._send(step)
        else:
            items = [item for item in map(self.item, step.items) if item]
            ended = {item[1] for item in items if item[0] in ("c", "x")}
            items = [item for item in items if item[0] != "a" or item[1] not in ended]  # an id never comes back
            self.call(step.worker, items)

    def _restart(self, *, stale: bool) -> None:
        self.link.run_id, self.link.memory_lost = f"{self.link.run_id}+", True
        if not stale:
            self.generation += 1
            self.model = Model(self.limit, int(LEASE_S * SECOND))
            self.stores = self._stores()

    def _bury(self, worker: str) -> None:
        """As the undertaker of the next worker does it."""
        digger = (WORKERS.index(worker) + 1) % len(WORKERS)
        found, cursor = [], ""
        while cursor != "0":
            cursor, held = at_once(self.stores[digger].held_by(worker, cursor or "0"))
            found += held
        expected = [(r.id, r.route, r.lane, r.bucket) for r in self.model.records if r.worker == worker]
        assert sorted(found) == sorted(expected)
        self.call(digger, [["d", *one] for one in found])
        if worker not in {record.worker for record in self.model.records}:
            at_once(self.stores[digger].forget_worker(worker))
            if self.model.workers.get(worker, 0) <= self.now:
                self.model.workers.pop(worker, None)

    def call(self, worker: int, items: list[list[Any]]) -> None:
        store = self.stores[worker]
        batch = [self._with_keys(store, item) for item in items]
        before = list(self.model.records)
        lua = at_once(store.run(batch))
        expected = self.model.call(self.now, WORKERS[worker], self.link.run_id, self.link.memory_lost, items)
        self.ended += [record for record in before if self.model.record(record.id) is None]
        story = [item[0] for item in items]
        assert [texts(reply) for reply in lua.replies] == [texts(reply) for reply in expected.replies], story
        assert lua.grants == expected.grants
        assert self._hints(lua.published) == expected.hints
        assert (lua.pump_after_us, lua.pump_is_ours) == (expected.pump, expected.own)
        assert lua.dead == expected.dead
        self._compare_counters(store)
        self._remember(items, lua.replies)

    def _with_keys(self, store: Store, item: list[Any]) -> Item:
        bare = item[0] in ("n", "g")
        keys = [""] * 4 if bare else store.keys(item[3], item[4], item[6] if item[0] == "c" else "")
        return Item(item, keys, None)

    def _hints(self, published: int) -> list[tuple[str, list[str]]]:
        told: list[tuple[str, list[str]]] = []
        while len(told) < published:
            message = self.inbox.get_message(timeout=5)
            prefix, _, worker = message["channel"].decode().rpartition(":")
            if prefix == f"{self.tag}:in":  # a story that failed left its own unread
                key, hint = orjson.loads(message["data"])
                assert key == f"{self.stores[0].tag}g"
                told.append((worker, hint))
        return told

    def _compare_counters(self, store: Store) -> None:
        """What the script counts is what the model finds by looking."""
        lanes = sorted({record.lane for record in self.model.records})
        buckets = sorted({record.bucket for record in self.model.records if record.state != "waiting"})
        pipe = self.client.pipeline(transaction=False)
        pipe.hget(f"{store.tag}g", "waiting")
        for lane in lanes:
            pipe.hget(f"{store.tag}l:{lane}", "infl").zcard(f"{store.tag}q:{lane}")
        for bucket in buckets:
            pipe.hget(f"{store.tag}b:{bucket}", "infl")
        found = [int(float(number or 0)) for number in pipe.execute()]
        expected = [self.model.backlog()]
        for lane in lanes:
            expected += [self.model.in_flight(lane=lane), len(self.model.waiting(lane))]
        assert found == expected + [self.model.in_flight(bucket=bucket) for bucket in buckets]

    def _remember(self, items: list[list[Any]], replies: list[list[Any]]) -> None:
        for item, reply in zip(items, replies, strict=True):
            if item[0] == "c" and reply[0]:
                self.memories.append([item[2], item[3], item[6], reply[0], reply[3]])


def texts(reply: list[Any]) -> list[str]:
    return [str(value) for value in reply]


def often(times: int, strategy: st.SearchStrategy[Any]) -> list[st.SearchStrategy[Any]]:
    """The same strategy several times: `one_of` drops repetitions of one object."""
    return [strategy.map(lambda value: value) for _ in range(times)]


picks = st.integers(0, 7)
routes = st.integers(0, len(ROUTES) - 1)
durations = st.sampled_from([0, 1, 1000, 30_000, 250_000, SECOND, 3 * SECOND, 4 * SECOND, 31 * SECOND])
short = st.sampled_from([0, 1000, 20_000, 50_000])
odd = st.builds(
    Says,
    st.sampled_from(["answered", "unknown", "exhausted", "paused", "global"]),
    st.sampled_from([200, 401, 403, 404, 429]),
    st.none() | st.integers(0, len(HASHES) - 1),
    st.integers(1, 6),
    st.integers(0, 6),
    st.integers(-4000, 9000),
    durations,
    durations,
    st.sampled_from(["", "", "yes"]),
)
acquires = st.builds(
    Acquire,
    routes,
    st.integers(0, 1),
    st.sampled_from("ab"),
    st.sampled_from([1.0, 0.5, 4.0]),
    st.sampled_from(["normal", "high", "low"]),
    st.sampled_from([30 * SECOND, 0, 50_000, SECOND]),
    st.sets(st.sampled_from(["ordered", "exempt", "token", "refusal"])).map(lambda flags: tuple(sorted(flags))),
    st.sampled_from([True] * 7 + [False]),
)
items = st.one_of(
    *often(4, st.builds(Acquire, routes)),
    *often(5, st.builds(Complete, picks, st.none(), short, short)),
    *often(3, acquires),
    st.builds(Complete, picks, odd, durations, durations),
    *often(2, st.builds(Serve, picks, st.sampled_from([True] * 7 + [False]))),
    st.builds(Cancel, picks),
    st.builds(Returned, picks, st.sampled_from(["returned", "restored"])),
    st.builds(Repeat, picks),
    st.builds(Restore, picks, durations),
    st.builds(Adopt, routes, st.integers(0, 1), st.booleans()),
    st.builds(Sign, st.sampled_from("nnnng")),
)
calls = st.builds(Call, st.integers(0, len(WORKERS) - 1), st.lists(items, min_size=1, max_size=5).map(tuple))
steps = st.one_of(
    *often(14, calls),
    *often(5, st.builds(Pass, durations)),
    *often(3, st.builds(Send, picks)),
    st.builds(Moves, routes, st.integers(0, len(HASHES) - 1)),
    st.builds(Bury, st.integers(0, len(WORKERS) - 1)),
    st.one_of(st.builds(Pass, st.sampled_from([-SECOND, -20 * SECOND, MINUTE])), st.builds(Restart, st.booleans())),
)

numbers = itertools.count(1)


@pytest.fixture(scope="module")
def server(valkey: str) -> Iterator[tuple[Any, Any]]:
    """A connection, and a subscription that hears every hint."""
    with redis.Redis.from_url(valkey) as client, client.pubsub(ignore_subscribe_messages=True) as inbox:
        inbox.psubscribe("model*:in:*")
        inbox.get_message(timeout=5)
        yield client, inbox


def test_the_script_does_what_the_model_does(server: tuple[Any, Any]) -> None:
    class Stories(RuleBasedStateMachine):
        @initialize(limit=st.sampled_from([50, 1, 2, 5]), leaky=st.booleans())
        def begin(self, *, limit: int, leaky: bool) -> None:
            self.story = Story(*server, f"model{next(numbers)}", limit, leaky)

        @rule(step=steps)
        def then(self, step: Any) -> None:
            self.story.follow(step)

        def teardown(self) -> None:
            if hasattr(self, "story"):
                self.story.clean_up()

    run_state_machine_as_test(
        Stories,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        ),
    )


def call(*happens: Any, worker: int = 0) -> Call:
    return Call(worker, happens)


FIRST_TWO_ROUTES_ARE_KNOWN = (
    call(Acquire(0)),
    call(Complete(0)),
    call(Acquire(1)),
    call(Complete(0)),
    Pass(4 * SECOND),
)
STORIES: dict[str, tuple[Any, ...]] = {
    "the only call that waits is cancelled": (call(Acquire(0)), call(Acquire(0)), call(Cancel(1)), call(Acquire(0))),
    "a place is given back in the step that turns it into a permit of another bucket": (
        call(Acquire(0), Acquire(0), Acquire(0)),
        call(Complete(0), Cancel(1)),
        call(Serve(0)),
    ),
    "the heads of two lanes of one bucket came within one step": (
        *FIRST_TWO_ROUTES_ARE_KNOWN,
        call(*[Acquire(0, flags=("ordered",))] * 2, *[Acquire(1, flags=("ordered",))] * 2),
        call(Serve(2), Serve(3)),
        call(Complete(0), Complete(1)),
        call(Serve(0)),
        call(Serve(1)),
    ),
    "a route that waits for a bucket moves to another one": (
        *FIRST_TWO_ROUTES_ARE_KNOWN,
        call(*[Acquire(0)] * 3),
        call(Acquire(0)),
        call(Acquire(1)),
        Moves(0, 2),
        call(Complete(0)),
        call(Complete(0), Complete(1)),
        call(Serve(0), Serve(1)),
    ),
    "a global 429 comes while a bucket waits for its window": (
        *FIRST_TWO_ROUTES_ARE_KNOWN,
        call(*[Acquire(0)] * 3),
        call(*[Complete(pick) for pick in range(3)]),
        call(Acquire(2)),
        call(Complete(0, Says("global", 429, retry_us=250_000))),
        call(Acquire(0)),
        Pass(250_000),
        call(Sign("n")),
    ),
    "slots have become free since anybody asked for one": (
        *FIRST_TWO_ROUTES_ARE_KNOWN,
        call(*[Acquire(0)] * 3),
        call(*[Complete(pick) for pick in range(3)]),
        Pass(1_500_000),
        call(Acquire(0)),
    ),
    "a backlog of many seconds waits for the global limit": (
        call(Acquire(2)),
        call(Complete(0, Says())),
        *[call(*[Acquire(2)] * 100)] * 7,
        call(*[Complete(pick, Says()) for pick in range(50)]),
        Pass(SECOND),
        *[call(Sign("n")), Pass(60_000)] * 4,
    ),
    "a replica takes over with old data": (
        call(Acquire(0)),
        call(Complete(0)),
        Restart(stale=True),
        call(Sign("n")),
        Pass(SECOND),
        call(Acquire(0)),
        call(Acquire(0)),
        call(Serve(0)),
    ),
    "the limit of a leaky bucket changes, and then it is a fixed window": tuple(
        step
        for limit, rid_ms, after_us in (
            (6, 3000, 3 * SECOND),
            (6, 12_000, 12 * SECOND),
            (2, 12_500, 12_500_000),
            (2, 12_500, SECOND),
        )
        for step in (
            call(Acquire(0)),
            call(Complete(0, Says(hash=0, limit=limit, remaining=limit - 1, rid_ms=rid_ms, after_us=after_us))),
        )
    ),
    "a restored bucket has a limit but no period": (
        call(Acquire(0)),
        call(Complete(0, Says("exhausted", 429, retry_us=0))),
        Restart(stale=False),
        call(Restore(0)),
        Pass(SECOND),
        call(Acquire(0)),
        call(Complete(0, Says("unknown", 404))),
        call(Acquire(0)),
    ),
}


@pytest.mark.parametrize("limit", [50, 5, 1])
@pytest.mark.parametrize("leaky", [False, True], ids=["fixed", "leaky"])
@pytest.mark.parametrize("title", STORIES)
def test_stories_that_once_went_wrong(server: tuple[Any, Any], title: str, *, leaky: bool, limit: int) -> None:
    story = Story(*server, f"model{next(numbers)}", limit, leaky)
    try:
        for step in STORIES[title]:
            story.follow(step)
    finally:
        story.clean_up()
