"""Errors of the broker. Each of them means that nothing was sent to Discord.

BrokerError
 |- WaitRefusedError         the wait exceeds the deadline or `max_wait`, or the queue is full
 |- BrokerUnavailableError   Redis is unavailable
 |- CircuitOpenError         Discord's edge blocks this address; more requests would prolong the block
 |- ShareUsedError           this application has made too many invalid requests; others are not affected
 |- TokenRejectedError       Discord has rejected this credential with 401
 |- KnownRefusalError        Discord has refused the same call with 403 or 404 a moment ago
 `- DrainingError            this process is shutting down
"""

STOPPING = "This worker is stopping; another one will serve the call"


class BrokerError(Exception):
    """A permit was not granted.

    Attributes:
        reason: one of the contract's reasons, stable for programs.
        retry_after_s: seconds after which a retry can succeed; None if unknown.
    """

    reason = "INTERNAL"

    def __init__(self, message: str, *, retry_after_s: float | None = None, reason: str | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        if reason is not None:
            self.reason = reason


class WaitRefusedError(BrokerError):
    """The wait would be longer than the caller accepts; nothing was reserved."""

    reason = "WAIT_EXCEEDS_DEADLINE"


class BrokerUnavailableError(BrokerError):
    """Redis did not reply in time, so that no request may be sent."""

    reason = "BROKER_UNAVAILABLE"


class CircuitOpenError(BrokerError):
    """Too many invalid requests, or Cloudflare blocks this address."""

    reason = "CIRCUIT_OPEN"


class ShareUsedError(BrokerError):
    """The application has used up its share of the invalid requests of this address."""

    reason = "INVALID_BUDGET_USED"


class TokenRejectedError(BrokerError):
    """Discord has responded 401; calls are refused at once until a probe succeeds."""

    reason = "UNAUTHENTICATED"


class KnownRefusalError(BrokerError):
    """Discord has refused this resource a moment ago and would refuse it again.

    Attributes:
        status: the HTTP status of Discord, 403 or 404.
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
