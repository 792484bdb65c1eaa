"""Discord's ids (snowflakes), which contain their creation time, and links to messages."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from discordproxy.discord_api_pb2 import Message

_EPOCH_MS = 1_420_070_400_000  # 2015-01-01, the start of Discord's epoch
_TIME_SHIFT = 22  # lower bits: worker, process, counter


def snowflake_time(snowflake: int) -> datetime:
    """Return the creation time of the object with this id, in UTC."""
    return datetime.fromtimestamp(((snowflake >> _TIME_SHIFT) + _EPOCH_MS) / 1000, tz=timezone.utc)


def snowflake_at(time: datetime) -> int:
    """Return the lowest id of a time, for `before` and `after` of get_channel_messages.

    Raises:
        ValueError: the time has no time zone, or is before 2015.
    """
    if time.tzinfo is None:
        raise ValueError("time: must have a time zone, as datetime.now(timezone.utc) has")
    milliseconds = round(time.timestamp() * 1000) - _EPOCH_MS
    if milliseconds < 0:
        raise ValueError("time: there are no ids before 2015")
    return milliseconds << _TIME_SHIFT


def message_url(message: Message | int, channel_id: int | None = None, guild_id: int | None = None) -> str:
    """Return the link that opens a message in Discord.

    Args:
        message: The message or its id; an id requires `channel_id`.
        channel_id: Channel of the message. Default: the message's.
        guild_id: Guild of the message; 0 or None for a direct message. A message that was just sent does not contain
            its guild, so it must be given here.

    Raises:
        TypeError: `message` is an id and `channel_id` is missing.
    """
    if isinstance(message, int):
        if channel_id is None:
            raise TypeError("channel_id: required if message is an id")
        return _url(guild_id, channel_id, message)
    return _url(guild_id or message.guild_id, channel_id or message.channel_id, message.id)


def _url(guild_id: int | None, channel_id: int, message_id: int) -> str:
    return f"https://discord.com/channels/{guild_id or '@me'}/{channel_id}/{message_id}"
