"""Starts calls in turn, connection by connection: a caller that sends thousands at once delays mostly its own calls.

The event loop would start them in the order of their arrival, and a call behind all of those would wait for seconds.
"""

import asyncio
from collections import deque

AT_ONCE = 4
"""Starts in one turn of the event loop. The turns follow each other at once, so this only bounds their length."""

_Line = deque[asyncio.Future[None]]


class FairStart:
    """Assigns turns; without a crowd each call starts at once.

    Args:
        at_once: in one turn of the event loop.
    """

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._started = 0
        self._next_armed = False
        self._lines: dict[str, _Line] = {}  # by connection; the first one has the next turn

    def turn(self, connection: str) -> asyncio.Future[None] | None:
        """Return a future that is done when the call may start; None if it may start at once."""
        if not self._lines and self._started < self._at_once:
            self._started += 1
            self._arm()
            return None
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(connection, deque()).append(turn)
        self._arm()
        return turn  # if its caller goes away, it is cancelled and passed over

    def _arm(self) -> None:
        if not self._next_armed:
            self._next_armed = True
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        self._next_armed = False
        self._started = 0
        while self._lines and self._started < self._at_once:
            connection = next(iter(self._lines))
            line = self._lines.pop(connection)
            turn = line.popleft()
            if line:
                self._lines[connection] = line  # behind the others
            if not turn.done():
                turn.set_result(None)
                self._started += 1
        if self._started:
            self._arm()
