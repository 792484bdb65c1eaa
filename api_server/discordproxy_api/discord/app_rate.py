"""Calls of an application with a rate of its own wait for their turn here, before they ask for a permit.

What a rate bounds is requests: a call takes a turn when it comes, which its first request to Discord uses up, and each
further request takes one more.
"""

import asyncio

from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.drain import Drain
from discordproxy_ratelimit.errors import BrokerUnavailableError, WaitRefusedError
from discordproxy_ratelimit.shared.app_rate import AppRate

LONGEST_WAIT_S = 1_800.0


class AppRateWaits:
    """Waits for turns; see `Principal.calls_per_s`."""

    def __init__(self, quota: AppRate, drain: Drain) -> None:
        self._quota = quota
        self._drain = drain

    async def for_request(self, call: Call) -> None:
        """Return when the call may send a request. Raises as `wait`."""
        if call.has_turn:
            call.has_turn = False
        else:
            await self._wait(call)

    async def wait(self, call: Call) -> None:
        """Return when it is the call's turn, which its first request uses up.

        Raises:
            ApiError: the wait would outlast what the caller accepts, or this worker stops.
        """
        await self._wait(call)
        call.has_turn = True

    async def _wait(self, call: Call) -> None:
        """Take a turn.

        Raises:
            ApiError: the wait would outlast what the caller accepts, or this worker stops.
        """
        per_s = call.principal.calls_per_s
        if per_s is None:
            return
        left_s = call.deadline_at - asyncio.get_running_loop().time()
        max_wait_s = min(left_s, LONGEST_WAIT_S if call.max_wait_s is None else call.max_wait_s)
        try:
            wait_s = await self._quota.reserve(call.app, per_s=per_s, max_wait_s=max_wait_s)
        except WaitRefusedError as error:
            raise errors.from_broker(error) from None
        except BrokerUnavailableError:
            return  # whether anything may be sent without Redis is decided where a permit is asked for
        if call.max_wait_s is not None:
            call.max_wait_s -= wait_s
        if wait_s:
            async with self._drain.interruptible():
                await asyncio.sleep(wait_s)
