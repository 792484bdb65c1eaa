"""Bounds the memory of large requests: how many arrive at once, and how many bytes are held until they are answered.

The transport delivers a request only when it is read: a call that waits here has sent little more than its headers. The
size is unknown until a request has arrived, unless the caller declares it (metadata `x-discordproxy-upload-bytes`).
A declared upload waits for memory before it is received; an undeclared one is refused if there is none. Compressed
requests are inflated here, not by gRPC, which would do so before the caller is authenticated.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any

from discordproxy_api.calls import errors
from discordproxy_api.calls.drain import Drain
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.pipeline.receiving.arrivals import Arrivals, Read, late
from discordproxy_api.pipeline.receiving.gzipped import GzipError, inflate, inflated_size, is_gzip

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
        data: its bytes.
        held_bytes: what it counts for until it is released.
    """

    __slots__ = ("data", "held_bytes")

    def __init__(self) -> None:
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
        self._held = 0
        self._announced = asyncio.Semaphore(limits.announced)
        self._arriving = asyncio.Semaphore(limits.arriving)
        self._arrivals = Arrivals(limits.prompt_s or PROMPT_S, limits.receive_timeout_s, max_slow=limits.slow)
        self._queue: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def receive(
        self, read: Read, declared: int = 0, *, compressed: bool = True, received: Received | None = None
    ) -> Received:
        """Receive one request; it counts until `release`.

        Args:
            read: returns the request's bytes, None when the caller has gone.
            declared: size that the caller announced, 0 if none.
            compressed: whether bytes that look like gzip are to be inflated.
            received: the request to fill, if `read` counts its parts with `count_part`.

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
                    received.data = await self._arrivals.wait_for(read) or b""
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
        if self._held > received.held_bytes and not self._has_room(missing):
            raise _full()
        self._count(missing)
        received.held_bytes += missing

    async def _receive_announced(self, received: Received, read: Read, declared: int) -> None:
        reserved = min(declared, self._limits.held_bytes)  # a larger one waits until nothing else is held
        await self._wait_for_room(reserved)
        received.held_bytes = reserved
        async with self._drain.interruptible():
            await self._announced.acquire()
        try:
            async with asyncio.timeout(self._limits.receive_timeout_s):
                received.data = await read() or b""
        except TimeoutError:
            raise late(self._limits.receive_timeout_s) from None
        finally:
            self._announced.release()

    def _count_undeclared(self, received: Received, missing: int) -> None:
        if not self._has_room(missing):
            raise _full()
        self._count(missing)
        received.held_bytes += missing

    def _return_excess(self, received: Received, size: int) -> None:
        """Return what was declared but did not arrive."""
        excess = received.held_bytes - (size if size > SMALL else 0)
        if excess > 0:
            received.held_bytes -= excess
            self._free(excess)

    def release(self, received: Received, continuation: asyncio.Future[Any] | None = None) -> None:
        """Count a request no longer: its call has been answered, and the task that continues it, if any, has ended."""
        if not received.held_bytes:
            return
        if continuation is None or continuation.done():
            self._free(received.held_bytes)
        else:
            continuation.add_done_callback(lambda _: self._free(received.held_bytes))

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

    async def _wait_for_room(self, size: int) -> None:
        if self._has_room(size):
            self._count(size)
            return
        room: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = (size, room)
        self._queue.append(place)
        self._metrics.uploads_waiting.inc()
        try:
            async with self._drain.interruptible():
                await room
        except BaseException:
            if room.done() and not room.cancelled():
                self._free(size)
            elif place in self._queue:  # another call that ended at the same moment may have removed it
                self._queue.remove(place)
                self._admit()
            raise
        finally:
            self._metrics.uploads_waiting.dec()

    def _has_room(self, size: int) -> bool:
        return not self._queue and self._fits(size)

    def _fits(self, size: int) -> bool:
        return not self._held or self._held + size <= self._limits.held_bytes

    def _count(self, size: int) -> None:
        self._held += size
        self._metrics.upload_bytes.set(self._held)

    def _free(self, size: int) -> None:
        if size:
            self._count(-size)
            self._admit()

    def _admit(self) -> None:
        """Let those in front of the line in, as far as there is room."""
        while self._queue and self._fits(self._queue[0][0]):
            size, room = self._queue.popleft()
            if not room.done():
                self._count(size)
                room.set_result(None)


def _full() -> ApiError:
    text = (
        "This worker holds as many uploads as its memory allows; call again, or declare the size in the metadata "
        "x-discordproxy-upload-bytes, so that the call is queued."
    )
    return errors.refusal("RESOURCE_EXHAUSTED", "QUEUE_FULL", text, retry_after_s=2.0)
