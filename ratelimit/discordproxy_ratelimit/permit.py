"""Permits: each allows exactly one request and must be ended."""

import warnings
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass
from typing import Any, Protocol

from discordproxy_ratelimit.headers import NO_ANSWER, Answer
from discordproxy_ratelimit.route import Route


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller: limits are shared fairly between applications.

    Attributes:
        app: name of the calling application; may be empty.
        priority: `high`, `normal` or `low`; a finite head start, so that no call starves.
        weight: share of a limit among the applications that wait for it, above 0.
    """

    app: str = ""
    priority: str = "normal"
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The consequence of a response for a retry.

    Attributes:
        outcome: answered, exhausted, paused, global, unknown or unused.
        retry_after_s: seconds for which the broker delays a retry; None without a delay.
    """

    outcome: str
    retry_after_s: float | None = None


class Grantor(Protocol):
    """Receives the end of a permit."""

    def before_send(self, permit: "Permit") -> None:
        """Raise BrokerUnavailableError if the permit may have expired."""

    def on_end(self, permit: "Permit", answer: Answer | None) -> Verdict:
        """End the permit: with the response if the request was sent, with None if not."""


class Permit:
    """One granted request.

    Call `sent()` directly before the request is written, and `complete()` with the response. `release()` ends a permit
    that was not completed: it is not charged if nothing was sent, else its outcome is unknown.
    """

    __slots__ = ("_grantor", "_state", "app", "bucket", "granted_at", "id", "route", "sent_at", "seq", "waited")

    def __init__(
        self,
        grantor: Grantor,
        permit_id: str,
        route: Route,
        bucket: str,
        seq: int,
        *,
        granted_at: float = 0.0,
        waited: bool = False,
    ) -> None:
        self._grantor = grantor
        self.id, self.route, self.bucket, self.seq = permit_id, route, bucket, seq
        self._state = "granted"
        self.app = ""  # of the caller
        self.waited = waited  # behind others, so that more may wait for its end
        self.granted_at, self.sent_at = granted_at, 0.0

    def __repr__(self) -> str:
        return f"<Permit {self.id} {self._state} {self.route.lane} in {self.bucket}>"

    def sent(self) -> None:
        """Mark the request as sent, directly before it is written.

        Raises:
            BrokerUnavailableError: this worker had no contact with Redis for so long that the permit may be void.
        """
        self._grantor.before_send(self)
        self._state = "sent"

    def complete(self, answer: Answer) -> Verdict:
        """Report the response in the background; the caller does not wait for Redis."""
        self._state = "ended"
        return self._grantor.on_end(self, answer)

    def cancel(self) -> None:
        """Return the permit unused; nothing is charged."""
        self._state = "ended"
        self._grantor.on_end(self, None)

    def release(self) -> None:
        """End the permit unless it has ended."""
        if self._state == "sent":
            self.complete(NO_ANSWER)
        elif self._state == "granted":
            self.cancel()

    def __del__(self, warn: Callable[..., None] = warnings.warn) -> None:
        if getattr(self, "_state", "ended") != "ended":
            warn(f"{self!r} was never ended", ResourceWarning, source=self, stacklevel=2)


class PendingPermit:
    """A permit that is being acquired: use `await`, or `async with` to release it at the end of the block."""

    __slots__ = ("_acquiring", "_permit")

    def __init__(self, acquiring: Coroutine[Any, Any, Permit]) -> None:
        self._acquiring = acquiring

    def __await__(self) -> Generator[Any, Any, Permit]:
        return self._acquiring.__await__()

    async def __aenter__(self) -> Permit:
        self._permit = await self._acquiring
        return self._permit

    async def __aexit__(self, *_: object) -> None:
        self._permit.release()
