"""Opens connections to one origin: both address families, TLS, and HTTP proxies."""

import asyncio
import socket
import ssl
from base64 import b64encode
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Self
from urllib.parse import unquote_to_bytes, urlsplit

from aiohappyeyeballs import AddrInfoType, start_connection
from yarl import URL

from discordproxy_api.discord.http1.connection import Connection
from discordproxy_api.discord.http1.response import CERTIFICATE_REFUSED, NoAnswerError
from discordproxy_ratelimit.process.http_proxy import HttpProxy

HAPPY_EYEBALLS_DELAY_S = 0.25
"""Delay before the next address is tried in parallel; recommended by RFC 8305."""

LOOKUP_S = 10.0
"""Lifetime of a name's addresses."""


@dataclass(frozen=True, slots=True)
class _Hop:
    """A host to connect to, with TLS or without."""

    host: str
    port: int
    tls: ssl.SSLContext | None

    @classmethod
    def of(cls, url: URL, tls: ssl.SSLContext | None) -> Self:
        """Return the host of `url`."""
        return cls(url.raw_host or "", url.port or 80, tls if url.scheme == "https" else None)

    @property
    def certified(self) -> str | None:
        """The name that the certificate must contain; None without TLS."""
        return self.host.rstrip(".") if self.tls else None


class Dialer:
    """Opens connections to the origin of a URL.

    Args:
        url: base URL of the API.
        http_proxy: HTTP proxy on the way; None for a direct connection.
        timeout_s: bound of a connection in seconds, from the resolution of its name to the end of the TLS handshake.
        body_limit: maximum length of a response's body.
        ssl_context: trusted authorities; None for those of the machine.
        secret: bytes that connections replace in responses.

    Attributes:
        host: value of the header Host.
        target_prefix: text before a request's target in its first line.
        proxy_authorization: value of that header, to be sent with each request; "" for none.
    """

    def __init__(
        self,
        url: str,
        *,
        http_proxy: HttpProxy | None,
        timeout_s: float,
        body_limit: int,
        ssl_context: ssl.SSLContext | None = None,
        secret: bytes = b"",
    ) -> None:
        origin = URL(url)
        if origin.scheme not in {"http", "https"} or not origin.raw_host or not origin.port:
            raise ValueError("the URL of an HTTP server begins with http:// or https:// and a host")
        proxy = URL(http_proxy.url) if http_proxy else None
        tls = None
        if "https" in {origin.scheme, proxy and proxy.scheme}:
            tls = ssl_context or _default_tls()
        self._timeout_s = timeout_s
        self._connection = partial(Connection, body_limit=body_limit, secret=secret)
        self._origin = self._first = _Hop.of(origin, tls)
        self._tunnels = False
        self._lookup: asyncio.Future[list[AddrInfoType]] | None = None
        self._lookup_expires_at = 0.0
        self.host = origin.host_port_subcomponent or ""
        self.target_prefix = origin.raw_path.rstrip("/")
        self.proxy_authorization = ""
        if http_proxy is None or proxy is None:
            return
        self._first = _Hop.of(proxy, tls)
        self._tunnels = origin.scheme == "https"
        self.proxy_authorization = _basic(http_proxy)
        if not self._tunnels:
            self.target_prefix = f"http://{self.host}{self.target_prefix}"

    async def connect(self) -> Connection:
        """Return a new connection to the origin.

        Raises:
            NoAnswerError: no connection; nothing was sent except a CONNECT to an HTTP proxy.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                connection = await self._open(self._first)
                return await self._tunnel(connection) if self._tunnels else connection
        except TimeoutError:
            raise NoAnswerError("no connection in time") from None
        except ssl.SSLCertVerificationError as error:
            raise NoAnswerError(f"{CERTIFICATE_REFUSED}: {error.verify_message}") from None
        except (OSError, UnicodeError) as error:
            raise NoAnswerError(type(error).__name__) from None

    async def _open(self, hop: _Hop) -> Connection:
        loop = asyncio.get_running_loop()
        addresses = await self._resolved(hop)
        try:  # uvloop's create_connection has no happy eyeballs
            sock = await start_connection(addresses, happy_eyeballs_delay=HAPPY_EYEBALLS_DELAY_S, interleave=1)
        except OSError:
            self._lookup = None
            raise
        try:
            _, connection = await loop.create_connection(lambda: self._connection(loop), sock=sock)
        except BaseException:
            sock.close()
            raise
        return await self._secured(connection, hop) if hop.tls else connection

    async def _secured(self, outer: Connection, hop: _Hop) -> Connection:
        """Return an encrypted connection to `hop` through `outer`, which is closed if there is none."""
        assert hop.tls is not None, "of hops with TLS only"  # noqa: S101 - for the type checker
        loop = asyncio.get_running_loop()
        inner = self._connection(loop, outer=outer)
        try:
            if outer.transport.is_closing():
                raise ConnectionResetError  # noqa: TRY301 - closed below
            transport = await loop.start_tls(outer.transport, inner, hop.tls, server_hostname=hop.certified)
            if transport is None or transport.is_closing():
                raise ConnectionResetError  # noqa: TRY301 - closed below
            inner.connection_made(transport)
        except BaseException:
            outer.transport.abort()
            raise
        return inner

    async def _resolved(self, hop: _Hop) -> list[AddrInfoType]:
        """Return the addresses of `hop`; requests that come together, or soon after, share one lookup."""
        loop, lookup = asyncio.get_running_loop(), self._lookup
        if lookup is None or (lookup.done() and (lookup.exception() or loop.time() > self._lookup_expires_at)):
            lookup = loop.run_in_executor(None, _addresses, hop)
            self._lookup, self._lookup_expires_at = lookup, loop.time() + LOOKUP_S
        return await asyncio.shield(lookup)

    async def _tunnel(self, outer: Connection) -> Connection:
        """Return a connection to the origin through the HTTP proxy at the other end of `outer`."""
        origin = self._origin
        place = f"[{origin.host}]:{origin.port}" if ":" in origin.host else f"{origin.host}:{origin.port}"
        head = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
        if self.proxy_authorization:
            head.append(f"Proxy-Authorization: {self.proxy_authorization}")
        try:
            answer = await outer.exchange("\r\n".join([*head, "", ""]).encode(), head_only=True)
            if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
                raise NoAnswerError(f"the HTTP proxy answered {answer.status}")  # noqa: TRY301 - closed below
        except BaseException:
            outer.transport.abort()
            raise
        return await self._secured(outer, origin)


def _addresses(hop: _Hop) -> list[AddrInfoType]:
    return [*socket.getaddrinfo(hop.host, hop.port, type=socket.SOCK_STREAM)]


def _default_tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _basic(http_proxy: HttpProxy) -> str:
    """Return the value of Proxy-Authorization, "" without credentials."""
    credentials, at, _ = urlsplit(http_proxy.url).netloc.rpartition("@")
    if not at:
        return ""
    name, _, password = credentials.partition(":")
    return "Basic " + b64encode(unquote_to_bytes(name) + b":" + unquote_to_bytes(password)).decode()
