"""What the limits say about one request, how an answer tells it, and what the client knows from then on. Pure."""

import math
from dataclasses import dataclass, field, replace
from typing import Literal

from discordproxy_sandbox.limits.limits import LimitDecision, Limiter

# By then the answer that announced a hidden limit has surely been read: who comes again too early was warned.
_READ_AFTER_S = 1.0


@dataclass(slots=True)
class HiddenState:
    """A hidden limit in use, and what the client was told of it: when, and until when it refuses (epoch seconds)."""

    limiter: Limiter
    told_at: float = math.inf
    told_until: float = -math.inf

    def tell(self, now: float, until: float) -> None:
        """Note that an answer which goes out at `now` says that the limit refuses until then."""
        if now >= self.told_until:
            self.told_at = now
        self.told_until = max(self.told_until, until)

    def is_known(self, now: float) -> bool:
        """Say whether the client has read that it must not come yet."""
        return self.told_at + _READ_AFTER_S < now < self.told_until


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """The outcome for one request. `avoidable`: a client that reads headers and bodies would not have sent it.

    `hidden`: what refused, until `free_at` (epoch seconds). Its next refusal is avoidable only if this one is told.
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
        """Write the headers as Discord does: milliseconds, whole seconds rounded up in Retry-After."""
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
        # Rounded up: the exact value is a promise that waiting this long is enough.
        retry_after = math.ceil(self.retry_after * 1000) / 1000
        message = "The resource is being rate limited." if self.scope == "shared" else "You are being rate limited."
        body = {"message": message, "retry_after": retry_after, "global": self.scope == "global"}
        return body | {"code": self.code} if self.code else body

    def untold(self) -> "Ruling":
        """Return what is left for an answer that does not speak of the refusal: the bucket."""
        return replace(self, allowed=True, scope="", hidden=None)

    def told(self, now: float) -> None:
        """Note that the answer with this ruling goes out at `now`."""
        if self.hidden:
            self.hidden.tell(now, self.free_at)
