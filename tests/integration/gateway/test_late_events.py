"""Own writes whose events come late: a read shows the last write, whatever events of earlier changes come meanwhile."""

import random
from collections import deque
from typing import Any

import pytest

from discordproxy_gateway.cache import CACHE_ERRORS, CHANNEL, EMOJI, MEMBER, ROLE, THREAD, Overlay
from discordproxy_gateway.keys import Slot
from discordproxy_gateway.plan.event_planner import EventPlanner
from discordproxy_gateway.plan.member_operations import GuildState
from fakes.eventually import eventually

pytestmark = pytest.mark.usefixtures("quick")

GUILD = 1 << 22
HERE = {"guild_id": str(GUILD)}
ROLES = ("50", "51", "52")


def user(number: int) -> dict[str, Any]:
    return {"id": str(number), "username": f"user{number}", "global_name": None, "discriminator": "0"}


def member(number: int = 8, **fields: Any) -> dict[str, Any]:
    basics = {"nick": None, "roles": [], "joined_at": "2021-05-01T12:34:56.789000+00:00", "deaf": False, "mute": False}
    return {"user": user(number), **basics, **fields}


def guild() -> dict[str, Any]:
    return {
        "id": str(GUILD),
        "name": "Guild",
        "member_count": 2,
        "roles": [{"id": str(GUILD), "name": "@everyone"}, *({"id": each, "name": "role"} for each in ROLES)],
        "emojis": [{"id": "60", "name": "smile"}, {"id": "61", "name": "grin"}],
        "stickers": [],
        "channels": [{"id": "10", "type": 0, "name": "general"}],
        "threads": [{"id": "20", "type": 11, "name": "thread", "parent_id": "10"}],
        "members": [member(7)],
        "voice_states": [],
    }


@pytest.fixture
async def event(start, discord, members, redis, scripts, keys):
    """Apply an event to filled caches: `await event(name, data)`. No worker runs, so no other event comes."""
    discord.guilds = {str(GUILD): guild()}
    discord.members = {str(GUILD): [member(7), member(8)]}
    worker = start()

    async def complete() -> bool:
        answer = await members.members(GUILD)
        return bool(answer.freshness and answer.freshness.complete)

    await eventually(complete)
    await worker.stop()
    known = GuildState(int(await redis.hget(keys.meta(GUILD), "gen")), current=True, complete=True)
    planner = EventPlanner(keys, Slot(), guilds={str(GUILD): known}, mark="", awaited=(), members=True)
    fence = int(await redis.get(keys.fence(Slot())))

    async def apply(name: str, data: dict[str, Any]) -> None:
        operations = [each for each in planner.plan(name, {**HERE, **data}, 0) if each[0] != "APPEND"]
        assert await scripts.write(keys.fence(Slot()), fence, operations)

    return apply


@pytest.fixture
def overlay(redis, keys) -> Overlay:
    return Overlay(redis, keys)


async def test_the_removal_of_a_member_does_not_end_writes_after_its_return(event, overlay, members):
    """Removed, added again, given a role, all before the first event."""
    await overlay.remove(MEMBER, GUILD, 8)
    await overlay.put(MEMBER, GUILD, 8, member())
    await overlay.change_role(GUILD, 8, 50, added=True)
    for name, data in (("GUILD_MEMBER_REMOVE", {"user": user(8)}), ("GUILD_MEMBER_ADD", member())):
        await event(name, data)
        assert (await members.member(GUILD, 8)).value["roles"] == ["50"], name
    await event("GUILD_MEMBER_UPDATE", member(roles=["50"]))
    await event("GUILD_MEMBER_UPDATE", member(roles=[]))  # by a moderator
    assert (await members.member(GUILD, 8)).value["roles"] == []


async def test_an_event_of_another_change_is_not_taken_for_one_of_a_role(event, overlay, members):
    """The nickname's event comes first, and the role is given, taken and given again."""
    await overlay.put(MEMBER, GUILD, 8, member(nick="n"))
    for added in (True, False, True):
        await overlay.change_role(GUILD, 8, 50, added=added)
    await event("GUILD_MEMBER_UPDATE", member(nick="theirs"))
    for roles in ([], ["50"], [], ["50"]):
        await event("GUILD_MEMBER_UPDATE", member(nick="n", roles=roles))
        assert (await members.member(GUILD, 8)).value["roles"] == ["50"]
    await event("GUILD_MEMBER_UPDATE", member(nick="n"))
    assert (await members.member(GUILD, 8)).value["roles"] == []


async def test_a_written_member_waits_for_the_events_of_its_roles(event, overlay, members):
    """The last write leads to the same roles as the first one did."""
    for added in (True, False):
        await overlay.change_role(GUILD, 8, 50, added=added)
    await overlay.put(MEMBER, GUILD, 8, member(roles=["50"]))
    for roles in (["50"], [], ["50"]):
        await event("GUILD_MEMBER_UPDATE", member(roles=roles))
        assert (await members.member(GUILD, 8)).value["roles"] == ["50"]
    await event("GUILD_MEMBER_UPDATE", member())
    assert (await members.member(GUILD, 8)).value["roles"] == []


async def test_a_role_whose_event_has_come_is_not_shown_again(event, overlay, members):
    """A role is given, taken by a moderator, and another one is given."""
    await overlay.change_role(GUILD, 8, 50, added=True)
    for roles in (["50"], []):
        await event("GUILD_MEMBER_UPDATE", member(roles=roles))
    await overlay.change_role(GUILD, 8, 51, added=True)
    assert (await members.member(GUILD, 8)).value["roles"] == ["51"]
    await event("GUILD_MEMBER_UPDATE", member(roles=["51"]))
    await event("GUILD_MEMBER_UPDATE", member(roles=["52"]))
    assert (await members.member(GUILD, 8)).value["roles"] == ["52"]


@pytest.mark.parametrize("kind", ["channel", "role", "emoji"])
async def test_a_state_that_was_there_before_does_not_end_the_last_write(event, overlay, reader, kind):
    """Named a, b and a again; before the events of these, somebody else changes something else twice."""
    kinds = {
        "channel": (CHANNEL, 10, reader.channels),
        "role": (ROLE, 50, reader.roles),
        "emoji": (EMOJI, 60, reader.emojis),
    }
    stored, number, read = kinds[kind]

    async def named(name: str) -> None:
        changed = {"id": str(number), "name": name}
        await event(
            *{
                "channel": ("CHANNEL_UPDATE", changed),
                "role": ("GUILD_ROLE_UPDATE", {"role": changed}),
                "emoji": ("GUILD_EMOJIS_UPDATE", {"emojis": [changed]}),
            }[kind]
        )

    async def shown() -> str:
        return next(each["name"] for each in (await read(GUILD)).value if each["id"] == str(number))

    for name in ("a", "b", "a"):
        await overlay.put(stored, GUILD, number, {**HERE, "id": str(number), "name": name})
    for name in ("older", "older", "a", "b", "a"):
        await named(name)
        assert await shown() == "a"
    await named("theirs")
    assert await shown() == "theirs"


async def test_an_event_of_an_emoji_does_not_end_writes_of_others(event, overlay, reader):
    """One is made, one renamed, one deleted; the events contain all emojis."""
    made, grin, smile = ({"id": "62", "name": "new"}, {"id": "61", "name": "big"}, {"id": "60", "name": "smile"})
    await overlay.put(EMOJI, GUILD, 62, made)
    await overlay.put(EMOJI, GUILD, 61, grin)
    await overlay.remove(EMOJI, GUILD, 60)
    wanted = {"new", "big"}
    for emojis in (
        [smile, {**grin, "name": "grin"}],
        [smile, {**grin, "name": "grin"}, made],
        [smile, grin, made],
        [grin, made],
    ):
        await event("GUILD_EMOJIS_UPDATE", {"emojis": emojis})
        assert {each["name"] for each in (await reader.emojis(GUILD)).value} == wanted
    await event("GUILD_EMOJIS_UPDATE", {"emojis": [smile]})
    assert [each["name"] for each in (await reader.emojis(GUILD)).value] == ["smile"]


async def test_the_event_of_an_archived_thread_does_not_end_the_write_that_opens_it_again(event, overlay, reader):
    thread = {**HERE, "id": "20", "type": 11, "name": "thread", "parent_id": "10"}
    archived, opened = ({**thread, "thread_metadata": {"archived": each}} for each in (True, False))
    await overlay.put(THREAD, GUILD, 20, archived)
    await overlay.put(THREAD, GUILD, 20, opened)
    for each in (archived, opened):
        await event("THREAD_UPDATE", each)
        assert [each["id"] for each in (await reader.threads(GUILD)).value] == ["20"]


async def test_events_of_writes_in_an_unknown_order_end_the_doubt_one_by_one(event, overlay, reader):
    for name in ("a", "b", "a"):
        await overlay.put(ROLE, GUILD, 50, {"id": "50", "name": name}, took_s=3.0)
    for name in ("b", "a", "a"):
        with pytest.raises(CACHE_ERRORS):
            await reader.roles(GUILD)
        await event("GUILD_ROLE_UPDATE", {"role": {"id": "50", "name": name}})
    assert "a" in {each["name"] for each in (await reader.roles(GUILD)).value}


async def test_a_change_of_a_channel_in_doubt_keeps_the_doubt(event, overlay, reader):
    """The state that it led to is unknown, so no event shows it."""
    channels = [{**HERE, "id": "10", "type": 0, "name": name} for name in "ab"]
    for each in channels:
        await overlay.put(CHANNEL, GUILD, 10, each, took_s=3.0)
    await overlay.put_uncertain_channel(10)
    await overlay.put_uncertain_channel(999)
    for each in channels:
        await event("CHANNEL_UPDATE", each)
        with pytest.raises(CACHE_ERRORS):
            await reader.channel(10)


class DiscordMember:
    """A member at Discord, with the events of its changes that the gateway has not sent yet."""

    def __init__(self) -> None:
        self.state: dict[str, Any] | None = member()
        self.events: deque[tuple[str, dict[str, Any]]] = deque()

    def become(self, state: dict[str, Any] | None) -> None:
        name = "UPDATE" if state and self.state else "ADD" if state else "REMOVE"
        if state != self.state:
            self.events.append((f"GUILD_MEMBER_{name}", state or {"user": user(8)}))
        self.state = state


@pytest.mark.parametrize("seed", range(4))
async def test_random_writes_of_a_member_are_shown_however_late_events_come(event, overlay, members, seed):
    chance, discord = random.Random(seed), DiscordMember()
    for step in range(300):
        state = discord.state
        if chance.random() < 0.5 and len(discord.events) < 12:
            if state is None:
                discord.become(member())
                await overlay.put(MEMBER, GUILD, 8, member())
            elif chance.random() < 0.1:
                discord.become(None)
                await overlay.remove(MEMBER, GUILD, 8)
            elif chance.random() < 0.3:
                discord.become({**state, "nick": chance.choice("ab"), "roles": chance.sample(ROLES, 1)})
                await overlay.put(MEMBER, GUILD, 8, discord.state)
            else:
                role, added = chance.choice(ROLES), chance.random() < 0.5
                roles = [each for each in state["roles"] if each != role] + [role] * added
                discord.become({**state, "roles": roles if added != (role in state["roles"]) else state["roles"]})
                await overlay.change_role(GUILD, 8, role, added=added)
        elif discord.events:
            await event(*discord.events.popleft())
        shown = (await members.member(GUILD, 8)).value
        found = shown and (shown["nick"], set(shown["roles"]))
        assert found == (discord.state and (discord.state["nick"], set(discord.state["roles"]))), step
