"""Interfaces of the RPCs: a procedure turns a request into a job, a stream procedure serves a stream."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.retry import Repeat
from discordproxy_api.contract.contract import Rpc

Run = Callable[[], Awaitable[Any]]
"""Returns the response: the message of the RPC, its serialized form, or the reply to a request that came over HTTP."""


@dataclass(slots=True)  # not frozen: that makes its creation five times as slow
class Job:
    """A validated request that is ready to run, without the request message and its files. Never changed.

    Attributes:
        run: runs the job and returns the response.
        repeat: whether the job can be repeated.
        effect: False for a read, whose result is not kept for the idempotency key.
        order: jobs with the same name are serialized, see `ordering`; "" for no order.
    """

    run: Run
    repeat: Repeat
    effect: bool = True
    order: str = ""


class Procedure(Protocol):
    """Serves one RPC."""

    rpc: Rpc

    def job(self, request: Any, call: Call) -> Job:
        """Return the job for a request; raises ApiError if it is invalid."""


Write = Callable[[bytes], Awaitable[None]]
"""Sends one serialized message of a stream."""


class StreamProcedure(Protocol):
    """Serves one RPC whose response is a stream.

    Attributes:
        max_request_bytes: of the serialized request, which a stream keeps in memory.
    """

    max_request_bytes: int

    async def serve(self, call: Call, request: Any, write: Write) -> None:
        """Write the stream until the call ends; raises ApiError."""


def check_size(data: bytes, max_bytes: int) -> None:
    """Raise ApiError if the request of a stream is too large to be kept."""
    if len(data) > max_bytes:
        text = f"The request has {len(data)} bytes; this call takes {max_bytes} at most."
        raise errors.refusal("RESOURCE_EXHAUSTED", "REQUEST_TOO_LARGE", text)
