"""Channels that the bot cannot see. Pure.

Since November 2026 Discord sends them obfuscated (channel resource, obfuscated channels): id, type, position and parent
are right, the name is a placeholder, and one overwrite that denies @everyone to see the channel replaces all others.
Over HTTP Discord leaves them out, or refuses the request.
"""

from typing import Any

CHANNEL_OBFUSCATED = 1 << 17
"""Channel flag."""


def is_hidden(channel: dict[str, Any]) -> bool:
    """Return whether a channel, as Discord's JSON, is the placeholder of one that the bot cannot see."""
    flags = channel.get("flags")
    return isinstance(flags, int) and bool(flags & CHANNEL_OBFUSCATED)
