"""The bot's permissions in a channel from roles, overwrites, owner and administrator. Pins and forwards check them."""

from discordproxy_sandbox.world.world import THREADS, Channel, World

ADMINISTRATOR = 1 << 3
VIEW_CHANNEL = 1 << 10
PIN_MESSAGES = 1 << 51
"""Since 2026 MANAGE_MESSAGES does not include it (discord-api-docs#7766)."""


def bot_may(world: World, channel: Channel, permission: int) -> bool:
    """Return whether the bot has a permission in a channel; in a direct message it has all."""
    if not channel.guild_id:
        return True
    guild = world.guilds[channel.guild_id]
    roles = {guild.id, *((guild.members.get(world.bot_id) or {}).get("roles") or ())}
    granted = 0
    for role_id in roles & guild.roles.keys():
        granted |= int(guild.roles[role_id]["permissions"])
    if granted & ADMINISTRATOR or guild.data["owner_id"] == world.bot_id:
        return True
    place = world.channels.get(channel.data["parent_id"], channel) if channel.type in THREADS else channel
    overwrites = {one["id"]: one for one in place.data.get("permission_overwrites") or ()}
    for ids in ({guild.id}, roles - {guild.id}, {world.bot_id}):
        found = [overwrites[one] for one in ids if one in overwrites]
        for side in found:
            granted &= ~int(side["deny"])
        for side in found:
            granted |= int(side["allow"])
    return bool(granted & permission)
