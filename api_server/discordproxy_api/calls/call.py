"""One call of an application in progress: its caller, its deadline, and its effect at Discord so far.

It is independent of the transport. `sent`, which every error carries, is recorded here only.
"""

import os
from asyncio import Future
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from discordproxy_api.calls.principal import ANONYMOUS, APP_NAME, DEFAULT_APP, Principal

REFUSAL_S = 0.1
"""A wait before a request ends so long before the caller's deadline, so that the refusal still reaches the caller.

Else the caller's own timer ends the call, and the caller does not know that nothing was sent.
"""

Sent = Literal["no", "yes", "unknown"]

Status = Literal[
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
]
"""gRPC's names of statuses, in the order of their numbers. Every transport uses them."""

STATUS_NUMBERS: dict[Status, int] = {name: number for number, name in enumerate(get_args(Status))}


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """The target of a change, for the audit log.

    Attributes:
        what: the RPC, or the route of a `Request`.
        where: its guilds and channels, as the log shows them.
        content: text of the message, "" unless the operator wants it.
    """

    what: str
    where: str = "-"
    content: str = ""


@dataclass(slots=True)
class Call:
    """One RPC in progress.

    Attributes:
        rpc: name of the RPC, "SendChannelMessage".
        request_id: names the call in errors and logs.
        door: the way in: "grpc" or "http".
        route: method and template of a request to the REST port, "GET /channels/{channel_id}"; "" over gRPC.
        streams: whether it is answered with a stream.
        metadata: what its caller sent with it, by lower-case name; it may contain a key.
        peer: address of the caller, in gRPC's form.
        certificate: names in the caller's verified certificate.
        claimed_app: the application's name as the caller sends it, not validated.
        app: name of the authenticated application.
        principal: the application and its scopes; shares of the limits are assigned by it.
        audit_entry: what the call changes; None for reads and without an audit log.
        logged: False for calls from a locked-out address: thousands of them must not fill the disk.
        deadline_at: loop time of the deadline.
        priority: "high", "normal" or "low".
        max_wait_s: longest wait for a limit in seconds; None waits until the deadline.
        idempotency_key: the caller's name for this logical call, "" when it has none.
        left_at: loop time at which the first request left, None before.
        attempts: how many HTTP requests have left for this call.
        answer_status: HTTP status of Discord's last answer, 0 before the first.
        trace_id: identifies the trace of the call, "" without traces.
        has_turn: whether it has a turn of its application's rate that no request has used up.
        before_effect: awaited before the first request with an effect leaves; it may raise.
        before_each_effect: awaited before each such request, repeats included; it may raise.
        continuation: the task that holds the request after the caller has gone, None if there is none.
    """

    rpc: str
    request_id: str
    door: str = "grpc"
    route: str = ""
    streams: bool = False
    metadata: Mapping[str, str] = field(default_factory=dict, repr=False)
    peer: str = ""
    certificate: tuple[str, ...] = ()
    claimed_app: str = ""
    app: str = DEFAULT_APP
    principal: Principal = ANONYMOUS
    audit_entry: AuditEntry | None = None
    logged: bool = True
    deadline_at: float = float("inf")
    priority: str = "normal"
    max_wait_s: float | None = None
    idempotency_key: str = ""
    left_at: float | None = None
    attempts: int = 0
    answer_status: int = 0
    trace_id: str = ""
    has_turn: bool = False
    before_effect: Callable[[], Awaitable[None]] | None = None
    before_each_effect: Callable[[], Awaitable[None]] | None = None
    continuation: Future[Any] | None = None
    _flying: int = 0
    _done: bool = False
    _doubt: bool = False

    @property
    def sent(self) -> Sent:
        """Whether the call took effect at Discord, as far as is known now."""
        if self._done:
            return "yes"
        return "unknown" if self._flying or self._doubt else "no"

    def waits_until(self, now: float) -> float:
        """Return the loop time at which a wait before a request ends; `now` is loop time."""
        return self.deadline_at - min(REFUSAL_S, max(0.0, self.deadline_at - now) / 10)

    @property
    def wait_limits(self) -> str:
        """Calls may share one wait only if this is equal, else an urgent call could wait for a less urgent one."""
        return f"{self.priority} {self.max_wait_s}"

    @property
    def flying(self) -> bool:
        """Whether a request with an effect is on its way."""
        return self._flying > 0

    @property
    def in_doubt(self) -> bool:
        """Whether an earlier attempt of the present request may have taken effect."""
        return self._doubt

    def left(self, at: float, *, effect: bool) -> None:
        """Record that a request leaves at loop time `at`; without `effect` it is only a preparation."""
        self.attempts += 1
        self.left_at = at if self.left_at is None else self.left_at
        self._flying += effect

    def succeeded(self, status: int, *, effect: bool) -> None:
        """Record a 2xx answer: it ends all doubt, unless the request was only a preparation."""
        self.answer_status = status
        self._flying -= effect
        self._doubt = self._doubt and not effect
        self._done = self._done or effect

    def refused(self, status: int, *, effect: bool) -> None:
        """Record a 4xx answer: this attempt did nothing; an earlier one in doubt stays in doubt."""
        self.answer_status = status
        self._flying -= effect

    def lost(self, status: int = 0, *, effect: bool) -> None:
        """Record a 5xx answer or a missing one."""
        self.answer_status = status
        self._flying -= effect
        self._doubt = self._doubt or effect

    def part(self) -> "Call":
        """Return a call for one of several concurrent changes, so that each has its own outcome; see `add_part`."""
        part = Call(self.rpc, self.request_id, door=self.door, app=self.app, principal=self.principal)
        part.deadline_at, part.priority, part.trace_id = self.deadline_at, self.priority, self.trace_id
        return part

    def add_part(self, part: "Call") -> None:
        """Record the requests and the effect of a finished part."""
        self.attempts += part.attempts
        self.answer_status = part.answer_status or self.answer_status
        self.left_at = part.left_at if self.left_at is None else self.left_at
        self._done = self._done or part.sent == "yes"
        self._doubt = self._doubt or part.sent == "unknown"

    def doubt(self) -> None:
        """Record that another call may have had this call's effect."""
        self._doubt = True

    def trust(self) -> None:
        """Record that no other call has had it."""
        self._doubt = False


CURRENT: ContextVar[Call] = ContextVar("discordproxy_call")
"""The call that the running task serves; the pipeline sets it."""


def request_id_of(sent: str) -> str:
    """Return the request id that a caller sends, or a new one if it is empty or could damage a log line."""
    return sent if APP_NAME.fullmatch(sent) else os.urandom(8).hex()


def call_facts() -> dict[str, str]:
    """Return the fields that identify the running call in logs; none outside of calls."""
    call = CURRENT.get(None)
    if call is None:
        return {}
    return facts_of(call.rpc, call.app, call.request_id, call.trace_id)


def facts_of(rpc: str, app: str, request_id: str, trace_id: str) -> dict[str, str]:
    """Return the fields that identify a call in logs."""
    facts = {"rpc": rpc, "app": app, "request_id": request_id}
    return facts | {"trace_id": trace_id} if trace_id else facts
