"""Subscriptions: resume, retention, slow consumers, gaps."""

import asyncio
import contextlib
import secrets

import pytest

from discordproxy_gateway.events import (
    BLOCK_MS,
    Cursor,
    CursorExpiredError,
    EventHub,
    EventsUnavailableError,
    Filter,
    ItemKind,
    SubscriberTooSlowError,
    tail,
)
from discordproxy_gateway.events.cursor import Place, Position
from discordproxy_gateway.events.tail import FEED_LENGTH, FOLLOWED_S, Feed, Tail
from discordproxy_gateway.keys import ERAS_KEPT
from discordproxy_ratelimit.redis import client as redis_client
from fakes.eventually import eventually


class Stream:
    """Writes entries as the worker's script does."""

    def __init__(self, redis, keys, shard_id: int = 0, era: int = 1) -> None:
        self._redis = redis
        self.key = keys.stream(shard_id, era)
        self._meta = keys.stream_meta(shard_id, era)
        self._eras, self._place = keys.eras, (era, shard_id)
        self._count = 0

    async def begin(self, epoch: str = "epoch") -> None:
        era, shard_id = self._place
        await self._redis.hset(self._meta, mapping={"epoch": epoch, "n": 0})
        await self._redis.hset(self._eras, mapping={"now": era, "shards": shard_id + 1, f"{era}:{shard_id}": "1"})

    async def add(self, count: int = 1, **fields: str) -> None:
        pipeline = self._redis.pipeline(transaction=True)
        for _ in range(count):
            self._count += 1
            words = {"n": self._count, "t": "MESSAGE_CREATE", "s": self._count, "x": "m", "d": b"{}"} | fields
            pipeline.xadd(self.key, words)
        pipeline.hset(self._meta, "n", self._count)
        await pipeline.execute()


@pytest.fixture
async def stream(redis, keys) -> Stream:
    stream = Stream(redis, keys)
    await stream.begin()
    return stream


@pytest.fixture
async def hub(redis, keys, valkey):
    blocking = redis_client.connect(valkey, timeout_s=BLOCK_MS / 1000 + 2)
    hub = EventHub(redis, blocking, keys)
    yield hub
    await hub.close()
    await blocking.aclose()


async def take(items, count: int) -> list[int]:
    taken = []
    async with asyncio.timeout(60):
        while len(taken) < count:
            item = await anext(items)
            if item.kind is ItemKind.DISPATCH:
                taken.append(item.entry.position.ordinal)
    return taken


async def test_what_comes_from_now_on(hub, stream):
    await stream.add(3)
    async with hub.subscribe(Filter()) as items:
        await stream.add(3)
        assert await take(items, 3) == [4, 5, 6]


@pytest.mark.parametrize(
    ("types", "interactions"), [((), True), (("INTERACTION_CREATE",), True), (("MESSAGE_CREATE",), False)]
)
async def test_a_subscription_is_announced_to_the_gateway_worker(hub, stream, redis, keys, types, interactions):
    followed = (keys.followers(0, 1), keys.interaction_followers(0, 1))
    async with hub.subscribe(Filter(frozenset(types))):
        assert await redis.exists(followed[0])
        assert await redis.exists(followed[1]) == interactions
        assert 0 < await redis.pttl(followed[0]) <= FOLLOWED_S * 1000


async def test_a_subscription_is_announced_again_while_it_lasts(hub, stream, redis, keys, monkeypatch):
    monkeypatch.setattr(tail, "ANNOUNCE_S", 0.0)
    followed = keys.followers(0, 1)
    async with hub.subscribe(Filter()) as items:
        await redis.delete(followed)
        await stream.add(1)
        await take(items, 1)
        await eventually(lambda: redis.exists(followed))


async def test_everything_kept_then_live(hub, stream):
    await stream.add(700)
    async with hub.subscribe(Filter(), earliest=True) as items:
        assert await take(items, 700) == list(range(1, 701))
        await stream.add(5)
        assert await take(items, 5) == list(range(701, 706))


async def test_resume_after_any_cursor(hub, stream):
    await stream.add(10)
    cursors = []
    async with hub.subscribe(Filter(), earliest=True) as items:
        for _ in range(10):
            cursors.append(str((await anext(items)).cursor))  # noqa: PERF401 - each in its turn
    await stream.add(2)
    for place, text in enumerate(cursors, 1):
        async with hub.subscribe(Filter(), cursor=Cursor.parse(text)) as items:
            assert await take(items, 12 - place) == list(range(place + 1, 13))


async def test_filtered_events_move_the_cursor(redis, keys, valkey, stream):
    blocking = redis_client.connect(valkey, timeout_s=4)
    hub = EventHub(redis, blocking, keys, heartbeat_s=0.05)
    async with hub.subscribe(Filter(types=frozenset({"GUILD_UPDATE"}))) as items:
        await stream.add(20)
        async with asyncio.timeout(60):
            while (item := await anext(items)).cursor.positions[1, 0].ordinal < 20:
                assert item.kind is ItemKind.HEARTBEAT
    await hub.close()
    await blocking.aclose()


async def test_a_trimmed_cursor_is_refused_with_what_is_left(hub, stream, redis):
    await stream.add(5)
    async with hub.subscribe(Filter(), earliest=True) as items:
        cursor = (await anext(items)).cursor
    await redis.xtrim(stream.key, maxlen=2, approximate=False)
    with pytest.raises(CursorExpiredError) as error:
        async with hub.subscribe(Filter(), cursor=cursor):
            pass
    assert 0 < error.value.lost_from_ms <= error.value.lost_to_ms
    async with hub.subscribe(Filter(), cursor=error.value.earliest) as items:
        assert await take(items, 2) == [4, 5]


async def test_a_quiet_trimmed_stream_is_no_gap(hub, stream, redis):
    await stream.add(5)
    async with hub.subscribe(Filter(), earliest=True) as items:
        await take(items, 5)
        cursor = items.cursor
    await redis.xtrim(stream.key, maxlen=0, approximate=False)
    async with hub.subscribe(Filter(), cursor=cursor) as items:
        await stream.add(1)
        assert await take(items, 1) == [6]


async def test_another_epoch_is_refused(hub, stream, redis, keys):
    await stream.add(5)
    async with hub.subscribe(Filter(), earliest=True) as items:
        await take(items, 5)
        old = items.cursor
        await redis.delete(stream.key)
        await stream.begin("another")
        stream._count = 0
        await stream.add(7)
        with pytest.raises(CursorExpiredError):
            await take(items, 1)
    with pytest.raises(CursorExpiredError):
        async with hub.subscribe(Filter(), cursor=old):
            pass


async def test_a_stopped_subscriber_catches_up_beside_a_fast_one(hub, stream):
    many = FEED_LENGTH * 2
    async with hub.subscribe(Filter()) as slow, hub.subscribe(Filter()) as fast:
        await stream.add(1)
        assert await take(slow, 1) == [1]
        for _ in range(many // 100):
            await stream.add(100)
        assert await take(fast, many + 1) == list(range(1, many + 2))
        assert await take(slow, many) == list(range(2, many + 2))
        await stream.add(1)
        assert await take(slow, 1) == [many + 2]


async def test_a_subscriber_that_falls_out_of_what_is_kept_ends_with_its_cursor(hub, stream, redis):
    many = FEED_LENGTH * 2
    async with hub.subscribe(Filter()) as slow, hub.subscribe(Filter()) as fast:
        await stream.add(1)
        await take(slow, 1)
        for _ in range(many // 100):
            await stream.add(100)
        await take(fast, many + 1)
        await redis.xtrim(stream.key, maxlen=10, approximate=False)
        with pytest.raises(SubscriberTooSlowError):
            await take(slow, many)
        assert slow.cursor.positions[1, 0].ordinal < many - 10
        await stream.add(1)
        assert await take(fast, 1) == [many + 2]


async def test_a_gap_is_an_item(hub, stream):
    async with hub.subscribe(Filter(types=frozenset({"MESSAGE_CREATE"}))) as items:
        await stream.add(1, t="GAP", **{"from": "1000", "to": "2000"})
        item = await anext(items)
    assert item.kind is ItemKind.GAP
    assert (item.entry.gap_from_ms, item.entry.gap_to_ms) == (1000, 2000)


async def test_without_a_gateway_there_are_no_events(hub, redis, keys):
    with pytest.raises(EventsUnavailableError, match="no gateway worker"):
        async with hub.subscribe(Filter()):
            pass


async def test_two_shards_are_read_in_turn(redis, keys, hub):
    streams = [Stream(redis, keys, shard_id) for shard_id in (0, 1)]
    for stream in streams:
        await stream.begin()
        await stream.add(5)
    async with hub.subscribe(Filter(), earliest=True) as items:
        taken = [await anext(items) for _ in range(10)]
    for shard_id in (0, 1):
        ordinals = [item.entry.position.ordinal for item in taken if item.entry.shard_id == shard_id]
        assert ordinals == [1, 2, 3, 4, 5]
    assert len(taken[-1].cursor.positions) == 2


async def test_nothing_is_missed_while_subscribers_come_and_go(hub, stream):
    """Subscribers that stop at any moment and go on from their cursor see every event once."""
    seen: list[int] = []
    total = 3000

    async def write() -> None:
        for _ in range(total // 10):
            await stream.add(10)

    async def read() -> None:
        cursor = None
        while len(seen) < total:
            async with hub.subscribe(Filter(), cursor=cursor, earliest=True) as items:
                with contextlib.suppress(StopAsyncIteration):
                    for _ in range(137):
                        if len(seen) == total:
                            break
                        item = await anext(items)
                        if item.kind is ItemKind.DISPATCH:
                            seen.append(item.entry.position.ordinal)
                            cursor = item.cursor

    async with asyncio.timeout(60):
        await asyncio.gather(write(), read())
    assert seen == list(range(1, total + 1))


async def eras(redis, keys, now: int, **begun: int) -> list[Stream]:
    """Make one-shard eras up to `now`, an event in each."""
    streams = []
    for era in range(1, now + 1):
        streams.append(Stream(redis, keys, 0, era))
        await streams[-1].begin(secrets.token_hex(6))
        await streams[-1].add(1, g=str(era))
    return streams


async def guilds(items, count: int) -> list[int]:
    async with asyncio.timeout(60):
        taken = [await anext(items) for _ in range(count)]
    return [item.entry.guild_id for item in taken if item.kind is ItemKind.DISPATCH]


async def test_streams_that_began_after_a_cursor_are_read_from_their_beginning(hub, redis, keys):
    first = Stream(redis, keys)
    await first.begin()
    async with hub.subscribe(Filter()) as items:
        cursor = Cursor.parse(str(items.cursor))
    await first.add(1, g="10")
    second = Stream(redis, keys, 1)  # of the same era: the second shard was slower
    await second.begin()
    await second.add(1, g="11")
    async with hub.subscribe(Filter(), cursor=cursor) as items:
        assert sorted(await guilds(items, 2)) == [10, 11]
    later = Stream(redis, keys, 0, 2)
    await later.begin()
    await later.add(1, g="20")
    async with hub.subscribe(Filter(), cursor=cursor) as items:
        assert (await guilds(items, 3))[2] == 20, "an ended era comes first"
        cursor = items.cursor
    assert set(cursor.positions) == {(2, 0)}, "what is processed completely need not be named"
    async with hub.subscribe(Filter(), cursor=cursor) as items:
        await later.add(1, g="21")
        assert await guilds(items, 1) == [21]


async def test_earliest_means_every_stream_that_is_kept(hub, redis, keys):
    await eras(redis, keys, 3)
    await redis.delete(keys.stream(0, 1), keys.stream_meta(0, 1))
    async with hub.subscribe(Filter(), earliest=True) as items:
        assert await guilds(items, 2) == [2, 3]


@pytest.mark.parametrize("gone", ["stream of the cursor", "stream after it", "era of the cursor", "every era"])
async def test_events_of_ended_eras_that_a_cursor_misses_are_reported(hub, redis, keys, gone):
    await eras(redis, keys, 1)
    async with hub.subscribe(Filter(), earliest=True) as items:
        await guilds(items, 1)
        cursor = items.cursor
    await eras(redis, keys, 3)
    match gone:
        case "stream of the cursor":
            await redis.delete(keys.stream(0, 1), keys.stream_meta(0, 1))
        case "stream after it":
            await redis.delete(keys.stream(0, 2), keys.stream_meta(0, 2))
        case "era of the cursor":
            await redis.hset(keys.eras, "now", 2 + ERAS_KEPT)
        case "every era":
            await redis.delete(keys.eras)
            await eras(redis, keys, 1)
    with pytest.raises(CursorExpiredError) as error:
        async with hub.subscribe(Filter(), cursor=cursor):
            pass
    async with hub.subscribe(Filter(), cursor=Cursor.parse(str(error.value.earliest))) as items:
        assert items.cursor.positions


async def test_a_server_restored_from_an_old_snapshot_is_reported(hub, stream, redis, keys):
    """Its ordinals are given a second time, to other events."""
    await stream.add(5)
    async with hub.subscribe(Filter(), earliest=True) as items:
        await take(items, 5)
        cursor = items.cursor
        await redis.xtrim(stream.key, maxlen=0, approximate=False)
        stream._count = 2
        await stream.add(1)
        with contextlib.suppress(CursorExpiredError):  # told, if it was read for all; else the event itself
            assert await take(items, 1) == [3]
    with pytest.raises(CursorExpiredError) as error:
        async with hub.subscribe(Filter(), cursor=cursor):
            pass
    async with hub.subscribe(Filter(), cursor=error.value.earliest) as items:
        assert await take(items, 1) == [3]


async def test_a_subscription_after_a_restore_continues(hub, stream, redis):
    """The end of the former stream is not mistaken for that of the new one."""
    async with hub.subscribe(Filter(), earliest=True) as former:
        await stream.add(5)
        await take(former, 5)
        await eventually(lambda: hub._tails[0].last.ordinal == 5)
        await redis.xtrim(stream.key, maxlen=0, approximate=False)
        stream._count = 2
        await stream.add(1)
        async with hub.subscribe(Filter(), earliest=True) as items:
            assert await take(items, 1) == [3]
            with pytest.raises(CursorExpiredError):
                await take(former, 1)
            await stream.add(1)
            assert await take(items, 1) == [4]


async def test_a_listener_ahead_of_the_tail_gets_the_events_after_a_restore(stream, redis, keys):
    """They have ordinals that it knows already, of other events."""
    await stream.add(2)
    tail = Tail(redis, redis, keys, Place(1, 0))
    await tail.open()
    await stream.add(3)
    feed = Feed(tail, Filter(), Position("epoch", 0, "0-0"), lambda: None)
    tail.feeds.add(feed)
    assert await feed.refill()
    assert [feed.pop().position.ordinal for _ in range(5)] == [1, 2, 3, 4, 5]
    assert not await feed.refill()  # live now
    await redis.xtrim(stream.key, maxlen=0, approximate=False)
    stream._count = 2
    await stream.add(1)
    for entry in await tail._next():
        tail._dispatch_entry(entry)
    assert await feed.refill()
    assert feed.pop().position.ordinal == 3


async def test_a_listener_is_informed_of_a_restored_server(hub, stream, redis):
    async with hub.subscribe(Filter()) as items:
        listening = asyncio.create_task(take(items, 7))
        await stream.add(5)
        await eventually(lambda: hub._tails[0].last.ordinal == 5)
        await redis.xtrim(stream.key, maxlen=0, approximate=False)
        stream._count = 2
        await stream.add(1)
        with pytest.raises((CursorExpiredError, SubscriberTooSlowError)):  # it may still be reading the first ones
            await listening


async def test_a_listener_is_informed_of_a_new_era(hub, stream, redis, keys):
    async with hub.subscribe(Filter()) as items:
        await stream.add(1)
        assert await take(items, 1) == [1]
        later = Stream(redis, keys, 0, 2)
        await later.begin(secrets.token_hex(6))
        await later.add(1)
        with pytest.raises(EventsUnavailableError, match="another number of shards"):
            await take(items, 2)


@pytest.mark.parametrize(
    "odd",
    [{b"g": b"@me"}, {b"n": b"x"}, {b"n": b"9" * 40}, {b"c": b"-1"}, {b"s": b"1.5"}, {b"t": b"\xff"}, {b"d": b"\xff"}],
)
async def test_an_entry_that_cannot_be_read_costs_nothing_else(hub, stream, redis, odd):
    await stream.add(1)
    async with hub.subscribe(Filter(), earliest=True) as items:
        assert await take(items, 1) == [1]
        await redis.xadd(stream.key, {b"n": b"2", b"t": b"MESSAGE_CREATE", b"s": b"2", b"d": b"{}"} | odd)
        stream._count = 2
        await stream.add(2)
        assert await take(items, 3) == [2, 3, 4]
    async with hub.subscribe(Filter(), earliest=True) as items:
        assert await take(items, 4) == [1, 2, 3, 4]


async def test_reading_goes_on_after_whatever_ended_it(hub, stream, monkeypatch, caplog):
    failures = [KeyError("odd"), TypeError("odd")]
    real = Tail._next

    async def next_entries(tail):
        if failures:
            raise failures.pop()
        return await real(tail)

    async with hub.subscribe(Filter()) as items:
        await stream.add(1)
        assert await take(items, 1) == [1]
        monkeypatch.setattr(Tail, "_next", next_entries)
        await stream.add(1)  # ends the reading that is under way
        with pytest.raises(EventsUnavailableError, match="TypeError"):
            await take(items, 2)
        cursor = items.cursor
    assert "events of shard 0 failed; it starts again" in caplog.text
    await eventually(lambda: not failures)
    async with hub.subscribe(Filter(), cursor=cursor) as items:
        await stream.add(1)
        assert (await take(items, 3 - cursor.positions[1, 0].ordinal))[-1] == 3
