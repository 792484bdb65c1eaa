"""A pool of connections to one origin: keeps idle ones, bounds their number, queues requests for them."""

import asyncio
import contextlib
import re
from collections import deque
from collections.abc import Awaitable, Callable

from discordproxy_api.discord.http1.connection import Connection
from discordproxy_api.discord.http1.response import NoAnswerError

IDLE_S = 15.0
"""Lifetime of an idle connection, unless the server announces less; servers and balancers keep them longer."""

IDLE_MARGIN_S = 1.0
"""A connection is closed this much earlier than the server announces, so that no request meets its end."""

KEEP_ALIVE_TIMEOUT = re.compile(r"timeout\s*=\s*(\d{1,9})", re.IGNORECASE)


class ConnectionPool:
    """Connections to one origin. `idle` or `acquire` takes one for a request; `release` gives it back.

    Args:
        connect: opens a connection; raises `NoAnswerError`.
        max_connections: connections at a time; further requests wait for one.
    """

    def __init__(self, connect: Callable[[], Awaitable[Connection]], max_connections: int) -> None:
        self._connect = connect
        self._loop: asyncio.AbstractEventLoop
        self._idle: deque[Connection] = deque()  # the most recently used one is last
        self._all: set[Connection] = set()
        self._slots = max_connections
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._sweep_timer: asyncio.TimerHandle | None = None
        self._closed = False

    def open(self) -> None:
        """Use the running loop."""
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """Close all connections; requests under way and waiting ones fail."""
        self._closed = True
        if self._sweep_timer is not None:
            self._sweep_timer.cancel()
        for connection in list(self._all):
            connection.fail(NoAnswerError("the client is closed"))
        while self._pass_on(None):  # they find the pool closed
            pass

    def idle(self) -> Connection | None:
        """Take the most recently used idle connection that is still open."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            if connection.idle_until > self._loop.time() and connection.is_alive():
                return connection
            self._discard(connection)
        return None

    async def acquire(self, deadline: float) -> Connection:
        """Open a connection, or wait for one if there are too many.

        Raises:
            NoAnswerError: there is none by `deadline`.
        """
        try:
            async with asyncio.timeout_at(deadline):
                if self._slots > 0:
                    self._slots -= 1
                elif (connection := await self._wait()) is not None:
                    if connection.is_alive():
                        return connection
                    self._all.discard(connection)  # its slot is ours
                    connection.transport.abort()
                return await self._open()
        except TimeoutError:
            raise NoAnswerError("no connection in time") from None

    def release(self, connection: Connection) -> None:
        """Give back a connection: it is passed on to the first waiting request, kept, or closed."""
        if not connection.reusable or self._closed:
            self._discard(connection)
            return
        if self._waiting and self._pass_on(connection):
            return
        idle_s, announced = IDLE_S, connection.keep_alive
        if announced and (timeout := KEEP_ALIVE_TIMEOUT.search(announced)):
            idle_s = min(IDLE_S, int(timeout[1]) - IDLE_MARGIN_S)
        connection.idle_until = self._loop.time() + idle_s
        self._idle.append(connection)
        if self._sweep_timer is None:
            self._sweep_timer = self._loop.call_later(IDLE_S, self._sweep)

    async def _wait(self) -> Connection | None:
        """Wait for a connection, or for the slot of a closed one."""
        waiter: asyncio.Future[Connection | None] = self._loop.create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                with contextlib.suppress(ValueError):  # passed over already
                    self._waiting.remove(waiter)
            elif (connection := waiter.result()) is not None:
                self.release(connection)
            else:
                self._free_slot()
            raise

    async def _open(self) -> Connection:
        try:
            if self._closed:
                raise NoAnswerError("the client is closed")  # noqa: TRY301 - the slot is freed below
            connection = await self._connect()
        except BaseException:
            self._free_slot()
            raise
        self._all.add(connection)
        if self._closed or connection.transport.is_closing():
            self._discard(connection)
            raise NoAnswerError("connection closed")
        return connection

    def _discard(self, connection: Connection) -> None:
        connection.transport.abort()
        self._all.discard(connection)
        self._free_slot()

    def _free_slot(self) -> None:
        if not self._pass_on(None):
            self._slots += 1

    def _pass_on(self, connection: Connection | None) -> bool:
        """Pass a connection, or the slot for one, to the request that waits longest; return whether one waits."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return True
        return False

    def _sweep(self) -> None:
        """Close the idle connections that have expired or ended."""
        now = self._loop.time()
        idle, self._idle = self._idle, deque()
        for connection in idle:
            if connection.idle_until > now and connection.is_alive():
                self._idle.append(connection)
            else:
                self._discard(connection)
        self._sweep_timer = self._loop.call_later(IDLE_S, self._sweep) if self._idle else None
