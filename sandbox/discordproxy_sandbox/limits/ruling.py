"""The limits' decision on one request, its headers and body, and when the client has been informed. Pure."""

import math
from dataclasses import dataclass, field, replace
from typing import Literal

from discordproxy_sandbox.limits.limits import LimitDecision, Limiter

# After this time the client has read the response that announced a hidden limit.
_READ_AFTER_S = 1.0


@dataclass(slots=True)
class HiddenState:
    """A hidden limit in use, with the time and the end of its last announced refusal (epoch seconds)."""

    limiter: Limiter
    announced_at: float = math.inf
    announced_until: float = -math.inf

    def announce(self, now: float, until: float) -> None:
        """Record that a response sent at `now` announces a refusal until `until`."""
        if now >= self.announced_until:
            self.announced_at = now
        self.announced_until = max(self.announced_until, until)

    def is_announced(self, now: float) -> bool:
        """Return whether the client has read that the limit still refuses."""
        return self.announced_at + _READ_AFTER_S < now < self.announced_until


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """The outcome for one request. `avoidable`: a client that reads headers and bodies would not have sent it.

    `hidden`: the limit that refuses until `free_at` (epoch seconds); its next refusal is avoidable only if this one
    is announced.
    """

    allowed: bool
    bucket: str = ""  # the hash shown, "" for a route without headers
    shown: LimitDecision | None = None
    scope: Literal["", "user", "global", "shared"] = ""
    retry_after: float = 0.0  # seconds
    avoidable: bool = False
    code: int = 0
    hidden: HiddenState | None = field(default=None, repr=False, compare=False)
    free_at: float = -math.inf

    def headers(self) -> dict[str, str]:
        """Return the headers as Discord formats them: milliseconds; Retry-After in whole seconds, rounded up."""
        headers: dict[str, str] = {}
        if self.shown and self.scope != "global":
            headers = {
                "X-RateLimit-Limit": str(self.shown.limit),
                "X-RateLimit-Remaining": str(self.shown.remaining),
                "X-RateLimit-Reset": f"{self.shown.reset:.3f}",
                "X-RateLimit-Reset-After": f"{self.shown.reset_after:.3f}",
                "X-RateLimit-Bucket": self.bucket,
            }
        if not self.allowed:
            headers["X-RateLimit-Scope"] = self.scope
            headers["Retry-After"] = str(math.ceil(self.retry_after))
        if self.scope == "global":
            headers["X-RateLimit-Global"] = "true"
        return headers

    def body(self) -> dict[str, object]:
        """Return the JSON object of a 429."""
        # Rounded up: waiting this long must be enough.
        retry_after = math.ceil(self.retry_after * 1000) / 1000
        message = "The resource is being rate limited." if self.scope == "shared" else "You are being rate limited."
        body = {"message": message, "retry_after": retry_after, "global": self.scope == "global"}
        return body | {"code": self.code} if self.code else body

    def without_refusal(self) -> "Ruling":
        """Return the ruling for a response that does not announce the refusal: only the bucket."""
        return replace(self, allowed=True, scope="", hidden=None)

    def announce(self, now: float) -> None:
        """Record that the response with this ruling is sent at `now`."""
        if self.hidden:
            self.hidden.announce(now, self.free_at)
