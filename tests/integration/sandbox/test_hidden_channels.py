"""Channels that the bot cannot see: placeholders over the gateway, none over HTTP, as at Discord."""

import pytest

from discordproxy_sandbox.world.objects import make_channel
from discordproxy_sandbox.world.population import CHANNEL_ID, GUILD_ID, ROLE_ID, THREAD_ID, USER_ID, nth
from fakes.gateway_client import GatewayClient

GUILDS, MEMBERS, VOICE, MESSAGES = 1, 1 << 1, 1 << 7, 1 << 9
ADMIN, BOT_ROLE = ROLE_ID, nth(ROLE_ID, 3)
HIDDEN, VOICE_CHANNEL, OTHER = CHANNEL_ID, nth(CHANNEL_ID, 2), nth(CHANNEL_ID, 4)
VIEW = 1 << 10
DENIED = {"id": GUILD_ID, "type": 0, "allow": "0", "deny": str(VIEW)}


@pytest.fixture
def world(discord):
    """The bot is no administrator, and @everyone does not see the first channel, which has a thread."""
    guild = discord.world.guilds[GUILD_ID]
    guild.members.get(discord.world.bot_id)["roles"] = [BOT_ROLE]
    secret = discord.world.channels[HIDDEN].data
    secret |= {
        "topic": "a secret",
        "nsfw": True,
        "permission_overwrites": [DENIED, {**DENIED, "id": USER_ID, "type": 1}],
    }
    return discord.world


@pytest.fixture
async def gateway(discord, world, http):
    gateway = await GatewayClient.connect(http, discord.gateway_url)
    await gateway.identify(GUILDS | MEMBERS | VOICE | MESSAGES)
    await gateway.until("GUILD_CREATE")
    return gateway


@pytest.fixture
def call(discord, http):
    """Returns status and JSON of a request."""

    async def call(method, path, **options):
        async with http.request(method, discord.rest_url + path, **options) as response:
            return response.status, await response.json(content_type=None) if response.status != 204 else None

    return call


def placeholder(channel):
    """Whether a channel of an event is the placeholder of the hidden one."""
    assert (channel["id"], channel["guild_id"], channel["type"], channel["position"]) == (HIDDEN, GUILD_ID, 0, 0)
    return (channel["name"], channel["topic"], channel["nsfw"], channel["flags"], channel["permission_overwrites"]) == (
        "___hidden___", None, False, 1 << 17, [DENIED],
    )  # fmt: skip


async def test_a_guild_shows_placeholders_and_no_threads(discord, world, http):
    gateway = await GatewayClient.connect(http, discord.gateway_url)
    await gateway.identify(GUILDS)
    guild = await gateway.until("GUILD_CREATE")
    channels = {channel["id"]: channel for channel in guild["channels"]}
    assert placeholder(channels.pop(HIDDEN))
    assert [channel["flags"] & 1 << 17 for channel in channels.values()] == [0] * 5
    assert guild["threads"] == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"/channels/{HIDDEN}"),
        ("PATCH", f"/channels/{HIDDEN}"),
        ("GET", f"/channels/{THREAD_ID}"),
        ("GET", f"/channels/{HIDDEN}/messages"),
        ("POST", f"/channels/{HIDDEN}/messages"),
        ("GET", f"/channels/{HIDDEN}/invites"),
        ("PUT", f"/channels/{HIDDEN}/permissions/{BOT_ROLE}"),
        ("DELETE", f"/channels/{HIDDEN}"),
    ],
)
async def test_every_request_for_it_is_refused(world, call, method, path):
    status, error = await call(method, path, json={} if method in {"PATCH", "POST", "PUT"} else None)
    assert (status, error["code"]) == (403, 50001)
    assert HIDDEN in world.channels


async def test_lists_leave_it_out(world, call, discord):
    discord.people.write(HIDDEN, USER_ID, "in secret")
    discord.people.write(OTHER, USER_ID, "in public")
    _, channels = await call("GET", f"/guilds/{GUILD_ID}/channels")
    assert [channel["id"] for channel in channels] == [nth(CHANNEL_ID, number) for number in range(1, 6)]
    _, threads = await call("GET", f"/guilds/{GUILD_ID}/threads/active")
    assert threads["threads"] == []
    _, found = await call("GET", f"/guilds/{GUILD_ID}/messages/search")
    assert [one["content"] for (one,) in found["messages"]] == ["in public"]


async def test_nothing_is_heard_of_it(discord, world, gateway):
    discord.people.write(HIDDEN, USER_ID, "in secret")
    discord.people.write(THREAD_ID, USER_ID, "in secret")
    discord.people.write(OTHER, USER_ID, "in public")
    assert (await gateway.until("MESSAGE_CREATE"))["channel_id"] == OTHER


async def shown(change, gateway, world):
    """Make the hidden channel visible; return the channel and the threads that the gateway sends."""
    change()
    channel = await gateway.until("CHANNEL_UPDATE")
    return channel, await gateway.until("THREAD_LIST_SYNC")


def allow_everyone(world):
    channel = world.channels[HIDDEN]
    channel.data["permission_overwrites"] = []
    world.emit("CHANNEL_UPDATE", channel.data, GUILD_ID)


def make_administrator(world):
    world.guilds[GUILD_ID].roles[BOT_ROLE]["permissions"] = str(1 << 3)
    world.emit("GUILD_ROLE_UPDATE", {"guild_id": GUILD_ID, "role": world.role(GUILD_ID, BOT_ROLE)}, GUILD_ID)


def give_role(world):
    world.guilds[GUILD_ID].members.get(world.bot_id)["roles"].append(ADMIN)
    world.emit("GUILD_MEMBER_UPDATE", world.member(GUILD_ID, world.bot_id) | {"guild_id": GUILD_ID}, GUILD_ID)


def make_owner(world):
    guild = world.guilds[GUILD_ID]
    guild.data["owner_id"] = world.bot_id
    world.emit("GUILD_UPDATE", guild.as_json(), GUILD_ID)


@pytest.mark.parametrize("change", [allow_everyone, make_administrator, give_role, make_owner])
async def test_a_channel_that_becomes_visible_is_sent_with_its_threads(world, gateway, change):
    channel, threads = await shown(lambda: change(world), gateway, world)
    assert (channel["id"], channel["topic"]) == (HIDDEN, "a secret")
    assert [thread["id"] for thread in threads["threads"]] == [THREAD_ID]
    assert [name for _, name, _ in gateway.events].count("CHANNEL_UPDATE") == 1


async def test_a_channel_that_becomes_hidden_is_sent_as_a_placeholder(world, gateway, call):
    await shown(lambda: make_administrator(world), gateway, world)
    status, _ = await call("PATCH", f"/guilds/{GUILD_ID}/roles/{BOT_ROLE}", json={"permissions": "0"})
    assert status == 200
    assert placeholder(await gateway.until("CHANNEL_UPDATE"))
    assert (await call("GET", f"/channels/{HIDDEN}"))[0] == 403


async def test_a_hidden_channel_that_changes_or_goes_stays_a_placeholder(world, gateway):
    channel = world.channels[HIDDEN]
    channel.data["name"] = "renamed"
    world.emit("CHANNEL_UPDATE", channel.data, GUILD_ID)
    assert placeholder(await gateway.until("CHANNEL_UPDATE"))
    world.remove_channel(channel)
    world.emit("CHANNEL_DELETE", channel.data, GUILD_ID)
    assert placeholder(await gateway.until("CHANNEL_DELETE"))


async def test_the_voice_channel_of_the_bot_and_the_category_of_a_visible_channel_are_visible(world, call, gateway):
    category = make_channel(world.new_id(), GUILD_ID, "a category", 4, 9)
    for channel in (category, world.channels[VOICE_CHANNEL]):
        channel.data["permission_overwrites"] = [DENIED]
    world.add_channel(category)

    async def listed(channel_id):
        _, channels = await call("GET", f"/guilds/{GUILD_ID}/channels")
        return channel_id in [channel["id"] for channel in channels]

    assert [await listed(category.id), await listed(VOICE_CHANNEL)] == [False, False]
    world.channels[OTHER].data["parent_id"] = category.id
    await gateway.send(4, {"guild_id": GUILD_ID, "channel_id": VOICE_CHANNEL, "self_mute": False, "self_deaf": False})
    await gateway.until("VOICE_STATE_UPDATE")
    assert [await listed(category.id), await listed(VOICE_CHANNEL)] == [True, True]
