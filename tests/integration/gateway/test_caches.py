"""From Discord's events to what readers see."""

import asyncio
import random

import orjson
import pytest

from discordproxy_gateway.cache import CACHE_ERRORS, CHANNEL, MEMBER, ROLE, CacheReader, Overlay, Slot, read_state
from discordproxy_ratelimit.redis import client as redis_client
from fakes.eventually import eventually
from fakes.gateway import BOT

pytestmark = pytest.mark.usefixtures("quick")
GUILD = 1 << 22
EVERYONE = str(GUILD)


def user(number: int, **fields) -> dict:
    return {"id": str(number), "username": f"user{number}", "global_name": None, "discriminator": "0", **fields}


def member(number: int, **fields) -> dict:
    basics = {"nick": None, "roles": [], "joined_at": "2021-05-01T12:34:56.789000+00:00", "deaf": False, "mute": False}
    return {"user": user(number), **basics, **fields}


def guild(number: int = GUILD, **fields) -> dict:
    return {
        "id": str(number),
        "name": f"Guild {number}",
        "owner_id": "7",
        "member_count": 3,
        "joined_at": "2021-05-01T12:34:56.789000+00:00",
        "roles": [{"id": str(number), "name": "@everyone"}, {"id": "50", "name": "fifty"}],
        "emojis": [{"id": "60", "name": "smile"}],
        "stickers": [],
        "channels": [{"id": "10", "type": 0, "name": "general"}, {"id": "11", "type": 2, "name": "voice"}],
        "threads": [{"id": "20", "type": 11, "name": "thread", "parent_id": "10"}],
        "members": [member(7)],
        "voice_states": [{"user_id": "7", "channel_id": "11", "session_id": "s"}],
        "presences": [],
        **fields,
    }


@pytest.fixture
async def connected(start, discord, reader, members):
    """A worker that has cached one guild with a complete member list."""
    discord.guilds = {EVERYONE: guild()}
    discord.members = {EVERYONE: [member(number) for number in (7, 8, 9)]}
    running = start()
    await eventually(lambda: complete(members))
    return running


async def complete(members, guild_id=GUILD) -> bool:
    answer = await members.members(guild_id)
    return bool(answer.freshness and answer.freshness.complete)


async def names(answer) -> list[str]:
    return [each["name"] for each in (await answer).value]


async def test_a_guild_is_read_with_all_its_parts(connected, reader, members):
    answer = await reader.guild(GUILD)
    assert answer.usable(60)
    assert answer.freshness.complete
    assert answer.value["name"] == f"Guild {GUILD}"
    assert [role["name"] for role in answer.value["roles"]] == ["fifty", "@everyone"]
    assert "channels" not in answer.value
    assert "members" not in answer.value
    assert await names(reader.channels(GUILD)) == ["general", "voice"]
    assert await names(reader.threads(GUILD)) == ["thread"]
    assert await names(reader.roles(GUILD)) == ["fifty", "@everyone"]
    assert await names(reader.emojis(GUILD)) == ["smile"]
    assert (await reader.channel(20)).value["guild_id"] == EVERYONE
    assert (await reader.voice_states(GUILD)).value[0]["user_id"] == "7"
    assert (await reader.user()).value["username"] == "bot"
    assert await names(reader.guilds()) == [f"Guild {GUILD}"]
    assert (await reader.guilds()).freshness.complete
    assert (await members.member(GUILD, 8)).value["user"]["username"] == "user8"


async def test_only_a_complete_list_says_no(connected, reader, members):
    nobody = await members.member(GUILD, 12345)
    assert nobody.value is None
    assert nobody.usable(60)
    assert not (await members.member(2 << 22, 7)).usable(60)
    assert not (await reader.channel(999)).usable(60)
    assert not (await reader.guild(2 << 22)).usable(60)


async def test_events_change_what_is_read(connected, discord, reader, members):
    here = {"guild_id": EVERYONE}
    await discord.emit("GUILD_UPDATE", {**guild(), "name": "Renamed"})
    await discord.emit("CHANNEL_CREATE", {**here, "id": "12", "type": 0, "name": "new"})
    await discord.emit("CHANNEL_UPDATE", {**here, "id": "11", "type": 2, "name": "loud"})
    await discord.emit("CHANNEL_DELETE", {**here, "id": "10", "type": 0, "name": "general"})
    await discord.emit("GUILD_ROLE_CREATE", {**here, "role": {"id": "51", "name": "new role"}})
    await discord.emit("GUILD_ROLE_UPDATE", {**here, "role": {"id": "50", "name": "half"}})
    await discord.emit("GUILD_EMOJIS_UPDATE", {**here, "emojis": [{"id": "61", "name": "grin"}]})
    await discord.emit("GUILD_MEMBER_ADD", {**here, **member(10)})
    await discord.emit("GUILD_MEMBER_UPDATE", {**here, **member(8, nick="Eight", roles=["50"])})
    await discord.emit("GUILD_MEMBER_REMOVE", {**here, "user": user(9)})
    await discord.emit("VOICE_STATE_UPDATE", {**here, "user_id": "7", "channel_id": None})
    await discord.emit("USER_UPDATE", user(1, username="renamed bot"))

    async def arrived() -> bool:
        return (await reader.user()).value["username"] == "renamed bot"

    await eventually(arrived)
    assert (await reader.guild(GUILD)).value["name"] == "Renamed"
    assert await names(reader.channels(GUILD)) == ["loud", "new"]
    assert await names(reader.threads(GUILD)) == []  # its channel is gone
    assert (await reader.channel(20)).value is None
    assert (await reader.channel(12)).value["name"] == "new"
    assert await names(reader.roles(GUILD)) == ["half", "new role", "@everyone"]
    assert await names(reader.emojis(GUILD)) == ["grin"]
    listed = (await members.members(GUILD)).value
    assert [(each["user"]["id"], each["nick"], each["roles"]) for each in listed] == [
        ("7", None, []),
        ("8", "Eight", ["50"]),
        ("10", None, []),
    ]
    assert (await reader.voice_states(GUILD)).value == []


async def test_a_deleted_role_leaves_its_members(connected, discord, members, reader):
    here = {"guild_id": EVERYONE}
    await discord.emit("GUILD_MEMBER_UPDATE", {**here, **member(8, roles=["50"])})
    await discord.emit("GUILD_ROLE_DELETE", {**here, "role_id": "50"})

    async def gone() -> bool:
        return await names(reader.roles(GUILD)) == ["@everyone"]

    await eventually(gone)
    assert (await members.member(GUILD, 8)).value["roles"] == []


async def test_threads_follow_sync_and_archive(connected, discord, reader):
    here = {"guild_id": EVERYONE}
    await discord.emit("THREAD_CREATE", {**here, "id": "21", "type": 11, "name": "second", "parent_id": "11"})
    listed = [{"id": "22", "type": 11, "name": "third", "parent_id": "10"}]
    await discord.emit("THREAD_LIST_SYNC", {**here, "channel_ids": ["10"], "threads": listed})

    async def shows(*expected: str) -> bool:
        return await names(reader.threads(GUILD)) == list(expected)

    await eventually(lambda: shows("second", "third"))
    archived = {**here, "id": "21", "type": 11, "name": "second", "thread_metadata": {"archived": True}}
    await discord.emit("THREAD_UPDATE", archived)
    await eventually(lambda: shows("third"))


async def test_a_thread_that_the_bot_was_removed_from_is_not_shown(connected, start, discord, reader):
    await connected.stop()
    start()  # which learns from Redis who the bot is
    await discord.until(lambda: discord.seen["resumes"] == 1 and discord.live)
    removed = {"guild_id": EVERYONE, "id": "20", "member_count": 1, "removed_member_ids": [BOT["id"]]}
    assert (await reader.channel(20)).value["name"] == "thread"
    await discord.emit("THREAD_MEMBERS_UPDATE", removed)

    async def is_unknown() -> bool:
        return (await reader.channel(20)).value is None

    await eventually(is_unknown)


async def test_a_channel_that_the_bot_cannot_see_is_not_shown(connected, discord, reader, redis, keys):
    """Discord sends a placeholder for it, and refuses it over HTTP."""
    denied = [{"id": EVERYONE, "type": 0, "allow": "0", "deny": "1024"}]
    hidden = {
        "guild_id": EVERYONE,
        "id": "10",
        "type": 0,
        "parent_id": "9",
        "name": "___hidden___",
        "topic": None,
        "permission_overwrites": denied,
        "flags": 1 << 17,
    }
    assert await names(reader.channels(GUILD)) == ["general", "voice"]
    await discord.emit("CHANNEL_UPDATE", hidden)

    async def channels() -> list[str]:
        return await names(reader.channels(GUILD))

    async def is_hidden() -> bool:
        return await channels() == ["voice"]

    await eventually(is_hidden)
    assert not (await reader.channel(10)).usable(60)
    assert (await reader.channel(10, with_hidden=True)).value == hidden
    assert not (await reader.channel(20)).usable(60), "no event says what happens to a thread in it"
    assert (await reader.channels(GUILD)).freshness.complete
    await discord.emit("CHANNEL_UPDATE", {"guild_id": EVERYONE, "id": "10", "type": 0, "name": "general", "flags": 0})

    async def is_shown() -> bool:
        return await channels() == ["general", "voice"]

    await eventually(is_shown)
    assert (await reader.channel(10)).value["name"] == "general"


async def test_an_outage_ages_and_a_leave_purges(connected, discord, reader, redis, keys):
    await discord.emit("GUILD_DELETE", {"id": EVERYONE, "unavailable": True})

    async def out() -> bool:
        return not (await reader.guild(GUILD)).freshness.complete

    await eventually(out)
    assert (await reader.guild(GUILD)).value["name"] == f"Guild {GUILD}"
    await discord.emit("GUILD_DELETE", {"id": EVERYONE})

    async def purged() -> bool:
        return (await reader.guild(GUILD)).freshness is None

    await eventually(purged)
    left = [key.decode() async for key in redis.scan_iter(f"{keys.tag}:c:*")]
    assert left == [keys.user]


async def test_a_new_session_replaces_what_it_does_not_confirm(connected, discord, reader, members, redis, keys):
    discord.guilds = {str(2 << 22): guild(2 << 22)}
    discord.members = {str(2 << 22): [member(8)]}
    await discord.invalidate(resumable=False)

    async def replaced() -> bool:
        return (await reader.guild(2 << 22)).usable(60)

    await eventually(replaced)
    assert not (await reader.guild(GUILD)).usable(60)
    assert await names(reader.guilds()) == [f"Guild {2 << 22}"]
    assert discord.seen["identifies"] == 2


async def test_a_member_list_that_was_incomplete_is_not_shown_as_complete(start, discord, members, reader):
    discord.guilds = {EVERYONE: guild()}
    discord.rate_limit_chunks = 0.2
    discord.members = {EVERYONE: [member(number) for number in range(7, 2507)]}
    start()
    await eventually(lambda: discord.seen["chunk_requests"] == 1)

    async def came_with_guild_create() -> bool:
        answer = await members.member(GUILD, 7)
        return answer.value is not None and answer.usable(60)

    await eventually(came_with_guild_create)
    assert not (await members.member(GUILD, 8)).usable(60)
    await eventually(lambda: complete(members))
    assert discord.seen["chunk_requests"] == 2
    page = (await members.members(GUILD, after=1000, limit=500)).value
    assert [int(each["user"]["id"]) for each in page] == list(range(1001, 1501))
    everybody = (await members.members(GUILD, limit=10_000)).value
    assert len(everybody) == 2500


async def test_pages_by_role_and_search(connected, discord, members):
    here = {"guild_id": EVERYONE}
    for number in range(100, 150):
        await discord.emit("GUILD_MEMBER_ADD", {**here, **member(number, roles=["50"] if number % 10 == 0 else [])})
    await discord.emit("GUILD_MEMBER_UPDATE", {**here, **member(149, nick="Zoë")})

    async def arrived() -> bool:
        answer = await members.member(GUILD, 149)
        return bool(answer.value) and answer.value["nick"] == "Zoë"

    await eventually(arrived)
    ids = [each["user"]["id"] for each in (await members.members(GUILD, role_id=50)).value]
    assert ids == ["100", "110", "120", "130", "140"]
    assert [each["user"]["id"] for each in (await members.search(GUILD, "zo", 10)).value] == ["149"]
    assert len((await members.search(GUILD, "USER1", 5)).value) == 5


async def test_own_writes_are_read_at_once(connected, discord, reader, members, redis, keys):
    overlay = Overlay(redis, keys)
    edited = {"id": "10", "type": 0, "name": "edited", "guild_id": EVERYONE}
    await overlay.put(CHANNEL, GUILD, 10, edited)
    await overlay.remove(CHANNEL, GUILD, 11)
    await overlay.put(MEMBER, GUILD, 8, member(8, nick="Nick"))
    await overlay.change_role(GUILD, 8, 50, added=True)
    await overlay.change_role(GUILD, 9, 50, added=True)
    await overlay.change_role(GUILD, 9, 50, added=False)

    assert await names(reader.channels(GUILD)) == ["edited"]
    assert (await reader.channel(10)).value["name"] == "edited"
    assert (await reader.channel(11)).value is None
    shown = (await members.member(GUILD, 8)).value
    assert (shown["nick"], shown["roles"]) == ("Nick", ["50"])
    assert (await members.member(GUILD, 9)).value["roles"] == []

    # A second write whose first event comes late: the newer state stays.
    await overlay.put(CHANNEL, GUILD, 10, {**edited, "name": "twice"})
    await discord.emit("CHANNEL_UPDATE", edited)
    await discord.emit("USER_UPDATE", user(1, username="first"))

    async def bot_is(name: str) -> bool:
        return (await reader.user()).value["username"] == name

    await eventually(lambda: bot_is("first"))
    assert (await reader.channel(10)).value["name"] == "twice"
    await discord.emit("CHANNEL_UPDATE", {**edited, "name": "twice"})
    await discord.emit("USER_UPDATE", user(1, username="second"))
    await eventually(lambda: bot_is("second"))
    assert (await redis.hget(keys.overlay(CHANNEL, GUILD), "10")).startswith(b"0:")
    assert (await reader.channel(10)).value["name"] == "twice"


def half(name: str) -> dict:
    return {"id": "50", "name": name, "permissions": "0", "tags": None}


async def told(discord, reader, *roles: dict) -> None:
    """Have Discord tell of changes of a role, and wait until they are stored."""
    for role in roles:
        await discord.emit("GUILD_ROLE_UPDATE", {"guild_id": EVERYONE, "role": role})
    mark = f"after {random.random()}"
    await discord.emit("USER_UPDATE", user(1, username=mark))

    async def stored() -> bool:
        return (await reader.user()).value["username"] == mark

    await eventually(stored)


async def role_shown(reader) -> str | None:
    """The name of role 50 as a reader sees it; None where Discord would be asked."""
    try:
        return (await reader.roles(GUILD)).value[0]["name"]
    except CACHE_ERRORS:
        return None


@pytest.mark.parametrize("first", ["events", "answers", "both in turn"])
async def test_of_writes_at_once_no_reader_sees_the_wrong_one(connected, discord, reader, redis, keys, first):
    """Answers come in any order, events in that in which the writes took effect; then somebody else writes."""
    overlay = Overlay(redis, keys)
    writes = [half(f"write {number}") for number in range(8)]
    answers = [writes[number] for number in (3, 7, 1, 0, 6, 2, 5, 4)]
    if first == "events":
        await told(discord, reader, *writes)
    for answer, event in zip(answers, writes, strict=True):
        await overlay.put(ROLE, GUILD, 50, answer, took_s=3.0)
        if first == "both in turn":
            await told(discord, reader, event)
    assert await role_shown(reader) in {"write 7", None}
    if first == "answers":
        await told(discord, reader, *writes)
        assert await role_shown(reader) == "write 7"
    await told(discord, reader, half("somebody else's"))
    assert await role_shown(reader) in {"somebody else's", None}


@pytest.mark.parametrize("writes", [1, 8])
async def test_a_write_that_changes_nothing_hides_nothing(connected, discord, reader, members, redis, keys, writes):
    """Discord has no event for it, or one; both is right."""
    overlay = Overlay(redis, keys)
    await told(discord, reader, half("mine"))
    for _ in range(writes):
        await overlay.put(ROLE, GUILD, 50, half("mine"), took_s=3.0)
        await overlay.put(MEMBER, GUILD, 8, member(8), took_s=3.0)
        await overlay.change_role(GUILD, 9, 50, added=False, took_s=3.0)
        await overlay.remove(CHANNEL, GUILD, 999, took_s=3.0)
    changed = {"guild_id": EVERYONE, **member(9, roles=["50"])}
    await discord.emit("GUILD_MEMBER_UPDATE", changed)
    await discord.emit("GUILD_MEMBER_UPDATE", {"guild_id": EVERYONE, **member(8, nick="theirs")})
    await told(discord, reader, half("theirs"))
    assert await role_shown(reader) == "theirs"
    assert (await members.member(GUILD, 8)).value["nick"] == "theirs"
    assert (await members.member(GUILD, 9)).value["roles"] == ["50"]


async def test_an_event_that_comes_before_the_answer_leaves_nothing_hidden(connected, discord, reader, redis, keys):
    overlay = Overlay(redis, keys)
    await told(discord, reader, half("mine"))
    await overlay.put(ROLE, GUILD, 50, half("mine"), took_s=1.0)
    await told(discord, reader, half("theirs"))
    assert await role_shown(reader) == "theirs"


async def test_somebody_elses_change_before_ours_does_not_end_it(connected, discord, reader, redis, keys):
    overlay = Overlay(redis, keys)
    await overlay.put(ROLE, GUILD, 50, half("mine"), took_s=1.0)
    await told(discord, reader, half("theirs, and older"))
    assert await role_shown(reader) == "mine"
    await told(discord, reader, half("mine") | {"tags": {"bot_id": "1"}, "position": 1} | {"tags": None})
    await told(discord, reader, half("theirs"))
    assert await role_shown(reader) == "theirs"


async def test_an_event_between_a_look_and_the_note_does_not_hide_the_write(
    connected, discord, members, redis, keys, monkeypatch
):
    """A role is taken and given again at once; of the first change the event comes while the second is noted."""
    overlay, look = Overlay(redis, keys), Overlay._stored
    given = {"guild_id": EVERYONE, **member(8, roles=["50"])}
    await discord.emit("GUILD_MEMBER_UPDATE", given)

    async def cached() -> list[str]:
        return (await look(overlay, MEMBER, GUILD, 8))["roles"]

    await eventually(lambda: has(cached, ["50"]))
    await overlay.change_role(GUILD, 8, 50, added=False)
    looks = []

    async def slow_look(self, *args):
        seen = await look(self, *args)
        if not looks:
            await discord.emit("GUILD_MEMBER_UPDATE", {**given, "roles": []})
            await eventually(lambda: has(cached, []))
        looks.append(seen)
        return seen

    monkeypatch.setattr(Overlay, "_stored", slow_look)
    await overlay.change_role(GUILD, 8, 50, added=True)
    assert (await members.member(GUILD, 8)).value["roles"] == ["50"]
    assert len(looks) == 2


async def has(read, wanted) -> bool:
    return await read() == wanted


async def test_roles_given_at_once_are_all_shown(connected, discord, members, redis, keys):
    overlay = Overlay(redis, keys)
    for role_id in ("50", EVERYONE):
        await overlay.change_role(GUILD, 9, role_id, added=True, took_s=3.0)
    assert set((await members.member(GUILD, 9)).value["roles"]) == {"50", EVERYONE}
    await overlay.change_role(GUILD, 9, 50, added=False, took_s=3.0)  # before or after it was given?
    with pytest.raises(CACHE_ERRORS):
        await members.member(GUILD, 9)
    assert (await members.member(GUILD, 8)).value["roles"] == [], "others are not in doubt"
    await overlay.put(MEMBER, GUILD, 8, member(8, nick="n"), took_s=0.0)
    await overlay.change_role(GUILD, 8, 50, added=True, took_s=3.0)
    with pytest.raises(CACHE_ERRORS):
        await members.members(GUILD)


async def test_a_channel_is_found_in_the_guild_where_it_is_now(connected, reader, redis, keys):
    other = 2 << 22
    await redis.copy(keys.meta(GUILD), keys.meta(other))
    assert (await reader.channel(77)).value is None
    for guild_id in (GUILD, other, GUILD):  # as if remembered from a guild that it is no longer in
        await redis.hset(keys.part(CHANNEL, guild_id), "77", orjson.dumps({"guild_id": str(guild_id)}))
        await redis.hset(keys.channel_index, "77", str(guild_id))
        for _ in range(2):
            assert (await reader.channel(77)).value == {"guild_id": str(guild_id)}
    await redis.hdel(keys.channel_index, "77")
    assert (await reader.channel(77)).value is None


async def test_state_tells_what_operators_ask(connected, redis, keys):
    async def ready() -> bool:
        return (await read_state(redis, keys)).ready

    await eventually(ready)
    state = await read_state(redis, keys)
    assert state.shards[0].slot == Slot(0, 1)
    assert state.shards[0].counters["identifies"] == 1
    assert state.identifies_left == 999
    assert state.guilds == 1
    assert state.intents == ("guilds", "members")
    assert not state.failure


async def test_a_bad_event_is_skipped_and_the_next_applied(connected, discord, reader, caplog):
    await discord.emit("CHANNEL_UPDATE", {"guild_id": EVERYONE, "name": "no id, secret content"})
    await discord.emit("USER_UPDATE", user(1, username="after"))

    async def after() -> bool:
        return (await reader.user()).value["username"] == "after"

    await eventually(after)
    assert "CHANNEL_UPDATE" in caplog.text
    assert "secret content" not in caplog.text
    assert discord.seen["connections"] == 1


async def test_guilds_of_ready_are_no_news_but_a_join_is(connected, discord, redis, keys):
    await discord.emit("GUILD_CREATE", guild(3 << 22))

    async def streamed() -> list[bytes]:
        return [fields[b"t"] for _, fields in await redis.xrange(keys.stream(0, 1))]

    async def joined() -> bool:
        return bool(await streamed())

    await eventually(joined)
    assert await streamed() == [b"GUILD_CREATE"]
    entry = (await redis.xrange(keys.stream(0, 1)))[0][1]
    assert orjson.loads(entry[b"d"])["id"] == str(3 << 22)


async def test_random_writes_are_never_read_stale(connected, discord, reader, members, redis, keys):
    """Events come late and in order, as from Discord; another worker reads right after each write."""
    chance = random.Random(7)
    overlay, late = Overlay(redis, keys), asyncio.Queue()
    channels = {str(number): {"id": str(number), "type": 0, "name": "new"} for number in range(100, 105)}
    for channel in channels.values():
        await discord.emit("CHANNEL_CREATE", {**channel, "guild_id": EVERYONE})
    roles: dict[int, set[str]] = {7: set(), 8: set(), 9: set()}

    async def created() -> bool:
        return (await reader.channel(104)).value is not None

    await eventually(created)  # an event from before a write that comes after it would undo it

    async def deliver() -> None:
        while (event := await late.get()) is not None:
            for _ in range(chance.randrange(20)):
                await redis.ping()  # some round trips later
            await discord.emit(*event)

    delivering = asyncio.create_task(deliver())
    for step in range(500):
        if chance.random() < 0.5:
            channel_id = chance.choice(list(channels))
            changed = {"id": channel_id, "type": 0, "name": f"step {step}", "guild_id": EVERYONE}
            await overlay.put(CHANNEL, GUILD, channel_id, changed)
            late.put_nowait(("CHANNEL_UPDATE", changed))
            assert (await reader.channel(int(channel_id))).value["name"] == f"step {step}"
        else:
            user_id = chance.choice(list(roles))
            roles[user_id] ^= {"50"}  # Discord tells of changes only
            await overlay.change_role(GUILD, user_id, 50, added="50" in roles[user_id])
            event = {"guild_id": EVERYONE, **member(user_id, roles=list(roles[user_id]))}
            late.put_nowait(("GUILD_MEMBER_UPDATE", event))
            assert set((await members.member(GUILD, user_id)).value["roles"]) == roles[user_id], step
    late.put_nowait(None)
    await delivering


async def test_a_lost_connection_does_not_ask_for_members_twice(start, discord, members):
    discord.guilds = {EVERYONE: guild()}
    discord.members = {EVERYONE: [member(number) for number in range(7, 30_007)]}
    start()
    await discord.until(lambda: discord.seen["chunk_requests"] == 1)
    await discord.abort()
    await eventually(lambda: complete(members), within_s=20)
    assert discord.seen["chunk_requests"] == 1
    assert len((await members.members(GUILD, limit=50_000)).value) == 30_000


async def test_wanted_lists_come_first(start, discord, members):
    discord.guilds = {str(n << 22): guild(n << 22, member_count=n) for n in range(1, 13)}
    discord.members = {guild_id: [member(7)] for guild_id in discord.guilds}
    await members.request_list(12 << 22)
    start()
    await discord.until(lambda: discord.seen["chunk_requests"] >= 10)  # the burst; two more wait for their turn
    assert str(12 << 22) in discord.chunked[:10]
    assert str(11 << 22) not in discord.chunked[:10]


async def test_a_successor_keeps_the_caches(connected, start, discord, members):
    await connected.stop()
    await discord.emit("GUILD_MEMBER_UPDATE", {"guild_id": EVERYONE, **member(8, nick="While away")})
    start()

    async def followed() -> bool:
        return (await members.member(GUILD, 8)).value["nick"] == "While away"

    await eventually(followed)
    assert await complete(members)
    assert discord.seen["chunk_requests"] == 1
    assert discord.seen["identifies"] == 1


async def test_an_event_redis_refuses_is_skipped_alone(connected, discord, redis, keys, reader):
    await redis.delete(keys.part("em", GUILD))
    await redis.set(keys.part("ro", GUILD), "not a hash")
    here = {"guild_id": EVERYONE}
    for number in range(5):
        await discord.emit("CHANNEL_CREATE", {**here, "id": str(70 + number), "type": 0, "name": f"c{number}"})
        await discord.emit("GUILD_ROLE_UPDATE", {**here, "role": {"id": "50", "name": "half"}})

    async def all_channels() -> bool:
        return await redis.hlen(keys.part("ch", GUILD)) == 7

    await eventually(all_channels)
    assert discord.seen["connections"] == 1


def numbered(count: int, first: int = 1000, **fields) -> list[dict]:
    return [{"id": str(number), "name": f"n{number}", **fields} for number in range(first, first + count)]


async def test_a_huge_guild_is_whole(start, discord, keys, valkey, caplog):
    """As large as Discord lets guilds become, and with more voice states than Lua can hand over at once."""
    big = guild(
        channels=numbered(1000, type=0),
        threads=numbered(5000, 10_000, type=11, parent_id="1000"),
        roles=numbered(250),
        emojis=numbered(2000),
        presences=[{"user": {"id": str(number)}, "status": "online", "activities": []} for number in range(100_000)],
        voice_states=[{"user_id": str(number), "channel_id": "1001", "session_id": "s"} for number in range(1, 5001)],
        members=[],
    )
    discord.guilds = {EVERYONE: big}
    start(intents=("guilds", "voice_states"))
    patient = redis_client.connect(valkey, timeout_s=60)
    reader = CacheReader(patient, keys)

    async def there() -> bool:
        return (await reader.guild(GUILD)).usable(60)

    await eventually(there)
    assert len((await reader.channels(GUILD)).value) == 1000
    assert len((await reader.threads(GUILD)).value) == 5000
    assert len((await reader.roles(GUILD)).value) == 250
    assert len((await reader.voice_states(GUILD)).value) == 5000
    assert (await reader.channel(14_999)).value["parent_id"] == "1000"
    await discord.emit("GUILD_EMOJIS_UPDATE", {"guild_id": EVERYONE, "emojis": numbered(4001)})
    await discord.emit("THREAD_LIST_SYNC", {"guild_id": EVERYONE, "threads": numbered(6000, 10_000, type=11)})

    async def all_threads() -> bool:
        return len((await reader.threads(GUILD)).value) == 6000

    await eventually(all_threads)
    assert len((await reader.emojis(GUILD)).value) == 4001
    await reader.aclose()
    await patient.aclose()
    assert "refused" not in caplog.text


async def test_the_server_mutes_and_deafens_in_voice_states_only(connected, discord, members, reader):
    """Discord sends `deaf` and `mute` with voice states, and leaves them out of GUILD_MEMBER_UPDATE."""
    here = {"guild_id": EVERYONE}
    state = {**here, "user_id": "8", "channel_id": "11", "session_id": "s", "deaf": False, "mute": False}
    partial = {name: value for name, value in member(8).items() if name not in {"deaf", "mute"}}

    async def becomes(*wanted: str | None) -> None:
        async def as_wanted() -> bool:
            shown = (await members.member(GUILD, 8)).value
            return [*(name for name in ("deaf", "mute") if shown[name]), shown["nick"]] == [*wanted]

        await eventually(as_wanted)

    kept = await members.member(GUILD, 8)
    await discord.emit("VOICE_STATE_UPDATE", {**state, "user_id": "4444", "mute": True})  # of an unknown member
    await discord.emit("VOICE_STATE_UPDATE", {**state, "mute": True})
    await becomes("mute", None)
    assert await reader.freshness_of(kept.version) is None
    await discord.emit("GUILD_MEMBER_UPDATE", {**here, **partial, "nick": "new"})
    await becomes("mute", "new")
    await discord.emit("VOICE_STATE_UPDATE", {**state, "channel_id": None, "deaf": True})
    await becomes("deaf", "new")
    await discord.emit("GUILD_MEMBER_UPDATE", {**here, **partial, "deaf": None})
    await becomes("deaf", None)
    await discord.emit("GUILD_MEMBER_UPDATE", {**here, **member(8, mute=True)})
    await becomes("mute", None)
    assert [each["user"]["id"] for each in (await members.members(GUILD)).value] == ["7", "8", "9"]


async def test_a_member_that_leaves_is_in_no_voice_channel(connected, discord, reader):
    assert [state["user_id"] for state in (await reader.voice_states(GUILD)).value] == ["7"]
    await discord.emit("GUILD_MEMBER_REMOVE", {"guild_id": EVERYONE, "user": user(7)})  # no VOICE_STATE_UPDATE comes

    async def is_empty() -> bool:
        return (await reader.voice_states(GUILD)).value == []

    await eventually(is_empty)


async def test_a_clock_that_was_set_back_makes_nothing_fresh(connected, reader, redis, keys):
    await connected.stop()
    overlay = Overlay(redis, keys)
    await overlay.put(CHANNEL, GUILD, 10, {"id": "10", "guild_id": EVERYONE, "name": "mine"})
    assert "mine" in await names(reader.channels(GUILD))
    field = await redis.hget(keys.overlay(CHANNEL, GUILD), "10")
    pending, written_ms, text = field.decode().split(":", 2)
    later = f"{pending}:{int(written_ms) + 3_600_000}:{text}"  # as it is seen after the clock went back by an hour
    await redis.hset(keys.overlay(CHANNEL, GUILD), "10", later)
    assert "mine" not in await names(reader.channels(GUILD))
    await redis.hincrby(keys.status(Slot(0, 1)), "as_of", 3_600_000)
    answer = await reader.channels(GUILD)
    assert answer.freshness.age_s > 3_500
    assert (await read_state(redis, keys)).shards[0].age_s > 3_500


async def test_a_member_that_was_not_known_is_in_the_list_too(connected, discord, members):
    """Discord may have left somebody out of a list that it called complete."""
    here = {"guild_id": EVERYONE}
    await discord.emit("GUILD_MEMBER_UPDATE", {**here, **member(77, nick="late", roles=["50"])})

    async def found() -> bool:
        return (await members.member(GUILD, 77)).value is not None

    await eventually(found)
    assert "77" in [each["user"]["id"] for each in (await members.members(GUILD)).value]
    assert [each["user"]["id"] for each in (await members.members(GUILD, role_id=50)).value] == ["77"]
    assert [each["user"]["id"] for each in (await members.search(GUILD, "late", 5)).value] == ["77"]
    await discord.emit("GUILD_MEMBER_REMOVE", {**here, "user": user(4444)})  # never heard of
    await discord.emit("GUILD_BAN_ADD", {**here, "user": user(77)})
    await discord.emit("GUILD_MEMBER_REMOVE", {**here, "user": user(77)})

    async def gone() -> bool:
        return (await members.member(GUILD, 77)).value is None

    await eventually(gone)
    answer = await members.members(GUILD)
    assert [each["user"]["id"] for each in answer.value] == ["7", "8", "9"]
    assert answer.freshness.complete


async def test_a_guild_joined_during_an_outage_leaves_a_hole_in_the_list(
    connected, discord, reader, redis, keys, start
):
    new = 3 << 22

    async def whole() -> bool:
        return (await reader.guilds()).freshness.complete

    async def holey() -> bool:
        return not await whole()

    await eventually(whole)
    await discord.emit("GUILD_CREATE", {"id": str(new), "unavailable": True})
    await eventually(holey)
    await discord.emit("GUILD_CREATE", guild(new))
    await eventually(whole)
    assert await names(reader.guilds()) == [f"Guild {GUILD}", f"Guild {new}"]
    created = [fields for _, fields in await redis.xrange(keys.stream(0, 1)) if fields[b"t"] == b"GUILD_CREATE"]
    assert len(created) == 2, "joining is news, also after an outage"

    for id_of_none in (4 << 22, 5 << 22):  # known by an outage, or left before it ends
        await discord.emit("GUILD_DELETE", {"id": str(id_of_none), "unavailable": True})
        await eventually(holey)
        await connected.stop()
        connected = start()  # a successor knows it, too
        await discord.until(lambda: discord.live)
        await eventually(holey)
        await discord.emit("GUILD_DELETE", {"id": str(id_of_none)})
        await eventually(whole)


@pytest.mark.parametrize("junk", [b"\xff\xfe", b"@me", b"9" * 40])
async def test_a_record_that_cannot_be_read_costs_itself(connected, reader, members, redis, keys, junk, start, discord):
    """What another release or a person wrote: Discord is asked, or the record is left out; nothing else fails."""
    for key in (keys.guilds, keys.part("ch", GUILD), keys.part("ro", GUILD), keys.channel_index, keys.eras):
        await redis.hset(key, junk, b"{}")
    await redis.hset(keys.meta(GUILD), mapping={"count": junk, "out_at": junk})
    await redis.hset(keys.status(Slot(0, 1)), mapping={"events": junk, "latency_ms": junk, junk: junk})
    await redis.hset(keys.identify_budget, "remaining", junk)
    await redis.set(keys.shard_count, junk)
    await redis.set(keys.fatal, junk)
    assert await names(reader.channels(GUILD)) == ["general", "voice"]
    assert await names(reader.guilds()) == [f"Guild {GUILD}"]
    assert (await reader.guild(GUILD)).value["name"] == f"Guild {GUILD}"
    assert (await members.member(GUILD, 8)).value["user"]["username"] == "user8"
    assert (await read_state(redis, keys)).failure == ""
    await redis.hset(keys.part("ch", GUILD), "10", junk)
    await redis.hset(keys.overlay("ro", GUILD), "50", junk)
    for read in (reader.channel(10), reader.roles(GUILD)):
        try:
            await read
        except CACHE_ERRORS:  # noqa: PERF203 - Discord is asked
            continue
    await redis.hset(keys.session(Slot(0, 1)), "seq", junk)
    await redis.delete(keys.fatal)
    await connected.stop()
    start()  # what a successor remembers is not spoiled
    await discord.until(lambda: discord.live)
