"""The bot's permissions from roles, overwrites, owner and administrator."""

from discordproxy_sandbox.errors import Json
from discordproxy_sandbox.world.world import THREADS, Channel, Guild, World

ADMINISTRATOR = 1 << 3
MANAGE_ROLES = 1 << 28
VIEW_CHANNEL = 1 << 10
PIN_MESSAGES = 1 << 51
"""Since 2026 MANAGE_MESSAGES does not include it (discord-api-docs#7766)."""


def bot_may_all(world: World, guild: Guild) -> bool:
    """Return whether the bot has every permission in a guild: as its owner, or an administrator."""
    return guild.data["owner_id"] == world.bot_id or bool(_granted(world, guild) & ADMINISTRATOR)


def bot_may(world: World, channel: Channel, permission: int) -> bool:
    """Return whether the bot has a permission in a channel; in a direct message it has all."""
    if not channel.guild_id:
        return True
    guild = world.guilds[channel.guild_id]
    if bot_may_all(world, guild):
        return True
    roles, granted = _roles_of_bot(world, guild), _granted(world, guild)
    place = world.channels.get(channel.data["parent_id"], channel) if channel.type in THREADS else channel
    overwrites = {one["id"]: one for one in place.data.get("permission_overwrites") or ()}
    for ids in ({guild.id}, roles - {guild.id}, {world.bot_id}):
        found = [overwrites[one] for one in ids if one in overwrites]
        for side in found:
            granted &= ~int(side["deny"])
        for side in found:
            granted |= int(side["allow"])
    return bool(granted & permission)


def bot_may_assign(world: World, guild: Guild, role: Json) -> bool:
    """Return whether the bot may add a role to members and remove it: one below its own highest role."""
    if guild.data["owner_id"] == world.bot_id:
        return True
    if not _granted(world, guild) & (ADMINISTRATOR | MANAGE_ROLES):
        return False
    held = _roles_of_bot(world, guild) & guild.roles.keys()
    return _rank(role) < max(_rank(guild.roles[role_id]) for role_id in held)


def _roles_of_bot(world: World, guild: Guild) -> set[str]:
    return {guild.id, *((guild.members.get(world.bot_id) or {}).get("roles") or ())}


def _granted(world: World, guild: Guild) -> int:
    granted = 0
    for role_id in _roles_of_bot(world, guild) & guild.roles.keys():
        granted |= int(guild.roles[role_id]["permissions"])
    return granted


def _rank(role: Json) -> tuple[int, int]:
    """Return a role's place in the hierarchy. Of two roles with the same position, the older one is higher."""
    return int(role["position"]), -int(role["id"])
