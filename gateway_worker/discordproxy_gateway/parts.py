"""Operations on the parts of a guild's cache. Pure: objects of Discord's JSON in, operations out.

Parts (see `keys.Keys.part`): ch channels, th active threads, ro roles, em emojis, st stickers, vs voice states.
"""

from collections.abc import Iterable
from typing import Any

import orjson

from discordproxy_gateway.cache import members as codec
from discordproxy_gateway.keys import Keys
from discordproxy_gateway.writes import Operation

MEMBERS_PER_OPERATION = 100
"""Keeps a single script call short: the index costs some microseconds a member."""

OLD_MEMBERS_MS = 60_000
"""How long a replaced member list stays for readers that are in the middle of it."""

OVERLAYS = ("guild", "ch", "th", "ro", "em", "st", "m")

_IN_OTHER_KEYS = frozenset(
    {
        "channels",
        "threads",
        "members",
        "presences",
        "voice_states",
        "roles",
        "emojis",
        "stickers",
        "stage_instances",
        "guild_scheduled_events",
        "soundboard_sounds",
        "joined_at",
        "large",
        "unavailable",
        "member_count",
        "guild_hashes",
        "guild_id",
    }
)
"""What GUILD_CREATE brings beyond the guild object itself (Discord: gateway events, guild create)."""


def put(key: str, objects: Iterable[tuple[str, Any]]) -> list[Operation]:
    """Return the operation that stores objects under their ids; none if there are none."""
    words = [word for object_id, value in objects for word in (object_id, orjson.dumps(value))]
    return [("HSET", key, *words)] if words else []


def replace(key: str, objects: Iterable[tuple[str, Any]]) -> list[Operation]:
    """Return the operations after which the hash holds exactly these objects."""
    return [("UNLINK", key), *put(key, objects)]


def put_guild(keys: Keys, guild: dict[str, Any]) -> list[Operation]:
    """Return the operations that store the guild object, and its roles, emojis and stickers if it has them."""
    guild_id = guild["id"]
    own = {name: value for name, value in guild.items() if name not in _IN_OTHER_KEYS}
    operations = put(keys.guilds, [(guild_id, own)])
    for name, kind in (("roles", "ro"), ("emojis", "em"), ("stickers", "st")):
        if name in guild:
            operations += replace(keys.part(kind, guild_id), by_id(guild[name]))
    return operations


def put_channels(keys: Keys, kind: str, guild_id: str, channels: Iterable[dict[str, Any]]) -> list[Operation]:
    """Return the operations that store channels or threads and the way from each to its guild."""
    listed = [{**channel, "guild_id": guild_id} for channel in channels]
    if not listed:
        return []
    index = [word for channel in listed for word in (channel["id"], guild_id)]
    return [*put(keys.part(kind, guild_id), by_id(listed)), ("HSET", keys.channel_index, *index)]


def drop_channel(keys: Keys, kind: str, guild_id: str, channel_id: str) -> list[Operation]:
    """Return the operations that drop one channel or thread."""
    return [("HDEL", keys.part(kind, guild_id), channel_id), ("HDEL", keys.channel_index, channel_id)]


def forget_channels(keys: Keys, kind: str, guild_id: str) -> Operation:
    """Return the operation that drops all channels or threads of a guild, from the index, too."""
    return ("FORGET", keys.part(kind, guild_id), keys.channel_index)


def put_member(keys: Keys, guild_id: str, generation: int, row: dict[str, Any], *, known: bool) -> list[Operation]:
    """Return the operations that store one member; who is `known` to be in the list needs no place in its order."""
    member_id = codec.id_field(row["user"]["id"])
    stored = ("HSET", keys.members(guild_id, generation), member_id, codec.pack(row))
    return [stored] if known else [stored, ("INDEX", keys.member_index(guild_id, generation), member_id)]


def put_members(keys: Keys, guild_id: str, generation: int, rows: Iterable[dict[str, Any]]) -> list[Operation]:
    """Return the operations that store members, in slices short enough for one script call each."""
    packed = sorted((codec.id_field(row["user"]["id"]), codec.pack(row)) for row in rows)
    members, index = keys.members(guild_id, generation), keys.member_index(guild_id, generation)
    operations: list[Operation] = []
    for start in range(0, len(packed), MEMBERS_PER_OPERATION):
        slice_ = packed[start : start + MEMBERS_PER_OPERATION]
        operations.append(("HSET", members, *(word for row in slice_ for word in row)))
        operations.append(("INDEX", index, *(field for field, _ in slice_)))
    return operations


def drop_member(keys: Keys, guild_id: str, generation: int, user_id: str) -> list[Operation]:
    """Return the operations that drop one member."""
    field = codec.id_field(user_id)
    return [
        ("HDEL", keys.members(guild_id, generation), field),
        ("UNINDEX", keys.member_index(guild_id, generation), field),
    ]


def retire_members(keys: Keys, guild_id: str, generation: int) -> list[Operation]:
    """Return the operations that let a replaced member list run out."""
    return [
        ("PEXPIRE", keys.members(guild_id, generation), str(OLD_MEMBERS_MS)),
        ("PEXPIRE", keys.member_index(guild_id, generation), str(OLD_MEMBERS_MS)),
    ]


def purge(keys: Keys, guild_id: str, generation: int) -> list[Operation]:
    """Return the operations that drop all that is known about a guild."""
    gone = [
        *(keys.part(kind, guild_id) for kind in ("ro", "em", "st", "vs")),
        *(keys.overlay(kind, guild_id) for kind in OVERLAYS),
        keys.members(guild_id, generation),
        keys.member_index(guild_id, generation),
        keys.meta(guild_id),
    ]
    return [
        forget_channels(keys, "ch", guild_id),
        forget_channels(keys, "th", guild_id),
        *(("UNLINK", key) for key in gone),
        ("HDEL", keys.guilds, guild_id),
    ]


def seen(keys: Keys, kind: str, guild_id: str, *object_ids: str) -> Operation:
    """Return the operation that ends the overlay of an object: the event of the proxy's own change has come."""
    return ("SEEN", keys.overlay(kind, guild_id), *object_ids)


def by_id(objects: Iterable[dict[str, Any]]) -> list[tuple[str, Any]]:
    """Return objects with their ids."""
    return [(each["id"], each) for each in objects]
