"""A request that is being served, and its body, which may still be arriving."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from discordproxy_api.http.http1.chunks import ChunkDecoder
from discordproxy_api.http.http1.head import MalformedError, RequestHead

if TYPE_CHECKING:
    from discordproxy_api.http.http1.connection import ServerConnection

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class HttpRequest(RequestHead):
    """A request, which `ServerConnection.respond` answers.

    Attributes:
        connection: on which it came.
        body: its whole body, None as long as it has not arrived.
        is_reading: whether `read` was called.
    """

    __slots__ = ("_arrived", "_chunks", "_error", "_left", "_waiter", "body", "connection", "is_reading")

    def __init__(self, data: bytes, connection: "ServerConnection") -> None:
        super().__init__(data)
        self.connection = connection
        self.body: bytes | None = None
        self.is_reading = False
        self._arrived = bytearray()
        self._left = self.length
        self._chunks = ChunkDecoder(self._arrived) if self.chunked else None
        self._waiter: asyncio.Future[None] | None = None
        self._error: MalformedError | None = None

    @property
    def arrived(self) -> int:
        """Bytes of the incomplete body that have arrived."""
        return len(self._arrived)

    def feed(self, data: bytes) -> bytes | None:
        """Take received bytes; return those that follow the body, None as long as it is incomplete.

        Raises:
            MalformedError: they are no body; `read` raises the same.
        """
        if self._left == self.length <= len(data) and not self.chunked:  # usually it arrives at once
            self.body = data[: self.length]
            rest: bytes | None = data[self.length :]
        else:
            rest = self._taken(data)
            if rest is not None:
                self.body = bytes(self._arrived)
                self._arrived.clear()
        if self._waiter is not None:
            self._wake()
        return rest

    def _taken(self, data: bytes) -> bytes | None:
        """Add to the body; return what follows it."""
        if self._chunks is None:
            self._arrived += data[: self._left]
            rest = data[self._left :] if len(data) >= self._left else None
            self._left -= min(self._left, len(data))
            return rest
        try:
            return self._chunks.feed(data)
        except MalformedError as error:
            self._error = error
            self._wake()
            raise

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def drop(self) -> None:
        """Forget what has arrived: nobody reads it any more."""
        self._arrived.clear()

    async def read(self, check: Callable[[int], None]) -> bytes:
        """Return the body, once: it is not kept here.

        Args:
            check: called with the number of bytes so far; what it raises is raised.

        Raises:
            MalformedError: it is damaged.
        """
        if self.body is None:
            self.is_reading = True
            self.connection.resume()
            if self.version == "1.1" and self.headers.get("expect", "").lower() == "100-continue":
                self.connection.transport.write(CONTINUE)
            try:
                await self._wait(check)
            except BaseException:
                self.is_reading = False  # until it is answered, which may take a second, little more is received
                self.drop()
                raise
        body, self.body = self.body or b"", b""
        check(len(body))
        return body

    async def _wait(self, check: Callable[[int], None]) -> None:
        """Wait for the whole body."""
        while self.body is None:
            if self._error is not None:
                raise self._error
            check(len(self._arrived))
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
