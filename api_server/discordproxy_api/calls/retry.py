"""Whether a request may be repeated without harm. Pure: outcome, repeatability and times in, a pause out.

A repeat is harmless when the first one cannot have happened, when doing it twice is the same as once, or while
Discord recognises the nonce of a message (enforce_nonce: "unique in the past few minutes", Discord's documentation,
resources/message, 2026-08).
"""

from dataclasses import dataclass
from enum import Enum, StrEnum

IDEMPOTENT_METHODS = frozenset({"GET", "PUT", "DELETE", "PATCH"})
NONCE_WINDOW_S = 120.0
"""How long after the first attempt a nonce is trusted; shorter than Discord's "few minutes"."""


class Repeat(Enum):
    """How far a request can be repeated once it may have arrived."""

    ALWAYS = "idempotent"
    NONCE = "nonce"
    NEVER = "never"


class Outcome(StrEnum):
    """How one attempt ended, apart from success and from refusals that a repeat would only meet again."""

    UNSENT = "unsent"  # no connection: nothing left this machine
    LIMITED = "limited"  # 429: Discord did nothing
    FAILED = "failed"  # 5xx
    LOST = "lost"  # the request left, no complete answer came


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Bounds of repeating one request.

    Attributes:
        attempts: most attempts that may end without an answer of use, the first one included. A 429 is none of them:
            the broker holds its repeat back for as long as Discord asks, and the caller's deadline ends it.
        limited_at_once: attempts that may follow a 429 at once; each further one also pauses as after a failure.
        pause_s: before the first repeat; doubles with each, up to `longest_pause_s`.
    """

    attempts: int = 5
    limited_at_once: int = 3
    pause_s: float = 0.25
    longest_pause_s: float = 8.0


def repeatability(method: str, *, nonce: bool) -> Repeat:
    """Return how far a request of this kind may be repeated; `nonce`: it creates a message with enforce_nonce."""
    if method in IDEMPOTENT_METHODS:
        return Repeat.ALWAYS
    return Repeat.NONCE if nonce else Repeat.NEVER


def pause_before_repeat(
    outcome: Outcome,
    repeat: Repeat,
    policy: RetryPolicy,
    *,
    attempt: int,
    since_first_s: float,
    time_left_s: float,
    retry_after_s: float = 0.0,
    chance: float,
) -> float | None:
    """Return the seconds to wait before the next attempt, None to give up.

    Args:
        outcome: of the attempt that has just ended.
        repeat: what a second arrival would do.
        policy: the bounds.
        attempt: how many attempts ended like this, the present one included.
        since_first_s: seconds since the first attempt left.
        time_left_s: seconds until the caller's deadline.
        retry_after_s: what the answer asked for; a 429 is held back by the broker instead.
        chance: a random number from 0 to 1 that spreads the repeats of many callers.
    """
    if outcome is Outcome.LIMITED:
        late = attempt - policy.limited_at_once
        if late < 0:
            return 0.0
        pause_s = min(policy.pause_s * 2 ** min(late, 10), policy.longest_pause_s)
        return pause_s if pause_s < time_left_s else None
    if attempt >= policy.attempts or not _harmless(outcome, repeat):
        return None
    longest = min(policy.pause_s * 2 ** (attempt - 1), policy.longest_pause_s)
    pause_s = max(longest * (1 + chance) / 2, retry_after_s)
    if repeat is Repeat.NONCE and outcome is not Outcome.UNSENT and since_first_s + pause_s > NONCE_WINDOW_S:
        return None
    return pause_s if pause_s < time_left_s else None


def _harmless(outcome: Outcome, repeat: Repeat) -> bool:
    return outcome is Outcome.UNSENT or repeat is not Repeat.NEVER
