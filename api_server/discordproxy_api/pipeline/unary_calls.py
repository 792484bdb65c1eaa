"""The path of an admitted call with one response: from the bytes of its request to the bytes of its answer."""

from collections.abc import Mapping
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
from discordproxy_api.pipeline.arrivals import Read
from discordproxy_api.pipeline.idempotency import MAX_KEY_LENGTH, Idempotency, LogicalCall
from discordproxy_api.pipeline.in_order import InOrder
from discordproxy_api.pipeline.uploads import DECLARED, Received, Uploads
from discordproxy_api.rpcs.procedure import Job, Procedure

MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""The largest message that callers have to be able to receive; the contract's README names it."""

_PRIORITIES = ("normal", "low", "high")  # by the numbers of RequestOptions.Priority
_MAX_SIZE_DIGITS = 10


class UnaryCalls:
    """The RPCs of one bot that have one response."""

    def __init__(
        self,
        procedures: Mapping[str, Procedure],
        *,
        uploads: Uploads,
        idempotency: Idempotency,
        permission: Permission,
        app_rate: AppRateWaits,
        in_order: InOrder,
    ) -> None:
        self._procedures = procedures
        self._uploads = uploads
        self._idempotency = idempotency
        self._permission = permission
        self._app_rate = app_rate
        self._in_order = in_order

    async def serve(self, call: Call, read: Read) -> bytes:
        """Return the serialized response of a call, whose request `read` returns.

        Raises:
            ApiError: the call is invalid, not permitted, or failed.
        """
        received = await self._uploads.receive(read, _declared_bytes(call))
        try:
            job, logical, targets = self._read(received, call)
            if call.principal.calls_per_s is not None:
                await self._app_rate.wait(call)  # before a permission check, which may cost a request
            if targets is not UNCHECKED:
                await self._permission.authorize(targets, call)
            run = partial(self._run, self._procedures[call.rpc].rpc, job, call)
            return await (run() if logical is None else self._idempotency.run(logical, call, run))
        finally:
            self._uploads.release(received)

    def _read(self, received: Received, call: Call) -> tuple[Job, LogicalCall | None, Targets]:
        """Decode and validate a request. Only the job holds parts of it afterwards."""
        procedure = self._procedures[call.rpc]
        request: Any = decode_request(procedure.rpc, received.pop())
        if request.HasField("options"):
            _apply_options(request.options, call)
        job = procedure.job(request, call)
        targets = self._permission.targets_of(procedure.rpc, request, call)
        if not call.idempotency_key or not job.effect:
            return job, None, targets
        request.ClearField("options")
        return job, LogicalCall.of(call, request.SerializeToString(deterministic=True), job.repeat), targets

    async def _run(self, rpc: Rpc, job: Job, call: Call) -> bytes:
        response = await (self._in_order.run(job.order, call, job.run) if job.order else job.run())
        return _serialize(rpc, response)


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
    call.idempotency_key = options.idempotency_key
    if len(call.idempotency_key) > MAX_KEY_LENGTH:
        text = f"Must be {MAX_KEY_LENGTH} or fewer in length."
        raise errors.invalid_field("options.idempotency_key", "BASE_TYPE_MAX_LENGTH", text)


def _serialize(rpc: Rpc, response: Message | bytes) -> bytes:
    if not isinstance(response, (rpc.response_type, bytes)):  # gRPC would answer OK with an empty message
        raise TypeError(f"{rpc.name} returned no {rpc.response_type.__name__}")
    data = response if isinstance(response, bytes) else response.SerializeToString()
    if len(data) > MAX_ANSWER_BYTES:  # the caller could not receive it, and gRPC's error would not tell what was sent
        text = f"The answer is larger than {MAX_ANSWER_BYTES} bytes, which is the most that is passed on; ask for less."
        raise errors.refusal("RESOURCE_EXHAUSTED", "INTERNAL", text)
    return data
