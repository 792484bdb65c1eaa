"""Waits for applications with a rate of their own, before their requests acquire permits.

The rate bounds requests: a call takes a turn when it arrives, which its first request uses up; each further request
takes another one.
"""

import asyncio

from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.drain import Drain
from discordproxy_ratelimit.errors import BrokerUnavailableError, WaitRefusedError
from discordproxy_ratelimit.shared.app_rate import AppRate

MAX_WAIT_S = 1_800.0


class AppRateWaits:
    """Waits for turns; see `Principal.calls_per_s`."""

    def __init__(self, app_rate: AppRate, drain: Drain) -> None:
        self._app_rate = app_rate
        self._drain = drain

    async def for_request(self, call: Call) -> None:
        """Return when the call may send a request. Raises as `wait`."""
        if call.has_turn:
            call.has_turn = False
        elif call.principal.calls_per_s is not None:
            await self._wait(call, call.principal.calls_per_s)

    async def wait(self, call: Call) -> None:
        """Return when the call has a turn, which its first request uses up.

        Raises:
            ApiError: the wait would be longer than the caller accepts, or this worker stops.
        """
        if call.principal.calls_per_s is not None:
            await self._wait(call, call.principal.calls_per_s)
        call.has_turn = True

    async def _wait(self, call: Call, per_s: float) -> None:
        left_s = call.deadline_at - asyncio.get_running_loop().time()
        max_wait_s = min(left_s, MAX_WAIT_S if call.max_wait_s is None else call.max_wait_s)
        try:
            wait_s = await self._app_rate.reserve(call.app, per_s=per_s, max_wait_s=max_wait_s)
        except WaitRefusedError as error:
            raise errors.from_broker(error) from None
        except BrokerUnavailableError:
            return  # without Redis, the broker decides with the permit whether anything may be sent
        if call.max_wait_s is not None:
            call.max_wait_s -= wait_s
        if wait_s:
            async with self._drain.interruptible():
                await asyncio.sleep(wait_s)
