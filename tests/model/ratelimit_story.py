"""Runs a story against the Lua and the model, step by step; both must reply the same."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import redis

from discordproxy_ratelimit.limiter.store import Store
from discordproxy_ratelimit.redis.batch import BatchItem
from discordproxy_sandbox.limits.limits import FixedWindow, Gcra, LimitDecision
from model.packed_state import account_state, bucket_state, lane_state
from model.ratelimit_bucket import SECOND
from model.ratelimit_line import Record
from model.ratelimit_model import Model
from model.ratelimit_steps import (
    Acquire,
    Adopt,
    Again,
    Bury,
    Cancel,
    Complete,
    Moves,
    Pass,
    Repeat,
    Restart,
    Restore,
    Returned,
    Says,
    Send,
    Serve,
    Sign,
)

EPOCH_US = 1_790_000_000 * SECOND
LEASE_S = 5.0
WORKERS = ("w0", "w1", "w2")
ROUTES = ("GET /a", "POST /b", "PUT /c")
MAJORS = ("x=1", "x=2")
HASHES = ("h1", "h2", "h3")


class OneServer:
    """A link without an event loop: every script call is answered before it returns.

    With `functions` the broker's script is a function of the server, as it is unless the server refuses that.
    """

    def __init__(self, client: Any, *, functions: bool) -> None:
        self.client, self.run_id, self.touched = client, "run0", set()
        self.functions, self.loaded = functions, False
        self.memory_lost = self.memory_kept = False

    async def run(self, lua: Any, keys: list[str], arguments: list[Any]) -> Any:
        self.touched.update(keys)
        rest = (len(keys), *keys, *arguments)
        if lua.function and self.functions:
            if not self.loaded:
                self.client.function_load(lua.library, replace=True)
                self.loaded = True
            return self.client.fcall(lua.function, *rest)
        try:
            return self.client.evalsha(lua.sha, *rest)
        except redis.exceptions.NoScriptError:
            return self.client.eval(lua.text, *rest)


def at_once(coroutine: Any) -> Any:
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it wanted to wait")


def _other_bucket(item: list[Any]) -> str:
    """The name of the bucket that matters beside that of the call; '' for none."""
    match item:
        case ["c", _, _, _, _, _, learned]:
            return learned
        case ["a", _, _, _, _, {"again": bucket}]:
            return bucket
        case ["a", _, _, _, _, {"former": former}] | ["s", _, _, _, _, _, former]:
            return former
    return ""


@dataclass
class Story:
    """The state of the world around both implementations."""

    client: Any
    inbox: Any
    tag: str
    limit: int
    leaky: bool
    functions: bool = False
    now: int = EPOCH_US
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.link = OneServer(self.client, functions=self.functions)
        self.generation = 0
        self.model = Model(self.limit, int(LEASE_S * SECOND))
        self.hash_of = {route: HASHES[i // 2] for i, route in enumerate(ROUTES)}  # the first two share a bucket
        self.buckets: dict[str, Any] = {}
        self.answers: dict[str, tuple[str, LimitDecision]] = {}
        self.ended: list[Record] = []
        self.memories: list[list[Any]] = []
        self.stores = self._stores()

    def _stores(self) -> list[Store]:
        tag = f"{{{self.tag}}}:{self.generation}:"
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
        known = self.model.hash_of(f"{route}|{major}")
        return f"{known}|{major}" if known not in ("", "-") else f"?{route}|{major}"

    def former(self, route: str, major: str) -> str:
        """The name its bucket had before its hash changed; '' for none."""
        name = self.model.hash_name(f"{route}|{major}")
        _, _, former, _ = self.model.moves.get(name, (0, 0, "", ""))
        return f"{former}|{major}" if former else ""

    def picked(self, pick: int, *, ended: bool = False) -> Record | None:
        records = self.model.records + (self.ended[-3:] if ended else [])
        return records[pick % len(records)] if records else None

    def item(self, step: Any) -> list[Any] | None:
        return getattr(self, f"_{type(step).__name__.lower()}")(step)

    def _acquire(self, step: Acquire) -> list[Any]:
        route, major = ROUTES[step.route], MAJORS[step.major]
        options = {"left_us": step.left_us, "app": step.app, "weight": step.weight, "priority": step.priority}
        options["hash"] = self.model.hash_of(f"{route}|{major}") if step.knows else "h9"
        options |= dict.fromkeys(step.flags, True)
        if "refusal" in step.flags:
            options["refusal"] = f"gone {major}"
        if former := self.former(route, major):
            options["former"] = former
        name = f"{next(self.ids)}"
        return ["a", name, route, f"{route}|{major}", self.bucket_name(route, major), options]

    def _repeat(self, step: Repeat) -> list[Any] | None:
        record = self.picked(step.pick)
        return record and self._place_again(record, record.id, {})

    def _again(self, step: Again) -> list[Any] | None:
        record = self.picked(step.pick)
        return record and self._place_again(record, record.id, {"again": record.bucket, "seq": record.seq})

    def _returned(self, step: Returned) -> list[Any] | None:
        record = self.picked(step.pick, ended=True)
        if record is None:
            return None
        return self._place_again(record, f"{next(self.ids)}", {step.flag: True, "seq": record.seq})

    def _place_again(self, record: Record, name: str, more: dict[str, Any]) -> list[Any]:
        options = {"left_us": 30 * SECOND, "app": record.app, "weight": record.weight, "priority": record.priority}
        options |= {"hash": self.model.hash_of(record.lane)} | more
        bucket = self.bucket_name(record.route, record.lane.rpartition("|")[2])
        return ["a", name, record.route, record.lane, bucket, options]

    def _send(self, step: Send) -> None:
        record = self.picked(step.pick)
        if record and record.state == "granted" and record.id not in self.answers:
            hash_ = self.hash_of.get(record.lane) or self.hash_of[record.route]
            key = f"{hash_}|{record.lane.rpartition('|')[2]}"
            if key not in self.buckets:
                self.buckets[key] = Gcra(3, 3.0) if self.leaky else FixedWindow(3, 3.0)
            self.answers[record.id] = hash_, self.buckets[key].hit(self.now / SECOND)

    def _complete(self, step: Complete) -> list[Any] | None:
        record = self.picked(step.pick, ended=True)
        if record is None or record.state in ("waiting", "global") or record.start is None:
            return None  # with an outdated permit nothing was sent
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
        elif says.hash is not None:
            body["second"] = {"name": HASHES[says.hash], "limit": says.limit, "after_us": says.after_us}
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
        expected = self.model.hash_of(record.lane) if step.knows else "h9"
        major = record.lane.rpartition("|")[2]
        bucket, former = self.bucket_name(record.route, major), self.former(record.route, major)
        return ["s", record.id, record.route, record.lane, bucket, expected, *([former] if former else [])]

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
            route = ROUTES[step.route]
            self.hash_of[route if step.major is None else f"{route}|{MAJORS[step.major]}"] = HASHES[step.hash]
        elif isinstance(step, Restart):
            self._restart(step)
        elif isinstance(step, Bury):
            self._bury(WORKERS[step.worker])
        elif isinstance(step, Send):
            self._send(step)
        else:
            items = [item for item in map(self.item, step.items) if item]
            ended = {item[1] for item in items if item[0] in ("c", "x")}
            items = [item for item in items if item[0] != "a" or item[1] not in ended]  # an id never comes back
            self.call(step.worker, items)

    def _restart(self, step: Restart) -> None:
        self.link.run_id, self.link.memory_lost = f"{self.link.run_id}+", True
        self.link.memory_kept = step.stale and step.kept
        if not step.stale:
            self.generation += 1
            self.model = Model(self.limit, int(LEASE_S * SECOND))
            self.stores = self._stores()

    def _bury(self, worker: str) -> None:
        """Do what the reaper of the next worker does."""
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
        memory = {"lost": self.link.memory_lost and not self.link.memory_kept, "kept": self.link.memory_kept}
        expected = self.model.call(self.now, WORKERS[worker], self.link.run_id, items, **memory)
        self.ended += [record for record in before if self.model.record(record.id) is None]
        story = [item[0] for item in items]
        assert [texts(reply) for reply in lua.replies] == [texts(reply) for reply in expected.replies], story
        assert lua.grants == expected.grants
        assert self._hints(lua.published) == expected.hints
        assert (lua.pump_after_us, lua.pump_is_ours) == (expected.pump, expected.own)
        assert (lua.dead, lua.was_expired) == (expected.dead, expected.was_expired)
        assert lua.next_dead_us <= expected.next_dead  # a lower bound: the script does not look up each renewal
        assert lua.next_dead_us or expected.dead or not self.model.workers
        self._compare_counters(store)
        self._remember(items, lua.replies)

    def _with_keys(self, store: Store, item: list[Any]) -> BatchItem:
        bare = item[0] in ("n", "g")
        keys = [] if bare else store.keys(item[3], item[4], _other_bucket(item))
        return BatchItem(item, keys, None)

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
        pipe.get(f"{store.tag}g").zcard(f"{store.tag}gq").hlen(f"{store.tag}held")
        for lane in lanes:
            pipe.get(f"{store.tag}l:{lane}").zcard(f"{store.tag}q:{lane}")
        for bucket in buckets:
            pipe.get(f"{store.tag}b:{bucket}")
        packed, queued, held, *found = pipe.execute()
        account = account_state(packed)
        assert {account.queued, account.held} <= {queued, held, None}
        assert account.waiting == self.model.backlog()
        assert queued == len(self.model.waiting_for_a_slot())
        assert held == len(self.model.records)
        lane_states = [lane_state(value) for value in found[: 2 * len(lanes) : 2]]
        queues = found[1 : 2 * len(lanes) : 2]
        bucket_states = [bucket_state(value) for value in found[2 * len(lanes) :]]
        assert [state.infl for state in lane_states] == [self.model.in_flight(lane=lane) for lane in lanes]
        assert queues == [state.waiting for state in lane_states] == [len(self.model.waiting(lane)) for lane in lanes]
        assert [state.infl for state in bucket_states] == [self.model.in_flight(bucket=name) for name in buckets]

    def _remember(self, items: list[list[Any]], replies: list[list[Any]]) -> None:
        for item, reply in zip(items, replies, strict=True):
            if item[0] == "c" and reply[0]:
                self.memories.append([item[2], item[3], item[6], reply[0], reply[3]])


def texts(reply: list[Any]) -> list[str]:
    return [str(value) for value in reply]
