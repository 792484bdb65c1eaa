"""An HTTP/1.1 client connection: one request out, one response in, parsed by httptools.

A response takes few Python calls: where possible, the parser calls methods of built-in types.
"""

import asyncio
import select
from collections import deque
from http import HTTPStatus
from typing import Optional, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from discordproxy_api.discord.http1.response import (
    OK,
    Headers,
    HttpResponse,
    NoAnswerError,
    UnreadableAnswerError,
    decompressed,
    headers_of,
    without,
)

MAX_HEAD_BYTES, MAX_HEADERS = 64 * 1024, 256
"""Bounds of a response's status line and headers, and of its trailers."""

MAX_INTERIM_RESPONSES = 16
"""Maximum number of 1xx responses before the final one."""

FRAMING_BYTES = 8
"""Bytes on the wire that one byte of a chunked body may take; more count towards `MAX_HEAD_BYTES`."""

MAX_WRITE_BYTES = 128 * 1024
"""Bytes of a request that are written at a time: TLS encrypts at once all that it is given, and keeps it."""


class Connection(asyncio.Protocol):
    """A connection that carries one request at a time.

    Args:
        loop: the running loop.
        body_limit: maximum length of a body, decompressed or not.
        secret: bytes that are replaced in bodies and values of headers; empty for none.
        outer: the connection that carries this one, which is encrypted; None for TCP.

    Attributes:
        transport: set once the connection is made.
        keep_alive: value of that header of the last response; None without.
        reusable: whether another request may follow; False while a request is under way.
        idle_until: loop time at which an idle connection expires; kept by the pool.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        body_limit: int,
        secret: bytes = b"",
        *,
        outer: Optional["Connection"] = None,
    ) -> None:
        self.transport: asyncio.Transport
        self.reusable = True
        self.keep_alive: str | None = None
        self.idle_until = 0.0
        self._loop = loop
        self._body_limit = body_limit
        self._secret = secret
        self._outer = outer
        self._unwritten: deque[bytes | memoryview] = deque()
        self._may_write = True
        self._response: asyncio.Future[HttpResponse] | None = None
        self._outcome: HttpResponse | NoAnswerError | None = None  # of an exchange whose future was cancelled
        self._headers: Headers | None = None
        self._status = self._interim = 0
        self._head_only = False
        self._framing = self._counted = 0
        self._raw: dict[bytes, bytes] = {}
        self._body = bytearray()
        self._awaited: list[None] = []
        self.on_header = self._raw.setdefault
        self.on_body = self._body.extend
        self.on_message_begin = self._awaited.pop  # fails if no response is awaited
        self._parser = HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(  # as browsers do
            lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)
        poll = select.poll()
        poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        self._unread = poll.poll

    def is_alive(self) -> bool:
        """Return whether an idle connection has neither ended nor received anything, up to this very moment."""
        return not self.transport.is_closing() and not self._unread(0)

    def exchange(self, request: bytes | list[bytes], *, head_only: bool = False) -> "asyncio.Future[HttpResponse]":
        """Write `request`; return the future of its response, which raises `NoAnswerError`.

        If the future is cancelled, the exchange goes on: `rejoin` returns another one.

        Args:
            request: head and body, as a whole or in pieces.
            head_only: whether the response ends with its headers, whatever these announce.
        """
        self.reusable = False
        self._headers = None
        self._head_only = head_only
        self._framing = self._counted = self._interim = 0
        self._raw.clear()  # of trailers
        self._awaited.append(None)
        self._response = response = self._loop.create_future()
        if isinstance(request, bytes):
            self.transport.write(request)
        else:
            self._unwritten.extend(request)
            self._write_next()
        return response

    def _write_next(self) -> None:
        """Write the next bytes of the request, and the others in later turns of the loop."""
        unwritten, pieces, room = self._unwritten, [], MAX_WRITE_BYTES
        while unwritten and room:
            piece = unwritten.popleft()
            if len(piece) > room:
                view = memoryview(piece)
                unwritten.appendleft(view[room:])
                piece = view[:room]
            pieces.append(piece)
            room -= len(piece)
        if pieces and not self.transport.is_closing():
            self.transport.writelines(pieces)
        if unwritten and self._may_write:
            self._loop.call_soon(self._write_if_possible)

    def _write_if_possible(self) -> None:
        """Write the next bytes, unless there is something to read first.

        It may be the response of a server that has closed the connection: a write would fail, and nothing be read.
        """
        if not self._may_write or self.transport.is_closing():
            return
        if self._unread(0):
            self._loop.call_soon(self._write_if_possible)
        else:
            self._write_next()

    def pause_writing(self) -> None:
        """Write no more: the transport holds enough bytes."""
        self._may_write = False

    def resume_writing(self) -> None:
        """Write the next bytes of the request."""
        self._may_write = True
        if self._unwritten:
            self._loop.call_soon(self._write_if_possible)

    def has_unsent(self) -> bool:
        """Return whether the system has not yet taken all bytes."""
        if self._unwritten or self.transport.get_write_buffer_size():
            return True
        return self._outer is not None and self._outer.has_unsent()  # a transport of TLS counts its own bytes only

    def rejoin(self) -> "asyncio.Future[HttpResponse]":
        """Return another future of the response, whose former future was cancelled."""
        response: asyncio.Future[HttpResponse] = self._loop.create_future()
        outcome, self._outcome = self._outcome, None
        if outcome is None:
            self._response = response
        else:
            _resolve(response, outcome)
        return response

    def expire(self) -> None:
        """End the exchange, since its time has expired."""
        self.fail(NoAnswerError("no answer in time"))

    def fail(self, error: NoAnswerError, cut: str = "lost") -> None:
        """Close the connection; the exchange ends with `error`, or with a cut response if the headers are known."""
        response, self._response = self._response, None
        self.reusable = False
        self._unwritten.clear()
        self.transport.abort()
        if response is None:
            return
        outcome = error if self._headers is None else HttpResponse(self._status, self._headers, b"", cut)
        if response.cancelled():
            self._outcome = outcome
        else:
            _resolve(response, outcome)

    def data_received(self, data: bytes) -> None:
        """Parse received bytes."""
        if self._response is None:  # no request is under way
            self.reusable = False
            self.transport.abort()
            return
        room = MAX_HEAD_BYTES + 1 - self._framing
        if len(data) > room and self._headers is None:  # so that `_bound` detects a head that is too large
            self.data_received(data[:room])
            self.data_received(data[room:])
            return
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self.fail(UnreadableAnswerError(str(error)))
        if self._response is not None:
            self._bound(len(data))

    def _bound(self, size: int) -> None:
        """Refuse a response that grows too large; `size` is that of the piece just read."""
        body = len(self._body)
        self._framing += max(0, size - FRAMING_BYTES * (body - self._counted))
        self._counted = body
        if self._framing > MAX_HEAD_BYTES:
            self.fail(UnreadableAnswerError("headers are too large"))
        elif body > self._body_limit:
            self.fail(NoAnswerError("body is too large"), "large")

    def on_headers_complete(self) -> None:
        """Keep status and headers."""
        self._status = status = self._parser.get_status_code()
        raw = self._raw
        if status < OK:
            self._skip_interim(status)
            return
        if len(raw) > MAX_HEADERS:
            self.fail(UnreadableAnswerError("headers are too large"))
            return
        self._headers = headers = headers_of(raw, self._secret)
        raw.clear()
        coding = dict.get(headers, "transfer-encoding")
        if self._head_only:
            self._finish()
        elif coding is not None and coding.lower() != "chunked":
            self.fail(NoAnswerError("unknown transfer coding"), "unreadable")

    def _skip_interim(self, status: int) -> None:
        self._interim += 1
        self._raw.clear()
        if status < HTTPStatus.CONTINUE or status == HTTPStatus.SWITCHING_PROTOCOLS:
            self.fail(UnreadableAnswerError(f"status {status}"))
        elif self._interim > MAX_INTERIM_RESPONSES:
            self.fail(UnreadableAnswerError("too many interim responses"))

    def on_message_complete(self) -> None:
        """Complete the response."""
        if self._response is None:
            return
        if self._status < OK:
            self._body.clear()
            self._awaited.append(None)
            return
        # A server that answers before it has read all may close as soon as it has answered.
        self.reusable = self._parser.should_keep_alive() and not self.has_unsent()
        self._finish()

    def _finish(self) -> None:
        response, self._response = self._response, None
        headers = self._headers
        assert response is not None, "finished once"  # noqa: S101 - callers have looked
        assert headers is not None, "after the headers"  # noqa: S101 - same
        self._unwritten.clear()
        self.keep_alive = dict.get(headers, "keep-alive")
        body, cut = bytes(self._body), ""
        self._body.clear()
        if len(body) > self._body_limit:
            body, cut = b"", "large"
        elif body and (coding := dict.get(headers, "content-encoding")):
            body, cut = decompressed(body, coding.lower(), self._body_limit)
        outcome = HttpResponse(self._status, headers, without(self._secret, body), cut)
        if response.cancelled():
            self._outcome = outcome
        else:
            response.set_result(outcome)

    def eof_received(self) -> None:
        """Complete a body that ends with the connection; the transport closes itself."""
        headers = self._headers
        if self._response is None or headers is None:
            return
        if "content-length" not in headers and "transfer-encoding" not in headers:
            self._finish()

    def connection_lost(self, error: Exception | None) -> None:
        """End the exchange that is under way."""
        self._unwritten.clear()
        if self._response is not None:
            self.fail(NoAnswerError("connection closed" if error is None else type(error).__name__))


def _resolve(response: "asyncio.Future[HttpResponse]", outcome: HttpResponse | NoAnswerError) -> None:
    if isinstance(outcome, HttpResponse):
        response.set_result(outcome)
    else:
        response.set_exception(outcome)
