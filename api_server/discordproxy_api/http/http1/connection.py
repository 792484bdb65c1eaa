"""One connection of an HTTP/1.1 server: serves one request at a time, in a task of its own."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from discordproxy_api.http.connections import GuardedConnection, peer_of
from discordproxy_api.http.http1.answer import HttpAnswer, encoded, text_answer
from discordproxy_api.http.http1.head import HEAD_END, LINE_END, MalformedError, PartialHead
from discordproxy_api.http.http1.request import HttpRequest

MAX_AHEAD = 64 * 1024
"""Bytes that are received ahead: of a body that is not read yet, or of requests behind the present one."""

LINGER_S, MAX_LINGER = 1.0, 64 * 1024 * 1024
"""Seconds and bytes of a refused request that are still received and dropped, so that its sender reads the answer."""

Serve = Callable[[HttpRequest], Coroutine[Any, Any, None]]
"""Serves a request; calls its connection's `respond`, unless it is cancelled because the client has gone."""

NO_LIMIT = float("inf")


class ServerConnection(GuardedConnection):
    """A connection.

    Args:
        serve: serves one request.
        keep_alive_s: for the previous answer and the head of the next request.

    Attributes:
        peer: address of the client in gRPC's form.
        is_late: whether the request in progress was cancelled because its `deadline_at` has passed.
    """

    def __init__(self, serve: Serve, keep_alive_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        super().__init__(self._loop)
        self.peer = ""
        self.is_late = False
        self._serve = serve
        self._keep_alive_s = keep_alive_s
        self._partial: PartialHead | None = None
        self._request: HttpRequest | None = None
        self._task: asyncio.Task[None] | None = None
        self._ahead = b""
        self._is_ending = self._is_paused = self._is_full = False
        self._linger_timer: asyncio.TimerHandle | None = None
        self._dropped = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        super().connection_made(transport)
        self.peer = peer_of(transport)

    def expire(self) -> None:
        """End the request in progress, or a connection without one: its time is up."""
        if self.busy and self._task is not None:
            self.is_late, self.deadline_at = True, NO_LIMIT
            self._task.cancel()
        else:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the request in progress."""
        super().connection_lost(exc)
        self._stop_timer()
        self._request = None
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        """Take received bytes: of a head, of a body, of the next request, or to be dropped."""
        self.active_at = self._loop.time()
        request = self._request
        if self._is_ending:
            self._count_dropped(len(data))
        elif request is None:
            self._begin(data)
        elif request.body is None:
            self._continue(request, data)
        else:
            self._keep(data)

    def _begin(self, data: bytes) -> None:
        """Start to serve a request once its head has arrived."""
        try:
            end = data.find(HEAD_END)
            if self._partial is not None or end < 0 or data[0] in LINE_END:
                whole = self._whole_head(data)
                if whole is None:
                    return
                data, end = whole, whole.find(HEAD_END)
            end += len(HEAD_END)
            request = HttpRequest(data[:end], self)
            rest = request.feed(data[end:])
        except MalformedError:
            self._refuse()
            return
        self._request, self.busy, self.deadline_at = request, True, NO_LIMIT
        self._task = self._loop.create_task(self._serve(request))
        if rest:
            self._keep(rest)
        elif rest is None:
            self._bound(request)

    def _whole_head(self, data: bytes) -> bytes | None:
        """Return all bytes of a request so far once they contain its whole head."""
        if self._partial is None:
            data = data.lstrip(LINE_END)  # empty lines before a request are permitted
            if not data:
                return None
            self._partial = PartialHead()
        whole = self._partial.add(data)
        if whole is not None:
            self._partial = None
        return whole

    def _continue(self, request: HttpRequest, data: bytes) -> None:
        """Take bytes of a body."""
        try:
            rest = request.feed(data)
        except MalformedError:  # the request is answered with it
            self._is_ending = True
            return
        if rest:
            self._keep(rest)
        if self._linger_timer is not None:
            self._linger_on(request, len(data))
        elif rest is None:
            self._bound(request)

    def _bound(self, request: HttpRequest) -> None:
        """Receive no more for now of a body that nobody reads."""
        if not request.is_reading and request.arrived > MAX_AHEAD:
            self.pause()

    def _keep(self, data: bytes) -> None:
        """Keep bytes of the next requests until the present one is answered."""
        self._ahead += data
        if len(self._ahead) > MAX_AHEAD:
            self.pause()

    def pause(self) -> None:
        """Receive no more for now."""
        if not (self._is_paused or self.transport.is_closing()):
            self._is_paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Receive again."""
        if self._is_paused:
            self._is_paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    def respond(self, request: HttpRequest, answer: HttpAnswer) -> None:
        """Send the answer to a request, unless it has one; go on with the next request, or end the connection.

        Raises:
            ValueError: a header of the answer would not be the same on the wire; nothing was sent.
        """
        transport = self.transport
        if request is not self._request or not self.busy or transport.is_closing():
            return
        if answer.closes or self._is_ending:
            request.keep_alive = False
        connection = "close" if not request.keep_alive else "" if request.version == "1.1" else "keep-alive"
        transport.write(encoded(answer, connection=connection, head_only=request.method == "HEAD"))
        self._task, self.busy, self.is_late = None, False, False
        self.active_at = now = self._loop.time()
        self.deadline_at = now + self._keep_alive_s
        if request.body is None:
            self._linger(request)
        elif not request.keep_alive:
            self._end()
        elif not self._is_full:
            self._next()

    def _next(self) -> None:
        """Go on with the next request."""
        self._request = None
        ahead, self._ahead = self._ahead, b""
        if ahead:
            self._begin(ahead)
        if self._is_paused and len(self._ahead) <= MAX_AHEAD and not self._is_ending:
            self.resume()

    def pause_writing(self) -> None:
        """Serve no further request: the client does not read its answers."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Go on once the client has read."""
        self._is_full = False
        request = self._request
        if request is not None and not self.busy and request.body is not None and not self._is_ending:
            self._next()

    def _refuse(self) -> None:
        """Answer bytes that are no request, and end the connection: another request could begin anywhere in them."""
        self.transport.write(encoded(text_answer(400, "Bad Request\n"), connection="close", head_only=False))
        self._drop_rest()

    def _end(self) -> None:
        """Close the connection; at once if the client has nothing on its way here."""
        self._is_ending = True
        if self._ahead or self._is_paused:
            self._drop_rest()
        else:
            self.transport.close()

    def _linger(self, request: HttpRequest) -> None:
        """Receive and drop the rest of the body of an answered request: closing now could destroy the answer."""
        request.drop()
        if request.keep_alive:
            self._start_timer()
        else:
            self._drop_rest()

    def _linger_on(self, request: HttpRequest, size: int) -> None:
        """Go on once the body of an answered request has arrived."""
        request.drop()
        self._count_dropped(size)
        if request.body is not None:
            self._stop_timer()
            if not self._is_full:
                self._next()

    def _drop_rest(self) -> None:
        """Receive and drop all that comes, until the client closes the connection, but not for long."""
        self._is_ending = True
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._start_timer()

    def _count_dropped(self, size: int) -> None:
        self._dropped += size
        if self._dropped > MAX_LINGER:
            self.transport.abort()

    def _start_timer(self) -> None:
        self._dropped = 0
        self._linger_timer = self._loop.call_later(LINGER_S, self.transport.close)
        self.resume()

    def _stop_timer(self) -> None:
        if self._linger_timer is not None:
            self._linger_timer.cancel()
            self._linger_timer = None
