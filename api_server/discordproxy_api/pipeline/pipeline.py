"""The path of every call, independent of its transport: authentication, admission, time limit, access log."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from discordproxy_api.calls import errors
from discordproxy_api.calls.call import CURRENT, Call, Status
from discordproxy_api.calls.drain import Drain
from discordproxy_api.calls.errors import AnsweredError, ApiError
from discordproxy_api.calls.tracing import Tracing
from discordproxy_api.pipeline.access_log import AccessLog
from discordproxy_api.pipeline.authentication import Authentication
from discordproxy_api.time_limit import expires_as

log = logging.getLogger("discordproxy_api")

MAX_CALL_S = 1_800.0

Result = TypeVar("Result")


class Admission(Protocol):
    """Bounds the calls that are served at once."""

    def admit(self, call: Call) -> None:
        """Count a call; raises ApiError if there are too many."""

    def turn(self, call: Call) -> Awaitable[None] | None:
        """Return what to await before the call starts, None if it may start at once."""

    def release(self, call: Call) -> None:
        """Count the call no longer."""


class CallPipeline:
    """Serves the calls of one service.

    Args:
        authentication: None for a service that needs no key.
        max_call_s: the longest time of a call without a deadline, in seconds.
    """

    def __init__(
        self,
        *,
        access_log: AccessLog,
        authentication: Authentication | None,
        admission: Admission,
        drain: Drain,
        max_call_s: float = MAX_CALL_S,
    ) -> None:
        self._access_log = access_log
        self._authentication = authentication
        self._admission = admission
        self._drain = drain
        self._max_call_s = max_call_s

    async def serve(self, call: Call, work: Callable[[Call], Awaitable[Result]]) -> Result:
        """Return the result of `work`, which runs once the call has passed all steps; record its outcome.

        Raises:
            ApiError: the call was refused or failed. No other exception carries the text of an inner failure outside.
            AnsweredError: `work` has answered the call itself.
        """
        CURRENT.set(call)
        began_at = self._access_log.begin()
        try:
            result = await self._run(call, work, began_at)
        except BaseException as error:
            status = _status_of(error, call)
            self._access_log.end(call, status, error if isinstance(error, ApiError) else None, began_at)
            if isinstance(error, ApiError | AnsweredError) or not isinstance(error, Exception):
                raise
            raise errors.internal(call.request_id) from None
        self._access_log.end(call, "OK", None, began_at)
        return result

    async def _run(self, call: Call, work: Callable[[Call], Awaitable[Result]], began_at: float) -> Result:
        """The steps of a call, in order."""
        if self._authentication is not None:
            await self._authentication.authenticate(call)
        self._admission.admit(call)
        try:
            turn = self._admission.turn(call)
            if turn is not None:
                await turn
            if call.deadline_at < began_at + self._max_call_s and not call.streams:
                return await work(call)  # the transport ends the call at its deadline
            return await self._run_bounded(call, work)
        finally:
            if self._drain.are_responses_held:
                await self._drain.until_responses_are_released()
            self._admission.release(call)

    async def _run_bounded(self, call: Call, work: Callable[[Call], Awaitable[Result]]) -> Result:
        """Run a call for at most `max_call_s`, and a stream as long as its key is valid."""
        if call.streams:
            if self._authentication is None or not self._authentication.requires_keys:
                return await work(call)
            async with self._authentication.watch(call):
                return await work(call)
        call.deadline_at = asyncio.get_running_loop().time() + self._max_call_s
        async with expires_as(asyncio.timeout_at(call.deadline_at), self._took_too_long):
            return await work(call)

    def _took_too_long(self) -> ApiError:
        text = f"The call took longer than {self._max_call_s:.0f} s, the longest the proxy allows."
        return errors.refusal("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", text)


def _status_of(error: BaseException, call: Call) -> Status:
    """Return the status of a failed call; log a failure of the proxy itself."""
    if isinstance(error, ApiError | AnsweredError):
        if isinstance(error, ApiError) and error.reason == "INTERNAL":  # its text refers to the log
            log.warning("%s: %s [%s]", call.rpc, error, call.request_id)
        return error.status
    if isinstance(error, asyncio.CancelledError):
        in_time = asyncio.get_running_loop().time() < call.deadline_at
        return "CANCELLED" if in_time else "DEADLINE_EXCEEDED"
    if isinstance(error, Exception):
        log.error("%s failed [%s]", call.rpc, call.request_id, exc_info=error)
    return "INTERNAL"


class TracedPipeline(CallPipeline):
    """A pipeline that records an OpenTelemetry span of each call."""

    def __init__(self, tracing: Tracing, service: str, **parts: Any) -> None:
        super().__init__(**parts)
        self._tracing = tracing
        self._service = service

    async def serve(self, call: Call, work: Callable[[Call], Awaitable[Result]]) -> Result:
        """Serve a call within its span; see `CallPipeline.serve`."""
        with self._tracing.call(call, self._service):
            return await super().serve(call, work)
