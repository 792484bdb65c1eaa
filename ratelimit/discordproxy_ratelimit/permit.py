"""The right to send exactly one request, and the ways it ends."""

import warnings
from collections.abc import Callable, Coroutine, Generator
from dataclasses import dataclass
from typing import Any, Protocol

from discordproxy_ratelimit.headers import NO_ANSWER, Answer
from discordproxy_ratelimit.route import Route


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: limits are shared fairly between apps.

    Attributes:
        app: name of the calling application; empty for the unnamed.
        priority: `high`, `normal` or `low`; a finite head start, so that nobody starves.
        weight: share of a limit among the apps that wait for it, above 0.
    """

    app: str = ""
    priority: str = "normal"
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an answer means for a repeat.

    Attributes:
        outcome: what the broker learned: answered, exhausted, paused, global, blocked or unknown.
        retry_after_s: for how long the broker holds a repeat back; None when it does not.
    """

    outcome: str
    retry_after_s: float | None = None


class Grantor(Protocol):
    """Where a permit reports its end."""

    def before_send(self, permit: "Permit") -> None:
        """Raise BrokerUnavailable when the right to send may have run out meanwhile."""

    def on_end(self, permit: "Permit", answer: Answer | None) -> Verdict:
        """Take the permit back: with an answer when the request left, None when it did not."""


class Permit:
    """One granted request.

    Call `sent()` right before writing to the network and `complete()` with the answer. `release()` ends a permit that
    was not completed: uncharged when nothing was sent, as unknown otherwise.
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
        """Note that the request is about to be written.

        Raises:
            BrokerUnavailable: this worker could not show signs of life for so long that the permit may be void.
        """
        self._grantor.before_send(self)
        self._state = "sent"

    def complete(self, answer: Answer) -> Verdict:
        """Report the answer, in the background: the caller gets it without waiting for Redis."""
        self._state = "ended"
        return self._grantor.on_end(self, answer)

    def cancel(self) -> None:
        """Give the permit back; nothing is charged."""
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
    """A permit that is being acquired: `await` it, or `async with` it to release the permit at the block's end."""

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
