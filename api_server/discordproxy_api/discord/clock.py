"""Discord's time, with which the ages of messages and the ends of time-outs are computed."""

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime


class DiscordClock:
    """Discord's time by its last response; this machine's before the first one.

    Args:
        wall_clock: Unix time in seconds, which may be wrong.
        steady: seconds that never jump.
    """

    def __init__(
        self, wall_clock: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._wall_clock = wall_clock
        self._steady = steady
        self._ahead_s: float | None = None
        self._date: str | None = None

    def observe(self, date: str | None) -> None:
        """Adjust to the header `Date` of a response that has just arrived; an unreadable one is ignored.

        A date is read once: it changes every second, and the first response with it is the most exact one.
        """
        if date == self._date:
            return
        self._date = date
        try:
            at = parsedate_to_datetime(date or "").timestamp()
        except (ValueError, OverflowError):
            return
        self._ahead_s = at - self._steady()

    def now_ms(self) -> int:
        """Return milliseconds since 1970; up to a second and half a round trip late."""
        return int((self._wall_clock() if self._ahead_s is None else self._steady() + self._ahead_s) * 1000)
