"""A connection to one Redis server with many commands in flight.

redis-py connects and logs in (TLS, AUTH, HELLO, SELECT, CLIENT SETNAME). Then the pipeline takes over the transport:
it writes the commands of one event-loop turn together and assigns replies to commands in order. It never repeats a
command, and it does not reconnect.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, cast

from hiredis import PushNotification, Reader, pack_command
from redis._parsers.base import BaseParser
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import DataError, InvalidResponse, ReadOnlyError
from redis.exceptions import TimeoutError as NoAnswer

from discordproxy_ratelimit.redis.timeouts import MAX_EXTENSIONS, STALL_S

MAX_OUTSTANDING = 4096
"""Calls in flight. More of them would only fill memory: a server so far behind has failed."""

MAX_DELAY_S = 0.002
"""How long a command waits at most for others that it can be sent with; see `Pipeline.send_along`."""

_INCOMPLETE = object()
"""Returned by the reader while a reply is incomplete, as replies may be None or False."""

_FATAL_REPLIES = (ConnectionLost, ReadOnlyError)
"""Replies of a server that has become useless: it loads its data, has lost our login, or is not the master."""


class NotSentError(ConnectionLost):
    """The command was not sent."""


class OutcomeUnknownError(ConnectionLost):
    """The command was sent but will get no reply: it may have run."""


class Pipeline(asyncio.Protocol):
    """An open connection, created by `connect`.

    Its futures may be cancelled; their replies are then dropped. Do not send commands that block or change the state of
    the connection (BLPOP, SUBSCRIBE, MULTI, SELECT): all callers share it.

    Attributes:
        is_open: whether commands are accepted. Once False, it stays False.
    """

    def __init__(self, writer: asyncio.StreamWriter, *, timeout_s: float, on_lost: Callable[[], None]) -> None:
        self.is_open = True
        self._loop = asyncio.get_running_loop()
        self._writer = writer  # kept: it closes its transport when it is garbage-collected
        self._transport = writer.transport
        self._timeout_s, self._on_lost = timeout_s, on_lost
        self._reader = Reader(
            protocolError=InvalidResponse, replyError=BaseParser.parse_error, notEnoughData=_INCOMPLETE
        )
        self._outstanding: deque[_Call] = deque()
        self._replies: list[Any] = []  # to the first call, if it has several commands
        self._unsent: list[bytes] = []  # of the last calls, one element each
        self._is_paused = self._is_due = False
        self._delay_timer: asyncio.TimerHandle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._extensions = MAX_EXTENSIONS
        self._checked: _Call | None = None

    @classmethod
    async def connect(
        cls, connection: AbstractConnection, *, timeout_s: float, on_lost: Callable[[], None] = lambda: None
    ) -> "Pipeline":
        """Open a connection and take it over.

        Args:
            connection: of redis-py, not connected, without retries; useless afterwards. Its `socket_timeout` has
                precedence if it is shorter. Its `health_check_interval` has no effect.
            timeout_s: timeout of a reply, in seconds, after which the connection is closed.
            on_lost: called once if the connection ends other than by `close`.

        Raises:
            RedisError, OSError: there is no reply, or the server refuses the login.
        """
        try:
            await _log_in(connection)
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        # No turn of the event loop between here and `set_protocol`, so that this class receives all data.
        writer = cast("asyncio.StreamWriter", connection._writer)  # noqa: SLF001 - pinned by a contract test
        connection._reader = connection._writer = None  # noqa: SLF001 - else it closes the transport when garbage-collected
        bound_s = min(timeout_s, connection.socket_timeout or timeout_s)
        pipeline = cls(writer, timeout_s=bound_s, on_lost=on_lost)
        writer.transport.set_protocol(pipeline)
        return pipeline

    @property
    def can_send(self) -> bool:
        """Whether a command would be accepted now."""
        return self.is_open and len(self._outstanding) < MAX_OUTSTANDING

    def send(self, *command: Any) -> asyncio.Future[Any]:
        """Send a command with the others of this event-loop turn.

        Args:
            command: name and arguments: bytes, str, int or float.

        Returns:
            The future reply: bytes, int, None or a list. It fails with ResponseError if the server refuses the
            command, with NotSentError or OutcomeUnknownError if the connection ends before.

        Raises:
            NotSentError: the connection is closed, or too many calls wait for replies.
            DataError: an argument has another type.
        """
        return self._add(_packed(command), 0)

    def send_along(self, *command: Any) -> asyncio.Future[Any]:
        """Send a command with the next ones, or after `MAX_DELAY_S`: it costs no system call of its own. As `send`."""
        packed = _packed(command)
        if not (self._is_due or self._is_paused) and self._delay_timer is None:
            self._delay_timer = self._loop.call_later(MAX_DELAY_S, self._flush)
        return self._append(packed, 0)

    def send_all(self, commands: Iterable[tuple[Any, ...]]) -> asyncio.Future[list[Any]]:
        """Send commands as one unit, without commands of others in between; not as a transaction.

        Returns:
            The future list of replies, as of `send`. It fails with the error of the first command that failed, after
            all of them have run.

        Raises:
            NotSentError, DataError: as `send`; none was sent.
        """
        packed = [_packed(command) for command in commands]
        if packed:
            return self.send_packed(b"".join(packed), len(packed))
        nothing: asyncio.Future[list[Any]] = self._loop.create_future()
        nothing.set_result([])
        return nothing

    def send_packed(self, packed: bytes, commands: int) -> asyncio.Future[list[Any]]:
        """Send commands that `pack` has encoded; as `send_all`.

        Args:
            packed: at least one command.
            commands: their number.
        """
        return self._add(packed, commands)

    def close(self) -> None:
        """Close the connection at once; calls without a reply fail."""
        self._on_lost = lambda: None
        self._end(ConnectionLost("Closed by this process"))

    def _add(self, packed: bytes, commands: int) -> asyncio.Future[Any]:
        if not (self._is_due or self._is_paused):
            self._is_due = True
            self._loop.call_soon(self._flush)
        return self._append(packed, commands)

    def _append(self, packed: bytes, commands: int) -> asyncio.Future[Any]:
        if not self.is_open:
            raise NotSentError("The connection to Redis is closed")
        if len(self._outstanding) >= MAX_OUTSTANDING:
            raise NotSentError(f"{MAX_OUTSTANDING} calls wait for Redis already")
        self._unsent.append(packed)
        call = _Call(self._loop.create_future(), commands, self._loop.time() + self._timeout_s)
        self._outstanding.append(call)
        if self._timer is None:
            self._wait_until(call.due)
        return call.reply

    def _flush(self) -> None:
        self._is_due = False
        if self._delay_timer is not None:
            self._delay_timer.cancel()
            self._delay_timer = None
        if self._unsent and not self._is_paused and self.is_open:
            packed = b"".join(self._unsent)
            self._unsent.clear()
            self._transport.write(packed)

    # What the transport reports

    def pause_writing(self) -> None:
        """Buffer commands: the server reads them too slowly."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """Write again."""
        self._is_paused = False
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Assign replies to calls."""
        fatal: Exception | None = None
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not _INCOMPLETE:
                if not isinstance(reply, PushNotification):
                    self._assign(reply)
                    if isinstance(reply, _FATAL_REPLIES):
                        fatal = reply
        except InvalidResponse as error:
            fatal = error
        if fatal is not None:
            self._end(fatal)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what is outstanding."""
        self._end(exc or ConnectionLost("Closed by the server"))

    # Replies and timeouts

    def _assign(self, reply: Any) -> None:
        if not self._outstanding:
            raise InvalidResponse("A reply came without a command")
        call = self._outstanding[0]
        if call.commands:
            self._replies.append(reply)
            if len(self._replies) < call.commands:
                return
            reply, self._replies = _first_error(self._replies) or self._replies, []
        self._outstanding.popleft()
        call.resolve(reply)

    def _wait_until(self, due: float) -> None:
        self._due = due
        self._timer = self._loop.call_at(due, self._check_timeout)

    def _check_timeout(self) -> None:
        """Close the connection if its oldest call is overdue, unless the event loop has stalled."""
        if not self._outstanding:
            self._timer = self._checked = None
            return
        now, oldest = self._loop.time(), self._outstanding[0]
        late_s = now - self._due
        if oldest is not self._checked:
            self._checked, self._extensions = oldest, MAX_EXTENSIONS
        if oldest.due > now:
            self._wait_until(oldest.due)
        elif late_s > STALL_S and self._extensions:
            self._extensions -= 1
            self._wait_until(now + min(late_s, self._timeout_s))
        else:
            self._end(NoAnswer("No reply in time"))

    def _end(self, cause: Exception) -> None:
        if not self.is_open:
            return
        self.is_open = False
        self._transport.abort()  # without waiting for the TLS shutdown
        if self._timer is not None:
            self._timer.cancel()
        outstanding, sent = list(self._outstanding), len(self._outstanding) - len(self._unsent)
        self._outstanding.clear()
        self._unsent.clear()
        for number, call in enumerate(outstanding):
            call.fail(OutcomeUnknownError if number < sent else NotSentError, cause)
        self._on_lost()


class _Call:
    """A command or a unit of commands in flight; `commands` is 0 for a single command, else their number."""

    __slots__ = ("commands", "due", "reply")

    def __init__(self, reply: asyncio.Future[Any], commands: int, due: float) -> None:
        self.reply, self.commands, self.due = reply, commands, due

    def resolve(self, reply: Any) -> None:
        if self.reply.done():
            return  # its caller was cancelled
        if isinstance(reply, Exception):
            self.reply.set_exception(reply)
        else:
            self.reply.set_result(reply)

    def fail(self, kind: type[ConnectionLost], cause: Exception) -> None:
        if not self.reply.done():
            error = kind(f"The connection to Redis ended before the reply ({type(cause).__name__})")
            error.__cause__ = cause
            self.reply.set_exception(error)


async def _log_in(connection: AbstractConnection) -> None:
    await connection.connect()  # type: ignore[no-untyped-call]
    if await connection.can_read():
        raise ConnectionLost("The server closed the connection or sent an unexpected reply")


def pack(commands: Iterable[tuple[Any, ...]]) -> bytes:
    """Encode commands that are sent several times. Raises DataError as `Pipeline.send`."""
    return b"".join(map(_packed, commands))


def _packed(command: tuple[Any, ...]) -> bytes:
    try:
        packed: bytes = pack_command(command)
    except TypeError:
        _refuse(command)
    return packed


def _refuse(command: tuple[Any, ...]) -> NoReturn:
    kinds = ", ".join(sorted({type(argument).__name__ for argument in command}))
    raise DataError(f"A command is made of bytes, str, int and float, not of {kinds}") from None


def _first_error(replies: list[Any]) -> Exception | None:
    return next((reply for reply in replies if isinstance(reply, Exception)), None)
