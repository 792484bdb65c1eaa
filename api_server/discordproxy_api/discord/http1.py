"""A lean HTTP/1.1 client for one origin: a pool of kept connections, and nothing else.

It serves requests without files, at a fraction of the CPU that a general library takes. It repeats nothing, follows no
redirect, keeps no cookie, and reads no setting of the environment but those that OpenSSL reads.
"""

import asyncio
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

from discordproxy_api.discord.http1_dialing import Dialer
from discordproxy_api.discord.http1_pool import ConnectionPool
from discordproxy_api.discord.http1_response import HttpResponse
from discordproxy_ratelimit.process.http_proxy import HttpProxy

BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that need no Content-Length when there is no body."""


BLANKS = 2
"""In the first line of a request."""


@dataclass(frozen=True, slots=True)
class Http1Options:
    """How to reach the API.

    Attributes:
        url: base of the API; the target of a request is appended to its path.
        user_agent: value of that header.
        timeout_s: longest that a request may take, from the wait for a connection to the last byte of the response.
        connect_timeout_s: longest that a new connection may take.
        answer_limit_bytes: longest body of a response, decompressed or not.
        http_proxy: what leads there; None for a direct connection.
        max_connections: connections at a time; further requests wait for one.
        ssl_context: whom to trust; None for those whom the machine trusts.
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
    """A pool of connections to one origin, opened with `async with`."""

    def __init__(self, options: Http1Options) -> None:
        self._options = options
        self._dialer = Dialer(
            options.url,
            http_proxy=options.http_proxy,
            timeout_s=options.connect_timeout_s,
            body_limit=options.answer_limit_bytes,
            ssl_context=options.ssl_context,
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

    async def request(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        before_write: Callable[[], None] = _nothing,
        timeout_s: float | None = None,
    ) -> HttpResponse:
        """Send a request and return the response.

        To cancel it closes the connection, if the request has been written.

        Args:
            method: such as GET.
            target: path and query below the base URL, percent-encoded.
            headers: beside Host, User-Agent, Accept, Accept-Encoding and Content-Length.
            body: None for no body.
            before_write: called when a connection stands and the first byte is about to go out; what it raises is
                passed on, and nothing is sent.
            timeout_s: instead of the option.

        Raises:
            UnreadableAnswerError: a response that is no HTTP within our bounds.
            NoAnswerError: no connection, a broken one, or a timeout. Without a call of `before_write` nothing left.
            ValueError: method, target or headers would not stay what they are on the wire.
        """
        request = self._encoded(method, target, headers, body)
        loop = self._loop
        deadline = loop.time() + (self._options.timeout_s if timeout_s is None else timeout_s)
        connection = self._pool.idle() or await self._pool.acquire(deadline)
        try:
            before_write()
        except BaseException:
            self._pool.release(connection)
            raise
        response = connection.exchange(request, head_only=method == "HEAD")
        timer = loop.call_at(deadline, connection.expire)
        try:
            return await response
        finally:
            timer.cancel()
            self._pool.release(connection)

    def _encoded(self, method: str, target: str, headers: Mapping[str, str], body: bytes | None) -> bytes:
        lines = [f"{method} {self._dialer.target_prefix}{target} HTTP/1.1\r\n{self._fixed}"]
        lines += [f"{name}: {value}\r\n" for name, value in headers.items()]
        if body is not None or method not in BODILESS:
            lines.append(f"Content-Length: {len(body or b'')}\r\n")
        head = "".join(lines) + "\r\n"
        # Each line of ours ends once: another end of a line, or another blank in the first one, is smuggled in.
        ends = self._fixed_lines + len(lines) - 1
        blanks = head.count(" ", 0, head.find("\r"))
        if head.count("\n") != ends or head.count("\r") != ends or "\0" in head or blanks != BLANKS:
            raise ValueError("a line break, NUL or blank in a request's method, target or headers")
        try:
            return head.encode() + body if body else head.encode()
        except UnicodeEncodeError:
            raise ValueError("half a surrogate pair in a request's target or headers") from None
