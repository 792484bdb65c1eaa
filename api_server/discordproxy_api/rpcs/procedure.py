"""Interface of the RPCs with one response: from a decoded request to a job that can run."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from discordproxy_api.calls.call import Call
from discordproxy_api.calls.retry import Repeat
from discordproxy_api.contract.contract import Rpc

Run = Callable[[], Awaitable[Any]]
"""Returns the response message of an RPC, or the reply to a request that came over HTTP."""


@dataclass(frozen=True, slots=True)
class Job:
    """A request that is ready to run; it no longer holds the request message with its files.

    Attributes:
        repeat: how far a second run does harm.
        effect: False for a read: its result is of the moment, so it is not kept for the idempotency key.
        order: jobs with the same name here run one after another, see `ordering`; "" for no order.
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
