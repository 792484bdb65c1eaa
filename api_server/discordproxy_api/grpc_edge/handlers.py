"""The innermost layer: reads the requests of all handlers but the `Servicer`'s, which reads its own.

Left to itself, gRPC reads a request before any layer has seen the call. Here it is read after the caller has been let
in, and within the bounds of `Uploads`.
"""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc import StatusCode
from grpc.aio import ServerInterceptor

from discordproxy_api.calls import errors
from discordproxy_api.contract.contract import SERVICE
from discordproxy_api.pipeline.uploads import UploadLimits, Uploads

KEYLESS = UploadLimits(message_bytes=4096, arriving=64, slow=2, prompt_s=0.05, receive_timeout_s=5.0)
"""What may be sent to health, reflection and console, whose largest request holds a name. gRPC knows one largest size
for all methods, so each that arrives may take that much memory until it is here and can be refused; an honest one has
come with its call."""

Read = Callable[[Any], Awaitable[Any]]


class Reception(ServerInterceptor):
    """Takes requests in.

    Args:
        keyless: receives for the services that need no key.
        keyed: receives for our own service.
    """

    def __init__(self, keyless: Uploads, keyed: Uploads) -> None:
        self._keyless, self._keyed = keyless, keyed
        self._wrapped: dict[str, tuple[Any, Any]] = {}

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any) -> Any:
        """Return the handler as one that takes a stream of requests, which gRPC does not read on its own."""
        handler = await continuation(handler_call_details)
        if handler is None or handler.stream_unary is not None:
            return handler
        method = handler_call_details.method
        known, wrapped = self._wrapped.get(method, (None, None))
        if known is not handler:  # the first call of this method
            wrapped = _wrap(handler, self._keyed if method.startswith(SERVICE) else self._keyless)
            self._wrapped[method] = handler, wrapped
        return wrapped


def _wrap(handler: Any, uploads: Uploads) -> Any:
    read: Read = partial(_read, uploads, handler.request_deserializer or bytes)
    if handler.unary_unary is not None:
        return grpc.stream_unary_rpc_method_handler(
            _unary(handler.unary_unary, read), None, handler.response_serializer
        )
    if handler.request_streaming:
        serve = _several(handler.stream_stream, partial(_read_next, uploads, handler.request_deserializer or bytes))
    elif inspect.isasyncgenfunction(handler.unary_stream):
        serve = _generator(handler.unary_stream, read)
    else:
        serve = _unary(handler.unary_stream, read)
    return grpc.stream_stream_rpc_method_handler(serve, None, handler.response_serializer)


def _unary(function: Callable[[Any, Any], Any], read: Read) -> Callable[[Any, Any], Any]:
    async def serve(_requests: Any, context: Any) -> Any:
        return await function(await read(context), context)

    return serve


def _generator(function: Callable[[Any, Any], Any], read: Read) -> Callable[[Any, Any], Any]:
    async def serve(_requests: Any, context: Any) -> AsyncIterator[Any]:
        async for response in function(await read(context), context):
            yield response

    return serve


def _several(function: Callable[[Any, Any], Any], read: Read) -> Callable[[Any, Any], Any]:
    async def requests(context: Any) -> AsyncIterator[Any]:
        while (request := await read(context)) is not None:
            yield request

    async def serve(_requests: Any, context: Any) -> AsyncIterator[Any]:
        async for response in function(requests(context), context):
            yield response

    return serve


async def _read(uploads: Uploads, decode: Callable[[bytes], Any], context: Any) -> Any:
    async def read() -> bytes | None:
        data = await context.read()
        return None if data is grpc.aio.EOF else data

    async with uploads.receive(read, 0) as received:
        return _decoded(decode, received.take())


async def _read_next(uploads: Uploads, decode: Callable[[bytes], Any], context: Any) -> Any:
    """Return the next request of a stream, None at its end. There may be hours between two of them."""
    data = await context.read()
    return None if data is grpc.aio.EOF else _decoded(decode, await uploads.inflated(data))


def _decoded(decode: Callable[[bytes], Any], data: bytes) -> Any:
    try:
        return decode(data)
    except DecodeError:
        text = "The request is not a message of the type that this method takes."
        raise errors.refusal(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", text) from None
