"""The service: one generic handler that serves every RPC of the contract.

A request is read only after it has been admitted, so the handlers take a stream of requests although callers send one;
on the wire there is no difference.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

import grpc
from google.protobuf.message import DecodeError, Message
from grpc import StatusCode

from discordproxy_api.access.permission import Permission
from discordproxy_api.access.targets import Targets
from discordproxy_api.calls import errors
from discordproxy_api.calls.call import CURRENT, Call
from discordproxy_api.pipeline.in_order import InOrder
from discordproxy_api.contract.contract import SERVICE, Rpc
from discordproxy_api.contract.decode_errors import locate
from discordproxy_api.discord.app_rate import AppRateWaits
from discordproxy_api.pipeline.idempotency import LONGEST_KEY, Idempotency, Once
from discordproxy_api.pipeline.uploads import DECLARED, Received, Uploads
from discordproxy_api.rpcs.routed import Job

LARGEST_ANSWER = 64 * 1024 * 1024
"""Bytes of the largest message that callers have to be able to receive; the contract's README names it."""

_PRIORITIES = ("normal", "low", "high")  # by the numbers of RequestOptions.Priority


class Procedure(Protocol):
    """Serves one RPC."""

    rpc: Rpc

    def job(self, request: Any, call: Call) -> Job:
        """Read a request and return what it asks for; raises ApiError when it is invalid."""


class Servicer:
    """All procedures as gRPC handlers."""

    def __init__(
        self,
        procedures: Mapping[str, Procedure],
        *,
        uploads: Uploads,
        idempotency: Idempotency,
        permission: Permission,
        turns: AppRateWaits,
        in_order: InOrder,
    ) -> None:
        self._procedures = procedures
        self._permission = permission
        self._turns = turns
        self._in_order = in_order
        self._uploads = uploads
        self._idempotency = idempotency

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the handler to add to a server."""
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            name: grpc.stream_unary_rpc_method_handler(
                self._serve(procedure), None, procedure.rpc.response_type.SerializeToString
            )
            for name, procedure in self._procedures.items()
        }
        return grpc.method_handlers_generic_handler(SERVICE.strip("/"), handlers)

    def _serve(self, procedure: Procedure) -> Callable[[Any, Any], Any]:
        async def serve(_requests: Any, context: Any) -> Message:
            call = CURRENT.get()
            async with self._uploads.receive(_reader(context), _declared(context)) as received:
                return await self._answer(procedure, received, call)

        return serve

    async def _answer(self, procedure: Procedure, received: Received, call: Call) -> Message:
        rpc = procedure.rpc
        job, once, targets = self._begin(procedure, received, call)
        await self._turns.wait(call)  # first: to find out where a channel lies may cost a request
        await self._permission.authorize(targets, call)
        run = partial(self._in_order.run, job.order, call, job.run) if job.order else job.run
        if once is None:
            return _checked(rpc, await run())

        async def perform() -> bytes:
            return _checked(rpc, await run()).SerializeToString()

        return rpc.response_type.FromString(await self._idempotency.run(once, call, perform))

    def _begin(self, procedure: Procedure, received: Received, call: Call) -> tuple[Job, Once | None, Targets]:
        """Decode and read a request; when this returns, nothing holds its bytes any more."""
        request: Any = decode(procedure.rpc, received.take())
        _read_options(request, call)
        job = procedure.job(request, call)
        targets = self._permission.targets_of(procedure.rpc, request, call)
        if not call.idempotency_key or not job.effect:
            return job, None, targets
        request.ClearField("options")
        return job, Once.of(call, request.SerializeToString(deterministic=True), job.repeat), targets


def _reader(context: Any) -> Callable[[], Any]:
    async def read() -> bytes | None:
        data = await context.read()
        return None if data is grpc.aio.EOF else data

    return read


def _declared(context: Any) -> int:
    for key, value in context.invocation_metadata():
        if key == DECLARED:
            return int(value) if value.isascii() and value.isdecimal() and len(value) < len("10000000000") else 0
    return 0


def decode(rpc: Rpc, data: bytes) -> Message:
    """Return the request of an RPC; raises ApiError naming the field that cannot be read."""
    try:
        return rpc.request_type.FromString(data)
    except DecodeError:
        raise errors.invalid_request([locate(rpc.request_type.DESCRIPTOR, data)]) from None


def _read_options(request: Any, call: Call) -> None:
    if not request.HasField("options"):
        return
    options = request.options
    call.priority = _PRIORITIES[options.priority] if 0 <= options.priority < len(_PRIORITIES) else "normal"
    if options.HasField("max_wait"):
        call.max_wait_s = options.max_wait.seconds + options.max_wait.nanos / 1e9
    call.idempotency_key = options.idempotency_key
    if len(call.idempotency_key) > LONGEST_KEY:
        text = f"Must be {LONGEST_KEY} or fewer in length."
        raise errors.invalid_field("options.idempotency_key", "BASE_TYPE_MAX_LENGTH", text)


def _checked(rpc: Rpc, response: Any) -> Message:
    """Return `response`; anything but the RPC's message would be answered OK and empty by gRPC."""
    if not isinstance(response, rpc.response_type):
        raise TypeError(f"{rpc.name} returned no {rpc.response_type.__name__}")
    if response.ByteSize() > LARGEST_ANSWER:  # the caller could not receive it, and gRPC would not tell what was sent
        text = f"The answer is larger than {LARGEST_ANSWER} bytes, which is the most that is passed on; ask for less."
        raise errors.refusal(StatusCode.RESOURCE_EXHAUSTED, "INTERNAL", text)
    return response
