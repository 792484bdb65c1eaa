"""Versions of cached answers: a kept answer is valid exactly until a new read could differ."""

import os
import random
from typing import Any

import pytest

from discordproxy_gateway.cache import CHANNEL, GUILD, MEMBER, ROLE, CachedAnswer, Overlay
from discordproxy_gateway.keys import Slot
from fakes.eventually import eventually

pytestmark = pytest.mark.skipif(os.environ.get("TOPOLOGY") == "cluster", reason="a Cluster has no pipeline")

NUMBER = 1 << 22
HERE = {"guild_id": str(NUMBER)}
CATEGORIES = ("guild", "roles", "emojis", "channels", "channel", "thread", "member")


def user(number: int, **fields) -> dict:
    return {"id": str(number), "username": f"user{number}", "global_name": None, "discriminator": "0", **fields}


def member(number: int, **fields) -> dict:
    basics = {"nick": None, "roles": [], "joined_at": "2021-05-01T12:34:56.789000+00:00", "deaf": False, "mute": False}
    return {"user": user(number), **basics, **fields}


def role(name: str) -> dict:
    return {"id": "50", "name": name}


def channel(name: str) -> dict:
    return {**HERE, "id": "10", "type": 0, "name": name}


def thread(name: str) -> dict:
    return {**HERE, "id": "20", "type": 11, "name": name, "parent_id": "10"}


def guild(name: str = "guild") -> dict:
    return {
        "id": str(NUMBER),
        "name": name,
        "member_count": 2,
        "roles": [role("role"), {"id": str(NUMBER), "name": "@everyone"}],
        "emojis": [{"id": "60", "name": "smile"}],
        "stickers": [],
        "channels": [channel("channel")],
        "threads": [thread("thread")],
        "members": [member(7)],
        "voice_states": [],
    }


class Kept:
    """Reads, and keeps what was read first."""

    def __init__(self, reader, members) -> None:
        self.reader = reader
        self.reads: dict[str, Any] = {
            "guild": lambda: reader.guild(NUMBER),
            "roles": lambda: reader.roles(NUMBER),
            "emojis": lambda: reader.emojis(NUMBER),
            "channels": lambda: reader.channels(NUMBER),
            "channel": lambda: reader.channel(10),
            "thread": lambda: reader.channel(20),
            "member": lambda: members.member(NUMBER, 8),
        }
        self.answers: dict[str, CachedAnswer[Any]] = {}

    async def keep(self) -> None:
        self.answers = {name: await read() for name, read in self.reads.items()}

    async def valid(self) -> set[str]:
        """Return the kept answers that are valid, after a comparison with what is read before and after."""
        found = set()
        for name, kept in self.answers.items():
            before = await self.reads[name]()
            freshness = None if kept.version is None else await self.reader.freshness_of(kept.version)
            new = await self.reads[name]()
            if freshness is not None and before.value == new.value:  # otherwise an event came meanwhile
                assert kept.value == new.value, name
                assert (freshness.complete, freshness.connected_since) == (
                    new.freshness.complete,
                    new.freshness.connected_since,
                )
                assert 0 <= freshness.age_s <= 60
                found.add(name)
        return found


@pytest.fixture
async def kept(start, discord, reader, members) -> Kept:
    """Everything is in the cache and was kept, the pipeline is open."""
    discord.guilds = {str(NUMBER): guild()}
    discord.members = {str(NUMBER): [member(7), member(8)]}
    start()

    async def complete() -> bool:
        answer = await members.members(NUMBER)
        return bool(answer.freshness and answer.freshness.complete)

    await eventually(complete)
    kept = Kept(reader, members)
    await kept.keep()
    assert await kept.valid() == set(CATEGORIES)
    return kept


async def stored(discord, reader) -> None:
    """Return when all events so far are stored."""
    mark = f"after {random.random()}"
    await discord.emit("USER_UPDATE", user(1, username=mark))

    async def arrived() -> bool:
        return (await reader.user()).value["username"] == mark

    await eventually(arrived)


EVENTS: dict[str, tuple[Any, set[str]]] = {
    "GUILD_UPDATE": (guild("renamed"), set()),
    "GUILD_ROLE_UPDATE": ({**HERE, "role": role("renamed")}, set()),
    "GUILD_ROLE_DELETE": ({**HERE, "role_id": "50"}, set()),
    "GUILD_EMOJIS_UPDATE": ({**HERE, "emojis": []}, set()),
    "CHANNEL_UPDATE": (channel("renamed"), set()),
    "CHANNEL_DELETE": (channel("channel"), set()),
    "THREAD_UPDATE": (thread("renamed"), set()),
    "THREAD_LIST_SYNC": ({**HERE, "channel_ids": ["10"], "threads": []}, set()),
    "GUILD_MEMBER_UPDATE": ({**HERE, **member(8, nick="new")}, set(CATEGORIES) - {"member"}),
    "GUILD_MEMBER_REMOVE": ({**HERE, "user": user(8)}, set(CATEGORIES) - {"member"}),
    "VOICE_STATE_UPDATE": ({**HERE, "user_id": "7", "channel_id": None}, set(CATEGORIES)),
    "MESSAGE_CREATE": ({**HERE, "id": "1", "channel_id": "10", "content": "x"}, set(CATEGORIES)),
}


@pytest.mark.parametrize("name", EVENTS)
async def test_an_event_ends_the_answers_that_it_changes(kept, discord, reader, name):
    data, unaffected = EVENTS[name]
    await discord.emit(name, data)
    await stored(discord, reader)
    assert await kept.valid() == unaffected


async def test_an_outage_changes_the_freshness_and_a_leave_ends_everything(kept, discord, reader):
    await discord.emit("GUILD_DELETE", {"id": str(NUMBER), "unavailable": True})
    await stored(discord, reader)
    assert await kept.valid() == set()
    await kept.keep()
    assert await kept.valid() == set(CATEGORIES)
    await discord.emit("GUILD_DELETE", {"id": str(NUMBER)})
    await stored(discord, reader)
    assert await kept.valid() == set()


async def test_an_own_write_ends_the_answers_of_its_kind(kept, redis, keys):
    overlay = Overlay(redis, keys)
    await overlay.put(CHANNEL, NUMBER, 10, channel("written"))
    assert await kept.valid() == set(CATEGORIES) - {"channels", "channel", "thread"}
    await overlay.change_role(NUMBER, 8, 50, added=True)
    assert await kept.valid() == {"guild", "roles", "emojis"}
    await overlay.put(GUILD, NUMBER, NUMBER, {"id": str(NUMBER), "name": "written"})
    assert await kept.valid() == {"roles", "emojis"}
    await overlay.remove(ROLE, NUMBER, 50)
    assert await kept.valid() == {"emojis"}
    await kept.keep()
    assert {name for name, answer in kept.answers.items() if answer.version} == {"emojis"}


async def test_answers_without_stamps_are_not_kept(kept, redis, keys):
    await redis.hdel(keys.meta(NUMBER), "parts", "members")
    assert await kept.valid() == set()
    await kept.keep()
    assert not any(answer.version for answer in kept.answers.values())


async def test_another_session_or_number_of_shards_ends_answers(kept, redis, keys):
    mark = await redis.hget(keys.status(Slot(0, 1)), "mark")
    await redis.hset(keys.status(Slot(0, 1)), "mark", "another")
    assert await kept.valid() == set()
    await redis.hset(keys.status(Slot(0, 1)), "mark", mark)
    assert await kept.valid() == set(CATEGORIES)
    await redis.set(keys.shard_count, 2)
    assert await kept.valid() == set()


async def test_a_failing_check_ends_an_answer(kept, redis, keys):
    await redis.delete(keys.meta(NUMBER))
    await redis.set(keys.meta(NUMBER), "no hash")
    assert await kept.reader.freshness_of(kept.answers["guild"].version) is None


async def test_random_changes_never_leave_an_old_answer_valid(kept, discord, reader, redis, keys):
    chance, overlay = random.Random(4), Overlay(redis, keys)
    seen: set[str] = set()

    async def own_write(text: str) -> None:
        kind, object_id, value = chance.choice(
            [
                (CHANNEL, 10, channel(text)),
                (ROLE, 50, role(text)),
                (GUILD, NUMBER, {"id": str(NUMBER), "name": text}),
                (MEMBER, 8, member(8, nick=text)),
            ]
        )
        await overlay.put(kind, NUMBER, object_id, value)
        events = {CHANNEL: "CHANNEL_UPDATE", GUILD: "GUILD_UPDATE", MEMBER: "GUILD_MEMBER_UPDATE"}
        data = {**HERE, "role": value} if kind == ROLE else value if kind == GUILD else {**HERE, **value}
        if chance.random() < 0.7:  # otherwise its event comes too late
            await discord.emit(events.get(kind, "GUILD_ROLE_UPDATE"), data)

    for number in range(60):
        await kept.keep()
        if chance.random() < 0.5:
            name = chance.choice(list(EVENTS))
            await discord.emit(name, EVENTS[name][0])
            await discord.emit("GUILD_MEMBER_ADD", {**HERE, **member(8)})
        else:
            await own_write(f"text {number}")
        if chance.random() < 0.3:
            await redis.delete(*(keys.overlay(kind, NUMBER) for kind in (CHANNEL, ROLE, GUILD, MEMBER)))  # expired
        seen |= await kept.valid()
        if chance.random() < 0.5:
            await stored(discord, reader)
            seen |= await kept.valid()
    assert seen == set(CATEGORIES)
