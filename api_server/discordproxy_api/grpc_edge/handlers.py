"""The gRPC adapter: turns each RPC into a `Call` for a pipeline, and its error into a status with details.

Every request is read only after the call has been admitted. So all handlers take a stream of requests, although most
callers send one; on the wire there is no difference.
"""

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Protocol

import grpc
from google.protobuf.message import DecodeError
from grpc import StatusCode
from grpc.aio import AbortError

from discordproxy_api.access.authenticator import certificate_names
from discordproxy_api.calls import errors
from discordproxy_api.calls.call import STATUS_NUMBERS, Call, Status, request_id_of
from discordproxy_api.calls.drain import Drain
from discordproxy_api.calls.errors import AnsweredError, ApiError
from discordproxy_api.contract.contract import SERVICE, Rpc
from discordproxy_api.grpc_edge.error_details import render
from discordproxy_api.pipeline.pipeline import CallPipeline
from discordproxy_api.pipeline.receiving.uploads import Uploads
from discordproxy_api.pipeline.unary_calls import UnaryCalls, decode_request
from discordproxy_api.rpcs.procedure import StreamProcedure, check_size

log = logging.getLogger("discordproxy_api")

_STATUSES: dict[StatusCode, Status] = {StatusCode[name]: name for name in STATUS_NUMBERS}

Handler = Any  # grpc.RpcMethodHandler is generic for type checkers only
Work = Callable[[Any, Call], Awaitable[Any]]
"""Serves an admitted call, given its gRPC context; returns the response, or None after it has written a stream."""


class Bot(Protocol):
    """The service of one bot."""

    @property
    def unary_calls(self) -> UnaryCalls:
        """Serves the RPCs with one response."""

    @property
    def streams(self) -> Mapping[str, StreamProcedure]:
        """Serves the other RPCs, by name."""


class GrpcAdapter:
    """Makes gRPC handlers of pipelines.

    Args:
        certificates: whether client certificates are requested.
    """

    def __init__(self, drain: Drain, *, certificates: bool = False) -> None:
        self._drain = drain
        self._certificates = certificates

    def discord_api(
        self, contract: Mapping[str, Rpc], pipeline: CallPipeline, uploads: Uploads, bots: Mapping[str, Bot]
    ) -> grpc.GenericRpcHandler:
        """Return the handler of the contract's service. The caller's key selects its bot by name; "" is the first."""

        def unary(context: Any, call: Call) -> Awaitable[bytes]:
            return bots[call.principal.bot].unary_calls.serve(call, partial(_read, context))

        async def stream(context: Any, call: Call) -> None:
            procedure = bots[call.principal.bot].streams[call.rpc]
            decode = partial(_stream_request, contract[call.rpc], procedure.max_request_bytes)
            request = await _receive(uploads, decode, context)
            await procedure.serve(call, request, context.write)

        handlers: dict[str, Handler] = {
            name: self._handler(name, pipeline, stream if rpc.streaming else unary, streams=rpc.streaming)
            for name, rpc in contract.items()
        }
        return grpc.method_handlers_generic_handler(SERVICE.strip("/"), handlers)

    def guarded(
        self, handler: grpc.GenericRpcHandler, pipeline: CallPipeline, uploads: Uploads
    ) -> grpc.GenericRpcHandler:
        """Return the handler of another service, with a pipeline in front."""
        return _Guarded(handler, partial(self._guard, pipeline=pipeline, uploads=uploads))

    def _guard(self, path: str, inner: Any, *, pipeline: CallPipeline, uploads: Uploads) -> Handler:
        work = _stream_work(inner, uploads, self._drain) if inner.response_streaming else _unary_work(inner, uploads)
        name = path.rpartition("/")[2]
        return self._handler(
            name, pipeline, work, streams=inner.response_streaming, serializer=inner.response_serializer
        )

    def _handler(
        self,
        name: str,
        pipeline: CallPipeline,
        work: Work,
        *,
        streams: bool,
        serializer: Callable[[Any], bytes] | None = None,
    ) -> Handler:
        async def serve(_requests: Any, context: Any) -> Any:
            call = self._call(name, context, streams=streams)
            context.set_trailing_metadata((("x-request-id", call.request_id),))
            try:
                return await pipeline.serve(call, partial(work, context))
            except ApiError as error:
                failure = error
            except AnsweredError as error:
                raise (error.__cause__ or error) from None
            await _abort(context, call, failure)
            return None

        kind = grpc.stream_stream_rpc_method_handler if streams else grpc.stream_unary_rpc_method_handler
        return kind(serve, None, serializer)

    def _call(self, name: str, context: Any, *, streams: bool) -> Call:
        metadata = {key: value for key, value in reversed(context.invocation_metadata()) if isinstance(value, str)}
        remaining_s = context.time_remaining()
        return Call(
            rpc=name,
            request_id=request_id_of(metadata.get("x-request-id", "")),
            streams=streams,
            metadata=metadata,
            peer=context.peer(),
            certificate=certificate_names(context.auth_context()) if self._certificates else (),
            claimed_app=metadata.get("x-discordproxy-app", ""),
            deadline_at=float("inf") if remaining_s is None else asyncio.get_running_loop().time() + remaining_s,
        )


class _Guarded(grpc.GenericRpcHandler):
    def __init__(self, inner: grpc.GenericRpcHandler, guard: Callable[[str, Any], Handler]) -> None:
        self._inner = inner
        self._guard = guard
        self._handlers: dict[str, Handler] = {}

    def service(self, handler_call_details: Any) -> Any:
        """Return the handler of a method, None for an unknown one, which gRPC answers."""
        method = handler_call_details.method
        if method not in self._handlers:
            inner = self._inner.service(handler_call_details)
            if inner is None:
                return None
            self._handlers[method] = self._guard(method, inner)
        return self._handlers[method]


def _unary_work(inner: Any, uploads: Uploads) -> Work:
    function, decode = inner.unary_unary, inner.request_deserializer or bytes

    async def work(context: Any, _call: Call) -> Any:
        request = await _receive(uploads, decode, context)
        try:
            return await function(request, context)
        except AbortError as error:
            raise _answered(context) from error

    return work


def _stream_work(inner: Any, uploads: Uploads, drain: Drain) -> Work:
    function, decode = inner.unary_stream or inner.stream_stream, inner.request_deserializer or bytes

    async def work(context: Any, _call: Call) -> None:
        if inner.request_streaming:
            request = _requests(uploads, decode, context)
        else:
            request = await _receive(uploads, decode, context)
        try:
            async with drain.interruptible():
                if inspect.isasyncgenfunction(function):
                    async for response in function(request, context):
                        await context.write(response)
                else:
                    await function(request, context)
        except AbortError as error:
            raise _answered(context) from error

    return work


def _answered(context: Any) -> AnsweredError:
    """Return the error for a handler's own `context.abort`."""
    return AnsweredError(_STATUSES.get(context.code(), "UNKNOWN"))


async def _read(context: Any) -> bytes | None:
    data = await context.read()
    return None if data is grpc.aio.EOF else data


def _stream_request(rpc: Rpc, max_bytes: int, data: bytes) -> Any:
    check_size(data, max_bytes)
    return decode_request(rpc, data)


async def _receive(uploads: Uploads, decode: Callable[[bytes], Any], context: Any) -> Any:
    received = await uploads.receive(partial(_read, context))
    uploads.release(received)  # also if it cannot be decoded; a stream may last for an hour
    return _decoded(decode, received.pop())


async def _requests(uploads: Uploads, decode: Callable[[bytes], Any], context: Any) -> AsyncIterator[Any]:
    """Yield the requests of a stream. There may be hours between two of them."""
    while (data := await _read(context)) is not None:
        yield _decoded(decode, await uploads.inflated(data))


def _decoded(decode: Callable[[bytes], Any], data: bytes) -> Any:
    try:
        return decode(data)
    except DecodeError:
        text = "The request is not a message of the type that this method takes."
        raise errors.refusal("INVALID_ARGUMENT", "INVALID_REQUEST", text) from None


async def _abort(context: Any, call: Call, error: ApiError) -> None:
    """End a call with an error, without the frames of its work: gRPC keeps the abort in a reference cycle."""
    error.__traceback__ = error.__context__ = error.__cause__ = None
    try:
        rendered = render(error, sent=call.sent, request_id=call.request_id)
    except Exception:
        log.exception("%r cannot be rendered [%s]", error, call.request_id)
        error = errors.internal(call.request_id)
        rendered = render(error, sent=call.sent, request_id=call.request_id)
    await context.abort(StatusCode[error.status], rendered.details, rendered.trailers)
