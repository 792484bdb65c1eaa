"""Events from Discord's gateway to subscribers: gateway worker, Valkey, API worker, gRPC and both clients are real."""

import asyncio
import base64
import contextlib
import json
import logging

import grpc
import orjson
import pytest

from discordproxy.aio import AsyncDiscordClient
from discordproxy.client import DiscordClient
from discordproxy.discord_api_pb2 import Event, SubscribeEventsRequest
from discordproxy.exceptions import DiscordProxyGapError, DiscordProxyGrpcError, DiscordProxyHttpError
from discordproxy_gateway.events import Cursor
from fakes.eventually import eventually
from fakes.ports import free_port

WITHIN_S = 60


@contextlib.asynccontextmanager
async def client_of(port, **options):
    async with AsyncDiscordClient(f"127.0.0.1:{port}", **options) as client:
        yield client


async def say(gateway, first, last, **more):
    for number in range(first, last + 1):
        await gateway.emit("MESSAGE_CREATE", {"id": str(number), "guild_id": "7", "channel_id": "5", **more})


async def take(events, count):
    """Return the ids of the next messages."""
    taken = []
    async with asyncio.timeout(WITHIN_S):
        while len(taken) < count:
            taken.append(int(json.loads((await anext(events)).json)["id"]))
    return taken


def numbers(first, last):
    return list(range(first, last + 1))


async def refused(served, **request):
    """Subscribe, and return status and details of the refusal."""
    _, name, told = await ending(served.stub.SubscribeEvents(SubscribeEventsRequest(**request)))
    return name, told


async def ending(items):
    """Read a stream to its end; return the last event, the status and the details."""
    last = None
    try:
        async with asyncio.timeout(WITHIN_S):
            async for event in items:
                last = event
    except grpc.aio.AioRpcError as error:
        told = json.loads(error.details())
        assert told["sent"] == "no"
        return last, error.code().name, told
    pytest.fail("a stream does not end well")


async def test_an_event_arrives_as_discord_sent_it(leader, gateway, worker):
    data = {
        "id": "1",
        "guild_id": "7",
        "channel_id": "5",
        "content": "Grüße\u2028 \\u",
        "unknown_key": [None, {"a": 1.5}],
    }
    async with worker() as served, client_of(served.port) as client, client.events() as events:
        beginning = events.cursor
        assert beginning
        await gateway.emit("MESSAGE_CREATE", data)
        async with asyncio.timeout(WITHIN_S):
            event = await anext(events)
        assert (event.kind, event.type) == (Event.DISPATCH, "MESSAGE_CREATE")
        assert (event.guild_id, event.channel_id, event.shard) == (7, 5, 0)
        assert event.sequence == gateway.live[0].sequence
        assert event.session
        assert event.session not in gateway.sessions  # who knows that one could end the session
        assert event.received_at.startswith("20")
        assert orjson.loads(event.json) == data
        assert beginning != event.cursor == events.cursor


async def test_filters(leader, gateway, worker):
    async with worker() as served, client_of(served.port) as client:
        streams = [
            client.events(types=["MESSAGE_CREATE"]),
            client.events(guild_ids=[8]),
            client.events(channel_ids=[51, 52], types=["MESSAGE_CREATE", "MESSAGE_DELETE"]),
            client.events(),
        ]
        expected = [["1", "2", "4"], ["2", "3"], ["2", "3"], ["1", "2", "3", "4"]]
        async with contextlib.AsyncExitStack() as stack:
            for stream in streams:
                await stack.enter_async_context(stream)
            await gateway.emit("MESSAGE_CREATE", {"id": "1", "guild_id": "7", "channel_id": "51" + "0"})
            await gateway.emit("MESSAGE_CREATE", {"id": "2", "guild_id": "8", "channel_id": "51"})
            await gateway.emit("MESSAGE_DELETE", {"id": "3", "guild_id": "8", "channel_id": "52"})
            await gateway.emit("MESSAGE_CREATE", {"id": "4", "channel_id": "9"})
            for stream, wanted in zip(streams, expected, strict=True):
                assert await take(stream, len(wanted)) == [int(each) for each in wanted]
            await eventually(lambda: served.worker.metrics.registry.get_sample_value("discordproxy_event_streams") == 4)
        await eventually(lambda: served.worker.metrics.registry.get_sample_value("discordproxy_event_streams") == 0)


async def test_resume_after_any_cursor_with_either_client(leader, gateway, worker):
    async with worker() as served, client_of(served.port) as client:
        cursors = []
        async with client.events() as events:
            await say(gateway, 1, 20)
            for number in numbers(1, 20):
                assert await take(events, 1) == [number]
                cursors.append(events.cursor)

        def resumed(cursor, count):
            with (
                DiscordClient(f"127.0.0.1:{served.port}") as blocking,
                blocking.events(cursor=cursor) as later,
            ):
                return [int(json.loads(next(later).json)["id"]) for _ in range(count)]

        async with asyncio.timeout(WITHIN_S):
            for place in (1, 10, 19):
                assert await asyncio.to_thread(resumed, cursors[place - 1], 20 - place) == numbers(place + 1, 20)
        async with client.events(start="earliest") as events:
            assert await take(events, 20) == numbers(1, 20)


async def test_what_is_filtered_out_moves_the_cursor(leader, gateway, worker):
    async with worker() as served, client_of(served.port) as client:
        items = served.stub.SubscribeEvents(SubscribeEventsRequest(types=["GUILD_UPDATE"])).__aiter__()
        first = await anext(items)
        assert first.kind == Event.HEARTBEAT
        await say(gateway, 1, 5)
        async with asyncio.timeout(WITHIN_S):
            while (beat := await anext(items)).cursor == first.cursor:
                pass
        assert beat.kind == Event.HEARTBEAT
        await say(gateway, 6, 6)
        async with client.events(cursor=beat.cursor) as events:
            assert (await take(events, 1))[0] > 1


def written(*places: list) -> str:
    return base64.urlsafe_b64encode(json.dumps(places).encode()).decode().rstrip("=")


FORGED = [
    written([1, 0, "e", 10**30, "1-1"]),
    written([1, 0, "e", int("9" * 40), "1-1"]),
    written([1, 0, "e", -1, "1-1"]),
    written([1, 0, "e", 1, f"{10**30}-1"]),
    written([1, 0, "e", 1, "\u0661-1"]),
    written([1, 0, "e", 1, ""]),
    written([1, 0, "", "", ""]),
    written([0, 0, "", 0, "0-0"]),
    written([1, 0, "", 1, "253402300800000-0"]),
    written([]),
    written(),
    "A" * 1_000_000,
    "\u0661",
]
MOST = 2**63 - 1
FOREIGN = [
    written([1, 0, "e", MOST, f"{MOST}-{MOST}"]),
    written([1, 1, "e", 1, "1-1"]),
    written([MOST, MOST, "e", 0, "0-0"]),
]
"""In the form of a cursor, but of no place there is."""


async def test_refusals(leader, gateway, worker, redis, keys):
    async with worker(max_streams_per_app=1) as served:
        name, told = await refused(served, types=["MESSAGE_CREATE", "message_delet"])
        assert (name, told["code"], told["fields"][0]["path"]) == ("INVALID_ARGUMENT", 50035, "types")
        assert "did you mean MESSAGE_DELETE?" in told["text"]
        name, told = await refused(served, types=["GUILD_MEMBER_ADD"])
        assert (name, told["reason"]) == ("FAILED_PRECONDITION", "INTENT_OFF")
        assert "DISCORDPROXY_INTENTS" in told["text"]
        assert "members" in told["text"]
        name, told = await refused(served, cursor="nonsense")
        assert (name, told["fields"][0]["path"]) == ("INVALID_ARGUMENT", "cursor")
        for forged in FORGED:
            name, told = await refused(served, cursor=forged)
            assert (name, told["fields"][0]["path"]) == ("INVALID_ARGUMENT", "cursor"), forged[:80]
        for foreign in FOREIGN:
            name, told = await refused(served, cursor=foreign)
            assert (name, told["reason"]) == ("OUT_OF_RANGE", "CURSOR_EXPIRED"), foreign
            assert Cursor.parse(told["cursor"])
        name, told = await refused(served, types=["x" * 1_000_000])
        assert (name, told["fields"][0]["path"]) == ("INVALID_ARGUMENT", "types")
        async with client_of(served.port, app="srp") as client, client.events():
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await anext(
                    served.stub.SubscribeEvents(
                        SubscribeEventsRequest(), metadata=(("x-discordproxy-app", "srp"),)
                    ).__aiter__()
                )
            assert json.loads(failed.value.details())["reason"] == "QUEUE_FULL"
            async with client_of(served.port, app="another") as other, other.events():
                pass
        async with client_of(served.port) as client:
            with pytest.raises(DiscordProxyHttpError, match="did you mean"):
                await anext(client.events(types=["MESSAGE_CREAT"]))
            with pytest.raises(DiscordProxyGrpcError) as off:
                await anext(client.events(types=["PRESENCE_UPDATE"]))
            assert off.value.status is grpc.StatusCode.FAILED_PRECONDITION


async def test_without_a_gateway_worker_there_are_no_events(leader, gateway, worker, redis, keys):
    async with worker() as served:
        items = served.stub.SubscribeEvents(SubscribeEventsRequest()).__aiter__()
        cursor = (await anext(items)).cursor
        leader.set()
        _, name, told = await ending(items)
        assert (name, told["reason"]) == ("UNAVAILABLE", "NO_GATEWAY")
        assert told["cursor"] == cursor
        name, told = await refused(served)
        assert (name, told["reason"]) == ("UNAVAILABLE", "NO_GATEWAY")
        await redis.set(keys.fatal, json.dumps({"line": "The intent members is not allowed; switch it on."}))
        name, told = await refused(served)
        assert (name, told["reason"]) == ("UNAVAILABLE", "GATEWAY_FAILED")
        assert "switch it on" in told["text"]
    async with worker(redis="unix:///nowhere/valkey.sock") as served:
        name, told = await refused(served)
        assert (name, told["reason"]) == ("UNAVAILABLE", "EVENTS_UNAVAILABLE")


async def test_a_drain_ends_streams_at_once_and_nothing_is_lost(leader, gateway, worker, caplog):
    caplog.set_level(logging.INFO, "discordproxy.events")
    total = 600
    seen = []

    async def follow(client):
        async with client.events(types=["MESSAGE_CREATE"]) as events:
            ready.set()
            while len(seen) < total:
                seen.extend(await take(events, 1))

    ready = asyncio.Event()
    port = free_port()
    async with client_of(port) as client, asyncio.timeout(WITHIN_S):
        async with worker(port=port, drain_timeout=40.0) as served:
            raw = served.stub.SubscribeEvents(SubscribeEventsRequest()).__aiter__()
            await anext(raw)
            following = asyncio.create_task(follow(client))
            await ready.wait()
            await say(gateway, 1, 200)
            await eventually(lambda: len(seen) > 50)
            before = asyncio.get_running_loop().time()
            await served.worker.server.stop(served.broker.drain, served.worker.finish, asyncio.Event())
            assert asyncio.get_running_loop().time() - before < 30  # of the forty seconds a drain may take
            last, name, told = await ending(raw)
            assert (name, told["reason"], told["cursor"]) == ("UNAVAILABLE", "DRAINING", last.cursor)
        await say(gateway, 201, 400)
        async with worker(port=port, event_stream_life=1.0):  # the stream ends by age, too
            await say(gateway, 401, 500)
            await eventually(lambda: sum("STREAM_ENDED" in line for line in caplog.messages) >= 2, within_s=60)
            await say(gateway, 501, total)
            await following
    assert seen == numbers(1, total)


async def test_a_stopped_subscriber_disturbs_nobody_and_catches_up(leader, gateway, worker, redis, keys):
    padding, many = {"content": "x" * 1500}, 3000
    async with worker() as served, client_of(served.port) as client:
        slow = served.stub.SubscribeEvents(SubscribeEventsRequest()).__aiter__()
        await anext(slow)  # and from now on, it does not read
        async with client.events() as events:
            await say(gateway, 1, many, **padding)
            assert await take(events, many) == numbers(1, many)
        caught_up = []
        async with asyncio.timeout(WITHIN_S):
            while len(caught_up) < many:
                event = await anext(slow)
                if event.kind == Event.DISPATCH:
                    caught_up.append(int(json.loads(event.json)["id"]))
        assert caught_up == numbers(1, many)


async def test_a_subscriber_that_takes_nothing_is_cut(leader, gateway, worker):
    padding, many = {"content": "x" * 1500}, 3000
    async with worker(event_patience=1.0) as served, client_of(served.port) as client:
        streams = served.worker.metrics.registry.get_sample_value
        stopped = served.stub.SubscribeEvents(SubscribeEventsRequest())
        await anext(stopped.__aiter__())
        async with client.events() as events:
            await say(gateway, 1, many, **padding)
            assert await take(events, many) == numbers(1, many)
            await eventually(lambda: streams("discordproxy_event_streams") == 1, within_s=30)
            last, name, told = await ending(stopped)
            assert (name, told["reason"]) == ("RESOURCE_EXHAUSTED", "SUBSCRIBER_TOO_SLOW")
        async with client.events(cursor=last.cursor) as events:
            first = int(json.loads(last.json)["id"]) + 1
            assert await take(events, many - first + 1) == numbers(first, many)


async def test_a_lost_session_is_reported_as_a_gap(leader, gateway, worker, caplog, redis, keys):
    async with worker() as served, client_of(served.port) as client:
        streams = [client.events(on_gap=how, types=["MESSAGE_CREATE"]) for how in ("log", "yield", "raise")]
        async with contextlib.AsyncExitStack() as stack:
            for stream in streams:
                await stack.enter_async_context(stream)
            await say(gateway, 1, 1)
            await gateway.invalidate(resumable=False)
            await gateway.until(lambda: gateway.live)
            await say(gateway, 2, 2)
            logging_, yielding, raising = streams
            assert await take(logging_, 2) == [1, 2]
            assert "are lost" in caplog.text
            assert await take(yielding, 1) == [1]
            gap = await anext(yielding)
            assert (gap.kind, gap.type) == (Event.GAP, "")
            assert "20" < gap.gap_from <= gap.gap_to
            assert await take(yielding, 1) == [2]
            assert await take(raising, 1) == [1]
            with pytest.raises(DiscordProxyGapError) as lost:
                await take(raising, 1)
            assert (lost.value.gap_from, lost.value.gap_to) == (gap.gap_from, gap.gap_to)
            assert await take(raising, 1) == [2]


async def test_a_cursor_that_is_too_old_is_answered_with_the_earliest(leader, gateway, worker, redis, keys):
    async with worker() as served, client_of(served.port) as client:
        async with client.events() as events:
            await say(gateway, 1, 10)
            await take(events, 1)
            old = events.cursor
            await take(events, 9)
        await redis.xtrim(keys.stream(0, 1), maxlen=3, approximate=False)
        name, told = await refused(served, cursor=old)
        assert (name, told["reason"]) == ("OUT_OF_RANGE", "CURSOR_EXPIRED")
        assert told["gap_from"] <= told["gap_to"]
        async with client.events(cursor=told["cursor"]) as events:
            assert await take(events, 3) == [8, 9, 10]
        async with client.events(cursor=old, on_gap="raise") as events:
            with pytest.raises(DiscordProxyGapError) as lost:
                await anext(events)
            assert (lost.value.gap_from, lost.value.gap_to) == (told["gap_from"], told["gap_to"])
            assert await take(events, 3) == [8, 9, 10]


async def test_an_emptied_server_is_a_gap_for_those_who_listen(leader, gateway, worker, redis, keys, caplog):
    caplog.set_level(logging.CRITICAL, "discordproxy_gateway")
    async with worker() as served, client_of(served.port) as client:
        events = client.events(on_gap="yield", types=["MESSAGE_CREATE"])
        async with events:
            await say(gateway, 1, 5)
            assert await take(events, 5) == numbers(1, 5)
            for key in await redis.keys(f"{keys.tag}:*"):
                await redis.delete(key)
            async with asyncio.timeout(WITHIN_S):
                while (event := await anext(events)).kind != Event.GAP:
                    pass
                await eventually(lambda: gateway.seen["identifies"] == 2, within_s=WITHIN_S)
                await gateway.until(lambda: gateway.live)
                await say(gateway, 6, 6)
                while (event := await anext(events)).kind == Event.GAP:
                    pass
            assert json.loads(event.json)["id"] == "6"


async def test_an_iteration_may_be_abandoned_and_taken_up_again(leader, gateway, worker):
    async with worker() as served, client_of(served.port) as client, client.events() as events:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await anext(events)
        await say(gateway, 1, 3)
        assert await take(events, 3) == [1, 2, 3]
        waiting = asyncio.create_task(take(events, 1))
        await asyncio.sleep(0)
        events.close()
        with pytest.raises(StopAsyncIteration):
            await waiting


async def test_closing_ends_an_iteration_in_another_thread(leader, gateway, worker):
    async with worker() as served:
        with DiscordClient(f"127.0.0.1:{served.port}") as client:
            events = client.events()
            entered = asyncio.Event()
            loop = asyncio.get_running_loop()

            def follow():
                with events:
                    loop.call_soon_threadsafe(entered.set)
                    return [int(json.loads(event.json)["id"]) for event in events]

            following = asyncio.create_task(asyncio.to_thread(follow))
            await entered.wait()
            await say(gateway, 1, 3)
            await eventually(
                lambda: served.worker.metrics.registry.get_sample_value("discordproxy_events_sent_total") >= 3
            )
            events.close()
            async with asyncio.timeout(WITHIN_S):
                assert await following in ([], [1], [1, 2], [1, 2, 3])
