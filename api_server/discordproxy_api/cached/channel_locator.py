"""Which guild, category or channel a channel lies in: asked once, kept for a minute."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from discordproxy_api.calls.call import Call

KEPT_S = 60.0
MAX_KEPT = 20_000

Find = Callable[[int, Call], Awaitable[dict[str, Any] | None]]
"""From a channel's id to Discord's JSON of it; None when there is no such channel, or it is not for the bot."""


class ChannelLocation(NamedTuple):
    """Where a channel lies; 0 for nowhere.

    Attributes:
        parent_id: channel of a thread, category of a channel.
        known: False when Discord knows no such channel.
    """

    guild_id: int = 0
    parent_id: int = 0
    known: bool = True


class ChannelLocator:
    """The whereabouts of channels, for the workers' permission checks.

    Args:
        find: looks a channel up: in the cache, else at Discord.
    """

    def __init__(self, find: Find, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._find = find
        self._clock = clock
        self._kept: OrderedDict[int, tuple[float, ChannelLocation]] = OrderedDict()

    async def of(self, channel_id: int, call: Call) -> ChannelLocation:
        """Return where a channel lies; may raise ApiError when Discord has to be asked and cannot be."""
        kept = self._kept.get(channel_id)
        if kept is not None and self._clock() - kept[0] < KEPT_S:
            return kept[1]
        channel = await self._find(channel_id, call)
        found = ChannelLocation(known=False) if channel is None else _read(channel)
        self._kept[channel_id] = self._clock(), found
        self._kept.move_to_end(channel_id)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return found


def _read(channel: dict[str, Any]) -> ChannelLocation:
    return ChannelLocation(int(channel.get("guild_id") or 0), int(channel.get("parent_id") or 0))
