"""One entry of an event stream. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from discordproxy_gateway.events.cursor import Position
from discordproxy_gateway.ids import MAX_ID, number_of

GAP = "GAP"

_MAX_MS = 253_402_300_799_999  # the year 9999
_MAX_SEQUENCE = 2**63 - 1


@dataclass(frozen=True, slots=True)
class StreamEntry:
    """An event of Discord, or a gap.

    Attributes:
        type: Discord's name, or GAP when a session was lost: what happened between the two times is unknown.
        sequence, session: identify repeats; the session is a short public name of Discord's session.
        received_at_ms: when it was stored, in ms since 1970, by the server's clock.
        json: the event's data as Discord sent it, "" for a gap.
        parent_id: of a channel's or thread's own events, the channel or category it lies in.
        gap_from_ms, gap_to_ms: what a gap covers, else 0.
    """

    shard_id: int
    position: Position
    type: str
    sequence: int
    session: str
    guild_id: int
    channel_id: int
    received_at_ms: int
    json: str
    gap_from_ms: int = 0
    gap_to_ms: int = 0
    parent_id: int = 0

    @property
    def is_gap(self) -> bool:
        """Whether this is a gap: a session was lost."""
        return self.type == GAP


def decode(shard_id: int, epoch: str, entry_id: bytes, fields: Mapping[bytes, bytes], *, after: int = 0) -> StreamEntry:
    """Decode an entry of the stream. Malformed fields are left out, so that they do not block later entries.

    `after` is the ordinal of the entry before it.
    """

    def number(name: bytes, maximum: int = MAX_ID) -> int:
        return number_of(fields.get(name), maximum=maximum) or 0

    return StreamEntry(
        shard_id=shard_id,
        position=Position(epoch, number(b"n", _MAX_SEQUENCE) or after + 1, entry_id.decode()),
        type=_text(fields, b"t"),
        sequence=number(b"s", _MAX_SEQUENCE),
        session=_text(fields, b"x"),
        guild_id=number(b"g"),
        channel_id=number(b"c"),
        received_at_ms=number_of(entry_id.partition(b"-")[0], maximum=_MAX_MS) or 0,
        json=_text(fields, b"d"),
        gap_from_ms=number(b"from", _MAX_MS),
        gap_to_ms=number(b"to", _MAX_MS),
        parent_id=number(b"p"),
    )


def decode_all(
    shard_id: int, epoch: str, rows: Iterable[tuple[bytes, Mapping[bytes, bytes]]], *, after: int
) -> list[StreamEntry]:
    """Return the entries of a stream's rows; `after` is the ordinal of the entry before them."""
    entries = []
    for entry_id, fields in rows:
        entries.append(decode(shard_id, epoch, entry_id, fields, after=after))
        after = entries[-1].position.ordinal
    return entries


def _text(fields: Mapping[bytes, bytes], name: bytes) -> str:
    return fields.get(name, b"").decode("utf-8", "replace")
