"""What is lost, doubled and identified under every fault of a connection. Events are counted in the stream."""

import asyncio
import contextlib
import signal

import pytest
from redis.exceptions import RedisError

from discordproxy_gateway.cache import CacheReader, MemberReader
from discordproxy_gateway.events import CursorExpiredError, EventHub, EventsError, Filter
from discordproxy_gateway.keys import Slot
from discordproxy_gateway.options import GatewayOptions
from discordproxy_gateway.worker import GatewayWorker
from discordproxy_ratelimit.process.tasks import cancel
from discordproxy_ratelimit.redis import client as redis_client
from fakes.eventually import eventually
from fakes.gateway import TOKEN

pytestmark = pytest.mark.usefixtures("quick")
SLOT = Slot(0, 1)
EVENTS = 300


async def flood(discord, first: int, count: int) -> None:
    for number in range(first, first + count):
        await discord.emit("MESSAGE_CREATE", {"channel_id": str(number), "content": "x" * 100})


async def abort(discord):
    await discord.abort()


async def op_7(discord):
    await discord.ask_reconnect()


async def op_9_true(discord):
    await discord.invalidate(resumable=True)


async def close_4000(discord):
    await discord.close(4000)


async def close_1006_like(discord):
    await discord.close(1012)


async def no_json(discord):
    await discord.babble(b'{"op":0,"t":"MESSAGE_CREATE","s":')


async def no_message(discord):
    await discord.babble(b'{"t":"MESSAGE_CREATE"}')


async def number_far_ahead(discord):
    await discord.babble(b'{"op":0,"t":"TYPING_START","s":1000000000,"d":{}}')


async def other_bytes(discord):
    await discord.interfere()


@pytest.mark.parametrize(
    "fault", [abort, op_7, op_9_true, close_4000, close_1006_like, no_json, no_message, number_far_ahead, other_bytes]
)
async def test_a_lost_connection_loses_and_doubles_nothing(start, discord, streamed, fault):
    start()
    await discord.until(lambda: discord.live)
    await asyncio.gather(flood(discord, 1, EVENTS), fault(discord))
    await discord.until(lambda: discord.seen["resumes"] == 1 and discord.live)
    await flood(discord, EVENTS + 1, EVENTS)

    async def all_there() -> bool:
        return len(await streamed()) >= 2 * EVENTS

    await eventually(all_there)
    assert await streamed() == list(range(1, 2 * EVENTS + 1))
    assert discord.seen["identifies"] == 1


async def test_an_event_that_redis_refuses_doubles_none_of_its_batch(start, discord, redis, keys, streamed):
    discord.guilds = {"4194304": {"id": "4194304", "name": "g"}}
    start()
    await discord.until(lambda: discord.live)

    async def is_known() -> bool:
        return await redis.hget(keys.meta(4194304), "mark") not in {None, b""}

    await eventually(is_known)
    await redis.set(keys.part("ro", 4194304), "a key of another type")
    await flood(discord, 1, 30)
    await discord.emit("GUILD_ROLE_CREATE", {"guild_id": "4194304", "role": {"id": "5"}})
    await flood(discord, 31, 30)

    async def all_there() -> bool:
        return 60 in await streamed()

    await eventually(all_there)
    assert await streamed() == list(range(1, 61))


@pytest.mark.parametrize("compression", ["", "zlib-stream", "zstd-stream"])
async def test_events_are_read_however_they_are_compressed(start, discord, streamed, compression):
    discord.compression = compression  # whatever was asked for
    start()
    await discord.until(lambda: discord.live)
    await flood(discord, 1, EVENTS)

    async def all_there() -> bool:
        return await streamed() == list(range(1, EVENTS + 1))

    await eventually(all_there)
    assert discord.seen["connections"] == 1


async def test_a_compression_that_never_can_be_read_is_left_out(start, discord, caplog):
    discord.garbled = True
    start()
    await discord.until(lambda: discord.live)
    assert discord.seen["connections"] == 4
    assert discord.seen["identifies"] == 1
    assert caplog.text.count("not connected (unreadable message") == 3


@pytest.mark.parametrize("code", [4007, 4009])
async def test_a_session_that_is_gone_begins_anew_with_a_gap(start, discord, redis, keys, code):
    start()
    await discord.until(lambda: discord.live)
    await flood(discord, 1, 1)
    await eventually(lambda: redis.exists(keys.session(SLOT)))
    await discord.close(code)
    await discord.until(lambda: discord.seen["identifies"] == 2 and len(discord.live) == 1)
    await flood(discord, 2, 1)

    async def kinds() -> list[bytes]:
        return [fields[b"t"] for _, fields in await redis.xrange(keys.stream(0, 1))]

    async def both() -> bool:
        return (await kinds()).count(b"MESSAGE_CREATE") == 2

    await eventually(both)
    assert await kinds() == [b"MESSAGE_CREATE", b"GAP", b"MESSAGE_CREATE"]
    gap = (await redis.xrange(keys.stream(0, 1)))[1][1]
    assert 0 < int(gap[b"from"]) <= int(gap[b"to"])
    assert discord.seen["resumes"] == 0


async def test_a_new_leader_refuses_the_old_one(start, discord, redis, keys, streamed):
    """The old leader sleeps through its lease; woken up, it can write nothing more."""
    first = start(lease_s=0.6)
    await discord.until(lambda: discord.live)
    await flood(discord, 1, 10)
    await eventually(lambda: redis.exists(keys.session(SLOT)))
    # Sleeping is simulated where it matters: in Redis the lease has run out and another term has begun.
    await redis.delete(keys.lease(SLOT))
    await redis.incr(keys.fence(SLOT))
    await flood(discord, 11, 10)
    await discord.until(lambda: discord.seen["resumes"] >= 1)

    async def all_there() -> bool:
        return len(await streamed()) == 20

    await eventually(all_there)
    assert await streamed() == list(range(1, 21))
    assert discord.seen["identifies"] == 1
    await first.stop()


async def test_two_workers_hold_one_connection(start, discord, redis, keys):
    workers = [start() for _ in range(3)]
    await discord.until(lambda: discord.live and discord.seen["logins"] == 3)
    await eventually(lambda: redis.exists(keys.session(SLOT)))
    await flood(discord, 1, 50)
    for worker in workers:  # the others take over one after the other, each on its own connection, in the same session
        await discord.until(lambda: discord.live)
        await worker.stop()
    assert discord.most_at_once == 1
    assert discord.seen["identifies"] == 1


async def test_redis_going_back_in_time_is_repaired_by_resume(start, discord, redis, keys, streamed):
    start()
    await discord.until(lambda: discord.live)
    await flood(discord, 1, 20)

    async def has(count: int) -> bool:
        return len(await streamed()) >= count

    await eventually(lambda: has(20))
    await redis.hset(keys.session(SLOT), "seq", "11")  # READY is 1, so ten messages
    await redis.xtrim(keys.stream(0, 1), maxlen=0)
    await flood(discord, 21, 1)
    await eventually(lambda: has(11))
    assert await streamed() == list(range(11, 22))
    assert discord.seen["identifies"] == 1


async def test_a_lost_session_record_begins_anew(start, discord, redis, keys):
    start()
    await eventually(lambda: redis.exists(keys.session(SLOT)))
    await redis.delete(keys.session(SLOT))
    await flood(discord, 1, 1)
    await discord.until(lambda: discord.seen["identifies"] == 2)


async def told_of_losses(redis, blocking, keys, told: list[str]) -> None:
    """Follow events as an application does: after an end go on at the cursor, and note when that cannot be."""
    hub, cursor = EventHub(redis, blocking, keys), None

    async def follow() -> None:
        nonlocal cursor
        async with hub.subscribe(Filter(), cursor=cursor) as items:
            cursor = items.cursor
            told.append("subscribed")
            async for item in items:
                cursor = item.cursor

    try:
        while True:
            ended = (await asyncio.gather(follow(), return_exceptions=True))[0]
            assert isinstance(ended, EventsError | RedisError | OSError), repr(ended)
            if isinstance(ended, CursorExpiredError):
                cursor = None
                told.append("CURSOR_EXPIRED")
            await asyncio.sleep(0.05)  # a subscriber's own back-off
    finally:
        await hub.close()


async def test_an_emptied_server_is_filled_again(discord, own_valkey, keys):
    """All caches come back from Discord's own resync, at the price of one session and one question for each list."""
    redis, blocking = (redis_client.connect(own_valkey.url, timeout_s=timeout_s) for timeout_s in (5, 10))
    numbers = [number << 22 for number in range(1, 6)]
    discord.guilds = {str(n): {"id": str(n), "name": f"guild {n}", "channels": [], "member_count": 3} for n in numbers}
    everybody = [{"user": {"id": str(n), "username": f"user{n}"}, "roles": []} for n in (7, 8, 9)]
    discord.members = dict.fromkeys(discord.guilds, everybody)
    reader = CacheReader(redis, keys)
    members = MemberReader(redis, keys, reader)

    async def all_there() -> bool:
        with contextlib.suppress(RedisError, OSError):
            lists = [await members.members(number) for number in numbers]
            return all(one.freshness and one.freshness.complete and len(one.value) == 3 for one in lists)
        return False

    stopping, told = asyncio.Event(), list[str]()
    options = GatewayOptions(rest_url=discord.rest_url, intents=("guilds", "members"), lease_s=1.0)
    worker = asyncio.create_task(GatewayWorker(redis, keys, TOKEN, options).run(stopping))
    try:
        await eventually(all_there, within_s=60)
        following = asyncio.create_task(told_of_losses(redis, blocking, keys, told))
        await eventually(lambda: "subscribed" in told)
        epoch, asked = await redis.hget(keys.stream_meta(0, 1), "epoch"), discord.seen.copy()
        own_valkey.stop()
        own_valkey.start()
        await eventually(all_there, within_s=60)
        await eventually(lambda: "CURSOR_EXPIRED" in told, within_s=30)
        assert await redis.hget(keys.stream_meta(0, 1), "epoch") != epoch
        more = discord.seen - asked
        assert more["identifies"] == 1
        assert more["chunk_requests"] == len(numbers)
        assert more["rest"] <= 1, "nothing of this is asked by REST; a start asks one thing in the background"
        await cancel(following)
    finally:
        stopping.set()
        await worker
        await reader.aclose()
        for client in (redis, blocking):
            await client.aclose()


async def test_few_sessions_left_waits_for_the_reset(start, discord, redis, keys):
    discord.identifies_left = 50
    worker = start()

    async def waiting() -> bool:
        return (await redis.hget(keys.status(SLOT), "state")) == b"waiting"

    await eventually(waiting)
    assert b"--force" in await redis.hget(keys.status(SLOT), "reason")
    await worker.stop()
    assert discord.seen["connections"] == 0
    forced = start(force=True)
    await discord.until(lambda: discord.live)
    await forced.stop()


async def test_shards_identify_at_discords_pace(start, discord, redis, keys):
    discord.shards = 2
    discord.max_concurrency = 2
    discord.guilds = {str(n << 22): {"id": str(n << 22), "name": f"g{n}", "member_count": 1} for n in range(1, 5)}
    start()
    await discord.until(lambda: len(discord.live) == 2)
    assert {session.shard for session in discord.live} == {(0, 2), (1, 2)}

    async def all_guilds() -> bool:
        return await redis.hlen(keys.guilds) == 4

    await eventually(all_guilds)
    assert discord.seen["identifies"] == 2


async def test_a_reply_that_redis_lost_applies_nothing_twice(discord, own_valkey, keys, caplog):
    redis = redis_client.connect(own_valkey.url)
    stopping = asyncio.Event()
    options = GatewayOptions(rest_url=discord.rest_url, intents=("guilds",), lease_s=60)
    worker = asyncio.create_task(GatewayWorker(redis, keys, TOKEN, options).run(stopping))

    async def count() -> int:
        return await redis.xlen(keys.stream(0, 1))

    async def reaches(wanted: int) -> bool:
        return await count() >= wanted

    try:
        await discord.until(lambda: discord.live)
        await flood(discord, 1, 10)
        await eventually(lambda: reaches(10))
        own_valkey.send_signal(signal.SIGSTOP)  # commands lie in its socket until it goes on
        await flood(discord, 11, 10)
        await eventually(lambda: "wait for Redis" in caplog.text)
        own_valkey.send_signal(signal.SIGCONT)
        await eventually(lambda: reaches(20))
        await flood(discord, 21, 10)
        await eventually(lambda: reaches(30))
        rows = await redis.xrange(keys.stream(0, 1))
        assert [int(fields[b"c"]) for _, fields in rows] == list(range(1, 31))
        assert discord.seen["connections"] == 1
    finally:
        stopping.set()
        await worker
        await redis.aclose()
