"""The reply to the commands of one read, with the freshness and the version of its answers. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from discordproxy_gateway.cache import overlay
from discordproxy_gateway.cache.freshness import CachedAnswer, Freshness, Value, Version
from discordproxy_gateway.cache.stored_state import META_FIELDS, PART_FIELDS, Meta, ShardFreshness
from discordproxy_gateway.cache.versions import check_commands

_PARTS = META_FIELDS.index("parts")


@dataclass(frozen=True, slots=True)
class StateKeys:
    """Keys of the state from which freshness and version of an answer are derived.

    Attributes:
        shard_count: the stored number of shards, for which `status` is the right one.
        status: of the shard.
        meta: of the guild.
        overlays: of the objects that were read.
    """

    shard_count: bytes | None
    status: str
    meta: str
    overlays: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CacheReply:
    """A reply.

    Attributes:
        shard: freshness of the shard; None if it was never connected.
        meta: state of the guild; None like `shard`.
        meta_row: the same as stored, in the order of META_FIELDS.
        rows: replies to the added commands.
        overlays: overlay hashes by kind.
        now_ms: the server's time.
        keys: of the state that was read.
    """

    shard: ShardFreshness | None
    meta: Meta | None
    meta_row: Sequence[bytes | None]
    rows: Sequence[Any]
    overlays: Mapping[str, Mapping[bytes, bytes]]
    now_ms: int
    keys: StateKeys

    @property
    def freshness(self) -> Freshness | None:
        """Freshness of the guild's objects; None before its GUILD_CREATE in this session."""
        if self.shard is None or self.meta is None or not self.meta.current:
            return None
        return self.shard.freshness(complete=self.meta.out_at_ms is None, not_after_ms=self.meta.out_at_ms)

    @property
    def members_freshness(self) -> Freshness | None:
        """Freshness of the member list; None like `freshness`."""
        if self.shard is None or self.meta is None or not self.meta.current:
            return None
        complete = self.meta.complete and self.meta.out_at_ms is None
        return self.shard.freshness(complete=complete, not_after_ms=self.meta.out_at_ms)

    def changes(self, kind: str) -> overlay.Changes:
        """Return the unexpired changes of an overlay."""
        return overlay.changes(self.overlays[kind], self.now_ms)

    def answer(
        self, value: Value | None, freshness: Freshness | None, fields: tuple[str, ...] = PART_FIELDS
    ) -> CachedAnswer[Value]:
        """Return an answer; it has a version if no overlay was read.

        Args:
            value: of the answer.
            freshness: of the answer.
            fields: of its version: PART_FIELDS, or MEMBER_FIELDS if it contains members.
        """
        if value is None or freshness is None or self.meta is None or any(self.overlays.values()):
            return CachedAnswer(value, freshness)
        row = list(self.meta_row[: len(fields)])
        if row[_PARTS] is None:
            return CachedAnswer(value, freshness)  # this gateway worker's release does not stamp changes
        checks = check_commands(self.keys.status, self.keys.meta, fields, self.keys.overlays)
        version = Version(checks, self.keys.shard_count, row, freshness.complete, self.meta.out_at_ms)
        return CachedAnswer(value, freshness, version)
