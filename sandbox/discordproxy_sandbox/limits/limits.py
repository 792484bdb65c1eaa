"""Discord's limiters as formulas. Pure: the caller passes the time as `now` (epoch seconds of any clock).

Two kinds of bucket exist. A *fixed* window opens with the first hit after the previous one ended; a *leaky* bucket
(GCRA) gives one token back every T = window / limit. Headers do not show the kind.
A refused hit changes nothing: waiting `retry_after` is always enough.
"""

import math
from collections import deque
from dataclasses import dataclass
from typing import Literal, Protocol

Kind = Literal["fixed", "leaky"]
GlobalModel = Literal["aligned", "first_request", "sliding", "gcra"]

# A float64 epoch is exact to 0.24 us: a finer comparison would compare noise.
_RESOLUTION_S = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitDecision:
    """A limiter's decision on one hit; `reset` in epoch seconds, the others in seconds, unrounded."""

    allowed: bool
    limit: int
    remaining: int
    reset: float
    reset_after: float
    retry_after: float = 0.0


class Limiter(Protocol):
    """Counts hits; `limit` may be changed at any time, as Discord does."""

    limit: int
    window_s: float

    def __init__(self, limit: int, window_s: float) -> None: ...

    def hit(self, now: float) -> LimitDecision:
        """Count one request that arrives at `now`."""

    def is_idle(self, now: float) -> bool:
        """Return whether a fresh limiter would decide the same."""


class FixedWindow:
    """`limit` hits per window; the window opens at the first hit after the previous one expired."""

    def __init__(self, limit: int, window_s: float) -> None:
        self.limit = limit
        self.window_s = window_s
        self._count = 0
        self._ends_at = -math.inf

    def hit(self, now: float) -> LimitDecision:
        """Count one request that arrives at `now`."""
        if now >= self._ends_at:
            self._open(now)
        left_s = self._ends_at - now
        if self._count >= self.limit:
            return LimitDecision(
                allowed=False,
                limit=self.limit,
                remaining=0,
                reset=self._ends_at,
                reset_after=left_s,
                retry_after=left_s,
            )
        self._count += 1
        return LimitDecision(
            allowed=True, limit=self.limit, remaining=self.limit - self._count, reset=self._ends_at, reset_after=left_s
        )

    def is_idle(self, now: float) -> bool:
        """Return whether the window has expired."""
        return now >= self._ends_at

    def _open(self, now: float) -> None:
        self._count = 0
        self._ends_at = now + self.window_s


class AlignedWindow(FixedWindow):
    """A fixed window that starts at whole multiples of its length."""

    def _open(self, now: float) -> None:
        self._count = 0
        self._ends_at = (math.floor(now / self.window_s) + 1) * self.window_s


class Gcra:
    """Leaky bucket by the generic cell rate algorithm.

    The first response has `reset_after` = T, not the window: the bucket is full again after one token's time.
    """

    def __init__(self, limit: int, window_s: float) -> None:
        self.limit = limit
        self.window_s = window_s
        # Seconds until every token is back, as of `_at`. A difference, since sums of float epochs accumulate rounding.
        self._debt_s = 0.0
        self._at = 0.0

    def hit(self, now: float) -> LimitDecision:
        """Count one request that arrives at `now`."""
        token_s = self.window_s / self.limit
        debt_s = self._debt_at(now)
        new_s = debt_s + token_s
        if new_s > self.window_s + _RESOLUTION_S:
            return LimitDecision(
                allowed=False,
                limit=self.limit,
                remaining=0,
                reset=now + debt_s,
                reset_after=debt_s,
                retry_after=new_s - self.window_s,
            )
        self._debt_s, self._at = new_s, now
        remaining = math.floor((self.window_s - new_s + _RESOLUTION_S) / token_s)
        return LimitDecision(allowed=True, limit=self.limit, remaining=remaining, reset=now + new_s, reset_after=new_s)

    def is_idle(self, now: float) -> bool:
        """Return whether every token is back."""
        return not self._debt_at(now)

    def _debt_at(self, now: float) -> float:
        return max(0.0, self._debt_s - (now - self._at))


class SlidingWindow:
    """At most `limit` accepted hits in any span of `window_s`."""

    def __init__(self, limit: int, window_s: float) -> None:
        self.limit = limit
        self.window_s = window_s
        self._hits: deque[float] = deque()

    def hit(self, now: float) -> LimitDecision:
        """Count one request that arrives at `now`."""
        while self._hits and self._hits[0] <= now - self.window_s:
            self._hits.popleft()
        if len(self._hits) >= self.limit:
            # The limit may have been lowered meanwhile, so the oldest hit need not be the decisive one.
            free_at = self._hits[len(self._hits) - self.limit] + self.window_s
            return LimitDecision(
                allowed=False,
                limit=self.limit,
                remaining=0,
                reset=free_at,
                reset_after=free_at - now,
                retry_after=free_at - now,
            )
        self._hits.append(now)
        reset = self._hits[-1] + self.window_s
        return LimitDecision(
            allowed=True, limit=self.limit, remaining=self.limit - len(self._hits), reset=reset, reset_after=reset - now
        )

    def is_idle(self, now: float) -> bool:
        """Return whether the last hit has aged out."""
        return not self._hits or self._hits[-1] <= now - self.window_s


class GlobalLimit:
    """The limit over all routes of one bot: 50 per second unless Discord granted more.

    Discord does not document how its second starts, so four models exist; a correct client works with each.
    """

    def __init__(self, limit: int = 50, model: GlobalModel = "sliding", window_s: float = 1.0) -> None:
        self.model = model
        self._limiter: Limiter = _GLOBAL_MODELS[model](limit, window_s)

    @property
    def limit(self) -> int:
        """Requests per window; may be set at run time."""
        return self._limiter.limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._limiter.limit = limit

    def hit(self, now: float) -> LimitDecision:
        """Count one request that arrives at `now`."""
        return self._limiter.hit(now)


class InvalidRequests:
    """The budget of 401, 403 and 429 responses (except scope shared) per address; exceeding it means a ban.

    10,000 per 10 minutes is documented (topics/rate-limits, August 2026); how long the ban lasts is not.
    """

    def __init__(self, limit: int = 10_000, window_s: float = 600.0, ban_s: float = 3600.0) -> None:
        self.ban_s = ban_s
        self._window = SlidingWindow(limit, window_s)
        self._banned_until = -math.inf

    def hit(self, now: float) -> LimitDecision:
        """Count one invalid request; `allowed` is False from the one on that exhausts the budget."""
        decision = self._window.hit(now)
        if decision.allowed and decision.remaining:
            return decision
        self._banned_until = max(self._banned_until, now + self.ban_s)
        left_s = self._banned_until - now
        return LimitDecision(
            allowed=False,
            limit=decision.limit,
            remaining=0,
            reset=self._banned_until,
            reset_after=left_s,
            retry_after=left_s,
        )

    def banned_for(self, now: float) -> float:
        """Return the remaining seconds of the ban; 0 without one."""
        return max(0.0, self._banned_until - now)


_GLOBAL_MODELS: dict[GlobalModel, type[Limiter]] = {
    "aligned": AlignedWindow,
    "first_request": FixedWindow,
    "sliding": SlidingWindow,
    "gcra": Gcra,
}
LIMITERS: dict[Kind, type[FixedWindow] | type[Gcra]] = {"fixed": FixedWindow, "leaky": Gcra}
