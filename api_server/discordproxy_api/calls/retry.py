"""Decides whether a request is repeated, and after which pause. Pure.

A repeat is safe if the first request cannot have had an effect, if the request is idempotent, or while Discord
recognizes the nonce of a message (enforce_nonce: "unique in the past few minutes", Discord's documentation,
resources/message, 2026-08).
"""

from dataclasses import dataclass
from enum import Enum, StrEnum

IDEMPOTENT_METHODS = frozenset({"GET", "PUT", "DELETE", "PATCH"})
NONCE_WINDOW_S = 120.0
"""Time after the first attempt in which a nonce is relied on; shorter than Discord's "few minutes"."""


class Repeat(Enum):
    """Whether a request can be repeated after it may have reached Discord."""

    ALWAYS = "idempotent"
    NONCE = "nonce"
    NEVER = "never"


class Outcome(StrEnum):
    """The outcome of an attempt that failed in a way that a repeat may not."""

    UNSENT = "unsent"  # no connection: nothing was written
    LIMITED = "limited"  # 429: no effect
    FAILED = "failed"  # 5xx
    LOST = "lost"  # the request was sent, no complete response arrived


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Bounds for the repeats of one request.

    Attributes:
        attempts: maximum number of failed attempts, the first one included. A 429 does not count: the broker delays
            its repeat for as long as Discord requires, and the caller's deadline ends it.
        limited_at_once: from this number of 429s on, repeats also pause as after a failure.
        pause_s: pause before the first repeat; doubles with each one, up to `max_pause_s`.
    """

    attempts: int = 5
    limited_at_once: int = 3
    pause_s: float = 0.25
    max_pause_s: float = 8.0


def repeatability(method: str, *, nonce: bool) -> Repeat:
    """Return whether such a request may be repeated; `nonce`: it creates a message with enforce_nonce."""
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
    jitter: float,
) -> float | None:
    """Return the pause before the next attempt in seconds, None for no further attempt.

    Args:
        outcome: outcome of the last attempt.
        repeat: whether the request can be repeated.
        policy: the bounds.
        attempt: number of attempts with this outcome, the last one included.
        since_first_s: seconds since the first attempt was sent.
        time_left_s: seconds until the caller's deadline.
        retry_after_s: Retry-After of the response; the broker enforces that of a 429.
        jitter: a random number from 0 to 1.
    """
    if outcome is Outcome.LIMITED:
        doublings = attempt - policy.limited_at_once
        if doublings < 0:
            return 0.0
        pause_s = min(policy.pause_s * 2 ** min(doublings, 10), policy.max_pause_s)
        return pause_s if pause_s < time_left_s else None
    if attempt >= policy.attempts or not _is_safe(outcome, repeat):
        return None
    max_pause_s = min(policy.pause_s * 2 ** (attempt - 1), policy.max_pause_s)
    pause_s = max(max_pause_s * (1 + jitter) / 2, retry_after_s)
    if repeat is Repeat.NONCE and outcome is not Outcome.UNSENT and since_first_s + pause_s > NONCE_WINDOW_S:
        return None
    return pause_s if pause_s < time_left_s else None


def _is_safe(outcome: Outcome, repeat: Repeat) -> bool:
    return outcome is Outcome.UNSENT or repeat is not Repeat.NEVER
