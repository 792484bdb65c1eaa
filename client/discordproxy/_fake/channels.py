"""What stands in for gRPC's channels: as much of them as stubs and clients need. Every call goes to the fake proxy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import grpc

from discordproxy.tests.factories import create_rpc_error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from google.protobuf.message import Message as AnyMessage

    from discordproxy.events_pb2 import Event
    from discordproxy.testing import FakeDiscordProxy


class Call(NamedTuple):
    """A call that the application made.

    Attributes:
        rpc: Name of the RPC, e.g. "SendDirectMessage".
        request: The request message.
        timeout: Seconds, None without deadline.
        metadata: What was sent with it: API key, name of the application, id of the request.
    """

    rpc: str
    request: Any
    timeout: float | None
    metadata: dict[str, str]


class _SyncStream:
    """As much of a streaming call as a client needs."""

    def __init__(self, events: Iterator[Event]) -> None:
        self._events = events
        self._cancelled = False

    def cancel(self) -> None:
        self._cancelled = True

    def __iter__(self) -> _SyncStream:
        return self

    def __next__(self) -> Event:
        if self._cancelled:
            raise create_rpc_error(code=grpc.StatusCode.CANCELLED, details="Locally cancelled by application!")
        return next(self._events)


class _AsyncStream(_SyncStream):
    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        try:
            return next(self)
        except StopIteration:
            raise StopAsyncIteration from None


class SyncChannel:
    """As much of grpc.Channel as a stub needs."""

    def __init__(self, proxy: FakeDiscordProxy) -> None:
        self._proxy = proxy

    def unary_unary(
        self, path: str, request_serializer: Any, response_deserializer: Any, **_options: Any
    ) -> Callable[..., Any]:
        rpc = path.rpartition("/")[2]

        def perform(request: AnyMessage, timeout: float | None = None, metadata: Any = (), **_options: Any) -> Any:
            copy = type(request).FromString(request_serializer(request))
            response = self._proxy.handle(Call(rpc, copy, timeout, dict(metadata or ())))
            return response_deserializer(response.SerializeToString())

        return perform

    _stream = _SyncStream

    def unary_stream(self, path: str, request_serializer: Any, **_options: Any) -> Callable[..., _SyncStream]:
        rpc = path.rpartition("/")[2]

        def perform(request: AnyMessage, timeout: float | None = None, metadata: Any = ()) -> _SyncStream:
            copy = type(request).FromString(request_serializer(request))
            return self._stream(self._proxy.stream(Call(rpc, copy, timeout, dict(metadata or ()))))

        return perform


class AsyncChannel(SyncChannel):
    """The same of grpc.aio.Channel."""

    _stream = _AsyncStream

    def unary_unary(self, *arguments: Any, **options: Any) -> Callable[..., Any]:
        perform = super().unary_unary(*arguments, **options)

        async def perform_async(*args: Any, **kwargs: Any) -> Any:
            return perform(*args, **kwargs)

        return perform_async
