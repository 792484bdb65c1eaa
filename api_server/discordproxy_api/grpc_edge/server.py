"""One worker's gRPC server: port, handlers, health, and the orderly end."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc

from discordproxy_api.bind_policy import PortTakenError
from discordproxy_api.calls.drain import Drain
from discordproxy_api.status.health import Health

log = logging.getLogger("discordproxy_api")

MOST_PENDING = 20_000
"""Calls that have arrived and that the event loop has not looked at yet; gRPC drops others, whoever they are from."""


CALLS_PER_CONNECTION = 2_000
"""gRPC's default is no bound at all, and calls that are only begun cost time, too. A client keeps the others back."""

IDENTITY_AND_GZIP = 0b101
"""gRPC's numbers of the compressions that are taken. Deflate data cannot be told from an uncompressed message; its
callers get UNIMPLEMENTED: Compression algorithm 'deflate' is disabled."""

HANDSHAKE_MS = 20_000
"""How long a new connection may take to speak TLS and HTTP/2; gRPC gives it two minutes."""


SETTLE_S, GOODBYE_S, WRITE_S = 0.15, 0.15, 0.1
"""A stopping gRPC server drops what it has received but not handed over, as a bare CANCELLED. So it first takes all
that has arrived, then tells the connections to go away, and only then sends waiting calls back: before that they would
return on the same connections and be dropped. Answers are held back meanwhile, for the same reason: who gets one sends
the next call. A call that comes between may be kept and never handed over, so the end is when our own calls have been
served and their answers written, not when gRPC says so."""


FASTEST_PINGS_MS = 10_000
"""Callers and balancers may ping this often; who pings faster is sent away by gRPC."""


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How to listen.

    Attributes:
        max_message_bytes: largest request that is received.
        max_connections: connections held at once.
        drain_timeout_s: from the signal to the end, the lame duck included.
        lame_duck_s: how long calls are still taken after health says NOT_SERVING.
        keepalive_s: how long a connection may be silent before its other end is asked for a sign of life; 0: never.
        connection_age_s: after which callers are asked to connect anew; 0: never.
        credentials: for TLS; None listens in plain text.
    """

    host: str
    port: int
    max_message_bytes: int = 32 * 1024 * 1024
    max_connections: int = 10_000
    drain_timeout_s: float = 30.0
    lame_duck_s: float = 0.0
    keepalive_s: float = 60.0
    connection_age_s: float = 0.0
    credentials: grpc.ServerCredentials | None = field(default=None, repr=False)


class Server:
    """A gRPC server that shares its port with other workers and ends without losing a call.

    Args:
        handlers: of all services.
    """

    def __init__(
        self,
        options: ServerOptions,
        *,
        handlers: Sequence[grpc.GenericRpcHandler],
        health: Health,
        drain: Drain,
    ) -> None:
        self._options = options
        self._health = health
        self._drain = drain
        self._server = grpc.aio.server(
            options=[
                ("grpc.so_reuseport", 1),
                ("grpc.max_receive_message_length", options.max_message_bytes),
                ("grpc.max_send_message_length", -1),
                ("grpc.server.max_pending_requests", MOST_PENDING),  # else a burst of 1,000 is thinned out by chance,
                ("grpc.server.max_pending_requests_hard_limit", MOST_PENDING),  # as a bare CANCELLED
                ("grpc.max_concurrent_streams", CALLS_PER_CONNECTION),
                ("grpc.max_allowed_incoming_connections", options.max_connections),
                ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS),
                ("grpc.http2.bdp_probe", 0),  # else gRPC lets every stream send megabytes before anybody reads
                ("grpc.per_message_decompression", 0),  # we inflate, once we know the caller and have the room
                ("grpc.compression_enabled_algorithms_bitset", IDENTITY_AND_GZIP),
                *_lives(options),
            ],  # no maximum_concurrent_rpcs: it counts every call alike, so those that need no key could use it up
        )
        logging.getLogger("grpc._cython.cygrpc").addFilter(_worth_a_line)
        self._server.add_generic_rpc_handlers(tuple(handlers))

    async def start(self) -> int:
        """Listen and serve; return the port.

        Raises:
            PortTaken: somebody else listens there.
        """
        host, port = self._options.host, self._options.port
        try:
            _try_to_bind(host, port)
            bound = self._listen(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        except (OSError, RuntimeError):
            raise PortTakenError(
                f"cannot listen on {host}:{port}; stop what listens there or set DISCORDPROXY_HOST, DISCORDPROXY_PORT"
            ) from None
        await self._server.start()
        return bound

    def _listen(self, address: str) -> int:
        if self._options.credentials is None:
            return self._server.add_insecure_port(address)
        return self._server.add_secure_port(address, self._options.credentials)

    async def close(self) -> None:
        """Stop at once; after `stop` there is nothing left to do."""
        await self._server.stop(grace=None)

    async def stop(self, release: Callable[[], Any], finish: Callable[[], Awaitable[Any]], now: asyncio.Event) -> None:
        """End the service: announce it, send waiting calls away, let those in flight finish.

        Args:
            release: ends the waits for permits.
            finish: waits for what goes on without its caller.
            now: cuts all of this short.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + self._options.drain_timeout_s
        await self._health.stop_serving()
        await _event(now, min(max(self._options.lame_duck_s, SETTLE_S), self._options.drain_timeout_s))
        with self._drain.silence():
            await _event(now, SETTLE_S)
            ending = asyncio.create_task(self._server.stop(grace=max(0.0, until - loop.time())))
            await _event(now, GOODBYE_S)
        self._drain.begin()
        release()
        served = asyncio.create_task(self._served())
        await _first(now, asyncio.wait({ending, served}, return_when=asyncio.FIRST_COMPLETED))
        served.cancel()
        await self._server.stop(grace=0)
        await _first(now, _within(finish(), max(0.0, until - loop.time())))

    async def _served(self) -> None:
        await self._drain.idle()
        await asyncio.sleep(WRITE_S)


def _worth_a_line(record: logging.LogRecord) -> bool:
    """Leave out what gRPC logs, with a traceback, whenever a caller goes away while it is being answered."""
    return not (record.exc_info and type(record.exc_info[1]).__name__ == "ExecuteBatchError")


def _lives(options: ServerOptions) -> list[tuple[str, int]]:
    """Return how connections are kept alive and moved on. Calls under way on an old connection take their time."""
    lives = [("grpc.http2.min_recv_ping_interval_without_data_ms", FASTEST_PINGS_MS)]
    if options.keepalive_s:
        keepalive_ms = int(options.keepalive_s * 1000)
        lives += [("grpc.keepalive_time_ms", keepalive_ms), ("grpc.keepalive_permit_without_calls", 1)]
    if options.connection_age_s:
        lives.append(("grpc.max_connection_age_ms", int(options.connection_age_s * 1000)))
    return lives


def _try_to_bind(host: str, port: int) -> None:
    """Raise OSError if gRPC could not bind either; it would write lines of its own to stderr."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        probe.bind((host, port))


async def _event(event: asyncio.Event, seconds: float) -> None:
    await _within(event.wait(), seconds)


async def _within(work: Awaitable[Any], seconds: float) -> None:
    try:
        await asyncio.wait_for(work, seconds)
    except TimeoutError:
        return


async def _first(now: asyncio.Event, work: Awaitable[Any]) -> None:
    """Wait for `work`, but not beyond `now`."""
    tasks = {asyncio.ensure_future(work), asyncio.ensure_future(now.wait())}
    _done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
