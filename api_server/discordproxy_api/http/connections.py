"""Limits the number and the idle time of an HTTP port's connections.

Idle connections could use up the file descriptors that gRPC, Redis and Discord need.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

_PAUSE_S = 0.1
_MAX_BACKLOG = 1024
_MAPPED = "::ffff:"
"""Begin of an IPv4 address as an IPv6 socket shows it."""

_QUIET_S = 0.2
"""A connection without traffic for this long has no request or response on its way."""

SWEEP_S = 1.0
"""Time limits are checked once in this time, for all connections together: a timer for each request costs more."""


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


class GuardedConnection(asyncio.Protocol):
    """A connection as its guard sees it.

    Attributes:
        transport: None before the connection is made.
        busy: whether a request is being served.
        active_at: loop time of the last traffic.
        deadline_at: loop time at which `expire` is called, infinite for never.
        lost: done once the connection has ended.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.transport: Any = None  # uvloop's transports are not asyncio.Transport
        self.busy = False
        self.active_at = loop.time()
        self.deadline_at = float("inf")
        self.lost: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - an argument of asyncio
        """Record the end."""
        if not self.lost.done():
            self.lost.set_result(None)

    def expire(self) -> None:
        """End the connection, since its time is up."""
        self.transport.abort()

    def is_quiet(self, now: float) -> bool:
        """Return whether no request and no part of a response is on its way at loop time `now`."""
        if self.busy or now - self.active_at < _QUIET_S:
            return False
        return self.transport is None or not self.transport.get_write_buffer_size()


def peer_of(transport: asyncio.BaseTransport) -> str:
    """Return the address of a client in gRPC's form, "" if it has none."""
    name = transport.get_extra_info("peername")
    if not isinstance(name, tuple):
        return ""
    host, port = name[:2]
    host = host.removeprefix(_MAPPED)
    return f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"


class ConnectionGuard:
    """Accepts and limits connections.

    Args:
        make: returns the protocol of one connection.
        tls: TLS context; None for plain HTTP.
        shared: whether other processes may listen on the same port.
    """

    def __init__(
        self,
        make: Callable[[], GuardedConnection],
        *,
        tls: ssl.SSLContext | None = None,
        limits: ConnectionLimits = ConnectionLimits(),
        shared: bool = False,
    ) -> None:
        self._make, self._tls, self._limits, self._shared = make, tls, limits, shared
        self._sockets: list[socket.socket] = []
        self._accepting: list[asyncio.Task[None]] = []
        self._open: dict[asyncio.Task[None], GuardedConnection] = {}  # the oldest first
        self._sweep_timer: asyncio.TimerHandle | None = None

    async def open(self, host: str, port: int) -> int:
        """Listen and return the port. Raises OSError if that is not possible."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, address in dict.fromkeys((family, address) for family, _, _, _, address in found):
            where = (address[0], self._port() or port, *address[2:])
            listening = socket.create_server(
                where,
                family=family,
                backlog=min(self._limits.connections, _MAX_BACKLOG),
                reuse_port=self._shared,
                dualstack_ipv6=address[0] == "::" and socket.has_dualstack_ipv6(),  # as gRPC's port
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
            now = asyncio.get_running_loop().time()
            for task, connection in list(self._open.items()):
                if connection.is_quiet(now):
                    task.cancel()
            await asyncio.wait(list(self._open), timeout=_QUIET_S / 2)

    async def drop(self) -> None:
        """Abort all connections."""
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

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
            connection = self._make()
            connection.deadline_at = connection.active_at + self._limits.first_request_s
            task = loop.create_task(self._hold(accepted, connection))
            self._open[task] = connection
            task.add_done_callback(partial(self._on_done, accepted))  # it may be cancelled before it starts
            if self._sweep_timer is None:
                self._sweep_timer = loop.call_later(SWEEP_S, self._sweep)

    def _on_done(self, accepted: socket.socket, task: asyncio.Task[None]) -> None:
        self._open.pop(task, None)
        accepted.close()

    def _make_room(self) -> bool:
        if len(self._open) < self._limits.connections:
            return True
        now = asyncio.get_running_loop().time()
        idle = next((task for task, connection in self._open.items() if connection.is_quiet(now)), None) or next(
            (task for task, connection in self._open.items() if not connection.busy), None
        )
        if idle is None:
            return False
        self._open.pop(idle)
        idle.cancel()
        return True

    async def _hold(self, accepted: socket.socket, connection: GuardedConnection) -> None:
        """Keep a connection until it ends or this task is cancelled."""
        accepted.settimeout(0)
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(lambda: connection, accepted, ssl=self._tls)
            await connection.lost
        except OSError:  # a failed handshake is one
            return
        finally:
            if connection.transport is not None:
                connection.transport.abort()

    def _sweep(self) -> None:
        """End the connections whose time is up."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for task, connection in list(self._open.items()):
            if connection.deadline_at <= now:
                if connection.transport is None:  # no TLS yet
                    task.cancel()
                else:
                    connection.expire()
        self._sweep_timer = loop.call_later(SWEEP_S, self._sweep) if self._open else None
