"""Values of requests whose answer was not delivered, kept for all workers; also of those in flight for long."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from discordproxy_api.calls.call import Call
from discordproxy_api.calls.retry import NONCE_WINDOW_S
from discordproxy_ratelimit.errors import BrokerError
from discordproxy_ratelimit.process.tasks import BackgroundTasks
from discordproxy_ratelimit.shared.claims import Claims

log = logging.getLogger("discordproxy_api.rest_edge.repeats")

KEPT_AFTER_S = 2.0
"""The value of a request that takes longer is kept.

A library that gives up repeats its request at once, perhaps at another worker. The time is shorter than the timeout
of every library; most requests are answered before.
"""

FRESH_S = 0.1
"""A value that was read longer ago may have changed, while the call waited for its permit."""

FORGOTTEN = b""
_FORGOTTEN_S = 0.001


class Value:
    """A value that is being read, beside the wait for a permit."""

    __slots__ = ("began_at", "reading")

    def __init__(self, reading: asyncio.Future[bytes | None]) -> None:
        self.reading = reading
        self.began_at = asyncio.get_running_loop().time()

    def drop(self) -> None:
        """Read it no further."""
        if not self.reading.cancel() and not self.reading.cancelled():
            self.reading.exception()  # else it would be logged


class UnansweredRequests:
    """Values of requests whose answer was not delivered, for as long as Discord knows a nonce."""

    def __init__(self, claims: Claims) -> None:
        self._claims = claims

    def begin(self, fingerprint: str) -> Value:
        """Start to read the value of a request, together with the script call for its permit."""
        return Value(self._claims.begin_get(_key(fingerprint)))

    async def finish(self, fingerprint: str, value: Value) -> bytes:
        """Return the present value of a request, b"" if there is none. It is read again if `value` may be outdated.

        Args:
            fingerprint: of the request.
            value: what `begin` returned.
        """
        found = await self._finish(value)
        is_fresh = asyncio.get_running_loop().time() - value.began_at < FRESH_S
        return found if is_fresh and not found else await self.get(fingerprint)

    async def get(self, fingerprint: str) -> bytes:
        """Return the value of a request, b"" if there is none."""
        return await self._finish(self.begin(fingerprint))

    async def _finish(self, value: Value) -> bytes:
        try:
            return await self._claims.finish_get(value.reading) or FORGOTTEN
        except BrokerError:
            return FORGOTTEN

    async def keep(self, fingerprint: str, value: bytes, ttl_s: float = NONCE_WINDOW_S) -> None:
        """Keep a value for a request."""
        try:
            await self._claims.set(_key(fingerprint), value, ttl_s=ttl_s)
        except BrokerError as error:
            log.warning("The state of an unanswered request could not be kept: %s", error)

    async def forget(self, fingerprint: str) -> None:
        """Forget a request: its answer is about to be delivered."""
        await self.keep(fingerprint, FORGOTTEN, _FORGOTTEN_S)


def _key(fingerprint: str) -> str:
    return f"unanswered:{fingerprint}"


class SlowRequest:
    """A request in flight, and how its value is kept."""

    __slots__ = ("call", "due_at", "keep", "writing")

    def __init__(self, keep: Callable[[], Coroutine[Any, Any, None]], call: Call, due_at: float) -> None:
        self.keep = keep
        self.call = call
        self.due_at = due_at
        self.writing: asyncio.Task[None] | None = None


class SlowRequests:
    """Keeps the values of requests that are in flight for long, with one timer for all of them.

    Args:
        background: tasks that outlive their calls.
    """

    def __init__(self, background: BackgroundTasks) -> None:
        self._background = background
        self._requests: dict[SlowRequest, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, keep: Callable[[], Coroutine[Any, Any, None]], call: Call) -> SlowRequest:
        """Start to watch a request that is about to be sent.

        Args:
            keep: writes the value; repeated, so that it may expire soon.
            call: whose request it is.
        """
        loop = asyncio.get_running_loop()
        request = SlowRequest(keep, call, loop.time() + KEPT_AFTER_S)
        self._requests[request] = None
        if self._timer is None:
            self._timer = loop.call_later(KEPT_AFTER_S / 4, self._write_due)
        return request

    def write(self, request: SlowRequest) -> None:
        """Write the value now."""
        request.writing = self._background.start(request.keep())

    async def end(self, request: SlowRequest) -> bool:
        """End the watch of a request, once its value is written if that has begun; return whether it has."""
        self._requests.pop(request, None)
        if request.writing is None:
            return False
        await asyncio.wait({request.writing})
        return True

    def _write_due(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for request in self._requests:
            if request.due_at <= now:
                request.due_at = now + KEPT_AFTER_S
                if request.call.sent != "no":
                    self.write(request)
        self._timer = loop.call_later(KEPT_AFTER_S / 4, self._write_due) if self._requests else None
