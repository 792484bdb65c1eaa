"""Bounds the memory of large requests: how many arrive at once, and how many bytes are held until they are answered.

The transport delivers a request only when it is read: a call that waits here has sent little more than its headers. The
size is unknown until a request has arrived, unless the caller declares it (metadata `x-discordproxy-upload-bytes`).
A declared upload waits for memory before it is received; an undeclared one is refused if there is none. Applications
share memory and places: neither many nor stalled uploads of one of them keep out those of others. Compressed requests
are inflated here, not by gRPC, which would do so before the caller is authenticated.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from discordproxy_api.calls import errors
from discordproxy_api.calls.drain import Drain
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.pipeline.receiving.arrivals import Arrivals, Read, late
from discordproxy_api.pipeline.receiving.gzipped import GzipError, inflate, inflated_size, is_gzip
from discordproxy_api.pipeline.receiving.shared_room import SharedRoom

DECLARED = "x-discordproxy-upload-bytes"
SMALL = 256 * 1024
"""Requests up to this size are not counted: a text message does not have to wait for memory."""

PROMPT_S = 0.1
"""A request that takes longer to arrive is large, or its sender is slow: only few of them may arrive at a time. Until
then the network's speed bounds the memory, and a caller that never sends anything takes no place."""


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """Limits of one worker.

    Attributes:
        held_bytes: large requests in memory, from arrival to answer.
        announced: declared uploads that may arrive at the same time.
        arriving: other requests that may arrive at the same time.
        slow: those among them that may take longer than `prompt_s`.
        prompt_s: seconds after which a request that has not arrived is slow; None for `PROMPT_S`.
        receive_timeout_s: longest time from permission to arrival.
        message_bytes: largest request, as gRPC delivers it and inflated.
    """

    held_bytes: int = 96 * 1024 * 1024
    announced: int = 4
    arriving: int = 512
    slow: int = 4
    prompt_s: float | None = None
    receive_timeout_s: float = 60.0
    message_bytes: int = 32 * 1024 * 1024


class Received:
    """One request in memory.

    Attributes:
        app: the application that it counts for.
        data: its bytes.
        held_bytes: what it counts for until it is released.
    """

    __slots__ = ("app", "data", "held_bytes")

    def __init__(self, app: str = "") -> None:
        self.app = app
        self.data = b""
        self.held_bytes = 0

    def pop(self) -> bytes:
        """Return the bytes and drop them here, so that they are freed as soon as they are decoded."""
        data, self.data = self.data, b""
        return data


class Uploads:
    """Receives requests within the limits.

    Args:
        drain: ends the wait for memory.
    """

    def __init__(self, limits: UploadLimits, *, drain: Drain, metrics: Metrics) -> None:
        self._limits = limits
        self._drain = drain
        self._metrics = metrics
        self._memory = SharedRoom(limits.held_bytes)
        self._announced = SharedRoom(limits.announced)
        self._arriving = asyncio.Semaphore(limits.arriving)
        self._arrivals = Arrivals(limits.prompt_s or PROMPT_S, limits.receive_timeout_s, SharedRoom(limits.slow))

    async def receive(
        self, read: Read, declared: int = 0, *, compressed: bool = True, received: Received | None = None
    ) -> Received:
        """Receive one request; it counts until `release`.

        Args:
            read: returns the request's bytes, None when the caller has gone.
            declared: size that the caller announced, 0 if none.
            compressed: whether bytes that look like gzip are to be inflated.
            received: the request to fill; `read` may count its parts with `count_part`.

        Raises:
            ApiError: there is no memory, or the request did not arrive in time.
        """
        declared = declared if declared > SMALL else 0
        received = received or Received()
        try:
            if declared:
                await self._receive_announced(received, read, declared)
            else:
                await self._arriving.acquire()
                try:
                    received.data = await self._arrivals.wait_for(read, received.app) or b""
                finally:
                    self._arriving.release()
            size = inflated_size(received.data) if compressed else len(received.data)
            self._check_size(size)
            counted = max(declared, received.held_bytes)
            if size - counted > SMALL:
                self._count_undeclared(received, size - counted)
            else:
                self._return_excess(received, size)
            if compressed and is_gzip(received.data):
                received.data = await self.inflated(received.pop())
        except BaseException:
            received.pop()  # the error keeps this frame alive until it has been answered
            self.release(received)
            raise
        return received

    def count_part(self, received: Received, size: int) -> None:
        """Count the bytes of a large request that have arrived so far.

        Raises:
            ApiError: other requests hold the memory.
        """
        missing = size - received.held_bytes
        if size <= SMALL or missing <= 0:
            return
        alone = self._memory.taken == received.held_bytes
        self._count_undeclared(received, missing, alone=alone)

    async def _receive_announced(self, received: Received, read: Read, declared: int) -> None:
        reserved = min(declared, self._limits.held_bytes)  # a larger one waits until nothing else is held
        await self._wait_for_memory(received.app, reserved)
        received.held_bytes = reserved
        async with self._drain.interruptible():
            await self._announced.acquire(received.app, 1)
        try:
            async with asyncio.timeout(self._limits.receive_timeout_s):
                received.data = await read() or b""
        except TimeoutError:
            raise late(self._limits.receive_timeout_s) from None
        finally:
            self._announced.release(received.app, 1)

    def _count_undeclared(self, received: Received, missing: int, *, alone: bool = False) -> None:
        if alone:
            self._memory.count(received.app, missing)
        elif not self._memory.try_acquire(received.app, missing, more_of=received.held_bytes):
            raise _full()
        received.held_bytes += missing
        self._show_memory()

    def _return_excess(self, received: Received, size: int) -> None:
        """Return what was declared but did not arrive."""
        excess = received.held_bytes - (size if size > SMALL else 0)
        if excess > 0:
            received.held_bytes -= excess
            self._free(received.app, excess)

    def release(self, received: Received, continuation: asyncio.Future[Any] | None = None) -> None:
        """Count a request no longer: its call has been answered, and the task that continues it, if any, has ended."""
        if not received.held_bytes:
            return
        if continuation is None or continuation.done():
            self._free(received.app, received.held_bytes)
        else:
            continuation.add_done_callback(lambda _: self._free(received.app, received.held_bytes))

    async def inflated(self, data: bytes) -> bytes:
        """Return a request without its caller's compression; raises ApiError if it is too large or damaged."""
        size = inflated_size(data)
        if size > self._limits.message_bytes:
            del data  # the error keeps this frame alive
        self._check_size(size)
        if not is_gzip(data):
            return data
        try:
            return inflate(data, size) if size <= SMALL else await asyncio.to_thread(inflate, data, size)
        except GzipError as error:
            raise errors.refusal("INVALID_ARGUMENT", "INVALID_REQUEST", str(error)) from None

    def _check_size(self, size: int) -> None:
        if size > self._limits.message_bytes:
            text = f"The request has {size} bytes; this call takes {self._limits.message_bytes} at most."
            raise errors.refusal("RESOURCE_EXHAUSTED", "REQUEST_TOO_LARGE", text)

    async def _wait_for_memory(self, app: str, size: int) -> None:
        self._metrics.uploads_waiting.inc()
        try:
            async with self._drain.interruptible():
                await self._memory.acquire(app, size)
        finally:
            self._metrics.uploads_waiting.dec()
            self._show_memory()

    def _free(self, app: str, size: int) -> None:
        self._memory.release(app, size)
        self._show_memory()

    def _show_memory(self) -> None:
        self._metrics.upload_bytes.set(self._memory.taken)


def _full() -> ApiError:
    text = (
        "This worker holds as many uploads as its memory allows; call again, or declare the size in the metadata "
        "x-discordproxy-upload-bytes, so that the call is queued."
    )
    return errors.refusal("RESOURCE_EXHAUSTED", "QUEUE_FULL", text, retry_after_s=2.0)
