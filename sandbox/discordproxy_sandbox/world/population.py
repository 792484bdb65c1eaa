"""Builds worlds: the small default one, and thousands of guilds for load tests."""

from collections.abc import Callable

from discordproxy_sandbox.errors import Json
from discordproxy_sandbox.world.members import Members
from discordproxy_sandbox.world.objects import (
    EVERYTHING,
    make_channel,
    make_guild,
    make_member,
    make_role,
    make_thread,
    make_user,
)
from discordproxy_sandbox.world.snowflakes import iso
from discordproxy_sandbox.world.world import World

BOT_ID = "100000000000000001"
TOKEN = "MTAwMDAwMDAwMDAwMDAwMDAx.GSbox0.a-token-for-the-sandbox-and-nothing-else"  # noqa: S105 - no secret
"""Any token is accepted, but some libraries read the bot's id from the first part."""
USER_ID = "200000000000000001"
GUILD_ID = "300000000000000001"
ROLE_ID = "400000000000000001"
CHANNEL_ID = "500000000000000001"
MEMBERS = ("ada", "grace", "alan", "edsger", "barbara")
ROLES = ("admin", "moderator", "member")
BOT_ROLE_ID = "400000000000000004"
"""The role that Discord gives to each bot; here it is above the others, so that the bot can assign them."""
CHANNELS = (("general", 0), ("announcements", 5), ("voice", 2), ("forum", 15), ("random", 0), ("bots", 0))
THREAD_ID = "500000000000000007"

_GENERATED_USER = 600_000_000_000_000_000
_GENERATED_GUILD = 700_000_000_000_000_000
_GENERATED_CHANNEL = 800_000_000_000_000_000
_CHANNELS_PER_GUILD = 500
_CREATED_AT = iso(1_735_689_600.0)


def nth(first_id: str, number: int) -> str:
    """Return the id that follows another one by `number`."""
    return str(int(first_id) + number)


def default_world(clock: Callable[[], float]) -> World:
    """Return the default world: one guild with channels of several types, a thread, roles and five members.

    Ids are fixed and count up from the constants of this module; the first member owns the guild.
    """
    world = World(clock, BOT_ID)
    world.users[BOT_ID] = make_user(BOT_ID, "sandbox-bot", bot=True)
    guild = world.guilds[GUILD_ID] = make_guild(GUILD_ID, "Sandbox", USER_ID)
    for number, name in enumerate(ROLES):
        role_id = nth(ROLE_ID, number)
        guild.roles[role_id] = make_role(role_id, name, len(ROLES) - number)
    guild.roles[ROLE_ID]["permissions"] = EVERYTHING
    bot_role = make_role(BOT_ROLE_ID, "sandbox-bot", len(ROLES) + 1, "0")
    guild.roles[BOT_ROLE_ID] = bot_role | {"managed": True, "tags": {"bot_id": BOT_ID}}
    guild.members.put(BOT_ID, make_member([ROLE_ID, BOT_ROLE_ID]))
    for number, name in enumerate(MEMBERS):
        user_id = nth(USER_ID, number)
        world.users[user_id] = make_user(user_id, name)
        guild.members.put(user_id, make_member([nth(ROLE_ID, 2)]))
    for number, (name, kind) in enumerate(CHANNELS):
        world.add_channel(make_channel(nth(CHANNEL_ID, number), GUILD_ID, name, kind, number))
    world.add_channel(make_thread(THREAD_ID, world.channels[CHANNEL_ID], "a thread", BOT_ID, _CREATED_AT))
    return world


def add_guilds(world: World, guilds: int, members: int = 0, channels: int = 5) -> list[str]:
    """Add guilds with this many channels and generated members each; return their ids, in order.

    Members and their users are built on access, so their number costs no memory.
    """
    present = sum(int(guild_id) >= _GENERATED_GUILD for guild_id in world.guilds)
    ids = []
    for number in range(present, present + guilds):
        guild_id = str(_GENERATED_GUILD + number)
        guild = world.guilds[guild_id] = make_guild(guild_id, f"guild {number}", world.bot_id)
        guild.members = Members(lambda _: make_member(), _GENERATED_USER + world.generated_users, members)
        guild.members.put(world.bot_id, make_member())
        world.generated_users += members
        for position in range(channels):
            channel_id = str(_GENERATED_CHANNEL + number * _CHANNELS_PER_GUILD + position)
            world.add_channel(make_channel(channel_id, guild_id, f"channel-{position}", 0, position))
        ids.append(guild_id)
    world.build_user = lambda user_id: _generated_user(world, user_id)
    return ids


def _generated_user(world: World, user_id: str) -> Json | None:
    number = int(user_id) - _GENERATED_USER
    return make_user(user_id, f"user{number}") if 0 <= number < world.generated_users else None
