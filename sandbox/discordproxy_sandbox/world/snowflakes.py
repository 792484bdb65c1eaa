"""Ids and times in Discord's notation: snowflakes as decimal strings, ISO 8601 in UTC."""

from collections.abc import Callable
from datetime import UTC, datetime

EPOCH_S = 1_420_070_400.0
_WORKER = 1 << 17


class Snowflakes:
    """Generates strictly growing ids; the clock returns epoch seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last = 0

    def next(self) -> str:
        """Return a new id with the current time."""
        self._last = max(snowflake_at(self._clock()), self._last + 1)
        return str(self._last)


def snowflake_at(epoch_s: float) -> int:
    """Return the smallest id that the sandbox generates at an instant."""
    return (int((epoch_s - EPOCH_S) * 1000) << 22) + _WORKER


def created_at(snowflake: str) -> float:
    """Return the creation time of an id in epoch seconds."""
    return (int(snowflake) >> 22) / 1000 + EPOCH_S


def iso(epoch_s: float) -> str:
    """Return an instant in Discord's notation, with microseconds and +00:00."""
    return datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="microseconds")
