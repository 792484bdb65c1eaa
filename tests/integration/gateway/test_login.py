"""Logging in at a Discord that is rested, exhausted, odd or refusing: how often it is asked, and what operators see."""

import asyncio
import logging

import pytest

from discordproxy_gateway import worker
from discordproxy_gateway.cache import GatewayState, Slot, read_state
from discordproxy_gateway.discord.discord_socket import HAND_OVER
from discordproxy_gateway.discord.failures import FatalError, LeaseLostError
from discordproxy_gateway.store import session_store
from discordproxy_gateway.store.lease import LeaderElection
from discordproxy_gateway.store.session_store import GATE_MS, HANDSHAKE_MS, SessionStore
from discordproxy_sandbox.gateway.gateway import GatewayConfig
from discordproxy_sandbox.rest.faults import Fault
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from fakes.eventually import eventually
from fakes.ports import free_port
from integration.gateway.conftest import starter

SLOT = Slot(0, 1)
ABSENT = "(absent)"


async def problem(redis, keys, *words: str) -> GatewayState:
    """Wait until operators see why nobody can log in, and return the state."""
    seen: list[GatewayState] = []

    async def told() -> bool:
        seen[:] = [await read_state(redis, keys)]
        return all(word in seen[0].login_problem for word in ("cannot log in", *words))

    await eventually(told)
    return seen[0]


async def test_after_the_login_nothing_is_shown_of_it(connect, sandbox, redis, keys):
    connect()

    async def ready() -> bool:
        return (await read_state(redis, keys)).ready

    await eventually(ready)
    state = await read_state(redis, keys)
    assert (state.login_problem, state.login_error) == ("", "")


async def test_a_rested_bot_connects_and_asks_once(connect, sandbox, redis, keys):
    assert sandbox.gateway.start_limit() == {"total": 1000, "remaining": 1000, "reset_after": 0, "max_concurrency": 1}
    connect()
    await eventually(lambda: redis.exists(keys.session(SLOT)))
    assert sandbox.gateway.stats.infos == 1
    assert sandbox.gateway.stats.identifies == 1
    assert sandbox.gateway.stats.violations == []


@pytest.mark.parametrize(
    "sandbox", [SandboxConfig(gateway=GatewayConfig(rested_reset_after_s=86_400.0))], indirect=True
)
async def test_reset_after_may_be_a_day_for_a_rested_bot(connect, sandbox):
    connect()
    await eventually(lambda: sandbox.gateway.stats.identifies == 1)
    assert sandbox.gateway.stats.infos == 1


@pytest.mark.parametrize(
    ("limit", "info"),
    [
        ({"reset_after": ABSENT, "total": "many"}, {}),
        ({"reset_after": -5, "max_concurrency": 0}, {}),
        ({"reset_after": 10**15}, {"shards": None}),
        ({"remaining": None, "reset_after": 1}, {"shards": 0}),
        ({}, {"session_start_limit": ABSENT}),
    ],
    ids=repr,
)
async def test_odd_advice_is_replaced_and_warned_of(connect, sandbox, caplog, limit, info):
    sandbox.gateway.faults.set(start_limit=limit, info=info)
    connect()
    await eventually(lambda: sandbox.gateway.stats.identifies == 1)
    assert sandbox.gateway.stats.infos == 1
    assert ("defaults are used" in caplog.text) == (limit != {"reset_after": 10**15} or info != {})


@pytest.mark.parametrize(
    "limit", [{"remaining": 0, "reset_after": 0}, {"remaining": 0}, {"remaining": 50, "reset_after": 1}]
)
async def test_without_a_budget_the_worker_waits_and_says_so(connect, sandbox, redis, keys, caplog, limit):
    caplog.set_level(logging.INFO)
    sandbox.gateway.faults.set(start_limit=limit)
    connect()
    state = await problem(redis, keys, "runs but cannot log in", f"only {limit['remaining']} new sessions are left")
    assert state.running
    await eventually(lambda: "the number of new sessions that are left" in caplog.text)
    assert sandbox.gateway.stats.infos == 1
    assert sandbox.gateway.stats.opened == 0


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"kind": "status", "status": 401, "path": "/gateway/bot"}, "refused: HTTP 401"),
        ({"kind": "status", "status": 403, "path": "/users/@me"}, "refused: HTTP 403"),
        ({"kind": "status", "status": 503, "path": "/gateway/bot"}, "refused: HTTP 503"),
        ({"kind": "status", "status": 500, "path": "/users/@me"}, "GET /users/@me: no answer yet"),  # asked again first
        ({"kind": "silent", "path": "/gateway/bot"}, "GET /gateway/bot: no answer yet"),
        ({"kind": "truncated", "path": "/gateway/bot"}, "unreadable answer"),
        ({"kind": "rate_limited", "path": "/users/@me", "retry_after_body": 7200.0}, "rate limited for 7200 s"),
        ({"kind": "rate_limited", "path": "/gateway/bot", "retry_after_body": None}, "unreadable answer"),
        ({"kind": "cloudflare", "path": "/users/@me"}, "refused: HTTP 429"),
    ],
    ids=lambda value: value["kind"] + str(value.get("status", "")) if isinstance(value, dict) else "",
)
async def test_a_refused_question_is_waited_for_and_shown(connect, sandbox, redis, keys, fault, words):
    sandbox.faults.add(Fault(**fault, count=1_000_000))
    connect()
    state = await problem(redis, keys, "runs but cannot log in", words)
    assert not any(shard.held for shard in state.shards)
    assert len(sandbox.ledger.records) < 20


async def test_no_answer_at_all_is_given_up_and_asked_for_again(connect, sandbox, redis, keys, monkeypatch):
    monkeypatch.setattr(worker, "REQUEST_TIMEOUT_S", 0.2)
    sandbox.faults.add(Fault(kind="silent", path="/users/@me"))
    connect()
    await problem(redis, keys, "no answer in time")
    await eventually(lambda: sandbox.gateway.stats.identifies == 1)


async def test_advice_without_an_address_is_asked_for_again(connect, sandbox, redis, keys):
    sandbox.limits.set("GET /gateway/bot", None)
    sandbox.gateway.faults.set(info={"url": "https://discord.com"})
    connect()
    await problem(redis, keys, "unreadable answer")
    sandbox.gateway.faults.clear()
    await eventually(lambda: sandbox.gateway.stats.identifies == 1)


@pytest.mark.parametrize("status", [200, 302, 403, 429, 500])
async def test_a_refused_handshake_is_named(connect, sandbox, redis, keys, caplog, status):
    location = {"Location": f"{sandbox.rest_url}/gateway"} if status == 302 else {}
    sandbox.gateway.faults.set(handshake=status, handshake_headers=location)
    connect()
    told = "handshake refused: HTTP " + ("200" if status == 302 else str(status))
    state = await problem(redis, keys, "runs but cannot log in", told)
    assert state.shards[0].held
    assert told in caplog.text
    assert "reconnect" not in caplog.text
    assert sandbox.gateway.stats.opened == 0


async def test_the_wait_that_a_refused_handshake_names_is_kept(connect, sandbox, caplog):
    caplog.set_level(logging.INFO)
    sandbox.gateway.faults.set(handshake=429, handshake_headers={"Retry-After": "1234"})
    connect()
    await eventually(lambda: "HTTP 429), again in 1234.0 s" in caplog.text)


async def test_a_failure_of_tls_is_named(connect, sandbox, redis, keys):
    sandbox.gateway.faults.set(info={"url": sandbox.gateway_url.replace("ws://", "wss://")})
    connect()
    await problem(redis, keys, "runs but cannot log in", "TLS failed")


async def test_a_gateway_nobody_serves_is_named(connect, sandbox, redis, keys):
    port = free_port()
    sandbox.gateway.faults.set(info={"url": f"ws://127.0.0.1:{port}/gateway"})
    connect()
    await problem(redis, keys, f"cannot connect to 127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("config", "fault", "options", "words"),
    [
        (SandboxConfig(token="another"), {}, {}, "rejected the bot token"),
        (SandboxConfig(), {"identify": 4004}, {}, "rejected the bot token"),
        (SandboxConfig(), {"identify": 4010}, {}, "refused shard"),
        (SandboxConfig(gateway=GatewayConfig(shards=2, sharding_required=True)), {}, {"shards": 1}, "more shards"),
        (SandboxConfig(gateway=GatewayConfig(privileged=0)), {}, {}, "Server Members Intent"),
    ],
    ids=["token", "4004", "4010", "4011", "4014"],
)
async def test_a_fatal_refusal_is_shown_also_after_it_was_forgotten(redis, keys, config, fault, options, words):
    async with Sandbox(config) as sandbox, starter(redis, keys, sandbox.rest_url) as connect:
        sandbox.gateway.faults.set(**fault)
        with pytest.raises(FatalError, match=words):
            await connect(**options).task
        state = await problem(redis, keys, words)
        assert not state.running
        if state.shards[0].state == "fatal":
            await redis.delete(keys.fatal)  # as it ends by itself after ten minutes
            await problem(redis, keys, words)


async def test_shards_of_one_group_identify_one_after_the_other(connect, sandbox, redis, keys, monkeypatch):
    """The sandbox refuses the second IDENTIFY of a group within one second: a busy machine may delay the first one."""
    monkeypatch.setattr(session_store, "GATE_MS", 2_500)
    sandbox.gateway.config = GatewayConfig(shards=4, max_concurrency=2, identify_every_s=1.0)
    connect()
    for number in range(4):
        await eventually(lambda number=number: redis.exists(keys.session(Slot(number, 4))))
    assert sandbox.gateway.stats.identifies == 4
    assert sandbox.gateway.stats.violations == []
    assert sandbox.gateway.stats.infos == 1


async def test_shards_of_several_groups_do_not_wait_for_each_other(connect, sandbox, redis, keys, monkeypatch):
    monkeypatch.setattr(session_store, "GATE_MS", 3_600_000)  # a shard that waited would never come
    sandbox.gateway.config = GatewayConfig(shards=4, max_concurrency=4)
    connect()
    for number in range(4):
        await eventually(lambda number=number: redis.exists(keys.session(Slot(number, 4))))
    assert sandbox.gateway.stats.violations == []


async def test_a_socket_is_closed_if_the_worker_stops_before_the_gate_is_set(start, discord, monkeypatch):
    async def stalled(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(SessionStore, "identified", stalled)
    running = start()
    await eventually(lambda: discord.seen["identifies"] == 1)
    await running.stop()
    await eventually(lambda: discord.close_codes == [HAND_OVER])


async def successor_at(slot, first, second, scripts, keys):
    """The lease of the next leader at this slot, after the first one, or all of another number of shards, have died."""
    await scripts.redis.delete(keys.lease(first.slot))
    if slot == second.slot:
        return second
    if slot.shard_count != first.slot.shard_count:
        await scripts.redis.delete(keys.lease(second.slot), keys.division)
    return await LeaderElection(scripts, keys, slot).acquire()


class TestGate:
    """The gate between two IDENTIFYs of a group, as several processes use it."""

    @pytest.fixture
    async def two(self, redis, keys, scripts):
        store = SessionStore(scripts, keys)
        await redis.hset(keys.identify_budget, mapping={"remaining": 100, "reset_at_ms": 2**50})
        leases = [await LeaderElection(scripts, keys, Slot(number, 2)).acquire() for number in range(2)]
        return store, *leases

    async def test_opens_five_seconds_after_an_identify(self, two):
        store, first, second = two
        assert (await store.may_identify(first, 0, 50)).verdict == "GO"
        shut = await store.may_identify(second, 0, 50)
        assert (shut.verdict, 5 < shut.wait_s <= HANDSHAKE_MS / 1000) == ("WAIT", True)
        await store.charge_identify(first, 0)
        assert (await store.may_identify(second, 0, 50)).wait_s > GATE_MS / 1000, "IDENTIFY may be sent late"
        await store.identified(first, 0)
        assert 0 < (await store.may_identify(second, 0, 50)).wait_s <= GATE_MS / 1000
        assert (await store.may_identify(second, 1, 50)).verdict == "GO"

    async def test_opens_at_once_if_nothing_was_sent(self, two):
        store, first, second = two
        await store.may_identify(first, 0, 50)
        await store.not_identified(first, 0)
        assert (await store.may_identify(second, 0, 50)).verdict == "GO"
        await store.not_identified(first, 0)
        assert (await store.may_identify(first, 0, 50)).verdict == "WAIT"

    async def test_opens_also_after_the_clock_was_set_back(self, two, redis, keys):
        store, first, second = two
        await store.may_identify(first, 0, 50)
        await redis.pexpire(keys.identify_gate(0), 3_600_000)  # as the clock goes back by an hour
        assert (await store.may_identify(second, 0, 50)).wait_s <= HANDSHAKE_MS / 1000

    @pytest.mark.parametrize("slot", [Slot(0, 2), Slot(1, 2), Slot(0, 1), Slot(3, 8)], ids=str)
    async def test_a_leader_that_died_while_it_connected_has_no_turn(self, two, redis, keys, scripts, slot):
        store, first, second = two
        await store.may_identify(first, 0, 50)
        assert (await store.may_identify(second, 0, 50)).wait_s > GATE_MS / 1000, "it is alive"
        successor = await successor_at(slot, first, second, scripts, keys)
        assert (await store.may_identify(successor, 0, 50)).verdict == "GO"
        with pytest.raises(LeaseLostError):
            await store.charge_identify(first, 0)
        await store.charge_identify(successor, 0)

    @pytest.mark.parametrize("slot", [Slot(0, 2), Slot(1, 2), Slot(0, 1), Slot(3, 8)], ids=str)
    async def test_a_leader_that_died_after_its_identify_is_followed_at_discords_pace(
        self, two, redis, keys, scripts, slot
    ):
        store, first, second = two
        await store.may_identify(first, 0, 50)
        await store.charge_identify(first, 0)
        assert (await store.may_identify(second, 0, 50)).wait_s > GATE_MS / 1000, "it is alive"
        successor = await successor_at(slot, first, second, scripts, keys)
        assert 0 < (await store.may_identify(successor, 0, 50)).wait_s <= GATE_MS / 1000

    async def test_a_lost_go_is_repeated(self, two):
        store, first, second = two
        await store.may_identify(first, 0, 50)
        assert (await store.may_identify(first, 0, 50)).verdict == "GO"
        assert (await store.may_identify(second, 0, 50)).verdict == "WAIT"

    async def test_a_gate_without_an_end_gets_one(self, two, redis, keys):
        store, first, _ = two
        await redis.set(keys.identify_gate(0), "1")
        assert (await store.may_identify(first, 0, 50)).wait_s > 0
        assert 0 < await redis.pttl(keys.identify_gate(0)) <= HANDSHAKE_MS

    @pytest.mark.parametrize(
        "budget", [{"remaining": 1}, {"remaining": "x", "reset_at_ms": 2**50}, {"remaining": 1, "reset_at_ms": "soon"}]
    )
    async def test_a_budget_that_cannot_be_read_is_asked_for(self, two, redis, keys, budget):
        store, first, _ = two
        await redis.delete(keys.identify_budget)
        await redis.hset(keys.identify_budget, mapping=budget)
        assert (await store.may_identify(first, 0, 50)).verdict == "ASK"

    async def test_a_budget_that_ran_out_meanwhile_is_not_made_up(self, two, redis, keys):
        store, first, _ = two
        await store.may_identify(first, 0, 50)
        await redis.delete(keys.identify_budget)
        await store.charge_identify(first, 0)
        assert not await redis.exists(keys.identify_budget)


async def test_a_lease_without_an_end_gets_one(redis, keys, scripts):
    await redis.hset(keys.lease(SLOT), mapping={"owner": "a holder that is gone", "fence": 1})
    leader = LeaderElection(scripts, keys, SLOT, lease_s=0.5)
    async with asyncio.timeout(60):
        assert (await leader.acquire()).fence == 1
