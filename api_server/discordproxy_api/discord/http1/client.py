"""A lean HTTP/1.1 client for one origin, with a pool of connections.

It repeats no request, follows no redirect, keeps no cookie, and ignores the environment except for OpenSSL's variables.
"""

import asyncio
import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from discordproxy_api.discord.http1.connection import MAX_WRITE_BYTES, Connection
from discordproxy_api.discord.http1.dialing import Dialer
from discordproxy_api.discord.http1.pool import ConnectionPool
from discordproxy_api.discord.http1.response import HttpResponse, NoAnswerError
from discordproxy_ratelimit.process.http_proxy import HttpProxy

BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that require no Content-Length without a body."""

_VERSION = re.compile(r"/v[0-9]+$")

BLANKS = 2
"""Blanks in the first line of a request."""


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """The way to an API.

    Attributes:
        url: base of the API; the target of a request is appended to its path.
        user_agent: value of that header.
        timeout_s: bound of a request in seconds, from the wait for a connection to the last byte of the response.
        connect_timeout_s: bound of a new connection in seconds.
        answer_limit_bytes: maximum length of a body, decompressed or not.
        http_proxy: HTTP proxy on the way; None for a direct connection.
        max_connections: connections at a time; further requests wait for one.
        ssl_context: trusted authorities; None for those of the machine.
    """

    url: str
    user_agent: str
    timeout_s: float = 30.0
    connect_timeout_s: float = 5.0
    answer_limit_bytes: int = 8 * 1024 * 1024
    http_proxy: HttpProxy | None = None
    max_connections: int = 512
    ssl_context: ssl.SSLContext | None = field(default=None, repr=False)


def _nothing() -> None:
    """Do nothing before a request is written."""


class Http1Client:
    """A client of one origin, opened with `async with`.

    Args:
        options: the way to it.
        secret: bytes that are replaced by `***` in every response, such as a token.
    """

    def __init__(self, options: HttpOptions, *, secret: bytes = b"") -> None:
        self._options = options
        self._dialer = Dialer(
            options.url,
            http_proxy=options.http_proxy,
            timeout_s=options.connect_timeout_s,
            body_limit=options.answer_limit_bytes,
            ssl_context=options.ssl_context,
            secret=secret,
        )
        fixed = {"Host": self._dialer.host, "User-Agent": options.user_agent, "Accept": "*/*"}
        fixed["Accept-Encoding"] = "gzip, deflate"
        if self._dialer.proxy_authorization and options.url.startswith("http:"):
            fixed["Proxy-Authorization"] = self._dialer.proxy_authorization
        self._fixed = "".join(f"{name}: {value}\r\n" for name, value in fixed.items())
        self._fixed_lines = len(fixed) + 2  # the first line and the empty one
        self._pool = ConnectionPool(self._dialer.connect, options.max_connections)
        self._loop: asyncio.AbstractEventLoop

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._pool.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._pool.close()

    def exchange(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | Sequence[bytes] | None = None,
        *,
        before_write: Callable[[], None] = _nothing,
        timeout_s: float | None = None,
        version: str = "",
    ) -> "Http1Exchange":
        """Return the exchange of a request for its response; it begins when its response is awaited.

        Args:
            method: such as GET.
            target: path and query below the base URL, percent-encoded.
            headers: beside Host, User-Agent, Accept, Accept-Encoding and Content-Length.
            body: None for no body; several pieces are written without being joined.
            before_write: called with a connection at hand, right before the first byte is written. If it raises,
                nothing is sent, and `Http1Exchange.response` raises the same.
            timeout_s: instead of the option.
            version: of the API, instead of the one at the end of the base URL.

        Raises:
            ValueError: method, target or headers would not be the same on the wire.
        """
        request = self._encoded(method, target, headers, body, version)
        deadline = self._loop.time() + (self._options.timeout_s if timeout_s is None else timeout_s)
        return Http1Exchange(self._pool, request, before_write, deadline=deadline, head_only=method == "HEAD")

    def _encoded(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | Sequence[bytes] | None,
        version: str = "",
    ) -> bytes | list[bytes]:
        prefix = self._dialer.target_prefix
        if version:
            prefix = _VERSION.sub(f"/v{version}", prefix)
        head = f"{method} {prefix}{target} HTTP/1.1\r\n{self._fixed}"
        ends = self._fixed_lines + len(headers)
        for name, value in headers.items():
            head += f"{name}: {value}\r\n"
        if body is not None or method not in BODILESS:
            size = len(body or b"") if body is None or isinstance(body, bytes) else sum(map(len, body))
            head += f"Content-Length: {size}\r\n"
            ends += 1
        head += "\r\n"
        # Each of these lines ends once: another end of a line, or another blank in the first one, is smuggled in.
        blanks = head.count(" ", 0, head.find("\r"))
        if head.count("\n") != ends or head.count("\r") != ends or "\0" in head or blanks != BLANKS:
            raise ValueError("a line break, NUL or blank in a request's method, target or headers")
        try:
            encoded = head.encode()
        except UnicodeEncodeError:
            raise ValueError("half a surrogate pair in a request's target or headers") from None
        if not body:
            return encoded
        if isinstance(body, bytes):
            return encoded + body if len(body) <= MAX_WRITE_BYTES else [encoded, body]
        return [encoded, *body]


class Http1Exchange:
    """One request and its response."""

    __slots__ = ("_before_write", "_connection", "_deadline", "_head_only", "_pool", "_request", "_timer", "_waiter")

    def __init__(
        self,
        pool: ConnectionPool,
        request: bytes | list[bytes],
        before_write: Callable[[], None],
        *,
        deadline: float,
        head_only: bool,
    ) -> None:
        self._pool = pool
        self._request = request
        self._before_write = before_write
        self._deadline = deadline
        self._head_only = head_only
        self._connection: Connection | None = None
        self._waiter: asyncio.Future[HttpResponse]
        self._timer: asyncio.TimerHandle

    async def response(self) -> HttpResponse:
        """Send the request and return the response.

        Cancelled before the call of `before_write`, nothing is sent. Cancelled later, the exchange goes on and occupies
        its connection: `response` has to be awaited again.

        Raises:
            UnreadableAnswerError: the response is not HTTP within our bounds.
            NoAnswerError: no connection, a broken one, or a timeout. Nothing was sent unless `before_write` was called.
        """
        connection = self._connection
        if connection is None:
            connection = self._pool.idle() or await self._pool.acquire(self._deadline)
            self._write(connection)
        elif self._waiter.cancelled():
            self._waiter = connection.rejoin()
        try:
            response = await self._waiter
        except NoAnswerError:
            self._end(connection)
            raise
        self._end(connection)
        return response

    def _write(self, connection: Connection) -> None:
        before_write, request = self._before_write, self._request
        self._before_write, self._request = _nothing, b""  # no reference cycle, no memory until the response
        try:
            before_write()
            self._waiter = connection.exchange(request, head_only=self._head_only)
        except BaseException:
            self._pool.release(connection)
            raise
        self._connection = connection
        self._timer = asyncio.get_running_loop().call_at(self._deadline, connection.expire)

    def _end(self, connection: Connection) -> None:
        self._timer.cancel()
        self._pool.release(connection)
