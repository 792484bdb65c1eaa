"""Discord's ids (snowflakes) hold the time they were made; links to messages are made of them."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from discordproxy.discord_api_pb2 import Message

_EPOCH_MS = 1_420_070_400_000  # 2015-01-01, Discord's first second
_TIME_SHIFT = 22  # below the time: worker, process, counter


def snowflake_time(snowflake: int) -> datetime:
    """Return when the thing with this id was made, in UTC."""
    return datetime.fromtimestamp(((snowflake >> _TIME_SHIFT) + _EPOCH_MS) / 1000, tz=timezone.utc)


def snowflake_at(time: datetime) -> int:
    """Return the lowest id of a time, to read what is older or newer: `get_channel_messages(..., after=...)`.

    Raises:
        ValueError: a time without time zone, or before there was Discord.
    """
    if time.tzinfo is None:
        raise ValueError("the time needs a time zone, e.g. datetime.now(timezone.utc)")
    milliseconds = round(time.timestamp() * 1000) - _EPOCH_MS
    if milliseconds < 0:
        raise ValueError("there are no ids before 2015")
    return milliseconds << _TIME_SHIFT


def message_url(message: Message | int, channel_id: int | None = None, guild_id: int | None = None) -> str:
    """Return the link that opens a message in Discord.

    Args:
        message: The message, or its id together with `channel_id`.
        channel_id: Its channel.
        guild_id: Its guild; 0 or None for a direct message. The answer to a sent message does not name the guild:
            give it here.

    Raises:
        TypeError: an id without `channel_id`.
    """
    if isinstance(message, int):
        if channel_id is None:
            raise TypeError("the id of a message needs a channel_id")
        return _url(guild_id, channel_id, message)
    return _url(guild_id or message.guild_id, channel_id or message.channel_id, message.id)


def _url(guild_id: int | None, channel_id: int, message_id: int) -> str:
    return f"https://discord.com/channels/{guild_id or '@me'}/{channel_id}/{message_id}"
