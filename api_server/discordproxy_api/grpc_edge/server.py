"""The gRPC server of a worker: port, connections, drain."""

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

MAX_PENDING_CALLS = 20_000
"""Calls that have arrived and are not yet handled by the event loop; gRPC drops further ones."""

CALLS_PER_CONNECTION = 2_000
"""Maximum number of open calls; clients queue further ones. gRPC's default is unlimited, and idle calls cost, too."""

IDENTITY_AND_GZIP = 0b101
"""gRPC's bitset of the accepted compressions. Deflate data cannot be distinguished from an uncompressed message; its
callers get UNIMPLEMENTED: Compression algorithm 'deflate' is disabled."""

HANDSHAKE_MS = 20_000
"""Timeout of the TLS and HTTP/2 handshakes of a connection; gRPC's default is two minutes."""


SETTLE_S, GOAWAY_S, WRITE_S = 0.15, 0.15, 0.1
"""Durations of the steps of `Server.stop`.

A stopping gRPC server drops calls that it has received and not yet passed to a handler, with a bare CANCELLED.
Therefore all arrived calls are handled first. Then the connections get a GOAWAY, and only then waiting calls are
refused: earlier, their callers would repeat them on the same connections. For the same reason responses are held back
until the GOAWAY: a caller that gets one sends its next call. gRPC may keep a call that arrives in between and never
pass it to a handler; so the drain ends when our calls are finished and their responses are written, not when
gRPC's `stop` returns."""

MIN_PING_INTERVAL_MS = 5_000
"""Callers and load balancers may ping this often; gRPC closes connections that ping more often.

Many ping every ten seconds, the least that Go permits: with the same value here, jitter would end connections."""

NEVER_MS = 2**31 - 1
"""gRPC's value for no pings."""


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Address and limits of the server.

    Attributes:
        max_message_bytes: maximum size of a request.
        max_connections: maximum number of connections.
        drain_timeout_s: maximum time from the signal to the end, the lame duck period included.
        lame_duck_s: time in which calls are still accepted after health reports NOT_SERVING.
        keepalive_s: idle time after which a connection is pinged; 0: never.
        connection_age_s: age at which a connection gets a GOAWAY, so that its caller reconnects; 0: never.
        credentials: for TLS; None for plain text.
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
    """A gRPC server that shares its port with other workers and stops without losing a call.

    Args:
        handlers: the handlers of all services.
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
                ("grpc.server.max_pending_requests", MAX_PENDING_CALLS),  # else gRPC drops random calls of a burst of
                ("grpc.server.max_pending_requests_hard_limit", MAX_PENDING_CALLS),  # 1,000, with a bare CANCELLED
                ("grpc.max_concurrent_streams", CALLS_PER_CONNECTION),
                ("grpc.max_allowed_incoming_connections", options.max_connections),
                ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS),
                ("grpc.http2.bdp_probe", 0),  # else gRPC reads megabytes of each stream ahead
                ("grpc.per_message_decompression", 0),  # `pipeline/receiving/uploads.py` does it, after authentication
                ("grpc.compression_enabled_algorithms_bitset", IDENTITY_AND_GZIP),
                *_connection_lifetime(options),
            ],  # no maximum_concurrent_rpcs: calls without a key could use all of it
        )
        logging.getLogger("grpc._cython.cygrpc").addFilter(_is_relevant)
        self._server.add_generic_rpc_handlers(tuple(handlers))

    async def start(self) -> int:
        """Start to serve; return the port.

        Raises:
            PortTakenError: the address is in use.
        """
        host, port = self._options.host, self._options.port
        try:
            _try_to_bind(host, port)
            bound = self._listen(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        except (OSError, RuntimeError):
            raise PortTakenError(
                f"cannot listen on {host}:{port}; stop the other process, or set DISCORDPROXY_HOST or DISCORDPROXY_PORT"
            ) from None
        await self._server.start()
        return bound

    def _listen(self, address: str) -> int:
        if self._options.credentials is None:
            return self._server.add_insecure_port(address)
        return self._server.add_secure_port(address, self._options.credentials)

    async def close(self) -> None:
        """Stop at once; after `stop` this has no effect."""
        await self._server.stop(grace=None)

    async def stop(
        self, end_waits: Callable[[], Any], finish: Callable[[], Awaitable[Any]], abort: asyncio.Event
    ) -> None:
        """Stop the service: announce it, refuse waiting calls, let calls in flight finish.

        Args:
            end_waits: ends the waits for permits.
            finish: waits for calls that continue without their callers.
            abort: ends all of this immediately.
        """
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + self._options.drain_timeout_s
        await self._health.stop_serving()
        await _wait_for(abort, min(max(self._options.lame_duck_s, SETTLE_S), self._options.drain_timeout_s))
        with self._drain.hold_responses():
            await _wait_for(abort, SETTLE_S)
            stopped = asyncio.create_task(self._server.stop(grace=max(0.0, ends_at - loop.time())))
            await _wait_for(abort, GOAWAY_S)
        self._drain.begin()
        end_waits()
        finished = asyncio.create_task(self._until_responses_are_written())
        await _unless(abort, asyncio.wait({stopped, finished}, return_when=asyncio.FIRST_COMPLETED))
        finished.cancel()
        await self._server.stop(grace=0)
        await _unless(abort, _within(finish(), max(0.0, ends_at - loop.time())))

    async def _until_responses_are_written(self) -> None:
        await self._drain.until_idle()
        await asyncio.sleep(WRITE_S)


def _is_relevant(record: logging.LogRecord) -> bool:
    """Filter out gRPC's tracebacks about callers that disconnect during a response."""
    return not (record.exc_info and type(record.exc_info[1]).__name__ == "ExecuteBatchError")


def _connection_lifetime(options: ServerOptions) -> list[tuple[str, int]]:
    """Return gRPC's options for pings and for the age of connections. Calls on an old connection are not cut."""
    lifetime = [
        ("grpc.http2.min_ping_interval_without_data_ms", MIN_PING_INTERVAL_MS),
        ("grpc.keepalive_permit_without_calls", 1),  # without it, callers may ping an idle connection every two hours
        ("grpc.keepalive_time_ms", int(options.keepalive_s * 1000) or NEVER_MS),
    ]
    if options.connection_age_s:
        lifetime.append(("grpc.max_connection_age_ms", int(options.connection_age_s * 1000)))
    return lifetime


def _try_to_bind(host: str, port: int) -> None:
    """Raise OSError if the address cannot be bound; gRPC would write its own lines to stderr."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        probe.bind((host, port))


async def _wait_for(event: asyncio.Event, seconds: float) -> None:
    await _within(event.wait(), seconds)


async def _within(work: Awaitable[Any], seconds: float) -> None:
    try:
        await asyncio.wait_for(work, seconds)
    except TimeoutError:
        return


async def _unless(abort: asyncio.Event, work: Awaitable[Any]) -> None:
    """Wait for `work`, or for `abort`."""
    tasks = {asyncio.ensure_future(work), asyncio.ensure_future(abort.wait())}
    _done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
