"""Decides whether and when a failed call is retried or a stream resumed. Pure: no clock, randomness or I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc

from discordproxy.exceptions import DiscordProxyGrpcError, DiscordProxyTimeoutError
from discordproxy.helpers import read_details

if TYPE_CHECKING:
    from discordproxy.exceptions import DiscordProxyException

FIRST_DELAY_S = 0.25
MAX_DELAY_S = 4.0
# A longer wait is left to the application: the error has it in `retry_after`.
MAX_RETRY_AFTER_S = 15.0
MAX_RESUME_DELAY_S = 5.0
# After these reasons a worker can resume the stream immediately.
_ORDERLY = {"DRAINING", "STREAM_ENDED", "SUBSCRIBER_TOO_SLOW"}
# The proxy refused the call before trying it: it is shutting down, or its Redis does not respond.
# In all other cases the proxy has retried what is harmless; further retries would multiply requests.
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
    """Return the seconds to wait before the next attempt; None: do not retry.

    Args:
        error: The error of the last attempt.
        failures: Number of failed attempts, including the last one.
        retries: Maximum number of retries.
        repeatable: Whether a retry is harmless even if the failed attempt took effect.
        remaining_s: Remaining seconds of the call's timeout; None: no deadline.
        jitter: Random number from 0 to 1, which spreads the retries of many callers.
    """
    if failures > retries or not _is_safe(error, repeatable=repeatable):
        return None
    back_off = min(FIRST_DELAY_S * 2.0 ** (failures - 1), MAX_DELAY_S) * (0.5 + jitter / 2)
    delay = max(back_off, error.retry_after or 0.0)
    if delay > MAX_RETRY_AFTER_S or (remaining_s is not None and delay >= remaining_s):
        return None
    return delay


def delay_before_resuming(error: DiscordProxyException, *, failures: int, jitter: float) -> float | None:
    """Return the seconds to wait before resuming a stream of events; None: do not resume.

    Args:
        error: The error that ended the stream.
        failures: Number of failures since the last event, including this one.
        jitter: Random number from 0 to 1.
    """
    if not isinstance(error, DiscordProxyGrpcError) or error.status in _FINAL:
        return None
    if error.reason in _ORDERLY and failures == 1:
        return FIRST_DELAY_S * jitter
    back_off = min(FIRST_DELAY_S * 2.0 ** min(failures - 1, 10), MAX_RESUME_DELAY_S) * (0.5 + jitter / 2)
    return max(back_off, min(error.retry_after or 0.0, MAX_RESUME_DELAY_S))


def _is_safe(error: DiscordProxyException, *, repeatable: bool) -> bool:
    """Return whether the connection failed or the proxy did not try the call, and a retry is harmless."""
    if not isinstance(error, DiscordProxyGrpcError) or isinstance(error, DiscordProxyTimeoutError):
        return False
    answered = read_details(error.details) is not None  # only the proxy writes JSON there
    if not (error.reason in _REFUSED_UNTRIED if answered else _connection_lost(error)):
        return False
    return error.sent == "no" or (error.sent == "unknown" and repeatable)


def _connection_lost(error: DiscordProxyGrpcError) -> bool:
    """Return whether the connection failed; some transports report this with a status other than UNAVAILABLE."""
    broken = error.details.startswith(("Stream removed", "Received RST_STREAM", "Data frame with END_STREAM"))
    return error.status is grpc.StatusCode.UNAVAILABLE or (
        broken and error.status in {grpc.StatusCode.UNKNOWN, grpc.StatusCode.INTERNAL}
    )
