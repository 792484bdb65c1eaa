"""Bounds the memory of large requests: how many arrive at once, and how many bytes are held until they are answered.

gRPC hands over a request only when it is asked to: a call that waits here has sent little more than its headers. The
size is unknown until a request has arrived, unless the caller declares it (metadata `x-discordproxy-upload-bytes`).
A declared upload waits for room before it is received; an undeclared one that finds no room is refused. Compressed
requests are inflated here, not by gRPC, which would do so before it is known who calls and whether there is room.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from grpc import StatusCode

from discordproxy_api.calls import errors
from discordproxy_api.calls.drain import Drain
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.pipeline.gzipped import GzipError, inflate, inflated_size

DECLARED = "x-discordproxy-upload-bytes"
SMALL = 256 * 1024
"""Requests up to this size are not counted: there is no point in making a text message wait."""

PROMPT_S = 0.1
"""A request that needs longer to arrive is large, or its sender slow: only few of those may arrive at a time. Before,
memory is bounded by what a network carries in this time, and whoever never sends anything takes nobody's place."""

_LATE_S = 0.01
_MOST_EXTENSIONS = 10

Read = Callable[[], Awaitable[bytes | None]]


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """What a worker takes.

    Attributes:
        held_bytes: large requests in memory, from arrival to answer.
        announced: declared uploads that may arrive at the same time.
        arriving: other requests that may arrive at the same time.
        slow: of those, how many may take longer than `prompt_s`.
        prompt_s: how long one may take without a place among the slow; None for `PROMPT_S`.
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
    """The bytes of one request. Taken once, so that they are freed as soon as they have been decoded."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes | None) -> None:
        self._data = data

    @property
    def data(self) -> bytes:
        """The bytes, still held."""
        return self._data or b""

    def take(self) -> bytes:
        """Return the bytes and let go of them."""
        data, self._data = self._data, None
        return data or b""


class Uploads:
    """The gate that requests with files pass.

    Args:
        drain: ends the wait for room.
    """

    def __init__(self, limits: UploadLimits, *, drain: Drain, metrics: Metrics) -> None:
        self._limits = limits
        self._drain = drain
        self._metrics = metrics
        self._held = 0
        self._slow = 0
        self._announced = asyncio.Semaphore(limits.announced)
        self._arriving = asyncio.Semaphore(limits.arriving)
        self._line: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def receive(self, read: Read, declared: int) -> AsyncIterator[Received]:
        """Receive one request; its bytes stay counted until the block is left.

        Args:
            read: returns the request's bytes, None when the caller has gone.
            declared: size the caller announced, 0 if none.

        Raises:
            ApiError: there is no room, or the request did not arrive in time.
        """
        declared = declared if declared > SMALL else 0
        reserved = min(declared, self._limits.held_bytes)  # one that is larger than the room waits for all of it
        if reserved:
            await self._wait_for_room(reserved)
        try:
            received = Received(await (self._arrive_announced(read) if declared else self._arrive(read)))
            size = inflated_size(received.data)
            if size > self._limits.message_bytes:
                received.take()
                raise self._too_large(size)
            missing = size - declared
            if missing > SMALL:
                if not self._has_room(missing):
                    received.take()  # an error keeps this frame alive until it has been answered
                    raise _full()
                self._count(missing)
                reserved += missing
            yield Received(await self.inflated(received.take()))
        finally:
            self._release(reserved)

    async def inflated(self, data: bytes) -> bytes:
        """Return a request without its caller's compression; raises ApiError if it is too large or damaged."""
        size = inflated_size(data)
        if size > self._limits.message_bytes:
            del data
            raise self._too_large(size)
        if size == len(data):
            return data
        try:
            return inflate(data, size) if size <= SMALL else await asyncio.to_thread(inflate, data, size)
        except GzipError as error:
            raise errors.refusal(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", str(error)) from None

    def _too_large(self, size: int) -> ApiError:
        text = f"The request has {size} bytes; this call takes {self._limits.message_bytes} at most."
        return errors.refusal(StatusCode.RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE", text)

    async def _arrive_announced(self, read: Read) -> bytes | None:
        async with AsyncExitStack() as stack:
            async with self._drain.interruptible():
                await stack.enter_async_context(self._announced)
            try:
                async with asyncio.timeout(self._limits.receive_timeout_s):
                    return await read()
            except TimeoutError:
                raise self._late() from None

    async def _arrive(self, read: Read) -> bytes | None:
        async with self._arriving:
            limits = self._limits
            patience = _Patience(limits.prompt_s or PROMPT_S, limits.receive_timeout_s, self._may_be_slow)
            try:
                async with patience.limit:
                    return await read()
            except TimeoutError:
                raise (self._late() if patience.is_slow else _too_slow()) from None
            finally:
                patience.end()
                self._slow -= patience.is_slow

    def _may_be_slow(self) -> bool:
        if self._slow >= self._limits.slow:
            return False
        self._slow += 1
        return True

    def _late(self) -> ApiError:
        text = f"The request did not arrive within {self._limits.receive_timeout_s:.0f} s."
        return errors.refusal(StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", text, retry_after_s=1.0)

    async def _wait_for_room(self, size: int) -> None:
        if self._has_room(size):
            self._count(size)
            return
        room: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        place = (size, room)
        self._line.append(place)
        self._metrics.uploads_waiting.inc()
        try:
            async with self._drain.interruptible():
                await room
        except BaseException:
            if room.done() and not room.cancelled():
                self._release(size)
            elif place in self._line:  # else somebody who left at the same moment has taken it out
                self._line.remove(place)
                self._admit()
            raise
        finally:
            self._metrics.uploads_waiting.dec()

    def _has_room(self, size: int) -> bool:
        return not self._line and self._fits(size)

    def _fits(self, size: int) -> bool:
        return not self._held or self._held + size <= self._limits.held_bytes

    def _count(self, size: int) -> None:
        self._held += size
        self._metrics.upload_bytes.set(self._held)

    def _release(self, size: int) -> None:
        if size:
            self._count(-size)
            self._admit()

    def _admit(self) -> None:
        """Let those in front of the line in, as far as there is room."""
        while self._line and self._fits(self._line[0][0]):
            size, room = self._line.popleft()
            if not room.done():
                self._count(size)
                room.set_result(None)


class _Patience:
    """How long one request may take to arrive: `prompt_s`, or all the time there is when `may_be_slow` grants it.

    Attributes:
        limit: runs around the reception.
        is_slow: whether it was granted.
    """

    def __init__(self, prompt_s: float, longest_s: float, may_be_slow: Callable[[], bool]) -> None:
        self._prompt_s = prompt_s
        self._loop = asyncio.get_running_loop()
        self._may_be_slow = may_be_slow
        self._extensions = 0
        self._looked = False
        self.limit = asyncio.timeout(longest_s)
        self.is_slow = False
        self._wait(prompt_s)

    def end(self) -> None:
        """The request is here, or never will be."""
        self._timer.cancel()

    def _wait(self, seconds: float) -> None:
        self._due = self._loop.time() + seconds
        self._timer = self._loop.call_at(self._due, self._over)

    def _over(self) -> None:
        late = self._loop.time() - self._due > _LATE_S  # then the request may be here and not have been looked at,
        if (late or not self._looked) and self._extensions < _MOST_EXTENSIONS:  # as the loop sees to timers first
            self._extensions += 1
            self._looked = not late
            self._wait(self._prompt_s if late else _LATE_S)
            return
        self.is_slow = self._may_be_slow()
        if not self.is_slow:
            self.limit.reschedule(self._loop.time())


def _full() -> ApiError:
    text = "This worker holds as many uploads as its memory allows; call again, or declare the size to wait in line."
    return errors.refusal(StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", text, retry_after_s=2.0)


def _too_slow() -> ApiError:
    text = "The request did not arrive at once, and this worker waits for as many slow callers as it can; call again."
    return errors.refusal(StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", text, retry_after_s=1.0)
