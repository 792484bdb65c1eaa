"""The path of an admitted call with one response: from the bytes of its request to the bytes of its answer."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from google.protobuf.message import DecodeError, Message

from discordproxy_api.access.permission import UNCHECKED, Permission
from discordproxy_api.access.targets import Targets
from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.contract.contract import Rpc
from discordproxy_api.contract.decode_errors import locate
from discordproxy_api.discord.app_rate import AppRateWaits
from discordproxy_api.pipeline.idempotency import Idempotency, LogicalCall, checked_key
from discordproxy_api.pipeline.in_order import InOrder
from discordproxy_api.pipeline.receiving.arrivals import Read
from discordproxy_api.pipeline.receiving.uploads import DECLARED, Received, Uploads
from discordproxy_api.rpcs.procedure import Job, Procedure

MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""The largest message that callers have to be able to receive; the contract's README names it."""

_PRIORITIES = ("normal", "low", "high")  # by the numbers of RequestOptions.Priority
_MAX_SIZE_DIGITS = 10


@dataclass(slots=True)  # not frozen: that makes its creation five times as slow
class Prepared:
    """A validated call, ready to run. Never changed.

    Attributes:
        logical: its identity, if it has an idempotency key.
        targets: what it affects.
        encode: returns the bytes of the job's result.
    """

    job: Job
    logical: LogicalCall | None
    targets: Targets
    encode: Callable[[Any], bytes]


class Execution:
    """Runs the calls of one bot."""

    def __init__(
        self, *, permission: Permission, app_rate: AppRateWaits, idempotency: Idempotency, in_order: InOrder
    ) -> None:
        self.permission = permission
        self._app_rate = app_rate
        self._idempotency = idempotency
        self._in_order = in_order

    def run(self, prepared: Prepared, call: Call) -> Awaitable[bytes]:
        """Return what runs a call once it is permitted; its result is the encoded response.

        Raises:
            ApiError: it is not permitted, or failed.
        """
        if prepared.targets is UNCHECKED and call.principal.calls_per_s is None:
            return self._perform(prepared, call)
        return self._run_checked(prepared, call)

    async def _run_checked(self, prepared: Prepared, call: Call) -> bytes:
        if call.principal.calls_per_s is not None:
            await self._app_rate.wait(call)  # before a permission check, which may cost a request
        if prepared.targets is not UNCHECKED:
            await self.permission.authorize(prepared.targets, call)
        return await self._perform(prepared, call)

    def _perform(self, prepared: Prepared, call: Call) -> Awaitable[bytes]:
        if prepared.logical is None:
            return self._run_job(prepared, call)
        return self._idempotency.run(prepared.logical, call, partial(self._run_job, prepared, call))

    async def _run_job(self, prepared: Prepared, call: Call) -> bytes:
        job = prepared.job
        return prepared.encode(await (self._in_order.run(job.order, call, job.run) if job.order else job.run()))


class UnaryCalls:
    """The RPCs of one bot that have one response."""

    def __init__(self, procedures: Mapping[str, Procedure], *, uploads: Uploads, execution: Execution) -> None:
        self._procedures = procedures
        self._uploads = uploads
        self._execution = execution

    async def serve(self, call: Call, read: Read) -> bytes:
        """Return the serialized response of a call, whose request `read` returns.

        Raises:
            ApiError: the call is invalid, not permitted, or failed.
        """
        received = await self._uploads.receive(read, _declared_bytes(call), received=Received(call.app))
        try:
            return await self._execution.run(self._prepared(received, call), call)
        finally:
            self._uploads.release(received, call.continuation)
            call.continuation = None  # its error would refer to the call: a cycle that keeps the request

    def _prepared(self, received: Received, call: Call) -> Prepared:
        """Decode and validate a request. Only the job holds parts of it afterwards."""
        procedure = self._procedures[call.rpc]
        rpc = procedure.rpc
        request: Any = decode_request(rpc, received.pop())
        if request.HasField("options"):
            _apply_options(request.options, call)
        job = procedure.job(request, call)
        targets = self._execution.permission.targets_of(rpc, request, call)
        logical = None
        if call.idempotency_key and job.effect:
            request.ClearField("options")
            logical = LogicalCall.of(call, request.SerializeToString(deterministic=True), job.repeat)
        return Prepared(job, logical, targets, partial(_serialize, rpc))


def decode_request(rpc: Rpc, data: bytes) -> Message:
    """Return the request of an RPC; raises ApiError with the name of the field that cannot be decoded."""
    try:
        return rpc.request_type.FromString(data)
    except DecodeError:
        raise errors.invalid_request([locate(rpc.request_type.DESCRIPTOR, data)]) from None


def _declared_bytes(call: Call) -> int:
    value = call.metadata.get(DECLARED, "")
    return int(value) if value.isascii() and value.isdecimal() and len(value) <= _MAX_SIZE_DIGITS else 0


def _apply_options(options: Any, call: Call) -> None:
    call.priority = _PRIORITIES[options.priority] if 0 <= options.priority < len(_PRIORITIES) else "normal"
    if options.HasField("max_wait"):
        call.max_wait_s = options.max_wait.seconds + options.max_wait.nanos / 1e9
    call.idempotency_key = checked_key(options.idempotency_key, "options.idempotency_key")


def _serialize(rpc: Rpc, response: Message | bytes) -> bytes:
    if not isinstance(response, (rpc.response_type, bytes)):  # gRPC would answer OK with an empty message
        raise TypeError(f"{rpc.name} returned no {rpc.response_type.__name__}")
    data = response if isinstance(response, bytes) else response.SerializeToString()
    if len(data) > MAX_ANSWER_BYTES:  # the caller could not receive it, and gRPC's error would not tell what was sent
        text = f"The answer is larger than {MAX_ANSWER_BYTES} bytes, the maximum that is passed on; request less."
        raise errors.refusal("RESOURCE_EXHAUSTED", "INTERNAL", text)
    return data
