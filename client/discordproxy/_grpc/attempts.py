"""One call of the application, which may take several attempts: its time, its id, and what to say when it fails."""

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


class Attempts:
    """Keeps the time and decides about repetitions.

    Args:
        timeout: Seconds for all attempts together; None without a deadline.
        retries: How many repetitions the caller wants at most.
        repeatable: Whether a repetition is harmless even if a failed attempt took effect.
        add_hint: Completes the error that is raised in the end.

    Attributes:
        time_left: Seconds for the next attempt; the whole timeout for the first one.
        request_id: Finds all attempts in the log of the proxy.

    Raises:
        DiscordProxyTimeoutError: the time was over before the call began.
    """

    def __init__(
        self, timeout: float | None, retries: int, *, repeatable: bool, add_hint: Callable[[Exception], None]
    ) -> None:
        if timeout is not None and timeout < 0:
            late = f"timeout: the time was over before the call began ({timeout:g} seconds)"
            error = DiscordProxyTimeoutError(GrpcStatusCode.DEADLINE_EXCEEDED, late)
            error.sent = "no"
            raise error
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._retries = retries
        self._repeatable = repeatable
        self._add_hint = add_hint
        self._failures = 0
        self._uncertain = False
        self.time_left = timeout
        self.request_id = os.urandom(8).hex()

    def failed(self, ex: grpc.RpcError) -> float:
        """Return how many seconds to wait before the next attempt.

        Raises:
            DiscordProxyException: there is none.
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
            error.sent = "unknown"  # true of this attempt only: an earlier one may have arrived
        self._uncertain = error.sent == "unknown"
