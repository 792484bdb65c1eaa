"""A place in the event streams, as an opaque text for applications. Pure."""

import base64
import binascii
from dataclasses import dataclass, field
from typing import Any

import orjson


class BadCursorError(ValueError):
    """The text is no cursor of ours."""


@dataclass(frozen=True, slots=True)
class Position:
    """The last entry an application has processed in one stream.

    Attributes:
        epoch: random identity of the stream: after a wiped server an old position is refused, not misread.
        ordinal: number of the entry since the stream began; tells what is missing.
        entry: id of the entry in the stream.
    """

    epoch: str
    ordinal: int
    entry: str


@dataclass(frozen=True, slots=True)
class Cursor:
    """Positions by shard. A shard that is not in it starts with what comes."""

    positions: dict[int, Position] = field(default_factory=dict)

    def __str__(self) -> str:
        places: list[Any] = [[s, p.epoch, p.ordinal, p.entry] for s, p in sorted(self.positions.items())]
        return base64.urlsafe_b64encode(orjson.dumps(places)).decode().rstrip("=")

    def at(self, shard_id: int, position: Position) -> "Cursor":
        """Return the cursor after another entry of a shard."""
        return Cursor({**self.positions, shard_id: position})

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Read a cursor that `str` has written.

        Raises:
            BadCursorError: it was not.
        """
        try:
            places = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            return cls({int(s): Position(_text(epoch), int(n), _entry(entry)) for s, epoch, n, entry in places})
        except (binascii.Error, ValueError, TypeError) as error:
            raise BadCursorError("this is no cursor of this service") from error


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _entry(value: Any) -> str:
    ms, dash, number = _text(value).partition("-")
    if not (dash and ms.isdecimal() and number.isdecimal()):
        raise ValueError
    return f"{int(ms)}-{int(number)}"
