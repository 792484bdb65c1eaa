"""What the broker raises. Every one of them means: nothing was sent to Discord.

BrokerError
 |- WaitRefused         the wait cannot fit the deadline or `max_wait`, or the queue is full
 |- BrokerUnavailable   Redis does not answer
 |- CircuitOpen         Discord's edge blocks this address; asking again would make it worse
 |- ShareUsed           this application has made too many invalid requests; others go on
 |- TokenRejected       Discord answered 401 to this credential
 |- KnownRefusal        the same call was answered 403 or 404 a moment ago
 `- Draining            this process is shutting down
"""


class BrokerError(Exception):
    """A permit was not granted.

    Attributes:
        reason: one of the contract's reasons, stable for programs.
        retry_after_s: seconds after which asking again can succeed; None when nobody knows.
    """

    reason = "INTERNAL"

    def __init__(self, message: str, *, retry_after_s: float | None = None, reason: str | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        if reason is not None:
            self.reason = reason


class WaitRefusedError(BrokerError):
    """The place in the queue lies beyond what the caller would wait for; nothing was reserved."""

    reason = "WAIT_EXCEEDS_DEADLINE"


class BrokerUnavailableError(BrokerError):
    """Redis did not answer in time, so nobody may send."""

    reason = "BROKER_UNAVAILABLE"


class CircuitOpenError(BrokerError):
    """Too many invalid requests, or Cloudflare blocks this address."""

    reason = "CIRCUIT_OPEN"


class ShareUsedError(BrokerError):
    """The application has used up its share of the invalid requests of this address."""

    reason = "INVALID_BUDGET_USED"


class TokenRejectedError(BrokerError):
    """Discord said 401; callers are refused at once until a probe succeeds."""

    reason = "UNAUTHENTICATED"


class KnownRefusalError(BrokerError):
    """Discord refused this very resource a moment ago and would again.

    Attributes:
        status: the HTTP status Discord gave, 403 or 404.
        code: Discord's JSON error code, 0 if unknown.
    """

    reason = "DISCORD_ERROR"

    def __init__(self, message: str, *, status: int, code: int = 0, retry_after_s: float | None = None) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.status = status
        self.code = code


class DrainingError(BrokerError):
    """The worker is stopping; another one will serve the call."""

    reason = "DRAINING"
