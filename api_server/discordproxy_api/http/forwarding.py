"""Connections of aiohttp's server under a guard: forwards all events, and marks the time of a request."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from discordproxy_api.http.connections import ConnectionLimits, GuardedConnection


class ForwardingConnection(GuardedConnection):
    """Forwards all events to the library's protocol.

    Args:
        inner: that protocol.
        by_transport: where the connection is to be found while it is open.
    """

    def __init__(self, inner: Any, by_transport: "dict[Any, ForwardingConnection]") -> None:
        self._loop = asyncio.get_running_loop()
        super().__init__(self._loop)
        self._inner = inner
        self._by_transport = by_transport
        self._requests = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Forward the beginning."""
        super().connection_made(transport)
        self._by_transport[transport] = self
        self._inner.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forward the end."""
        self._by_transport.pop(self.transport, None)
        self._inner.connection_lost(exc)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Forward what was received."""
        self.active_at = self._loop.time()
        self._inner.data_received(data)

    def eof_received(self) -> Any:
        """Forward the end of what is received."""
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        """Forward that the client reads slowly."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """Forward that it has read."""
        self._inner.resume_writing()

    def count_request(self, change: int, seconds: float | None) -> None:
        """Add to the number of requests in progress, and set the time limit in seconds, None for no limit."""
        self._requests += change
        self.busy = self._requests > 0
        self.active_at = self._loop.time()
        self.deadline_at = float("inf") if seconds is None else self.active_at + seconds


class ForwardingConnections:
    """The open connections of one port.

    Args:
        make: returns the library's protocol of one connection.
        limits: of the port.
    """

    def __init__(self, make: Callable[[], Any], limits: ConnectionLimits) -> None:
        self._make = make
        self._limits = limits
        self._by_transport: dict[Any, ForwardingConnection] = {}

    def new(self) -> ForwardingConnection:
        """Return the protocol of a new connection."""
        return ForwardingConnection(self._make(), self._by_transport)

    @contextlib.contextmanager
    def request(self, transport: Any) -> Iterator[None]:
        """Mark the connection as busy during a request."""
        connection = self._by_transport.get(transport)
        if connection is None:  # already closed
            yield
            return
        connection.count_request(1, self._limits.response_s)
        try:
            yield
        finally:
            connection.count_request(-1, self._limits.next_request_s)
