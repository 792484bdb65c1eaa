"""Connections to one server, bounded: whoever finds none free waits for one instead of opening another or failing.

With TLS the certificates are read once for all of them.
"""

import asyncio
from typing import Any

from redis.asyncio import ConnectionPool, SSLConnection
from redis.exceptions import ConnectionError as RedisConnectionError

from discordproxy_ratelimit.redis.connections import adapted

MAX_CONNECTIONS = 64
"""One carries some 10,000 commands a second, and all workers together must stay below the server's `maxclients`."""

UNBOUNDED = 2**31
"""As `max_connections` of the library, whose own bound raises an error instead of waiting."""


class RedisCertificates:
    """What all connections of one client trust, read when the first one is opened.

    Reading the system's certificates takes tens of milliseconds in which nothing else runs. The library does it for
    every connection anew: a worker that opens some dozens at once would stand still for seconds.
    """

    def __init__(self) -> None:
        self._context: Any = None

    def share(self, connection: Any) -> Any:
        """Return a new connection that uses what the first one reads; one without TLS stays as it is."""
        if isinstance(connection, SSLConnection):
            self._context = self._context or connection.ssl_context
            connection.ssl_context = self._context
        return connection


class BoundedPool(ConnectionPool):
    """A pool like the library's blocking one, but a cancelled command cannot take a place with it.

    It gives and takes connections itself: the library's way feeds telemetry that nobody here asks for.

    Args:
        max_connections: in use at once.
        wait_s: longest wait for one of them; then the command fails as without a server.
    """

    def __init__(self, *, max_connections: int = MAX_CONNECTIONS, wait_s: float = 1.0, **options: Any) -> None:
        super().__init__(max_connections=UNBOUNDED, **options)
        self.connection_class = adapted(self.connection_class)
        self._room = asyncio.Semaphore(max_connections)
        self._wait_s = wait_s
        self._certificates = RedisCertificates()

    def make_connection(self) -> Any:
        """Return a new connection, not yet opened."""
        return self._certificates.share(super().make_connection())  # type: ignore[no-untyped-call]

    async def get_connection(self, *_command: Any, **_options: Any) -> Any:
        """Return a connection, opened; raises RedisConnectionError when none becomes free in time."""
        await self._enter()
        try:
            connection: Any = self.get_available_connection()  # type: ignore[no-untyped-call]
        except BaseException:
            self._room.release()
            raise
        try:
            await self.ensure_connection(connection)
        except BaseException:
            await self.release(connection)
            raise
        return connection

    async def release(self, connection: Any) -> None:
        """Take a connection back."""
        self._in_use_connections.remove(connection)  # raises if it was not taken here, or has been given back
        try:
            if connection.should_reconnect():
                await connection.disconnect()
            self._available_connections.append(connection)
        finally:
            self._room.release()

    async def _enter(self) -> None:
        if not self._room.locked():
            await self._room.acquire()
            return
        try:
            async with asyncio.timeout(self._wait_s):
                await self._room.acquire()
        except TimeoutError:
            raise RedisConnectionError("No connection became free in time") from None
