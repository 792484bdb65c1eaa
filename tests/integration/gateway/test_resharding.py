"""The bot changes its number of shards: every event reaches its subscribers, or a GAP that spans it does."""

import asyncio
import contextlib
import time

import pytest

from discordproxy_gateway.discord.failures import FatalError
from discordproxy_gateway.events import (
    BLOCK_MS,
    Cursor,
    CursorExpiredError,
    EventHub,
    EventsError,
    Filter,
    ItemKind,
)
from discordproxy_gateway.keys import shard_of
from discordproxy_ratelimit.redis import client as redis_client
from fakes.eventually import eventually

pytestmark = pytest.mark.usefixtures("quick")
GUILDS = [number << 22 for number in range(1, 5)]
PACE_S = 0.01
SLACK_MS = 20  # two clocks of one machine are compared, in whole milliseconds


class Story:
    """Discord's events as they happened, each in the session of its guild's shard, if there is one."""

    def __init__(self, discord) -> None:
        self.discord = discord
        self.happened: dict[int, float] = {}
        self._talking: asyncio.Task[None] | None = None

    async def tell(self, count: int = 1) -> None:
        for _ in range(count):
            number = len(self.happened) + 1
            guild_id = GUILDS[number % len(GUILDS)]
            self.happened[number] = time.time() * 1000
            for session in list(self.discord.sessions.values()):
                if session.shard[0] == shard_of(guild_id, session.shard[1]):
                    data = {"id": str(number), "guild_id": str(guild_id), "channel_id": "5"}
                    await self.discord._dispatch(session, "MESSAGE_CREATE", data)

    async def go_on(self) -> None:
        """A hundred events a second."""
        while True:
            await self.tell()
            await asyncio.sleep(PACE_S)


class Follower:
    """Subscribes as a client does: again from its cursor, whatever ends the stream."""

    def __init__(self, hub, cursor: str | None = None) -> None:
        self._hub = hub
        self.cursor = cursor
        self.got: set[int] = set()
        self.gaps: list[tuple[int, int]] = []
        self.following = asyncio.Event()

    async def follow(self) -> None:
        while True:
            try:
                await self._once()
            except CursorExpiredError as error:  # noqa: PERF203 - the loop is what is tested
                self.gaps.append((error.lost_from_ms, error.lost_to_ms or round(time.time() * 1000)))
                self.cursor = str(error.earliest)
            except EventsError:
                await asyncio.sleep(0.02)

    async def _once(self) -> None:
        cursor = Cursor.parse(self.cursor) if self.cursor else None
        async with self._hub.subscribe(Filter(), cursor=cursor) as items:
            self.cursor = str(items.cursor)
            self.following.set()
            async for item in items:
                if item.kind is ItemKind.GAP:
                    self.gaps.append((item.entry.gap_from_ms, item.entry.gap_to_ms))
                elif item.entry is not None and item.entry.type == "MESSAGE_CREATE":
                    self.got.add(int(item.entry.json.split('"')[3]))
                self.cursor = str(item.cursor)

    def missing(self, happened: dict[int, float]) -> list[int]:
        """Numbers of events that neither came nor lie in a gap that was told."""
        return [
            number
            for number, at in happened.items()
            if number not in self.got and not any(a - SLACK_MS <= at <= b + SLACK_MS for a, b in self.gaps)
        ]


@pytest.fixture
async def hub(redis, keys, valkey):
    blocking = redis_client.connect(valkey, timeout_s=BLOCK_MS / 1000 + 2)
    hub = EventHub(redis, blocking, keys)
    yield hub
    await hub.close()
    await blocking.aclose()


@pytest.fixture
async def story(discord):
    discord.max_concurrency = 16
    story = Story(discord)
    talking = asyncio.create_task(story.go_on())
    yield story
    talking.cancel()


@contextlib.asynccontextmanager
async def following(*followers):
    tasks = [asyncio.create_task(follower.follow()) for follower in followers]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def run_with(start, discord, story, shards: int):
    """Have the bot run with so many shards until some events have come through each."""
    running = start(shards=shards, lease_s=1.0)
    await discord.until(lambda: {session.shard for session in discord.live} == {(n, shards) for n in range(shards)})
    so_far = len(story.happened)
    await discord.until(lambda: len(story.happened) >= so_far + 20)
    return running


async def finish(story, *followers) -> None:
    """Wait until the followers have something that happens from now on."""
    so_far = len(story.happened)

    async def level() -> bool:
        return all(follower.got and max(follower.got) > so_far for follower in followers)

    await eventually(level, within_s=60)


async def test_nobody_misses_an_event_without_a_gap(start, discord, story, hub):
    """Live through up and down and up again; away meanwhile, with cursors of one, two and more changes ago."""
    running = await run_with(start, discord, story, 1)
    live = Follower(hub)
    old: list[Follower] = []
    async with following(live):
        await live.following.wait()
        first = len(story.happened)
        for shards in (2, 1, 3, 1):
            await finish(story, live)
            old.append(Follower(hub, live.cursor))
            old[-1].got, old[-1].gaps = set(live.got), list(live.gaps)
            await running.stop()
            running = await run_with(start, discord, story, shards)
        await finish(story, live)
        async with following(*old):
            await finish(story, *old)
    happened = {number: at for number, at in story.happened.items() if first < number <= max(live.got) - 50}
    assert happened
    assert live.missing(happened) == []
    for follower in old:
        assert follower.missing(happened) == []
    assert any(gap_from for gap_from, _ in live.gaps), "a gap says since when"
    assert len(live.gaps) < 12, "one for each shard of each change, no more"


async def test_killed_before_all_shards_are_up(start, spawn, discord, story, hub, redis, keys):
    """A change of the number that is never completed, and taken back."""
    running = await run_with(start, discord, story, 1)
    live = Follower(hub)
    async with following(live):
        await live.following.wait()
        first = len(story.happened)
        await finish(story, live)
        away = Follower(hub, live.cursor)
        away.got = set(live.got)
        await running.stop()
        discord.max_concurrency = 1  # so that the second shard waits for the first one
        process = await spawn(DISCORDPROXY_SHARDS="2", DISCORDPROXY_GATEWAY_LEASE="1", DISCORDPROXY_INTENTS="guilds")
        await discord.until(lambda: any(session.shard == (0, 2) for session in discord.live))
        process.kill()
        await process.wait()
        await redis.delete(keys.identify_gate(0))  # the seconds that it keeps others from connecting are over
        discord.max_concurrency = 16
        await run_with(start, discord, story, 1)
        await finish(story, live)
        async with following(away):
            await finish(story, away)
    happened = {number: at for number, at in story.happened.items() if first < number <= max(live.got) - 50}
    assert live.missing(happened) == []
    assert away.missing(happened) == []


async def test_an_emptied_server_between_two_numbers(start, discord, story, hub, redis, keys):
    running = await run_with(start, discord, story, 2)
    live = Follower(hub)
    async with following(live):
        await live.following.wait()
        first = len(story.happened)
        await finish(story, live)
        away = Follower(hub, live.cursor)
        away.got = set(live.got)
        await running.stop()
        await redis.delete(*[key async for key in redis.scan_iter(f"{keys.tag}:*")])
        await run_with(start, discord, story, 1)
        await finish(story, live)
        async with following(away):
            await finish(story, away)
    happened = {number: at for number, at in story.happened.items() if first < number <= max(live.got) - 50}
    assert live.missing(happened) == []
    assert away.missing(happened) == []


async def test_streams_of_an_ended_era_run_out(start, discord, story, redis, keys):
    running = await run_with(start, discord, story, 2)

    async def begun() -> bool:
        return await redis.exists(keys.stream(0, 1), keys.stream(1, 1)) == 2

    await eventually(begun)
    await running.stop()
    await run_with(start, discord, story, 1)
    for shard_id in (0, 1):
        assert 0 < await redis.pttl(keys.stream(shard_id, 1)) <= 3_600_000
        assert 0 < await redis.pttl(keys.stream_meta(shard_id, 1)) <= 3_600_000


async def test_a_session_of_an_earlier_era_is_not_resumed(start, discord, story, redis, keys):
    """The caches have followed other sessions since: RESUME would leave them as they are."""
    for shards in (1, 2, 1):
        running = await run_with(start, discord, story, shards)
        await running.stop()
    assert discord.seen["identifies"] == 4
    assert discord.seen["resumes"] == 0


async def grow(discord) -> None:
    """Let Discord refuse one shard, and recommend two."""
    discord.shards, discord.identify_answer = 2, 4011
    await discord.invalidate(resumable=False)
    await discord.until(lambda: discord.seen["identifies"] == 2)
    discord.identify_answer = None


async def test_a_bot_that_has_grown_gets_the_shards_that_discord_recommends(start, discord, redis, keys):
    running = start(lease_s=1.0)
    await discord.until(lambda: discord.live)
    await grow(discord)
    await discord.until(lambda: {session.shard for session in discord.live} == {(0, 2), (1, 2)})
    assert not running.task.done()
    assert not await redis.exists(keys.fatal)
    assert discord.seen["logins"] == 1
    assert discord.seen["identifies"] == 4


async def test_a_number_of_shards_that_was_set_is_not_replaced(start, discord, redis, keys):
    running = start(shards=1, lease_s=1.0)
    await discord.until(lambda: discord.live)
    await grow(discord)
    with pytest.raises(FatalError, match="DISCORDPROXY_SHARDS to auto"):
        await running.task
    assert await redis.exists(keys.fatal)
    assert discord.seen["identifies"] == 2
