"""The path of an admitted call with one response: from the bytes of its request to the bytes of its answer."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from google.protobuf.message import DecodeError, Message
from grpc import StatusCode

from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.contract.contract import Rpc
from discordproxy_api.contract.decode_errors import locate
from discordproxy_api.pipeline.arrivals import Read
from discordproxy_api.pipeline.execution import Execution, Prepared
from discordproxy_api.pipeline.idempotency import Once, checked_key
from discordproxy_api.pipeline.uploads import DECLARED, Received, Uploads
from discordproxy_api.rpcs.procedure import Procedure

MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""The largest message that callers have to be able to receive; the contract's README names it."""

_PRIORITIES = ("normal", "low", "high")  # by the numbers of RequestOptions.Priority
_MAX_SIZE_DIGITS = 10


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
        received = await self._uploads.receive(read, _declared_bytes(call))
        try:
            return await self._execution.run(self._prepared(received, call), call)
        finally:
            self._uploads.release(received)

    def _prepared(self, received: Received, call: Call) -> Prepared:
        """Decode and validate a request. Only the job holds parts of it afterwards."""
        procedure = self._procedures[call.rpc]
        rpc = procedure.rpc
        request: Any = decode_request(rpc, received.pop())
        if request.HasField("options"):
            _apply_options(request.options, call)
        job = procedure.job(request, call)
        targets = self._execution.permission.targets_of(rpc, request, call)
        once = None
        if call.idempotency_key and job.effect:
            request.ClearField("options")
            once = Once.of(call, request.SerializeToString(deterministic=True), job.repeat)
        return Prepared(job, once, targets, partial(_serialize, rpc))


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


def _serialize(rpc: Rpc, response: Message) -> bytes:
    if not isinstance(response, rpc.response_type):  # gRPC would answer OK with an empty message
        raise TypeError(f"{rpc.name} returned no {rpc.response_type.__name__}")
    data = response.SerializeToString()
    if len(data) > MAX_ANSWER_BYTES:  # the caller could not receive it, and gRPC's error would not tell what was sent
        text = f"The answer is larger than {MAX_ANSWER_BYTES} bytes, which is the most that is passed on; ask for less."
        raise errors.refusal(StatusCode.RESOURCE_EXHAUSTED, "INTERNAL", text)
    return data
