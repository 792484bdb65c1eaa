"""Puts a context manager around a gRPC handler, whichever of the kinds it is.

Wrapping the call that *finds* the handler would catch nothing: the handler's own function must be wrapped.
"""

import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import grpc

Around = Callable[[Any], AbstractAsyncContextManager[None]]
"""From the call's gRPC context to what surrounds the handler."""

_KINDS = {
    (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler),
    (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler),
    (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler),
    (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler),
}


def wrap(handler: Any, around: Around) -> Any:
    """Return a handler of the same kind that runs inside `around(context)`."""
    name, make = _KINDS[handler.request_streaming, handler.response_streaming]
    function = getattr(handler, name)
    wrapped = _generator(function, around) if inspect.isasyncgenfunction(function) else _coroutine(function, around)
    return make(wrapped, handler.request_deserializer, handler.response_serializer)


def _coroutine(function: Callable[[Any, Any], Any], around: Around) -> Callable[[Any, Any], Any]:
    async def serve(request: Any, context: Any) -> Any:
        async with around(context):
            return await function(request, context)

    return serve


def _generator(function: Callable[[Any, Any], Any], around: Around) -> Callable[[Any, Any], Any]:
    async def serve(request: Any, context: Any) -> AsyncIterator[Any]:
        async with around(context):
            async for response in function(request, context):
                yield response

    return serve
