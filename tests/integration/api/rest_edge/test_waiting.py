"""Waits of the REST port: refusals that every library understands, callers that go away, the drain, Redis away."""

import asyncio
import contextlib
import re
import socket

import aiohttp
import pytest

from discordproxy_api.rest_edge import answers, reception
from discordproxy_api.rest_edge.repeats import unanswered
from discordproxy_ratelimit.errors import BrokerUnavailableError, CircuitOpenError, WaitRefusedError
from discordproxy_sandbox.rest.faults import Fault
from discordproxy_sandbox.world.population import CHANNEL_ID, GUILD_ID
from fakes.eventually import eventually
from hostile import attacks
from integration.api.conftest import serve
from integration.api.rest_edge.conftest import callers
from integration.api.rest_edge.test_hostile import GET

MESSAGES = f"/channels/{CHANNEL_ID}/messages"


async def test_a_wait_that_is_too_long_is_a_429_that_is_held_back(call):
    call.served.broker.refusal = WaitRefusedError("too long", retry_after_s=12.48, reason="WAIT_EXCEEDS_MAX_WAIT")
    began = asyncio.get_running_loop().time()
    answer = await call("POST", MESSAGES, json={"content": "x"})
    assert asyncio.get_running_loop().time() - began >= answers.HELD_BACK_S
    assert (answer.status, answer.reason) == (429, "WAIT_EXCEEDS_MAX_WAIT")
    assert 11.0 < answer.document["retry_after"] <= 11.48, "counted from when it is written"
    assert answer.headers["Retry-After"] == "12"
    assert answer.headers["X-RateLimit-Scope"] == "shared"
    assert answer.headers["X-RateLimit-Bucket"]
    assert not call.served.discord.ledger.records


async def test_only_so_many_refusals_are_held_back(call, monkeypatch):
    monkeypatch.setattr(answers, "MAX_HELD_BACK", 0)
    monkeypatch.setattr(answers, "HELD_BACK_S", 3600.0)
    call.served.broker.refusal = WaitRefusedError("too long", retry_after_s=100.0)
    assert (await call("GET", f"/channels/{CHANNEL_ID}")).document["retry_after"] == 100.0


async def test_a_block_of_this_address_stops_the_whole_library(call, monkeypatch):
    monkeypatch.setattr(answers, "HELD_BACK_S", 0.0)
    call.served.broker.refusal = CircuitOpenError("blocked", retry_after_s=60.0)
    answer = await call("GET", f"/channels/{CHANNEL_ID}")
    assert (answer.status, answer.document["global"], answer.headers["X-RateLimit-Global"]) == (429, True, "true")
    call.served.broker.refusal = None
    call.served.discord.faults.add(Fault(kind="cloudflare"))
    answer = await call("GET", f"/channels/{CHANNEL_ID}")
    assert (answer.status, answer.document["global"]) == (429, True)
    assert answer.document["retry_after"] == pytest.approx(60, abs=5)  # that of the block, not of the page
    assert "discordproxy" in answer.headers["Via"]


async def test_an_outage_of_redis_shows_after_a_while(call, monkeypatch):
    monkeypatch.setattr(answers, "HELD_BACK_S", 0.0)
    call.served.broker.refusal = BrokerUnavailableError("Redis does not answer", retry_after_s=1.0)
    assert (await call("GET", f"/channels/{CHANNEL_ID}")).status == 429
    monkeypatch.setattr("discordproxy_api.rest_edge.refusals.OUTAGE_S", 0.0)
    answer = await call("GET", f"/channels/{CHANNEL_ID}")
    assert (answer.status, answer.reason) == (503, "BROKER_UNAVAILABLE")
    call.served.broker.refusal = None
    assert (await call("GET", f"/channels/{CHANNEL_ID}")).status == 200


async def test_a_call_that_takes_too_long_is_answered_and_its_connection_stays(call, monkeypatch):
    monkeypatch.setattr(reception, "RECEIVE_S", -29.9)  # of a time that includes 30 s for Discord's answer
    call.served.broker.granting.clear()
    answer = await call("GET", f"/channels/{CHANNEL_ID}", base="/wait=0/api/v10")
    assert (answer.status, answer.reason) == (429, "DEADLINE_EXCEEDED")
    assert call.served.broker.cancelled_waits == 1
    monkeypatch.undo()
    call.served.broker.granting.set()
    assert (await call("GET", f"/channels/{CHANNEL_ID}")).status == 200
    assert len(call.served.worker.rest_port._connections._open) == 1, "the same one"


async def test_who_goes_away_while_waiting_gives_its_place_back(call):
    broker = call.served.broker
    broker.granting.clear()
    waiting = asyncio.create_task(call("POST", MESSAGES, json={"content": "x"}))
    await eventually(lambda: broker.waiting == 1)
    waiting.cancel()
    await eventually(lambda: broker.waiting == 0)
    broker.granting.set()
    assert broker.cancelled_waits == 1
    await eventually(lambda: call.served.worker.metrics.in_progress == 0)
    assert not call.served.discord.ledger.records


async def test_who_goes_away_in_flight_finds_its_message_again(call):
    call.served.discord.faults.add(Fault(kind="slow", delay_s=0.5, when="after"))
    waiting = asyncio.create_task(call("POST", MESSAGES, json={"content": "ping"}))
    await eventually(lambda: call.served.broker.acquired and call.served.worker.metrics.in_progress)
    await eventually(lambda: call.served.discord.ledger.records)
    waiting.cancel()
    await eventually(lambda: call.served.worker.metrics.in_progress == 0)
    again = await call("POST", MESSAGES, json={"content": "ping"})
    assert again.status == 200
    history = (await call("GET", MESSAGES)).document
    assert [each["content"] for each in history].count("ping") == 1


CHANNELS = f"/guilds/{GUILD_ID}/channels"


def made(call):
    return [each.data["name"] for each in call.served.discord.world.channels.values()].count("made")


async def gone_in_flight(call, method="POST", path=CHANNELS, **document):
    """Make a request whose caller goes away while Discord answers it."""
    waiting = asyncio.create_task(call(method, path, json=document))
    await eventually(lambda: call.served.discord.ledger.records)
    waiting.cancel()
    await eventually(lambda: call.served.worker.metrics.in_progress == 0)


@pytest.mark.parametrize("delay_s", [0.2, 1.0])
async def test_a_repeat_of_a_request_whose_caller_gave_up_gets_its_answer(call, delay_s):
    """Libraries repeat each request that takes longer than their timeout."""
    call.served.discord.faults.add(Fault(kind="slow", delay_s=delay_s, when="after"))
    await gone_in_flight(call, name="made")
    again = await call("POST", CHANNELS, json={"name": "made"})
    assert (again.status, again.document["name"], made(call)) == (201, "made", 1)
    another = await call("POST", CHANNELS, json={"name": "made"})
    assert (another.document["id"] != again.document["id"], made(call)) == (True, 2)


async def test_a_repeat_of_a_request_whose_answer_is_lost_is_not_sent(discord):
    async with serve(discord, rest_port=0, http_timeout=1.0) as served:
        async for call in callers(served):
            discord.faults.add(Fault(kind="silent", when="after"))
            await gone_in_flight(call, name="made")
            again = await call("POST", CHANNELS, json={"name": "made"})
            assert (again.status, again.headers["X-Discordproxy-Sent"], made(call)) == (408, "unknown", 1)
            another = await call("POST", CHANNELS, json={"name": "made"})
            assert (another.status, made(call)) == (201, 2)


async def test_a_repeat_of_a_refused_request_is_sent(call):
    """It had no effect."""
    call.served.discord.faults.add(Fault(kind="slow", delay_s=0.2, when="after"))
    await gone_in_flight(call, name="")
    again = await call("POST", CHANNELS, json={"name": "made"})
    assert (again.status, made(call)) == (201, 1)


async def test_a_slow_request_is_noted_before_its_caller_gives_up(call, monkeypatch):
    """The repeat may arrive at another worker before this one has seen that the connection is closed."""
    monkeypatch.setattr(unanswered, "KEPT_AFTER_S", 0.02)
    notes = call.served.broker.claims.kept
    call.served.discord.faults.add(Fault(kind="slow", delay_s=2.0, when="after"))
    slow = asyncio.create_task(call("POST", CHANNELS, json={"name": "made"}))
    await eventually(lambda: b"in flight" in notes.values())
    slow.cancel()
    assert (await call("POST", CHANNELS, json={"name": "made"})).status == 201
    assert made(call) == 1


async def test_the_note_of_a_slow_message_ends_with_its_answer(call, monkeypatch):
    """The same message may be sent again then."""
    monkeypatch.setattr(unanswered, "KEPT_AFTER_S", 0.02)
    notes = call.served.broker.claims.kept
    call.served.discord.faults.add(Fault(kind="slow", delay_s=0.5, when="after"))
    sending = asyncio.create_task(call("POST", MESSAGES, json={"content": "ping"}))
    await eventually(lambda: any(key.startswith("unanswered:") for key in notes))
    answers = [await sending, await call("POST", MESSAGES, json={"content": "ping"})]
    assert [answer.status for answer in answers] == [200, 200]
    assert len(call.served.discord.ledger.stored) == 2


async def test_an_equal_message_that_comes_while_the_first_is_slow_is_sent(call, monkeypatch):
    """Its callers may both be there: the first one gets its answer, so the second message is no repeat of it."""
    monkeypatch.setattr(unanswered, "KEPT_AFTER_S", 0.02)
    served = call.served
    served.discord.faults.add(Fault(kind="slow", delay_s=0.5, when="after"))
    first = asyncio.create_task(call("POST", MESSAGES, json={"content": "ping"}))
    await eventually(lambda: any(key.startswith("unanswered:") for key in served.broker.claims.kept))
    served.broker.granting.clear()
    second = asyncio.create_task(call("POST", MESSAGES, json={"content": "ping"}))
    await eventually(lambda: served.broker.waiting == 1)
    assert (await first).status == 200
    served.broker.granting.set()
    assert (await second).document["id"] != (await first).document["id"]
    assert len(served.discord.ledger.stored) == 2


@pytest.mark.parametrize(("target", "body"), [(MESSAGES, {"content": "ping"}), (CHANNELS, {"name": "made"})])
async def test_a_repeat_that_waits_for_its_permit_finds_what_was_noted_meanwhile(call, target, body):
    """Of a library that gives up soon, the repeat can reach another worker before the first has noted it."""
    served = call.served
    served.discord.faults.add(Fault(kind="slow", delay_s=1.0, when="after"))
    first = asyncio.create_task(call("POST", target, json=body))
    await eventually(lambda: served.broker.acquired)
    served.broker.granting.clear()
    again = asyncio.create_task(call("POST", target, json=body))
    await eventually(lambda: served.broker.waiting == 1)
    await asyncio.sleep(unanswered.FRESH_S)
    first.cancel()
    await eventually(lambda: served.broker.claims.kept)
    served.broker.granting.set()
    assert (await again).status in {200, 201}
    assert len(served.discord.ledger.stored) + made(call) == 1


async def test_the_drain_refuses_waiting_calls_and_finishes_those_in_flight(call):
    served = call.served
    served.discord.faults.add(Fault(kind="slow", delay_s=0.7))
    flying = asyncio.create_task(call("POST", MESSAGES, json={"content": "flying"}))
    await eventually(lambda: served.broker.acquired)
    await asyncio.sleep(0)
    served.broker.granting.clear()
    waiting = [asyncio.create_task(call("POST", MESSAGES, json={"content": "waits"})) for _ in range(20)]
    await eventually(lambda: served.broker.waiting == 20)
    async with attacks.connection(served.rest_port) as (reader, _idle):
        await served.worker.stop(served.broker.drain, asyncio.Event())
        assert await reader.read() == b"", "an idle connection is closed"
    assert (await flying).status == 200
    assert (await flying).headers["Connection"] == "close"
    for answer in await asyncio.gather(*waiting):
        assert (answer.status, answer.reason) == (429, "DRAINING")
        assert answer.headers["Connection"] == "close"
    with pytest.raises(aiohttp.ClientConnectorError):
        await call("GET", f"/channels/{CHANNEL_ID}")


async def test_a_connection_serves_many_requests(rest):
    async with attacks.connection(rest.rest_port) as (reader, writer):
        for _ in range(5):
            writer.write(GET.encode())
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
            assert head.startswith(b"HTTP/1.1 200 OK")
            length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
            await reader.readexactly(int(length.split(b":")[1]))


async def test_the_second_signal_ends_it_at_once(call):
    served = call.served
    served.broker.granting.clear()
    waiting = asyncio.create_task(call("POST", MESSAGES, json={"content": "x"}))
    await eventually(lambda: served.broker.waiting == 1)
    now = asyncio.Event()
    now.set()
    await served.worker.stop(lambda: None, now)
    with contextlib.suppress(aiohttp.ClientError):
        await waiting
    assert not served.discord.ledger.records


async def test_requests_are_counted(call):
    await call("GET", f"/channels/{CHANNEL_ID}")
    await call("GET", "/channels/1")

    def value(name, **labels):
        return call.served.worker.metrics.registry.get_sample_value(f"discordproxy_{name}", labels)

    assert value("http_requests_total", method="GET", status="200") == 1
    assert value("http_requests_total", method="GET", status="404") == 1
    assert value("calls_total", rpc="GetChannel", status="OK", door="http") == 1
    assert value("calls_total", rpc="GetChannel", status="NOT_FOUND", door="http") == 1


async def test_the_drain_cuts_no_answer_that_is_read_slowly(discord):
    big = "x" * 7_500_000
    async with serve(discord, rest_port=0) as served, attacks.connection(served.rest_port) as (reader, writer):
        served.discord.world.channels[CHANNEL_ID].data["topic"] = big
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 262_144)
        writer.write(GET.encode())
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        length = int(re.search(rb"content-length: (\d+)", head.lower())[1])
        stopping = asyncio.create_task(served.worker.stop(served.broker.drain, asyncio.Event()))
        await asyncio.sleep(1.0)  # longer than a connection without a request may live in a drain
        assert len(await reader.readexactly(length)) > len(big)
        await stopping


async def test_a_refusal_names_the_bucket_that_discord_named(call):
    known = (await call("GET", f"/channels/{CHANNEL_ID}")).headers["X-RateLimit-Bucket"]
    call.served.broker.refusal = WaitRefusedError("too long", retry_after_s=0.1)
    assert (await call("GET", f"/channels/{CHANNEL_ID}")).headers["X-RateLimit-Bucket"] == known
    assert (await call("GET", "/channels/1")).headers["X-RateLimit-Bucket"] not in {known, ""}
