"""When a session is resumed, when it is given up, and what one odd message may cost."""

import logging
from typing import Any

import orjson
import pytest

from discordproxy_gateway.discord import discord_socket, reconnect
from discordproxy_gateway.keys import Slot
from discordproxy_gateway.shard.chunking import Chunker
from discordproxy_gateway.shard.term import Term
from discordproxy_gateway.store import session_store
from discordproxy_gateway.store.lease import Lease
from discordproxy_gateway.store.session_store import MAX_RESUMES
from discordproxy_gateway.write.writer import Writer
from discordproxy_sandbox.gateway import gateway as sandbox_gateway
from discordproxy_sandbox.gateway.gateway import GatewayConfig
from discordproxy_sandbox.gateway.payloads import ready
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from discordproxy_sandbox.world.population import CHANNEL_ID, GUILD_ID
from fakes.eventually import eventually

SLOT = Slot(0, 1)
INTENTS = ("guilds", "members", "messages")
TORN = '{"op":0,"t":"MESSAGE_CREATE","s":SEQ,"d":{"id":"1",'
QUICK = SandboxConfig(gateway=GatewayConfig(identify_every_s=0.001))

pytestmark = pytest.mark.parametrize("sandbox", [QUICK], indirect=True)


@pytest.fixture(autouse=True)
def _quick(sandbox, monkeypatch):
    """Waits as short as they can be; what is decided does not change."""
    for route in ("GET /users/@me", "GET /gateway/bot", "GET /applications/@me"):
        sandbox.limits.set(route, None)
    monkeypatch.setattr(reconnect, "FIRST_RESUME_S", 0.01)
    monkeypatch.setattr(session_store, "GATE_MS", 5)
    monkeypatch.setattr(discord_socket, "STALL_S", 0.05)


async def kinds(redis, keys) -> list[str]:
    return [fields[b"t"].decode() for _, fields in await redis.xrange(keys.stream(0, 1))]


def say(sandbox: Sandbox, number: int) -> None:
    sandbox.gateway.emit("CHANNEL_UPDATE", {"id": CHANNEL_ID, "guild_id": GUILD_ID, "position": number}, GUILD_ID)


async def connected(sandbox, redis, keys) -> None:
    await eventually(lambda: redis.exists(keys.session(SLOT)))
    await eventually(lambda: redis.exists(keys.guilds))


async def given_up(sandbox, redis, keys) -> None:
    """Wait for a new session, and look at what subscribers are told."""
    await eventually(lambda: sandbox.gateway.stats.identifies == 2)

    async def told() -> bool:
        return "GAP" in await kinds(redis, keys)

    await eventually(told)
    assert sandbox.gateway.stats.resumes == MAX_RESUMES


async def test_a_message_that_is_unreadable_each_time_ends_the_session(connect, sandbox, redis, keys, caplog):
    connect(intents=INTENTS)
    await connected(sandbox, redis, keys)
    sandbox.gateway.emit_frame(TORN)
    await given_up(sandbox, redis, keys)
    assert "resumed 3 times in a row and no event came" in caplog.text
    say(sandbox, 7)

    async def goes_on() -> bool:
        return (await kinds(redis, keys))[-2:] == ["GAP", "CHANNEL_UPDATE"]

    await eventually(goes_on)


@pytest.mark.parametrize("fault", ["abort", "silent", 1000, 4000, 4008])
async def test_a_session_that_cannot_be_resumed_is_given_up(connect, sandbox, redis, keys, monkeypatch, fault):
    monkeypatch.setattr(discord_socket, "BEGIN_S", 0.2)
    connect(intents=INTENTS)
    await connected(sandbox, redis, keys)
    sandbox.gateway.faults.set(resume=fault)
    sandbox.gateway.drop()
    await given_up(sandbox, redis, keys)


async def test_the_tries_outlive_the_process(connect, sandbox, redis, keys):
    worker = connect(intents=INTENTS)
    await connected(sandbox, redis, keys)
    await worker.stop()
    sandbox.gateway.faults.set(resume="silent")
    for tries in range(1, MAX_RESUMES + 1):
        worker = connect(intents=INTENTS)
        await eventually(lambda tries=tries: sandbox.gateway.stats.resumes == tries)
        await worker.stop()
        assert await redis.hget(keys.session(SLOT), "tries") == str(tries).encode()
    connect(intents=INTENTS)
    await given_up(sandbox, redis, keys)


async def test_a_resume_that_brings_events_is_no_failed_try(connect, sandbox, redis, keys):
    connect(intents=INTENTS)
    await connected(sandbox, redis, keys)
    for number in range(1, 3 * MAX_RESUMES):
        sandbox.gateway.drop()
        say(sandbox, number)

        async def stored(number=number) -> bool:
            return len(await kinds(redis, keys)) == number

        await eventually(stored)
        await eventually(lambda number=number: sandbox.gateway.stats.resumes == number)
    assert sandbox.gateway.stats.identifies == 1


async def test_stops_and_starts_of_a_quiet_bot_are_no_failed_tries(connect, sandbox, redis, keys):
    for number in range(2 * MAX_RESUMES):
        worker = connect(intents=INTENTS)

        async def ready() -> bool:
            return await redis.hget(keys.status(SLOT), "state") == b"ready"

        await eventually(ready)
        assert sandbox.gateway.stats.resumes == number
        await worker.stop()
        assert await redis.hget(keys.session(SLOT), "tries") is None
    assert sandbox.gateway.stats.identifies == 1


async def test_an_identify_that_is_never_answered_costs_little_budget(connect, sandbox, caplog):
    caplog.set_level(logging.INFO)
    sandbox.gateway.faults.set(identify=1000)
    connect(intents=INTENTS)
    await eventually(lambda: "close code 1000" in caplog.text)
    line = next(record.getMessage() for record in caplog.records if "close code 1000" in record.getMessage())
    wait_s = float(line.split("again in ")[1].split()[0])
    assert 1 <= wait_s <= 5


async def test_a_session_record_that_cannot_be_read_begins_a_new_session(connect, sandbox, redis, keys, caplog):
    worker = connect(intents=INTENTS)
    await connected(sandbox, redis, keys)
    await worker.stop()
    await redis.hset(keys.session(SLOT), mapping={"seq": "many"})
    connect(intents=INTENTS)
    await eventually(lambda: sandbox.gateway.stats.identifies == 2)
    assert "cannot be read; a new one begins" in caplog.text


async def test_a_recorded_failure_that_cannot_be_read_is_passed_over(connect, sandbox, redis, keys):
    await redis.set(keys.fatal, "no JSON", ex=60)
    connect(intents=INTENTS)
    await connected(sandbox, redis, keys)


async def test_unreadable_records_of_guilds_cost_nothing_else(connect, sandbox, redis, keys):
    worker = connect(intents=INTENTS)
    await connected(sandbox, redis, keys)
    await worker.stop()
    await redis.hset(keys.guilds, mapping={"no id": "{}", b"\xff": "{}"})
    await redis.hset(keys.meta(GUILD_ID), "gen", "x")
    connect(intents=INTENTS)
    await eventually(lambda: sandbox.gateway.stats.resumes == 1)
    say(sandbox, 1)
    await eventually(lambda: redis.xlen(keys.stream(0, 1)))


async def test_heartbeats_without_an_answer_end_the_connection_though_events_flow(
    connect, sandbox, redis, keys, monkeypatch, caplog
):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(discord_socket, "MIN_HELLO_MS", 100)
    sandbox.gateway.faults.set(hello={"heartbeat_interval": 100}, no_acks=True)
    connect(intents=INTENTS)
    await connected(sandbox, redis, keys)
    for number in range(1, 1_000_000):
        if sandbox.gateway.stats.resumes:
            break
        say(sandbox, number)

        async def stored(number=number) -> bool:
            return await redis.xlen(keys.stream(0, 1)) >= number

        await eventually(stored)
    assert sandbox.gateway.stats.closes["client 4000"] >= 1
    assert not {"client 1000", "client 1001"} & set(sandbox.gateway.stats.closes)
    assert "heartbeat not answered" in caplog.text
    assert sandbox.gateway.stats.identifies == 1


@pytest.mark.parametrize("hello", [{}, [], *({"heartbeat_interval": odd} for odd in (None, 0, -1, "41250", 10**15))])
async def test_an_odd_hello_does_not_stop_or_hurry_the_connection(connect, sandbox, redis, keys, hello):
    sandbox.gateway.faults.set(hello=hello)
    connect(intents=INTENTS)
    await connected(sandbox, redis, keys)
    assert sandbox.gateway.stats.opened == 1
    assert sandbox.gateway.stats.heartbeats <= 2


def event(name: str, data: object, **changes: object) -> str:
    return orjson.dumps({"op": 0, "t": name, "s": 0, "d": data} | changes).decode().replace('"s":0', '"s":SEQ')


ODD = {
    "chunk without guild": event("GUILD_MEMBERS_CHUNK", {"members": []}),
    "chunk null": event("GUILD_MEMBERS_CHUNK", None),
    "limit without time": event("RATE_LIMITED", {"opcode": 8, "meta": {"guild_id": GUILD_ID}}),
    "limit with text": event("RATE_LIMITED", {"opcode": 8, "retry_after": "x", "meta": {"guild_id": GUILD_ID}}),
    "limit without meta": event("RATE_LIMITED", {"opcode": 8, "retry_after": 1, "meta": None}),
    "limit null": event("RATE_LIMITED", None),
    "interaction without token": event("INTERACTION_CREATE", {"id": "1", "type": 2}),
    "interaction with odd token": event("INTERACTION_CREATE", {"id": "1", "type": 2, "token": 7}),
    "interaction null": event("INTERACTION_CREATE", None),
    "resumed null": event("RESUMED", None),
    "guild null": event("GUILD_CREATE", None),
    "guild of numbers": event("GUILD_CREATE", {"id": 5, "channels": 3}),
    "name null": event("X", {}).replace('"X"', "null"),
    "name a list": event("X", {}).replace('"X"', "[]"),
    "sequence null": event("CHANNEL_UPDATE", {"id": "1"}).replace("SEQ", "null"),
    "sequence text": event("CHANNEL_UPDATE", {"id": "1"}).replace("SEQ", '"9"'),
    "sequence negative": event("CHANNEL_UPDATE", {"id": "1"}).replace("SEQ", "-1"),
    "sequence huge": event("CHANNEL_UPDATE", {"id": "1"}).replace("SEQ", "9" * 30),
    "no data": '{"op":0,"t":"CHANNEL_UPDATE","s":SEQ}',
    "only an opcode": '{"op":0}',
    "unknown opcode": '{"op":99,"d":null}',
    "opcode of another kind": '{"op":[],"d":null}',
    "heartbeat request with half a character": '{"op":1,"d":"\\ud83d","x":NaN}',
    "second hello": '{"op":10,"d":null}',
    "half a character": event("MESSAGE_CREATE", {"id": "1", "content": "HALF"}).replace("HALF", "\\ud83d"),
    "not a number": event("MESSAGE_CREATE", {"id": "1", "x": "NAN"}).replace('"NAN"', "NaN"),
}


@pytest.mark.parametrize("name", ODD)
async def test_an_odd_message_costs_only_itself(connect, sandbox, redis, keys, caplog, name):
    connect(intents=INTENTS, defer_after_s=1.0)
    await connected(sandbox, redis, keys)
    caplog.clear()
    sandbox.gateway.emit_frame(ODD[name])
    sandbox.gateway.emit_frame(ODD[name])
    say(sandbox, 1)

    async def goes_on() -> bool:
        return "CHANNEL_UPDATE" in await kinds(redis, keys)

    await eventually(goes_on)
    stats = sandbox.gateway.stats
    assert (stats.opened, stats.identifies, stats.resumes) == (1, 1, 0)
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize(
    ("owner", "name", "what"),
    [
        (Chunker, "run", "the requests for members of shard 0-1 failed; it starts again"),
        (discord_socket.Socket, "watch", "the watch of shard 0-1 failed; it starts again"),
        (Lease, "keep", "the lease of shard 0-1 failed; it starts again"),
        (Writer, "run", "internal error, RuntimeError"),
        (Term, "run", "shard 0-1 failed; it starts again"),
    ],
)
async def test_a_task_that_fails_says_so_and_starts_again(
    connect, sandbox, redis, keys, monkeypatch, caplog, owner, name, what
):
    starts = 0
    right = getattr(owner, name)

    async def wrong_at_first(*arguments):
        nonlocal starts
        starts += 1
        if starts == 1:
            raise RuntimeError("nobody expected this")
        await right(*arguments)

    monkeypatch.setattr(owner, name, wrong_at_first)
    worker = connect(intents=INTENTS)
    await eventually(lambda: starts >= 2)
    await connected(sandbox, redis, keys)
    assert what in caplog.text
    assert "nobody expected this" in caplog.text
    say(sandbox, 1)
    await eventually(lambda: redis.xlen(keys.stream(0, 1)))
    assert not worker.task.done()


def spoil_ready(monkeypatch, **changes: object) -> None:
    """Have READY sent with other fields; None takes one away."""

    def spoiled(*arguments: Any) -> dict[str, Any]:
        document = ready(*arguments) | changes
        return {name: value for name, value in document.items() if name not in changes or value is not None}

    monkeypatch.setattr(sandbox_gateway, "ready", spoiled)


@pytest.mark.parametrize("url", [None, "", 7, [], "https://127.0.0.1", "wss://[", "ws://127.0.0.1:1/nobody"])
async def test_a_session_without_a_usable_address_is_resumed_where_it_began(
    connect, sandbox, redis, keys, monkeypatch, url
):
    spoil_ready(monkeypatch, resume_gateway_url=url)
    connect(intents=INTENTS)
    await connected(sandbox, redis, keys)
    sandbox.gateway.drop()
    await eventually(lambda: sandbox.gateway.stats.resumes == 1)
    assert sandbox.gateway.stats.identifies == 1


@pytest.mark.parametrize(
    "changes", [{"guilds": None}, {"guilds": 5}, {"user": None}, {"application": None}, {"v": None}]
)
async def test_a_ready_without_some_fields_begins_the_session(connect, sandbox, redis, keys, monkeypatch, changes):
    spoil_ready(monkeypatch, **changes)
    connect(intents=INTENTS)
    await connected(sandbox, redis, keys)
    say(sandbox, 1)
    await eventually(lambda: redis.xlen(keys.stream(0, 1)))
    assert (sandbox.gateway.stats.identifies, sandbox.gateway.stats.opened) == (1, 1)


@pytest.mark.parametrize("session_id", [None, "", 5, {}])
async def test_a_ready_without_a_session_is_tried_again_slowly(
    connect, sandbox, redis, keys, monkeypatch, caplog, session_id
):
    caplog.set_level(logging.INFO)
    spoil_ready(monkeypatch, session_id=session_id)
    connect(intents=INTENTS)
    await eventually(lambda: "again in" in caplog.text)
    assert "event 'READY' not understood" in caplog.text
    wait_s = float(caplog.text.split("again in ")[1].split()[0])
    assert wait_s >= 1
