"""Idempotency keys with a real server: one logical call has one effect and one response."""

import asyncio
import contextlib
import uuid

import pytest
from prometheus_client import CollectorRegistry

from discordproxy_api.calls.call import Call
from discordproxy_api.calls.drain import Drain
from discordproxy_api.calls.errors import ApiError, invalid_field
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.calls.retry import NONCE_WINDOW_S, Repeat
from discordproxy_api.contract.rules import limits
from discordproxy_api.pipeline import idempotency as module
from discordproxy_api.pipeline.idempotency import Idempotency, LogicalCall, checked_key
from discordproxy_ratelimit.broker import Broker
from discordproxy_ratelimit.metrics import Decisions
from discordproxy_ratelimit.redis.client import connect
from discordproxy_ratelimit.shared.claims import Claims
from fakes.broker import FakeClaims
from fakes.eventually import eventually


class Clock:
    now = 1_000_000.0

    def __call__(self):
        return self.now


class World:
    """Idempotency of one worker, and calls of one caller."""

    def __init__(self, notes) -> None:
        self.clock, self.drain = Clock(), Drain()
        self.runs, self.running = 0, asyncio.Event()
        self.idempotency = Idempotency(notes, kept_s=60.0, drain=self.drain, metrics=Metrics(), wall_clock=self.clock)

    def call(self, key="k1"):
        return Call("SendChannelMessage", uuid.uuid4().hex, app="srp", idempotency_key=key)

    async def ask(self, work=None, *, request=b"request", repeat=Repeat.NONCE, call=None):
        call = call or self.call()

        async def perform():
            self.runs += 1
            self.running.set()
            return await work(call) if work else b"answer"

        return await self.idempotency.run(LogicalCall.of(call, request, repeat), call, perform)


@pytest.fixture
async def world(valkey, key_prefix):
    broker = Broker(connect(valkey), prefix=key_prefix, bot_id="1", decisions=Decisions(CollectorRegistry()))
    await broker.start()
    await broker.ready()
    yield World(broker.claims)
    await broker.close()


ALL = [Repeat.ALWAYS, Repeat.NONCE, Repeat.NEVER]


@pytest.mark.parametrize("repeat", ALL)
async def test_the_second_call_gets_the_first_result(world, repeat):
    assert [await world.ask(repeat=repeat) for _ in range(3)] == 3 * [b"answer"]
    assert world.runs == 1


@pytest.mark.parametrize("repeat", ALL)
async def test_a_second_call_waits_for_the_first(world, repeat):
    go = asyncio.Event()

    async def work(_call):
        await go.wait()
        return b"answer"

    first = asyncio.ensure_future(world.ask(work, repeat=repeat))
    await world.running.wait()
    second = asyncio.ensure_future(world.ask(work, repeat=repeat))
    done, _ = await asyncio.wait({second}, timeout=0.3)
    assert not done
    go.set()
    assert await asyncio.gather(first, second) == 2 * [b"answer"]
    assert world.runs == 1


async def test_another_request_is_invalid(world):
    await world.ask()
    with pytest.raises(ApiError) as refused:
        await world.ask(request=b"other")
    assert (refused.value.status, refused.value.fields[0].path) == (
        "INVALID_ARGUMENT",
        "options.idempotency_key",
    )


def test_a_key_has_the_length_that_the_contract_permits():
    assert checked_key("k" * limits.IDEMPOTENCY_KEY, "Idempotency-Key")
    with pytest.raises(ApiError) as refused:
        checked_key("k" * (limits.IDEMPOTENCY_KEY + 1), "Idempotency-Key")
    assert refused.value.fields[0].message == f"Must be {limits.IDEMPOTENCY_KEY} or fewer in length."


async def test_keys_belong_to_an_app_and_an_rpc(world):
    await world.ask()
    other_app, other_rpc, other_key = world.call(), world.call(), world.call("k2")
    other_app.app, other_rpc.rpc = "forum", "CreateRole"
    for call in (other_app, other_rpc, other_key):
        await world.ask(request=b"other", call=call)
    assert world.runs == 4


async def refused(call):
    call.left(0.0, effect=True)
    call.refused(403, effect=True)
    raise invalid_field("x", "X", "refused")


async def send(call):
    """Record that a request is sent, as `Rest` does."""
    if call.before_effect is not None:
        await call.before_effect()
    call.left(asyncio.get_running_loop().time(), effect=True)


async def lost(call):
    await send(call)
    call.lost(effect=True)
    raise invalid_field("x", "X", "lost")


@pytest.mark.parametrize("repeat", ALL)
async def test_a_call_without_effect_may_be_repeated(world, monkeypatch, repeat):
    monkeypatch.setattr(module, "LEASE_S", 600.0)  # no claim expires during the test
    with pytest.raises(ApiError, match="refused"):
        await world.ask(refused, repeat=repeat)

    async def eventually():
        while True:
            with contextlib.suppress(ApiError):
                return await world.ask(repeat=repeat)

    assert await asyncio.wait_for(eventually(), 60) == b"answer"


async def test_a_lost_idempotent_call_is_repeated(world):
    with pytest.raises(ApiError, match="lost"):
        await world.ask(lost, repeat=Repeat.ALWAYS)
    assert await world.ask(repeat=Repeat.ALWAYS) == b"answer"


async def test_a_lost_call_with_a_nonce_is_repeated_while_discord_recognizes_it(world):
    with pytest.raises(ApiError, match="lost"):
        await world.ask(lost)
    world.clock.now += NONCE_WINDOW_S - 1
    assert await world.ask() == b"answer"
    assert await world.ask() == b"answer"
    assert world.runs == 2


@pytest.mark.parametrize("repeat", [Repeat.NONCE, Repeat.NEVER])
async def test_the_outcome_of_a_lost_call_is_unknown(world, repeat):
    with pytest.raises(ApiError, match="lost"):
        await world.ask(lost, repeat=repeat)
    world.clock.now += NONCE_WINDOW_S + 1
    call = world.call()
    with pytest.raises(ApiError) as refused:
        await world.ask(call=call, repeat=repeat)
    assert (refused.value.status, refused.value.reason, call.sent) == ("ABORTED", "OUTCOME_UNKNOWN", "unknown")
    assert world.runs == 1


async def test_a_caller_that_disconnected_gets_the_result_later(world):
    go = asyncio.Event()

    async def work(call):
        call.left(0.0, effect=True)
        await go.wait()
        call.succeeded(200, effect=True)
        return b"answer"

    first = asyncio.ensure_future(world.ask(work))
    await world.running.wait()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    go.set()
    await world.idempotency.finish()
    assert await world.ask() == b"answer"
    assert world.runs == 1


async def test_a_call_ends_with_its_caller_if_nothing_was_sent(world):
    first = asyncio.ensure_future(world.ask(lambda _call: asyncio.Event().wait()))
    await world.running.wait()
    first.cancel()
    await world.idempotency.finish()
    assert await world.ask() == b"answer"
    assert world.runs == 2


@pytest.mark.parametrize("turns", range(8))
async def test_a_call_that_ends_while_it_claims_its_key_leaves_the_key_free(world, monkeypatch, turns):
    """The caller cancels in each phase of the claim, and calls again with the same key."""
    monkeypatch.setattr(module, "LEASE_S", 600.0)  # no claim expires during the test
    first = asyncio.ensure_future(world.ask(lambda _call: asyncio.Event().wait()))
    for _ in range(turns):
        await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await world.idempotency.finish()
    assert await asyncio.wait_for(world.ask(), 60) == b"answer"


async def test_a_waiting_call_is_in_doubt(world):
    """The first call is still in a queue: it has no effect yet, but may have one at any time."""
    first = asyncio.ensure_future(world.ask(lambda _call: asyncio.Event().wait(), repeat=Repeat.NEVER))
    await world.running.wait()
    call = world.call()
    second = asyncio.ensure_future(world.ask(call=call, repeat=Repeat.NEVER))
    await eventually(lambda: call.sent == "unknown")
    first.cancel()
    assert await second == b"answer"
    assert world.runs == 2
    await asyncio.gather(first, return_exceptions=True)


@pytest.mark.parametrize(("was_sent", "runs", "sent"), [(False, 1, "no"), (True, 0, "unknown")])
async def test_a_dead_workers_call_is_in_doubt_only_if_a_request_was_sent(world, monkeypatch, was_sent, runs, sent):
    """The lease of a dead worker is not renewed."""
    monkeypatch.setattr(module, "LEASE_S", 0.2)
    monkeypatch.setattr(Claims, "_renew", lambda *_: asyncio.Event().wait())
    dead, resumed = asyncio.Event(), asyncio.Event()

    async def die(call):
        if was_sent:
            await send(call)
        dead.set()
        await resumed.wait()
        return b"too late"

    first = asyncio.ensure_future(world.ask(die, repeat=Repeat.NEVER))
    await dead.wait()
    world.runs, call = 0, world.call()
    (outcome,) = await asyncio.gather(world.ask(call=call, repeat=Repeat.NEVER), return_exceptions=True)
    assert (world.runs, call.sent, getattr(outcome, "reason", "")) == (
        runs,
        sent,
        "OUTCOME_UNKNOWN" if was_sent else "",
    )
    resumed.set()
    await first


@pytest.mark.parametrize(("late_s", "runs"), [(NONCE_WINDOW_S - 1, 1), (NONCE_WINDOW_S + 1, 0)])
async def test_a_dead_workers_message_is_repeated_only_while_discord_recognizes_its_nonce(
    world, monkeypatch, late_s, runs
):
    monkeypatch.setattr(module, "LEASE_S", 0.2)
    monkeypatch.setattr(Claims, "_renew", lambda *_: asyncio.Event().wait())
    dead, resumed = asyncio.Event(), asyncio.Event()

    async def die(call):
        await send(call)
        dead.set()
        await resumed.wait()
        return b"too late"

    first = asyncio.ensure_future(world.ask(die))
    await dead.wait()
    world.runs = 0
    world.clock.now += late_s
    (outcome,) = await asyncio.gather(world.ask(), return_exceptions=True)
    assert world.runs == runs
    assert outcome == b"answer" if runs else outcome.reason == "OUTCOME_UNKNOWN"
    resumed.set()
    await first


async def test_a_call_whose_claim_was_lost_sends_nothing_and_gets_the_other_result(world, monkeypatch):
    """A worker is stopped for longer than its lease, and continues right before it sends its request."""
    monkeypatch.setattr(Claims, "_renew", lambda *_: asyncio.Event().wait())
    monkeypatch.setattr(module, "LEASE_S", 0.05)
    go_on, sent = asyncio.Event(), []

    async def stopped(call):
        await go_on.wait()
        await send(call)
        sent.append(call)
        return b"first"

    first = asyncio.ensure_future(world.ask(stopped, repeat=Repeat.NEVER))
    await world.running.wait()
    assert await world.ask(repeat=Repeat.NEVER) == b"answer"
    go_on.set()
    assert (await first, sent) == (b"answer", [])


class CountingClaims(FakeClaims):
    """Sets an event when a claim has been renewed a few times."""

    def __init__(self) -> None:
        super().__init__()
        self.owners, self.renewed = [], asyncio.Event()

    async def _claim(self, key, request, *, owner, lease_s, keeper=None):
        self.owners.append(owner)
        if len(self.owners) > 3:
            self.renewed.set()
        return await super()._claim(key, request, owner=owner, lease_s=lease_s)


async def test_the_claim_is_renewed_while_the_work_lasts(monkeypatch):
    monkeypatch.setattr(module, "LEASE_S", 0.03)
    notes = CountingClaims()

    async def work(_call):
        await notes.renewed.wait()
        return b"answer"

    assert await World(notes).ask(work) == b"answer"
    assert len(set(notes.owners)) == 1


async def test_the_drain_ends_the_wait_for_the_first_call(world):
    first = asyncio.ensure_future(world.ask(lambda _call: asyncio.Event().wait()))
    await world.running.wait()
    second = asyncio.ensure_future(world.ask())
    await asyncio.wait({second}, timeout=0.1)
    world.drain.begin()
    with pytest.raises(ApiError, match="stopping"):
        await second
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await world.idempotency.finish()


async def test_without_redis_nothing_is_sent():
    notes = FakeClaims()
    notes.down = True
    world = World(notes)
    with pytest.raises(ApiError) as refused:
        await world.ask()
    assert (refused.value.reason, world.runs) == ("BROKER_UNAVAILABLE", 0)


async def test_a_result_that_cannot_be_kept_is_returned():
    notes = FakeClaims()
    world = World(notes)

    async def work(_call):
        notes.down = True
        return b"answer"

    assert await world.ask(work) == b"answer"


async def test_the_keys_of_one_application_are_limited(world):
    world.idempotency._max_bytes = 2_000
    for number in range(3):
        await world.ask(call=world.call(f"k{number}"))
    with pytest.raises(ApiError, match="DISCORDPROXY_IDEMPOTENCY_BYTES") as refused:
        await world.ask(call=world.call("k3"))
    assert (refused.value.status, refused.value.reason) == ("RESOURCE_EXHAUSTED", "IDEMPOTENCY_KEYS_FULL")
    assert await world.ask(call=world.call("k0")) == b"answer", "kept results are still returned"
    other = Call("SendChannelMessage", "id", app="other", idempotency_key="k3")
    assert await world.ask(call=other) == b"answer"
    assert world.runs == 4
