"""The attempts of one call: deadline, request id, retries and the final error."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from discordproxy._grpc.retry import delay_before_retry
from discordproxy.exceptions import (
    DiscordProxyException,
    DiscordProxyTimeoutError,
    GrpcStatusCode,
    to_discord_proxy_exception,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc


def require_time(timeout: float | None) -> None:
    """Raise DiscordProxyTimeoutError if the timeout is negative: nothing is sent."""
    if timeout is not None and timeout < 0:
        text = f"timeout: already exceeded when the call started ({timeout:g} seconds)"
        error = DiscordProxyTimeoutError(GrpcStatusCode.DEADLINE_EXCEEDED, text)
        error.sent = "no"
        raise error


class Attempts:
    """Tracks the deadline of a call and decides about retries.

    Args:
        timeout: Seconds for all attempts together; None: no deadline.
        retries: Maximum number of retries.
        repeatable: Whether a retry is harmless even if a failed attempt took effect.
        add_hint: Adds a hint to the final error.

    Attributes:
        time_left: Seconds for the next attempt; None: no deadline.
        request_id: Identifies all attempts in the log of the proxy.

    Raises:
        DiscordProxyTimeoutError: the timeout is negative.
    """

    def __init__(
        self, timeout: float | None, retries: int, *, repeatable: bool, add_hint: Callable[[Exception], None]
    ) -> None:
        require_time(timeout)
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._retries = retries
        self._repeatable = repeatable
        self._add_hint = add_hint
        self._failures = 0
        self._uncertain = False
        self.time_left = timeout
        self.request_id = os.urandom(8).hex()

    def failed(self, ex: grpc.RpcError) -> float:
        """Return the seconds to wait before the next attempt.

        Raises:
            DiscordProxyException: there is no further attempt.
        """
        error = to_discord_proxy_exception(ex)
        if not isinstance(error, DiscordProxyException):
            raise ex
        self._failures += 1
        self._complete(error)
        delay = delay_before_retry(
            error,
            failures=self._failures,
            retries=self._retries,
            repeatable=self._repeatable,
            remaining_s=None if self._deadline is None else self._deadline - time.monotonic(),
            jitter=os.urandom(1)[0] / 255,
        )
        if delay is None:
            self._add_hint(error)
            raise error from ex
        if self._deadline is not None:
            self.time_left = self._deadline - time.monotonic() - delay
        return delay

    def _complete(self, error: DiscordProxyException) -> None:
        error.request_id = error.request_id or self.request_id
        if self._uncertain and error.sent == "no":
            error.sent = "unknown"  # "no" holds for this attempt only; an earlier one may have arrived
        self._uncertain = error.sent == "unknown"
