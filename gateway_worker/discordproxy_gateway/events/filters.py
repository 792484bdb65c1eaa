"""Filters of subscriptions. Pure."""

import difflib
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from discordproxy_gateway.discord.intents import EVENTS, SECRET_EVENTS
from discordproxy_gateway.events.entry import StreamEntry

_MAX_NAME_LENGTH = 64


class UnknownEventError(ValueError):
    """No event has this name; the text names the nearest one."""


class IntentOffError(ValueError):
    """The bot is not connected with an intent that brings this event; the text names it."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Names, guilds and channels that pass; an empty set lets all pass, except events with a secret.

    Events without a guild pass only when no guild is named, those without a channel only when no channel is.
    """

    types: frozenset[str] = frozenset()
    guild_ids: frozenset[int] = frozenset()
    channel_ids: frozenset[int] = frozenset()

    def includes(self, name: str) -> bool:
        """Whether events of this name can pass."""
        return name in self.types if self.types else name not in SECRET_EVENTS

    def passes(self, entry: StreamEntry) -> bool:
        """Whether the entry passes; a gap always does."""
        if entry.is_gap:
            return True
        if not entry.type or not self.includes(entry.type):
            return False
        if self.guild_ids and entry.guild_id not in self.guild_ids:
            return False
        return not self.channel_ids or entry.channel_id in self.channel_ids


def check_types(types: Iterable[str], intents: Collection[str]) -> frozenset[str]:
    """Return the names as a set for a `Filter`.

    Args:
        types: names as Discord writes them.
        intents: names of the intents the bot is connected with; empty if unknown.

    Raises:
        UnknownEventError: a name Discord does not have.
        IntentOffError: the event can never come.
    """
    wanted = frozenset(types)
    for name in sorted(wanted):
        if name not in EVENTS:
            start = name[:_MAX_NAME_LENGTH]  # comparing and showing endless texts would cost more than it helps
            near = difflib.get_close_matches(start.upper(), EVENTS, n=1)
            raise UnknownEventError(f"unknown event {start!r}" + (f"; did you mean {near[0]}?" if near else ""))
        needed = EVENTS[name]
        if intents and needed and not set(needed) & set(intents):
            raise IntentOffError(f"{name} needs the intent {' or '.join(needed)}; add it to DISCORDPROXY_INTENTS")
    return wanted
