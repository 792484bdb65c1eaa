"""When a failed call may be repeated or a stream resumed, and after how long. Pure: no clock, no randomness, no I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc

from discordproxy.exceptions import DiscordProxyGrpcError, DiscordProxyTimeoutError
from discordproxy.helpers import read_details

if TYPE_CHECKING:
    from discordproxy.exceptions import DiscordProxyException

FIRST_DELAY_S = 0.25
LONGEST_DELAY_S = 4.0
# A longer wait is the application's decision; it finds it in `retry_after`.
LONGEST_ADVICE_S = 15.0
LONGEST_RESUME_DELAY_S = 5.0
# A stream that ends for these reasons is at once continued by another worker, or by the same one.
_ORDERLY = {"DRAINING", "STREAM_ENDED", "SUBSCRIBER_TOO_SLOW"}
# The proxy refused the call before it tried it: it is going away, or its Redis does not answer for a moment.
# Before its other answers it has repeated the call itself where that is harmless: both would multiply requests.
_REFUSED_UNTRIED = {"DRAINING", "BROKER_UNAVAILABLE"}
_FINAL = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNIMPLEMENTED,
}


def delay_before_retry(
    error: DiscordProxyException,
    *,
    failures: int,
    retries: int,
    repeatable: bool,
    remaining_s: float | None,
    jitter: float,
) -> float | None:
    """Return the seconds to wait before the call is made again, None when it must not be.

    Args:
        error: Why the last attempt failed.
        failures: How many attempts failed, this one included.
        retries: How many repetitions the caller wants at most.
        repeatable: Whether a repetition is harmless even if the failed attempt took effect.
        remaining_s: What is left of the call's timeout; None without one.
        jitter: A random number from 0 to 1, so that many callers do not come back at the same instant.
    """
    if failures > retries or not _is_safe(error, repeatable=repeatable):
        return None
    back_off = min(FIRST_DELAY_S * 2.0 ** (failures - 1), LONGEST_DELAY_S) * (0.5 + jitter / 2)
    delay = max(back_off, error.retry_after or 0.0)
    if delay > LONGEST_ADVICE_S or (remaining_s is not None and delay >= remaining_s):
        return None
    return delay


def delay_before_resuming(error: DiscordProxyException, *, failures: int, jitter: float) -> float | None:
    """Return the seconds to wait before a stream of events is resumed, None when that would fail again.

    Args:
        error: Why the stream ended.
        failures: How often it ended since the last event, this time included.
        jitter: A random number from 0 to 1.
    """
    if not isinstance(error, DiscordProxyGrpcError) or error.status in _FINAL:
        return None
    if error.reason in _ORDERLY and failures == 1:
        return FIRST_DELAY_S * jitter
    back_off = min(FIRST_DELAY_S * 2.0 ** min(failures - 1, 10), LONGEST_RESUME_DELAY_S) * (0.5 + jitter / 2)
    return max(back_off, min(error.retry_after or 0.0, LONGEST_RESUME_DELAY_S))


def _is_safe(error: DiscordProxyException, *, repeatable: bool) -> bool:
    """Return whether the connection failed, or the proxy did not try the call; and whether a repeat is harmless."""
    if not isinstance(error, DiscordProxyGrpcError) or isinstance(error, DiscordProxyTimeoutError):
        return False
    answered = read_details(error.details) is not None  # nothing but the proxy writes JSON there
    if not (error.reason in _REFUSED_UNTRIED if answered else _connection_lost(error)):
        return False
    return error.sent == "no" or (error.sent == "unknown" and repeatable)


def _connection_lost(error: DiscordProxyGrpcError) -> bool:
    """Return whether the connection failed; some transports report that under other names than UNAVAILABLE."""
    torn = error.details.startswith(("Stream removed", "Received RST_STREAM", "Data frame with END_STREAM"))
    return error.status is grpc.StatusCode.UNAVAILABLE or (
        torn and error.status in {grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL}
    )
