"""Age and completeness of an answer from the cache. Pure.

All times are the server's. The age is that of the connection's last message, not of the object's last change.
"""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from discordproxy_gateway.ids import number_of, text_of

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Freshness:
    """Age and completeness of an answer.

    Attributes:
        age_s: seconds since the gateway connection was last known to be current.
        complete: objects that are not in the answer do not exist; otherwise they may be unknown.
        as_of_ms: that time on the server's clock, in ms since 1970.
        connected_since: start of the present connection, ISO 8601, "" while there is none.
    """

    age_s: float
    complete: bool
    as_of_ms: int
    connected_since: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """The state of the caches under which an answer was read; see `versions`.

    Attributes:
        checks: the encoded commands that read the same state again.
        shard_count: as stored; with another number, another shard updates the guild.
        row: fields of the guild's state that the answer depends on.
        complete, not_after_ms: of the answer's freshness.
    """

    checks: bytes
    shard_count: bytes | None
    row: list[bytes | None]
    complete: bool
    not_after_ms: int | None


@dataclass(frozen=True, slots=True)
class CachedAnswer(Generic[Value]):
    """An answer.

    Attributes:
        value: None if it is absent.
        freshness: None if the cache has no data about it.
        version: for `CacheReader.freshness_of`; None if the answer must not be kept.
    """

    value: Value | None = None
    freshness: Freshness | None = None
    version: Version | None = None

    def usable(self, max_age_s: float) -> bool:
        """Return whether the answer can replace a request: it is fresh, and absence comes from a complete cache."""
        if self.freshness is None or self.freshness.age_s > max_age_s:
            return False
        return self.value is not None or self.freshness.complete


@dataclass(frozen=True, slots=True)
class ShardFreshness:
    """State of the connection that updates a guild."""

    now_ms: int
    as_of_ms: int
    mark: str
    connected_since: str

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
    def of(cls, row: list[Any], shard: ShardFreshness) -> "Meta":
        """Read the fields META_FIELDS of the guild's meta hash."""
        mark, available, out_at, _, generation, complete, _, size = (text_of(value) for value in row)
        return cls(
            current=bool(mark) and mark == shard.mark,
            generation=number_of(generation) or 0,
            complete=complete == "1",
            out_at_ms=number_of(out_at) if available == "0" else None,
            size=number_of(size) or 0,
        )


PART_FIELDS = ("mark", "available", "out_at", "parts")
MEMBER_FIELDS = (*PART_FIELDS, "gen", "complete", "members")
"""Fields of a guild's state that belong to the version of its objects, or of its members. "parts" and "members" are
stamps of the last changes."""
META_FIELDS = (*MEMBER_FIELDS, "count")
SHARD_FIELDS = ("as_of", "mark", "connected_since")
