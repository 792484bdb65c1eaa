"""Fake gRPC channels that pass every call to the fake proxy. They support what stubs and clients use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import grpc

from discordproxy.tests.factories import create_rpc_error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from google.protobuf.message import Message as AnyMessage


class Call(NamedTuple):
    """A call of the application.

    Attributes:
        rpc: Name of the RPC, such as "SendDirectMessage".
        request: The request message.
        timeout: Seconds; None: no deadline.
        metadata: Metadata of the call: API key, name of the application, request id.
    """

    rpc: str
    request: Any
    timeout: float | None
    metadata: dict[str, str]


class CallHandler(Protocol):
    """Handles the calls of the channels. Both methods raise grpc.RpcError if a call fails."""

    def handle(self, call: Call) -> AnyMessage:
        """Return the response of a unary call."""

    def stream(self, call: Call) -> Iterator[Any]:
        """Yield the messages of a streaming call."""


class _SyncStream:
    """The parts of a streaming call that a client uses."""

    def __init__(self, messages: Iterator[Any]) -> None:
        self._messages = messages
        self._cancelled = False

    def cancel(self) -> None:
        self._cancelled = True

    def __iter__(self) -> _SyncStream:
        return self

    def __next__(self) -> Any:
        if self._cancelled:
            raise create_rpc_error(code=grpc.StatusCode.CANCELLED, details="Locally cancelled by application!")
        return next(self._messages)


class _AsyncStream(_SyncStream):
    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        try:
            return next(self)
        except StopIteration:
            raise StopAsyncIteration from None


class SyncChannel:
    """The parts of grpc.Channel that a stub uses."""

    def __init__(self, handler: CallHandler) -> None:
        self._handler = handler

    def unary_unary(
        self, path: str, request_serializer: Any, response_deserializer: Any, **_options: Any
    ) -> Callable[..., Any]:
        rpc = path.rpartition("/")[2]

        def perform(request: AnyMessage, timeout: float | None = None, metadata: Any = (), **_options: Any) -> Any:
            copy = type(request).FromString(request_serializer(request))
            response = self._handler.handle(Call(rpc, copy, timeout, dict(metadata or ())))
            return response_deserializer(response.SerializeToString())

        return perform

    _stream = _SyncStream

    def unary_stream(self, path: str, request_serializer: Any, **_options: Any) -> Callable[..., _SyncStream]:
        rpc = path.rpartition("/")[2]

        def perform(request: AnyMessage, timeout: float | None = None, metadata: Any = ()) -> _SyncStream:
            copy = type(request).FromString(request_serializer(request))
            return self._stream(self._handler.stream(Call(rpc, copy, timeout, dict(metadata or ()))))

        return perform


class AsyncChannel(SyncChannel):
    """The parts of grpc.aio.Channel that a stub uses."""

    _stream = _AsyncStream

    def unary_unary(self, *arguments: Any, **options: Any) -> Callable[..., Any]:
        perform = super().unary_unary(*arguments, **options)

        async def perform_async(*args: Any, **kwargs: Any) -> Any:
            return perform(*args, **kwargs)

        return perform_async
