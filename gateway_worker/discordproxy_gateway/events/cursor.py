"""Cursors: positions in the event streams, opaque to applications. Pure."""

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from discordproxy_gateway.ids import number_of

MAX_CURSOR_LENGTH = 2_000_000
"""Characters of a cursor; with the most shards there can be, in two eras, it has fewer."""

_MAX_INT64 = 2**63 - 1
_START = "0-0"
_EPOCH = re.compile(r"[0-9A-Za-z]{0,64}")


class BadCursorError(ValueError):
    """The text is no cursor of this service."""


class Place(NamedTuple):
    """A stream: in which era, of which shard. See `Keys.eras`."""

    era: int
    shard_id: int


@dataclass(frozen=True, slots=True)
class Position:
    """The last entry an application has processed in one stream.

    Attributes:
        epoch: random identity of the stream: after a wiped server an old position is refused, not misread.
        ordinal: number of the entry since the stream began; shows what is missing.
        entry: id of the entry in the stream.
    """

    epoch: str
    ordinal: int
    entry: str

    def was_stored_after(self, other: "Position") -> bool:
        """Whether its entry was stored later, whatever the ordinals: a restored stream gives them a second time."""
        return _time_of(self.entry) > _time_of(other.entry)


BEGINNING = Position("", 0, _START)
"""Before the first entry of a stream that may not have begun yet."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Positions by stream.

    A stream of its newest era that is not in it, or of a later era, had not begun: nothing of it has been processed.
    One of an earlier era has been processed completely.
    """

    positions: dict[Place, Position] = field(default_factory=dict)

    def __str__(self) -> str:
        places: list[Any] = [[*s, p.epoch, p.ordinal, p.entry] for s, p in sorted(self.positions.items())]
        return base64.urlsafe_b64encode(orjson.dumps(places)).decode().rstrip("=")

    @property
    def era(self) -> int:
        """The newest era in it."""
        return max((place.era for place in self.positions), default=0)

    @property
    def read_until_ms(self) -> int:
        """Time until which all events have been processed, in ms since 1970."""
        return min((int(position.entry.partition("-")[0]) for position in self.positions.values()), default=0)

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Read a cursor that `str` has written.

        Raises:
            BadCursorError: it was not.
        """
        if len(text) > MAX_CURSOR_LENGTH:
            raise BadCursorError("this is no cursor of this service: it is too long")
        try:
            places = orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True))
            positions = {
                Place(_whole(era), _whole(shard_id)): Position(_epoch(epoch), _whole(ordinal), _entry(entry))
                for era, shard_id, epoch, ordinal, entry in places
            }
        except (binascii.Error, ValueError, TypeError) as error:
            raise BadCursorError("this is no cursor of this service") from error
        odd = any(not position.epoch and position != BEGINNING for position in positions.values())
        if odd or any(not place.era for place in positions) or not positions:
            raise BadCursorError("this is no cursor of this service: it has no position")
        return cls(positions)


def _time_of(entry: str) -> tuple[int, int]:
    ms, _, number = entry.partition("-")
    return int(ms), int(number)


def _whole(value: Any) -> int:
    number = number_of(value, maximum=_MAX_INT64) if isinstance(value, int) else None
    if number is None:
        raise ValueError
    return number


def _epoch(value: Any) -> str:
    if not isinstance(value, str) or not _EPOCH.fullmatch(value):
        raise ValueError
    return value


def _entry(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    ms, _, number = value.partition("-")
    parts = [number_of(part, maximum=_MAX_INT64) for part in (ms, number)]
    if None in parts:
        raise ValueError
    return f"{parts[0]}-{parts[1]}"
