"""One call of an application while it is being served: who, how long, and what it has done at Discord so far.

Knows neither gRPC nor HTTP. `sent`, the promise every error carries, is kept here and nowhere else.
"""

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

from discordproxy_api.calls.principal import ANYBODY, DEFAULT_APP, Principal

Sent = Literal["no", "yes", "unknown"]


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What a call is about to change, for the audit log.

    Attributes:
        what: the RPC, or the route of a `Request`.
        where: the places it reaches, as the log shows them.
        content: text the caller sends, "" unless the operator wants it.
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
        app: name of the calling application, which it gives itself where there are no keys.
        principal: who calls and what it may; shares of the limits are given by it.
        peer: address of the caller, in gRPC's form.
        deed: what the call changes, None for reads.
        logged: False for what a locked-out address sends: by the thousand it must not fill the disk.
        deadline_at: loop time at which the caller stops caring.
        priority: "high", "normal" or "low".
        max_wait_s: longest wait for a limit in seconds; None waits until the deadline.
        idempotency_key: the caller's name for this logical call, "" when it has none.
        left_at: loop time at which the first request left, None before.
        attempts: how many HTTP requests have left for this call.
        answer_status: HTTP status of Discord's last answer, 0 before the first.
        trace_id: names the trace the call belongs to, "" when nobody traces.
        has_turn: whether it has taken a turn of its application's rate that no request has used up.
        before_effect: awaited before the first request leaves that does what the caller asks for; it may raise.
        before_each_effect: awaited before each such request, repeats included; it may raise.
    """

    rpc: str
    request_id: str
    app: str = DEFAULT_APP
    principal: Principal = ANYBODY
    peer: str = ""
    deed: AuditEntry | None = None
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
    _flying: int = 0
    _done: bool = False
    _doubt: bool = False

    @property
    def sent(self) -> Sent:
        """Whether the call took effect at Discord, as far as anybody can know now."""
        if self._done:
            return "yes"
        return "unknown" if self._flying or self._doubt else "no"

    @property
    def patience(self) -> str:
        """What calls have in common that may wait together: else the urgent would wait for whoever has time."""
        return f"{self.priority} {self.max_wait_s}"

    @property
    def flying(self) -> bool:
        """Whether a request that does what the caller asks for is on its way."""
        return self._flying > 0

    @property
    def in_doubt(self) -> bool:
        """Whether an earlier attempt of the present request may have taken effect."""
        return self._doubt

    def left(self, at: float, *, effect: bool) -> None:
        """Note that a request goes out at loop time `at`; one without `effect` does nothing the caller asked for."""
        self.attempts += 1
        self.left_at = at if self.left_at is None else self.left_at
        self._flying += effect

    def succeeded(self, status: int, *, effect: bool) -> None:
        """Note a 2xx answer: what was in doubt has been settled, unless this was a mere preparation."""
        self.answer_status = status
        self._flying -= effect
        self._doubt = self._doubt and not effect
        self._done = self._done or effect

    def refused(self, status: int, *, effect: bool) -> None:
        """Note a 4xx answer: this attempt did nothing; an earlier one in doubt stays in doubt."""
        self.answer_status = status
        self._flying -= effect

    def lost(self, status: int = 0, *, effect: bool) -> None:
        """Note a 5xx answer or none at all."""
        self.answer_status = status
        self._flying -= effect
        self._doubt = self._doubt or effect

    def doubt(self) -> None:
        """Note that somebody else may have done what this call asks for."""
        self._doubt = True

    def trust(self) -> None:
        """Note that nobody else has done it after all."""
        self._doubt = False


CURRENT: ContextVar[Call] = ContextVar("discordproxy_call")
"""The call that the running task serves; set by the outermost interceptor: a gRPC context takes no attributes."""


def call_facts() -> dict[str, str]:
    """Return what names the running call in logs; nothing outside of calls."""
    call = CURRENT.get(None)
    if call is None:
        return {}
    facts = {"rpc": call.rpc, "app": call.app, "request_id": call.request_id}
    return facts | {"trace_id": call.trace_id} if call.trace_id else facts
