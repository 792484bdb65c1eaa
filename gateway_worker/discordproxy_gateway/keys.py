"""Names of the gateway worker's Redis keys. A hash tag per bot keeps each script in one cluster slot."""

import re
from dataclasses import dataclass

CHANNEL, THREAD, ROLE, EMOJI, STICKER, VOICE_STATE = "ch", "th", "ro", "em", "st", "vs"
"""Kinds of the objects of a guild; threads are the active ones. See `Keys.part`."""

GUILD, MEMBER, USER = "guild", "m", "user"
"""Kinds of objects that have an overlay, too. The bot's own user is that of guild 0."""

ERAS_KEPT = 8
"""Ended eras whose streams subscribers may still read; an older cursor gets a gap. See `Keys.eras`."""

_SLOT = re.compile(r"([0-9]+)-([0-9]+)")


@dataclass(frozen=True, slots=True)
class Slot:
    """One gateway connection of the bot: which shard of how many."""

    shard_id: int = 0
    shard_count: int = 1

    def __str__(self) -> str:
        return f"{self.shard_id}-{self.shard_count}"

    @classmethod
    def of(cls, text: str) -> "Slot | None":
        """Return the slot of its text; None if it is no slot."""
        match = _SLOT.fullmatch(text)
        return cls(int(match[1]), int(match[2])) if match else None

    def holds(self, guild_id: int) -> bool:
        """Whether Discord sends this guild's events here (Discord: gateway, sharding formula)."""
        return shard_of(guild_id, self.shard_count) == self.shard_id


def shard_of(guild_id: int, shard_count: int) -> int:
    """Return the shard that Discord assigns to a guild."""
    return (guild_id >> 22) % shard_count


class Keys:
    """Key layout of one bot. `prefix` separates deployments on one server; `bot` is the bot's user id or a hash."""

    def __init__(self, prefix: str, bot: str) -> None:
        self.tag = f"{{{prefix}:{bot}}}"

    def __repr__(self) -> str:
        return f"Keys({self.tag})"

    def lease(self, slot: Slot) -> str:
        """Hash {owner, fence} that lives as long as the holder renews it."""
        return f"{self.tag}:gw:lease:{slot}"

    def lease_channel(self, slot: Slot) -> str:
        """Pub/sub channel on which a holder announces the release."""
        return f"{self.tag}:gw:free:{slot}"

    @property
    def division(self) -> str:
        """Number of shards of the current leaders; lives as long as their leases."""
        return f"{self.tag}:gw:division"

    def fence(self, slot: Slot) -> str:
        """Counter of the holders; must never expire."""
        return f"{self.tag}:gw:fence:{slot}"

    def session(self, slot: Slot) -> str:
        """Hash {id, seq, resume_url, fingerprint, tries}: the session that a successor resumes; lives one hour."""
        return f"{self.tag}:gw:sess:{slot}"

    def status(self, slot: Slot) -> str:
        """Hash of the connection's state for health, metrics and freshness."""
        return f"{self.tag}:gw:status:{slot}"

    def identify_gate(self, number: int) -> str:
        """Exists while another IDENTIFY of the same concurrency group has to wait."""
        return f"{self.tag}:gw:gate:{number}"

    @property
    def identify_budget(self) -> str:
        """Hash {remaining, reset_at_ms}: how many IDENTIFY Discord still allows."""
        return f"{self.tag}:gw:budget"

    @property
    def fatal(self) -> str:
        """Why this token with these intents may not connect for now; lives ten minutes."""
        return f"{self.tag}:gw:fatal"

    @property
    def login_error(self) -> str:
        """Why a worker that holds no lease yet cannot log in; lives until a little after its next attempt."""
        return f"{self.tag}:gw:login_error"

    @property
    def shard_count(self) -> str:
        """Number of shards the bot runs with; readers find a guild's slot by it."""
        return f"{self.tag}:gw:shards"

    def awaited(self, slot: Slot) -> str:
        """Set of guilds that READY announced and whose GUILD_CREATE has not come yet."""
        return f"{self.tag}:gw:await:{slot}"

    def wanted_members(self, slot: Slot) -> str:
        """Sorted set of guilds that were read while their member list was incomplete."""
        return f"{self.tag}:gw:want:{slot}"

    @property
    def user(self) -> str:
        """The bot's own user as JSON."""
        return f"{self.tag}:c:user"

    @property
    def guilds(self) -> str:
        """Hash guild id -> guild as JSON, without its roles, emojis, stickers and channels."""
        return f"{self.tag}:c:guild"

    @property
    def channel_index(self) -> str:
        """Hash channel or thread id -> guild id."""
        return f"{self.tag}:c:chg"

    def meta(self, guild_id: int | str) -> str:
        """Hash {gen, mark, count, complete, available, out_at, synced_at, parts, members}: state of the guild's caches.

        `parts` and `members` are stamps: they change with each change of the guild's objects, or of its members.
        """
        return f"{self.tag}:c:meta:{guild_id}"

    def part(self, kind: str, guild_id: int | str) -> str:
        """Hash object id -> JSON, of a kind such as CHANNEL."""
        return f"{self.tag}:c:{kind}:{guild_id}"

    def members(self, guild_id: int | str, generation: int) -> str:
        """Hash user id (8 bytes, big-endian) -> packed member."""
        return f"{self.tag}:c:m:{guild_id}:g{generation}"

    def member_index(self, guild_id: int | str, generation: int) -> str:
        """Sorted set of leaves of user ids, see lua/index.lua: the order for paging."""
        return f"{self.tag}:c:mi:{guild_id}:g{generation}"

    def overlay(self, kind: str, guild_id: int | str) -> str:
        """Hash of the proxy's own latest changes of objects of a kind; lives five seconds."""
        return f"{self.tag}:c:ov:{kind}:{guild_id}"

    @property
    def overlay_channel_index(self) -> str:
        """Hash channel or thread id -> guild id, of the proxy's own latest writes; lives five seconds."""
        return f"{self.tag}:c:ov:chg"

    @property
    def eras(self) -> str:
        """Hash {now, shards, "era:shard"...}: number of the current era, its shards, and the streams that have begun.

        An era is a time in which the bot runs with one number of shards. Each has streams of its own: with another
        number, a guild's events come through another shard.
        """
        return f"{self.tag}:ev:eras"

    def stream(self, shard_id: int, era: int) -> str:
        """Stream of events."""
        return f"{self.tag}:ev:{era}:{shard_id}"

    def stream_meta(self, shard_id: int, era: int) -> str:
        """Hash {epoch, n}: the stream's random identity and the ordinal of its last entry."""
        return f"{self.tag}:ev:{era}:{shard_id}:meta"

    def followers(self, shard_id: int, era: int) -> str:
        """Exists while an application follows the stream; lives some seconds unless it is renewed."""
        return f"{self.tag}:ev:{era}:{shard_id}:follow"

    def interaction_followers(self, shard_id: int, era: int) -> str:
        """The same for applications that follow interactions."""
        return f"{self.tag}:ev:{era}:{shard_id}:follow:ix"

    def interaction(self, interaction_id: int | str) -> str:
        """The claim of the first response to an interaction; lives 15 minutes, like its token."""
        return f"{self.tag}:ix:{interaction_id}"
