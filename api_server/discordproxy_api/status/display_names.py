"""Names of channels and guilds for the status page, from the gateway's caches."""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping

from discordproxy_api.gateway import GatewayReaders

KEPT_S = 60.0
MAX_NAMES = 1000

Subject = tuple[str, str]
"""Name of the bot and major parameter, such as `channel_id=1`."""


class DisplayNames:
    """Looks up names and keeps them for a minute, since the page reloads every second.

    Args:
        gateways: by name of the bot.
    """

    def __init__(self, gateways: Mapping[str, GatewayReaders]) -> None:
        self._gateways = gateways
        self._known: dict[Subject, tuple[str, float]] = {}

    async def of(self, subjects: Iterable[Subject]) -> dict[Subject, str]:
        """Return the known names. Missing names are no error, nor is an unavailable Redis."""
        now, wanted = asyncio.get_running_loop().time(), set(subjects)
        if len(self._known) > MAX_NAMES:
            self._known.clear()
        old = [one for one in wanted if one not in self._known or now - self._known[one][1] > KEPT_S]
        for one, name in zip(old, await asyncio.gather(*map(self._look_up, old)), strict=True):
            self._known[one] = name, now
        return {one: name for one in wanted if (name := self._known[one][0])}

    async def _look_up(self, subject: Subject) -> str:
        bot, major = subject
        kind, _, value = major.partition("=")
        if not value.isdecimal():
            return ""
        if kind == "guild_id":
            return await self._guild(bot, int(value))
        if kind != "channel_id" or (channel := await self._gateways[bot].channel(int(value))) is None:
            return ""
        guild = await self._guild(bot, int(channel.get("guild_id") or 0))
        return ", ".join(filter(None, [f"#{channel.get('name', '')}", guild]))

    async def _guild(self, bot: str, guild_id: int) -> str:
        with contextlib.suppress(Exception):  # as in `GatewayReaders.channel`: names are optional
            guild = (await self._gateways[bot].cache.guild(guild_id)).value
            return str(guild["name"]) if guild else ""
        return ""
