"""Operations on the parts of a guild's cache, planned from Discord's JSON. Pure."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from discordproxy_gateway.cache import member_codec
from discordproxy_gateway.ids import id_of
from discordproxy_gateway.keys import CHANNEL, EMOJI, GUILD, MEMBER, ROLE, STICKER, THREAD, VOICE_STATE, Keys
from discordproxy_gateway.store.operations import Operation

MEMBERS_PER_OPERATION = 100
"""Keeps a single script call short: the index costs some microseconds a member."""

OBJECTS_PER_OPERATION = 500
"""The same for objects without an index."""

OLD_MEMBERS_MS = 60_000
"""How long a replaced member list stays for readers that have begun with it."""

OVERLAYS = (GUILD, CHANNEL, THREAD, ROLE, EMOJI, STICKER, MEMBER)

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
"""Fields of GUILD_CREATE that are not part of the guild object (Discord: gateway events, guild create)."""


def put(key: str, objects: Iterable[tuple[str, Any]]) -> list[Operation]:
    """Return the operations that store objects under their ids, in slices; none if there are none."""
    return _sliced("HSET", key, [(object_id, orjson.dumps(value)) for object_id, value in objects])


def _sliced(command: str, key: str, rows: Sequence[tuple[Any, ...]]) -> list[Operation]:
    slices = (rows[at : at + OBJECTS_PER_OPERATION] for at in range(0, len(rows), OBJECTS_PER_OPERATION))
    return [(command, key, *(word for row in some for word in row)) for some in slices]


def await_guilds(key: str, guild_ids: Iterable[str]) -> list[Operation]:
    """Return the operations that add guilds to the set of those whose GUILD_CREATE is to come."""
    return _sliced("SADD", key, [(guild_id,) for guild_id in sorted(guild_ids)])


def replace(key: str, objects: Iterable[tuple[str, Any]]) -> list[Operation]:
    """Return the operations after which the hash holds exactly these objects."""
    return [("UNLINK", key), *put(key, objects)]


def put_guild(keys: Keys, guild: dict[str, Any]) -> list[Operation]:
    """Return the operations that store the guild object, and its roles, emojis and stickers if it has them."""
    guild_id = id_of(guild["id"])
    own = {name: value for name, value in guild.items() if name not in _IN_OTHER_KEYS}
    operations = put(keys.guilds, by_id([own]))
    for name, kind in (("roles", ROLE), ("emojis", EMOJI), ("stickers", STICKER)):
        if guild.get(name) is not None:
            operations += replace(keys.part(kind, guild_id), by_id(guild[name]))
    return operations


def put_channels(keys: Keys, kind: str, guild_id: str, channels: Iterable[dict[str, Any]]) -> list[Operation]:
    """Return the operations that store channels or threads and the way from each to its guild."""
    listed = by_id({**channel, "guild_id": guild_id} for channel in channels if isinstance(channel, dict))
    index = _sliced("HSET", keys.channel_index, [(channel_id, guild_id) for channel_id, _ in listed])
    return [*put(keys.part(kind, guild_id), listed), *index]


def drop_channel(keys: Keys, kind: str, guild_id: str, channel_id: str) -> list[Operation]:
    """Return the operations that drop one channel or thread."""
    return [("HDEL", keys.part(kind, guild_id), channel_id), ("HDEL", keys.channel_index, channel_id)]


def forget_channels(keys: Keys, kind: str, guild_id: str) -> Operation:
    """Return the operation that drops all channels or threads of a guild, from the index, too."""
    return ("FORGET", keys.part(kind, guild_id), keys.channel_index)


def put_member(keys: Keys, guild_id: str, generation: int, row: dict[str, Any]) -> Operation:
    """Return the operation that stores one member and adds a new one to the index; `deaf` and `mute` may be absent."""
    members, index = keys.members(guild_id, generation), keys.member_index(guild_id, generation)
    kept = (member_codec.DEAF | member_codec.MUTE) & ~member_codec.voice_bits(row)[1]
    return ("MEMBER", members, index, kept, member_codec.id_field(row["user"]["id"]), member_codec.pack(row))


def put_voice_bits(keys: Keys, guild_id: str, generation: int, state: dict[str, Any]) -> Operation:
    """Return the operation that stores `deaf` and `mute` of a voice state with its member, if the member is known."""
    members, meta = keys.members(guild_id, generation), keys.meta(guild_id)
    return ("VOICE", members, meta, member_codec.id_field(state["user_id"]), *member_codec.voice_bits(state))


def put_members(keys: Keys, guild_id: str, generation: int, rows: Iterable[dict[str, Any]]) -> list[Operation]:
    """Return the operations that store members, in slices short enough for one script call each."""
    packed = sorted(filter(None, map(_packed, rows)))
    members, index = keys.members(guild_id, generation), keys.member_index(guild_id, generation)
    operations: list[Operation] = []
    for start in range(0, len(packed), MEMBERS_PER_OPERATION):
        slice_ = packed[start : start + MEMBERS_PER_OPERATION]
        operations.append(("HSET", members, *(word for row in slice_ for word in row)))
        operations.append(("INDEX", index, *(field for field, _ in slice_)))
    return operations


def user_of(row: Any) -> str:
    """Return the id of the user in an object, such as a member; "" if there is none."""
    user = row.get("user") if isinstance(row, dict) else None
    return id_of(user.get("id")) if isinstance(user, dict) else ""


def _packed(row: Any) -> tuple[bytes, bytes] | None:
    """Return field and value of a member; None for a malformed row, which is skipped."""
    try:
        return member_codec.id_field(user_of(row)), member_codec.pack(row)
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError):
        return None


def drop_member(keys: Keys, guild_id: str, generation: int, user_id: str) -> list[Operation]:
    """Return the operations that drop one member."""
    field = member_codec.id_field(user_id)
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
    """Return the operations that delete all data of a guild."""
    gone = [
        *(keys.part(kind, guild_id) for kind in (ROLE, EMOJI, STICKER, VOICE_STATE)),
        *(keys.overlay(kind, guild_id) for kind in OVERLAYS),
        keys.members(guild_id, generation),
        keys.member_index(guild_id, generation),
        keys.meta(guild_id),
    ]
    return [
        forget_channels(keys, CHANNEL, guild_id),
        forget_channels(keys, THREAD, guild_id),
        *(("UNLINK", key) for key in gone),
        ("HDEL", keys.guilds, guild_id),
    ]


def seen(keys: Keys, kind: str, guild_id: str, value: Any, *fields: str, may_return: bool = False) -> Operation:
    """Return the operation that ends the overlay of an object when its event shows the proxy's own change.

    Args:
        keys: of the bot.
        kind: of the overlay.
        guild_id: its guild.
        value: the object in the event, None when it was deleted.
        fields: what the overlay may hold of it.
        may_return: after a deletion the object may come back under its id.
    """
    deleted_for_good = value is None and not may_return
    return ("SEEN", keys.overlay(kind, guild_id), b"" if deleted_for_good else orjson.dumps(value), *fields)


def seen_list(keys: Keys, kind: str, guild_id: str, objects: Iterable[tuple[str, Any]]) -> Operation:
    """Return the operation that does the same for all objects of a kind, when an event contains the whole list."""
    return (
        "SEEN_LIST",
        keys.overlay(kind, guild_id),
        orjson.dumps({each: orjson.dumps(value).decode() for each, value in objects}),
    )


def by_id(objects: Iterable[dict[str, Any]]) -> list[tuple[str, Any]]:
    """Return objects with their ids, leaving out those without one: readers sort by it."""
    return by("id", objects)


def by(name: str, objects: Iterable[Any]) -> list[tuple[str, Any]]:
    """Return objects with the id under `name`, as `by_id`."""
    known = ((id_of(each.get(name)), each) for each in objects if isinstance(each, dict))
    return [(object_id, each) for object_id, each in known if object_id]
