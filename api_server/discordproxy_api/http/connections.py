"""Limits the number and the idle time of an HTTP port's connections.

The HTTP library has no such limits: idle connections could use up the file descriptors that gRPC, Redis and Discord
need.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

_PAUSE_S = 0.1
_MAX_BACKLOG = 1024
_QUIET_S = 0.2
"""A connection without traffic for this long has no request or response on its way."""


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits of a port.

    Attributes:
        connections: beyond this number, a new connection replaces the oldest idle one.
        first_request_s: for TLS and the head of the first request.
        next_request_s: for the previous response and the head of each further request.
        response_s: from a request to its response; None for no limit.
    """

    connections: int = 100
    first_request_s: float = 10.0
    next_request_s: float = 15.0
    response_s: float | None = 60.0


class _Connection(asyncio.Protocol):
    """Forwards all events to the library's protocol, with a time limit."""

    def __init__(self, inner: Any, first_request_s: float) -> None:
        self._inner = inner
        self.transport: Any = None  # uvloop's transports are not asyncio.Transport
        self.time_limit = asyncio.timeout(first_request_s)
        self.requests = 0
        self.active_at = asyncio.get_running_loop().time()
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)
        self.lost.set()

    def data_received(self, data: bytes) -> None:
        self.active_at = asyncio.get_running_loop().time()
        self._inner.data_received(data)

    def eof_received(self) -> Any:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    @property
    def is_quiet(self) -> bool:
        """Whether no request and no part of a response is on its way."""
        if self.requests or asyncio.get_running_loop().time() - self.active_at < _QUIET_S:
            return False
        return self.transport is None or not self.transport.get_write_buffer_size()

    def extend(self, seconds: float | None) -> None:
        """Set the time limit to `seconds` from now; None for no limit."""
        self.active_at = asyncio.get_running_loop().time()
        if not (self.lost.is_set() or self.time_limit.expired()):
            self.time_limit.reschedule(None if seconds is None else self.active_at + seconds)


class ConnectionGuard:
    """Accepts and limits connections.

    Args:
        make: returns the library's protocol for one connection.
        tls: TLS context; None for plain HTTP.
        shared: whether other processes may listen on the same port.
    """

    def __init__(
        self,
        make: Callable[[], Any],
        *,
        tls: ssl.SSLContext | None = None,
        limits: ConnectionLimits = ConnectionLimits(),
        shared: bool = False,
    ) -> None:
        self._make, self._tls, self._limits, self._shared = make, tls, limits, shared
        self._sockets: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []
        self._open: dict[asyncio.Task[None], _Connection] = {}  # the oldest first
        self._by_transport: dict[Any, _Connection] = {}

    async def open(self, host: str, port: int) -> int:
        """Listen and return the port. Raises OSError if that is not possible."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, address in dict.fromkeys((family, address) for family, _, _, _, address in found):
            where = (address[0], self._port() or port, *address[2:])
            listening = socket.create_server(
                where, family=family, backlog=min(self._limits.connections, _MAX_BACKLOG), reuse_port=self._shared
            )
            listening.settimeout(0)
            self._sockets.append(listening)
        self._accepting = [loop.create_task(self._accept(each)) for each in self._sockets]
        return self._port()

    def _port(self) -> int:
        return int(self._sockets[0].getsockname()[1]) if self._sockets else 0

    @property
    def is_open(self) -> bool:
        """Whether connections are accepted."""
        return any(not task.done() for task in self._accepting)

    async def close(self) -> None:
        """Stop listening. Open connections stay until `drop`."""
        for task in self._accepting:
            task.cancel()
        await asyncio.gather(*self._accepting, return_exceptions=True)
        for listening in self._sockets:
            listening.close()

    async def finish(self) -> None:
        """Wait until each connection has ended after its response; end those without a request on the way."""
        while self._open:
            for task, connection in list(self._open.items()):
                if connection.is_quiet:
                    task.cancel()
            await asyncio.wait(list(self._open), timeout=_QUIET_S / 2)

    async def drop(self) -> None:
        """Abort all connections."""
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @contextlib.contextmanager
    def request(self, transport: Any) -> Iterator[None]:
        """Mark the connection as busy during a request."""
        connection = self._by_transport.get(transport)
        if connection is None:  # already closed
            yield
            return
        connection.requests += 1
        connection.extend(self._limits.response_s)
        try:
            yield
        finally:
            connection.requests -= 1
            connection.extend(self._limits.next_request_s)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _address = await loop.sock_accept(listening)
            except OSError:  # the client has disconnected, or no descriptors are left
                await asyncio.sleep(_PAUSE_S)
                continue
            if not self._make_room():
                accepted.close()
                continue
            connection = _Connection(self._make(), self._limits.first_request_s)
            task = loop.create_task(self._serve(accepted, connection))
            self._open[task] = connection
            task.add_done_callback(partial(self._on_done, accepted))  # it may be cancelled before it starts

    def _on_done(self, accepted: socket.socket, task: asyncio.Task[None]) -> None:
        self._open.pop(task, None)
        accepted.close()

    def _make_room(self) -> bool:
        if len(self._open) < self._limits.connections:
            return True
        idle = next((task for task, connection in self._open.items() if connection.is_quiet), None) or next(
            (task for task, connection in self._open.items() if not connection.requests), None
        )
        if idle is None:
            return False
        self._open.pop(idle)
        idle.cancel()
        return True

    async def _serve(self, accepted: socket.socket, connection: _Connection) -> None:
        accepted.settimeout(0)
        loop = asyncio.get_running_loop()
        try:
            async with connection.time_limit:
                await loop.connect_accepted_socket(lambda: connection, accepted, ssl=self._tls)
                self._by_transport[connection.transport] = connection
                await connection.lost.wait()
        except (OSError, TimeoutError):  # a failed handshake is an OSError
            return
        finally:
            self._by_transport.pop(connection.transport, None)
            if connection.transport is not None:
                connection.transport.abort()
