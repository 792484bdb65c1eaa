"""One entry of an event stream. Pure."""

from dataclasses import dataclass
from typing import Any

from discordproxy_gateway.events.cursor import Position

GAP = "GAP"


@dataclass(frozen=True, slots=True)
class Entry:
    """An event of Discord, or word of a gap.

    Attributes:
        type: Discord's name, or GAP when a session was lost: what happened between the two times is unknown.
        sequence, session: tell repeats apart; the session is a short public name of Discord's session.
        received_at_ms: when it was stored, in ms since 1970, by the server's clock.
        json: the event's data as Discord sent it, b"" for a gap.
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
    json: bytes
    gap_from_ms: int = 0
    gap_to_ms: int = 0

    @property
    def is_gap(self) -> bool:
        """Tell whether this is word of a lost session."""
        return self.type == GAP


def decode(shard_id: int, epoch: str, entry_id: bytes, fields: dict[bytes, bytes]) -> Entry:
    """Return what an entry of the stream says."""
    number = _number(fields)
    return Entry(
        shard_id=shard_id,
        position=Position(epoch, number(b"n"), entry_id.decode()),
        type=fields[b"t"].decode(),
        sequence=number(b"s"),
        session=fields.get(b"x", b"").decode(),
        guild_id=number(b"g"),
        channel_id=number(b"c"),
        received_at_ms=int(entry_id.partition(b"-")[0]),
        json=fields.get(b"d", b""),
        gap_from_ms=number(b"from"),
        gap_to_ms=number(b"to"),
    )


def _number(fields: dict[bytes, bytes]) -> Any:
    return lambda name: int(fields.get(name, b"0"))
