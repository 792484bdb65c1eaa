"""Waits until a bot may send IDENTIFY: for the daily budget, and for its turn."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable

from discordproxy_gateway.discord.reconnect import back_off
from discordproxy_gateway.store.session_store import IdentifyAnswer

log = logging.getLogger(__name__)

POLL_S = 0.5
"""Polling interval of a closed gate, which may open early when a handshake ends."""

FIRST_BUDGET_PAUSE_S = 60.0
MAX_BUDGET_PAUSE_S = 900.0
"""Bounds of the wait between requests for the budget; it doubles, with jitter."""

_PROMISE_S = 1.0
_MIN_S = 0.01


async def await_turn(
    may_identify: Callable[[], Awaitable[IdentifyAnswer]],
    refresh_budget: Callable[[], Awaitable[None]],
    report_low: Callable[[IdentifyAnswer], Awaitable[None]],
) -> None:
    """Return when an IDENTIFY may be sent.

    Args:
        may_identify: reads the budget in Redis; GO reserves the turn.
        refresh_budget: copies the budget from Discord to Redis.
        report_low: reports to the operator that too few IDENTIFYs are left.
    """
    asked = promised = 0
    while True:
        answer = await may_identify()
        match answer.verdict:
            case "GO":
                return
            case "WAIT":
                await asyncio.sleep(min(max(answer.wait_s, _MIN_S), POLL_S))
                continue
            case "LOW":
                await report_low(answer)
        if asked or answer.verdict == "LOW":
            wait_s = back_off(FIRST_BUDGET_PAUSE_S, MAX_BUDGET_PAUSE_S, asked, random.random())  # noqa: S311 - spreads load
            if answer.verdict == "LOW" and answer.wait_s < wait_s:  # the announced reset is earlier, but may be wrong
                wait_s = max(answer.wait_s, back_off(_PROMISE_S, MAX_BUDGET_PAUSE_S, promised, 1.0))
                promised += 1
            log.info("requesting the number of new sessions that are left in %.0f s", wait_s)
            await asyncio.sleep(wait_s)
        await refresh_budget()
        asked += 1
