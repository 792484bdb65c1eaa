"""In which order calls begin: while a crowd arrives it is only taken in, and then each connection has its turn.

gRPC hands calls over one by one, and whoever is behind thousands waits until all of those are taken in. That takes a
few turns of the event loop each, which are the longer the more calls have begun. So in a crowd hardly any call begins
before all are here; an honest one among them then has the next turn, as its connection has not waited before.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from grpc import StatusCode

from discordproxy_api.call import CURRENT
from discordproxy_api.drain import Drain
from discordproxy_api.interceptors import SERVICE, Kind, Layer
from discordproxy_api.metrics import Metrics

QUIET = 12
"""Turns of the loop without a new call after which no more are expected; to hand one over takes gRPC four of them."""

COMPANY = 16
"""Of a crowd that goes on arriving, one call begins for so many that have come."""

_Lines = dict[str, deque[asyncio.Future[None]]]  # by connection; the first one has the next turn


class Beginnings:
    """Gives turns; a call that comes alone has its turn at once."""

    def __init__(self) -> None:
        self._arrived = 0
        self._quiet = QUIET
        self._armed = False
        self._newcomers: _Lines = {}
        self._others: _Lines = {}
        self._newcomer_next = True

    async def turn(self, connection: str) -> None:
        """Return when the call may begin."""
        alone = self._quiet >= QUIET and not self._waiting
        self._arrived, self._quiet = self._arrived + 1, 0
        self._arm()
        if alone:
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        lines = self._others if connection in self._others else self._newcomers
        lines.setdefault(connection, deque()).append(turn)
        await turn  # a caller that goes away leaves a cancelled one behind, which is passed over

    @property
    def _waiting(self) -> bool:
        return bool(self._newcomers or self._others)

    def _arm(self) -> None:
        if not self._armed:
            self._armed = True
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        """Look what has come since the last turn of the event loop."""
        self._armed = False
        self._quiet += 1
        if self._quiet >= QUIET or self._arrived >= COMPANY:
            self._arrived = 0
            self._give()
        if self._waiting or self._quiet < QUIET:
            self._arm()

    def _give(self) -> None:
        """Let one call begin: alternately of a connection that has had no turn yet and of the others."""
        while self._waiting:
            lines = self._newcomers if self._newcomers and (self._newcomer_next or not self._others) else self._others
            connection = next(iter(lines))
            line = lines.pop(connection)
            turn = line.popleft()
            if line:
                self._others[connection] = line
            if not turn.done():
                self._newcomer_next = lines is self._others
                turn.set_result(None)
                return


class InTurn(Layer):
    """Lets a call begin when it is its turn. One of a crowd that goes away before leaves no line in the log."""

    def __init__(self, drain: Drain, metrics: Metrics) -> None:
        super().__init__()
        self._drain = drain
        self._metrics = metrics
        self._beginnings = Beginnings()

    @asynccontextmanager
    async def around(self, kind: Kind, context: Any) -> AsyncIterator[None]:
        """Serve one call; see `Layer.around`."""
        if kind.method.startswith(SERVICE):
            try:
                with self._drain.serving():
                    await self._beginnings.turn(context.peer())
            except asyncio.CancelledError:
                self._metrics.calls.labels(CURRENT.get().rpc, StatusCode.CANCELLED.name).inc()
                raise
        yield
