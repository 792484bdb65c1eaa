"""redis-py connection subclasses: hiredis encoding, complete logins, cancellable I/O, abortive TLS close."""

from types import TracebackType
from typing import Any

from redis.asyncio import SSLConnection
from redis.asyncio.connection import AbstractConnection
from redis.connection import HiredisRespSerializer
from redis.exceptions import TimeoutError as NoAnswer

from discordproxy_ratelimit.redis.timeouts import StallTolerantTimeout


class _HiredisEncoder:
    """Encodes commands with hiredis; the library does so only in synchronous connections."""

    _serializer = HiredisRespSerializer()

    def pack_command(self, *command: Any) -> list[bytes]:
        """Return an encoded command; raises DataError for an argument of an unsupported type."""
        packed: list[bytes] = self._serializer.pack(*command)
        return packed


class _CompleteLogin:
    """Closes a connection whose login or database was refused.

    The library leaves one to a unix socket open: the next command would run without the login, in database 0.
    """

    async def connect_check_health(self: Any, *args: Any, **options: Any) -> None:
        """Connect, log in and select the database; raises the library's errors."""
        try:
            await super().connect_check_health(*args, **options)  # type: ignore[misc] # of the other base
        except BaseException:
            await self.disconnect(nowait=True)
            raise


class _Bounded(StallTolerantTimeout):
    """Applies the timeout of a connection's next operation in place of the library."""

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
            raise NoAnswer("Redis did not reply in time") from None


class _CancellableIo:
    """Bounds reading and writing by `StallTolerantTimeout`.

    The library writes with `asyncio.wait_for`. Before Python 3.12 that can lose a cancellation at the moment when the
    command has been written, and the caller would continue. It also creates a task for each command.
    """

    async def send_packed_command(self: Any, command: Any, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - the library's
        """Write a command; raises the library's TimeoutError if the server reads nothing."""
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
    """Does not wait for the TLS shutdown of the server when it is dropped."""

    async def disconnect(self: Any, nowait: bool = False, *args: Any, **options: Any) -> None:  # noqa: FBT001, FBT002 - the library's
        """Close the connection: with `nowait` at once, else after the server's TLS shutdown or a timeout."""
        writer, is_shut_down = self._writer, False
        try:
            await super().disconnect(nowait, *args, **options)  # type: ignore[misc] # of the other base
            is_shut_down = not nowait
        finally:
            if writer and not is_shut_down:
                writer.transport.abort()


def adapted(kind: type[AbstractConnection]) -> type[AbstractConnection]:
    """Return a subclass of the library's `kind` with the adaptations of this module."""
    mixins = (
        (_AbortOnClose, _CompleteLogin, _CancellableIo, _HiredisEncoder)
        if issubclass(kind, SSLConnection)
        else (_CompleteLogin, _CancellableIo, _HiredisEncoder)
    )
    return type(kind.__name__, (*mixins, kind), {})
