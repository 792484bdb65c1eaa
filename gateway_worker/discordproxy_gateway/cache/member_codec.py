"""Compact encoding of guild members. Pure.

A value is a first byte (layout, and the bits `deaf` and `mute`, which scripts change) and a MessagePack array. Ids are
integers, times are microseconds, image hashes are raw bytes. Text that does not fit its form exactly is kept, so
unpacking restores Discord's JSON. Absent fields at the end are omitted. A value contains the fields of the contract's
GuildMember and User; the field of the hash is the user id.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgpack  # type: ignore[import-untyped] # the package ships no types

LAYOUT, _LAYOUT_MASK = 1, 0x0F
DEAF, MUTE = 0x10, 0x20
"""Bits of the first byte beside the layout."""

_BOT, _SYSTEM, _PENDING = 1, 2, 16
"""Bits of the fourth value."""

_LENGTH = 19
"""Number of values in the array of `pack`."""

_HASH = re.compile(r"(a_)?([0-9a-f]{32})")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_packb = msgpack.Packer(use_bin_type=True).pack


def id_field(user_id: int | str) -> bytes:
    """Return the field of a user in the members' hash: eight bytes whose order is that of the ids."""
    return int(user_id).to_bytes(8, "big")


def user_id_of(field: bytes) -> int:
    """Return the user id of a field."""
    return int.from_bytes(field, "big")


def voice_bits(source: dict[str, Any]) -> tuple[int, int]:
    """Return the bits of a member's or a voice state's `deaf` and `mute`, and the bits of those that it has.

    GUILD_MEMBER_UPDATE has neither (discord-api-docs#7125), and VOICE_STATE_UPDATE reports their changes.
    """
    given = {bit: source.get(name) for name, bit in (("deaf", DEAF), ("mute", MUTE)) if source.get(name) is not None}
    return sum(bit for bit, value in given.items() if value), sum(given)


def pack(member: dict[str, Any]) -> bytes:
    """Return the value of a member given as Discord's JSON, user included."""
    user = member["user"]
    bits = 0
    if user.get("bot"):
        bits |= _BOT
    if user.get("system"):
        bits |= _SYSTEM
    if member.get("pending"):
        bits |= _PENDING
    discriminator = user.get("discriminator")
    values = [
        user.get("username"),
        [int(role) for role in member.get("roles") or ()],
        _packed_time(member.get("joined_at")),
        bits or None,
        user.get("global_name"),
        member.get("nick"),
        _packed_hash(user.get("avatar")),
        member.get("flags") or None,
        user.get("public_flags") or None,
        None if discriminator == "0" else discriminator,
        _packed_time(member.get("premium_since")),
        _packed_hash(member.get("avatar")),
        _packed_time(member.get("communication_disabled_until")),
        _packed_hash(member.get("banner")),
        _packed_hash(user.get("banner")),
        user.get("accent_color"),
        _packed_decoration(user.get("avatar_decoration_data")),
        _packed_decoration(member.get("avatar_decoration_data")),
        _packed_guild(user.get("primary_guild")),
    ]
    while values and values[-1] is None:
        values.pop()
    packed: bytes = _packb(values)
    return bytes((LAYOUT | voice_bits(member)[0],)) + packed


def unpack(user_id: int, value: bytes) -> dict[str, Any]:
    """Return a member as Discord's JSON.

    Raises:
        ValueError: written by a release with another layout.
    """
    if not value or value[0] & _LAYOUT_MASK != LAYOUT:
        raise ValueError(f"member written in layout {value[:1].hex()}, this release reads {LAYOUT:02x}")
    fields = msgpack.unpackb(memoryview(value)[1:])
    fields += [None] * (_LENGTH - len(fields))
    bits = fields[3] or 0
    user = {
        "id": str(user_id),
        "username": fields[0],
        "global_name": fields[4],
        "discriminator": fields[9] or "0",
        "avatar": _hash(fields[6]),
        "bot": bool(bits & _BOT),
        "system": bool(bits & _SYSTEM),
        "public_flags": fields[8] or 0,
        "banner": _hash(fields[14]),
        "accent_color": fields[15],
        "avatar_decoration_data": _decoration(fields[16]),
        "primary_guild": _guild(fields[18]),
    }
    return {
        "user": user,
        "nick": fields[5],
        "roles": [str(role) for role in fields[1]],
        "joined_at": _time(fields[2]),
        "premium_since": _time(fields[10]),
        "deaf": bool(value[0] & DEAF),
        "mute": bool(value[0] & MUTE),
        "pending": bool(bits & _PENDING),
        "flags": fields[7] or 0,
        "avatar": _hash(fields[11]),
        "banner": _hash(fields[13]),
        "communication_disabled_until": _time(fields[12]),
        "avatar_decoration_data": _decoration(fields[17]),
    }


def names(value: bytes) -> tuple[str, ...]:
    """Return user name, display name and nickname of a packed member, those that are set."""
    fields = msgpack.unpackb(memoryview(value)[1:])
    return tuple(fields[place] for place in (0, 4, 5) if place < len(fields) and fields[place])


def _packed_time(text: str | None) -> int | str | None:
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return text
    if text[-6:] != "+00:00" or time.isoformat() != text:  # other ways to write the same instant stay text
        return text
    since = time - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _time(packed: int | str | None) -> str | None:
    if isinstance(packed, int):
        return (_EPOCH + timedelta(microseconds=packed)).isoformat()
    return packed


def _packed_hash(text: str | None) -> bytes | str | None:
    found = _HASH.fullmatch(text) if text else None
    if found is None:
        return text or None
    return (b"a" if found[1] else b"") + bytes.fromhex(found[2])


def _hash(packed: bytes | str | None) -> str | None:
    if isinstance(packed, bytes):
        return f"{'a_' if len(packed) > 16 else ''}{packed[-16:].hex()}"  # noqa: PLR2004 - an MD5 has 16 bytes
    return packed


def _packed_decoration(decoration: dict[str, Any] | None) -> list[Any] | None:
    return [decoration.get("asset"), decoration.get("sku_id")] if decoration else None


def _decoration(packed: list[Any] | None) -> dict[str, Any] | None:
    return {"asset": packed[0], "sku_id": packed[1]} if packed else None


_GUILD_FIELDS = ("identity_guild_id", "identity_enabled", "tag", "badge")


def _packed_guild(guild: dict[str, Any] | None) -> list[Any] | None:
    return [guild.get(name) for name in _GUILD_FIELDS] if guild else None


def _guild(packed: list[Any] | None) -> dict[str, Any] | None:
    return dict(zip(_GUILD_FIELDS, packed, strict=True)) if packed else None
