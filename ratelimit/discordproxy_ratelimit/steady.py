"""Tasks that many callers depend on: one that ends says why, and is started again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 30.0
HEALTHY_S = 60.0
"""Work that went on for so long begins anew without the pauses of earlier failures."""


async def steadily(work: Callable[[], Awaitable[None]], name: str, *, until_done: bool = False) -> None:
    """Run `work` for ever: whatever it raises, or when it returns, it starts again after a pause.

    Args:
        work: starts the work; all it needs to go on must outlive it.
        name: says in the log whose end it was.
        until_done: end with it when it returns; only what it raises starts it again.
    """
    loop = asyncio.get_running_loop()
    pause_s = FIRST_PAUSE_S
    while True:
        began = loop.time()
        try:
            await work()
        except Exception:
            log.exception("%s failed; it starts again", name)
        else:
            if until_done:
                return
            log.error("%s ended; it starts again", name)
        if loop.time() - began > HEALTHY_S:
            pause_s = FIRST_PAUSE_S
        await asyncio.sleep(pause_s)
        pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)
