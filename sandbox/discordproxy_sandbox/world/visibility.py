"""The channels that the bot can see, and the placeholders that Discord sends of the others.

Source: the obfuscated channels of Discord's channel resource; mandatory since 16 November 2026.
"""

from typing import Any

from discordproxy_sandbox.errors import Json
from discordproxy_sandbox.world.permissions import VIEW_CHANNEL, bot_may, bot_may_all
from discordproxy_sandbox.world.world import Channel, Guild, World

CATEGORY = 4
OBFUSCATED = 1 << 17
"""Channel flag of placeholders."""

_NAME = "___hidden___"
_SHOWN = ("id", "guild_id", "type", "position", "parent_id")


def bot_sees(world: World, channel: Channel) -> bool:
    """Return whether the bot sees a channel, or a thread by its parent.

    It sees its voice channel, and a category if it sees a channel in it.
    """
    if bot_may(world, channel, VIEW_CHANNEL):
        return True
    guild = world.guilds[channel.guild_id]
    voice = guild.voice_states.get(world.bot_id)
    if voice and voice["channel_id"] == channel.id:
        return True
    children = guild.plain_channels() if channel.type == CATEGORY else []
    return any(one.data.get("parent_id") == channel.id and bot_sees(world, one) for one in children)


def hidden_channels(world: World, guild: Guild) -> set[str]:
    """Return the ids of the channels that the bot cannot see, without threads."""
    if bot_may_all(world, guild):
        return set()
    return {channel.id for channel in guild.plain_channels() if not bot_sees(world, channel)}


def as_bot_sees(world: World, channel: Channel) -> Json:
    """Return a channel as the gateway sends it: as it is, or its placeholder."""
    if bot_sees(world, channel):
        return channel.data
    shown = {key: value if key in _SHOWN else _nothing_like(value) for key, value in channel.data.items()}
    denied = {"id": channel.guild_id, "type": 0, "allow": "0", "deny": str(VIEW_CHANNEL)}
    return shown | {"name": _NAME, "flags": OBFUSCATED, "permission_overwrites": [denied]}


def _nothing_like(value: Any) -> Any:
    return type(value)() if isinstance(value, (bool, int, list)) else None
