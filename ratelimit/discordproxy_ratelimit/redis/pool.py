"""A bounded pool of connections to one server: a command waits for a free connection.

Certificates for TLS are read once for all connections.
"""

import asyncio
from typing import Any

from redis.asyncio import ConnectionPool, SSLConnection
from redis.exceptions import ConnectionError as RedisConnectionError

from discordproxy_ratelimit.redis.connections import adapted

MAX_CONNECTIONS = 64
"""A connection can transfer 10,000 commands a second; all workers must stay below the server's `maxclients`."""

UNBOUNDED = 2**31
"""As `max_connections` of the library, whose own bound raises an error instead of waiting."""


class RedisCertificates:
    """The certificates of all connections of one client, read when the first one is opened.

    Reading the system's certificates blocks the process for tens of milliseconds. The library does it for each
    connection: a worker that opens dozens at once would be blocked for seconds.
    """

    def __init__(self) -> None:
        self._context: Any = None

    def share(self, connection: Any) -> Any:
        """Return a new connection with the certificates of the first one; one without TLS is unchanged."""
        if isinstance(connection, SSLConnection):
            self._context = self._context or connection.ssl_context
            connection.ssl_context = self._context
        return connection


class BoundedPool(ConnectionPool):
    """A pool like the library's blocking one, except that a cancelled command does not occupy a connection forever.

    It also skips the library's telemetry.

    Args:
        max_connections: in use at once.
        wait_s: maximum wait for one of them; then the command fails as without a server.
    """

    def __init__(self, *, max_connections: int = MAX_CONNECTIONS, wait_s: float = 1.0, **options: Any) -> None:
        super().__init__(max_connections=UNBOUNDED, **options)
        self.connection_class = adapted(self.connection_class)
        self._room = asyncio.Semaphore(max_connections)
        self._wait_s = wait_s
        self._certificates = RedisCertificates()

    def make_connection(self) -> Any:
        """Return a new connection that is not open."""
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
        """Return a connection to the pool."""
        self._in_use_connections.remove(connection)  # raises if it is not in use
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
