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

_MIN_RESET_WAIT_S = 1.0
"""Minimum wait for an announced reset; it doubles with each one, since the announced time may be wrong."""

_MIN_WAIT_S = 0.01


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
    requests = resets = 0  # requests for the budget, and waits for an announced reset
    while True:
        answer = await may_identify()
        match answer.verdict:
            case "GO":
                return
            case "WAIT":
                await asyncio.sleep(min(max(answer.wait_s, _MIN_WAIT_S), POLL_S))
                continue
            case "LOW":
                await report_low(answer)
        if requests or answer.verdict == "LOW":
            wait_s = back_off(FIRST_BUDGET_PAUSE_S, MAX_BUDGET_PAUSE_S, requests, random.random())  # noqa: S311 - spreads load
            if answer.verdict == "LOW" and answer.wait_s < wait_s:  # the announced reset is earlier, but may be wrong
                wait_s = max(answer.wait_s, back_off(_MIN_RESET_WAIT_S, MAX_BUDGET_PAUSE_S, resets, 1.0))
                resets += 1
            log.info("the number of new sessions that are left today is requested again in %.0f s", wait_s)
            await asyncio.sleep(wait_s)
        await refresh_budget()
        requests += 1
