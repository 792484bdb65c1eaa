"""Interface of the RPCs with one response: a procedure turns a decoded request into a job."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from discordproxy_api.calls.call import Call
from discordproxy_api.calls.retry import Repeat
from discordproxy_api.contract.contract import Rpc

Run = Callable[[], Awaitable[Any]]
"""Returns the response: the message of the RPC, its serialized form, or the reply to a request that came over HTTP."""


@dataclass(frozen=True, slots=True)
class Job:
    """A validated request that is ready to run, without the request message and its files.

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
