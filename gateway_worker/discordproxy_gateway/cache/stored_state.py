"""The state that the gateway worker stores beside the caches: of a shard's connection, and of a guild. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from discordproxy_gateway.cache.freshness import Freshness
from discordproxy_gateway.ids import number_of, text_of

SHARD_FIELDS = ("as_of", "mark", "connected_since")
"""Fields of a shard's status, in the order of `ShardFreshness.of`."""

PART_FIELDS = ("mark", "available", "out_at", "parts")
"""Fields of a guild's state that belong to the version of its objects; "parts" is the stamp of their last change."""

MEMBER_FIELDS = (*PART_FIELDS, "gen", "complete", "members")
"""Fields that belong to the version of a guild's members; "members" is the stamp of their last change."""

META_FIELDS = (*MEMBER_FIELDS, "count")
"""All fields of a guild's state, in the order of `Meta.of`."""


@dataclass(frozen=True, slots=True)
class ShardFreshness:
    """State of the connection that updates a guild.

    Attributes:
        now_ms, as_of_ms: the server's time, and that of the connection's last message, in ms since 1970.
        mark: of the connection's session.
        connected_since: start of the connection, ISO 8601, "" while there is none.
    """

    now_ms: int
    as_of_ms: int
    mark: str
    connected_since: str

    @classmethod
    def of(cls, row: Sequence[Any], now_ms: int) -> "ShardFreshness | None":
        """Read the fields SHARD_FIELDS of a shard's status; None if it was never connected."""
        as_of, mark, since = map(text_of, row)
        as_of_ms = number_of(as_of)
        return cls(now_ms, as_of_ms, mark, since) if as_of_ms else None

    def freshness(self, *, complete: bool, not_after_ms: int | None = None) -> Freshness:
        """Return the freshness of data of this shard, no younger than `not_after_ms`.

        A time in the future means that the clock was set back: how far, the data may be older.
        """
        as_of_ms = self.as_of_ms if not_after_ms is None else min(self.as_of_ms, not_after_ms)
        return Freshness(abs(self.now_ms - as_of_ms) / 1000, complete, as_of_ms, self.connected_since)


@dataclass(frozen=True, slots=True)
class Meta:
    """State of a guild's caches.

    Attributes:
        current: they belong to the present session and are filled.
        generation: of the member list.
        complete: the member list contains all members.
        out_at_ms: start of the guild's outage, during which Discord sends no events; None without one.
        size: members according to Discord.
    """

    current: bool
    generation: int
    complete: bool
    out_at_ms: int | None
    size: int

    @classmethod
    def of(cls, row: Sequence[Any], shard: ShardFreshness) -> "Meta":
        """Read the fields META_FIELDS of the guild's meta hash."""
        mark, available, out_at, _, generation, complete, _, size = (text_of(value) for value in row)
        return cls(
            current=bool(mark) and mark == shard.mark,
            generation=number_of(generation) or 0,
            complete=complete == "1",
            out_at_ms=number_of(out_at) if available == "0" else None,
            size=number_of(size) or 0,
        )
