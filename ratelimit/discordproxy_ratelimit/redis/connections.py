"""The library's kinds of connections, with what ours do better: they write fast, obey a cancellation, end at once."""

from types import TracebackType
from typing import Any

from redis.asyncio import SSLConnection
from redis.asyncio.connection import AbstractConnection
from redis.connection import HiredisRespSerializer
from redis.exceptions import TimeoutError as NoAnswer

from discordproxy_ratelimit.redis.timeouts import StallTolerantTimeout


class _HiredisEncoder:
    """Writes commands with hiredis, as the library does in its synchronous connections only."""

    _serializer = HiredisRespSerializer()

    def pack_command(self, *command: Any) -> list[bytes]:
        """Return a command as it is sent; raises DataError for what the server knows no form of."""
        packed: list[bytes] = self._serializer.pack(*command)
        return packed


class _Bounded(StallTolerantTimeout):
    """Takes the bound of a connection's next step from the library and keeps it instead."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Any) -> None:
        super().__init__(connection.socket_timeout)
        self._connection = connection

    async def __aenter__(self) -> None:
        await super().__aenter__()
        self._connection.socket_timeout = None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.socket_timeout = self.seconds
        try:
            await super().__aexit__(kind, error, traceback)
        except TimeoutError:
            raise NoAnswer("Redis does not answer in time") from None


class _CancellableIo:
    """Bounds reading and writing by `StallTolerantTimeout`.

    The library writes under `asyncio.wait_for`. Before Python 3.12 that loses a cancellation that comes just as the
    command was written: the caller would go on as if nobody had cancelled it. It also costs a task for each command.
    """

    async def send_packed_command(self: Any, command: Any, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - the library's
        """Write a command; raises the library's TimeoutError if the server takes nothing."""
        if not self.is_connected:
            await self.connect_check_health(check_health=False)
        async with _Bounded(self):
            await super().send_packed_command(command, check_health)  # type: ignore[misc] # of the other base

    async def read_response(self: Any, *args: Any, timeout: float | None = None, **options: Any) -> Any:
        """Return a reply; raises the library's TimeoutError if none comes."""
        if timeout is not None:
            return await super().read_response(*args, timeout=timeout, **options)  # type: ignore[misc] # of the other base
        async with _Bounded(self):
            return await super().read_response(*args, **options)  # type: ignore[misc] # of the other base


class _AbortOnClose:
    """Given up, it does not linger until the server has said its goodbye in TLS, too."""

    async def disconnect(self: Any, nowait: bool = False, *args: Any, **options: Any) -> None:  # noqa: FBT001, FBT002 - the library's
        """Close it; with `nowait` at once, else when the server has said goodbye or not done so in time."""
        writer, said_goodbye = self._writer, False
        try:
            await super().disconnect(nowait, *args, **options)  # type: ignore[misc] # of the other base
            said_goodbye = not nowait
        finally:
            if writer and not said_goodbye:
                writer.transport.abort()


def adapted(kind: type[AbstractConnection]) -> type[AbstractConnection]:
    """Return a kind of connection like the library's `kind`, and ours."""
    manners = (
        (_AbortOnClose, _CancellableIo, _HiredisEncoder)
        if issubclass(kind, SSLConnection)
        else (_CancellableIo, _HiredisEncoder)
    )
    return type(kind.__name__, (*manners, kind), {})
