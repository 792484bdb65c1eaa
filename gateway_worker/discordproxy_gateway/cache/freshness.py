"""Age and completeness of an answer from the cache. Pure.

All times are the server's. The age is that of the connection's last message, not of the object's last change.
"""

from dataclasses import dataclass
from typing import Generic, TypeVar

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
