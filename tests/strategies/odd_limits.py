"""Limiters that are neither the fixed window nor the leaky bucket that Discord describes."""

from collections import deque

from discordproxy_sandbox.limits.limits import LimitDecision

WHOLE = 1e-9  # less than any rate needs to give back what rounding has taken


class NextToken:
    """A token bucket whose Reset is the time until the next token, and now while one is left."""

    def __init__(self, limit: int, window_s: float) -> None:
        self.limit, self.window_s = limit, window_s
        self._tokens, self._at = float(limit), 0.0

    def hit(self, now: float) -> LimitDecision:
        """Count one request that arrives at `now`."""
        token_s = self.window_s / self.limit
        self._tokens, self._at = min(self.limit, self._tokens + (now - self._at) / token_s), now
        allowed = self._tokens >= 1 - WHOLE
        if allowed:
            self._tokens -= 1
        next_s = max(0.0, 1 - self._tokens) * token_s
        return _decision(now, next_s, limit=self.limit, remaining=int(self._tokens + WHOLE), allowed=allowed)

    def is_idle(self, now: float) -> bool:
        """Return whether every token is back."""
        return self._tokens + (now - self._at) * self.limit / self.window_s >= self.limit


class OldestHit:
    """A sliding window whose Reset is the time at which its oldest request expires."""

    def __init__(self, limit: int, window_s: float) -> None:
        self.limit, self.window_s = limit, window_s
        self._hits: deque[float] = deque()

    def hit(self, now: float) -> LimitDecision:
        """Count one request that arrives at `now`."""
        while self._hits and self._hits[0] <= now - self.window_s:
            self._hits.popleft()
        allowed = len(self._hits) < self.limit
        if allowed:
            self._hits.append(now)
        after_s = self._hits[0] + self.window_s - now
        return _decision(now, after_s, limit=self.limit, remaining=self.limit - len(self._hits), allowed=allowed)

    def is_idle(self, now: float) -> bool:
        """Return whether the newest request has expired."""
        return not self._hits or self._hits[-1] <= now - self.window_s


def _decision(now: float, after_s: float, *, limit: int, remaining: int, allowed: bool) -> LimitDecision:
    return LimitDecision(
        allowed=allowed,
        limit=limit,
        remaining=remaining,
        reset=now + after_s,
        reset_after=after_s,
        retry_after=0.0 if allowed else after_s,
    )
