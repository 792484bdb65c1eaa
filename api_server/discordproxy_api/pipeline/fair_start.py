"""Lets calls begin in turn, connection by connection: who begins thousands at once delays mostly its own calls.

The event loop would take them in the order of their arrival, and a call behind all of those waits for seconds.
"""

import asyncio
from collections import deque

AT_ONCE = 4
"""Beginnings in one turn of the loop. Turns follow each other at once, so this bounds how long one takes, not more."""

_Line = deque[asyncio.Future[None]]


class FairStart:
    """Gives turns; without a crowd each call has its turn at once.

    Args:
        at_once: in one turn of the event loop.
    """

    def __init__(self, at_once: int = AT_ONCE) -> None:
        self._at_once = at_once
        self._begun = 0
        self._next_armed = False
        self._lines: dict[str, _Line] = {}  # by connection; the first one has the next turn

    async def turn(self, connection: str) -> None:
        """Return when the call may begin."""
        if not self._lines and self._begun < self._at_once:
            self._begun += 1
            self._arm()
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(connection, deque()).append(turn)
        self._arm()
        await turn  # a caller that goes away leaves a cancelled one behind, which is passed over

    def _arm(self) -> None:
        if not self._next_armed:
            self._next_armed = True
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        self._next_armed = False
        self._begun = 0
        while self._lines and self._begun < self._at_once:
            connection = next(iter(self._lines))
            line = self._lines.pop(connection)
            turn = line.popleft()
            if line:
                self._lines[connection] = line  # behind the others
            if not turn.done():
                turn.set_result(None)
                self._begun += 1
        if self._begun:
            self._arm()
