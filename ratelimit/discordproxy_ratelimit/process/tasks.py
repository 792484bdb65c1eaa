"""Tasks that many callers depend on: one that ends says why, and is started again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 30.0
HEALTHY_S = 60.0
"""Work that went on for so long begins anew without the pauses of earlier failures."""


async def steadily(
    work: Callable[[], Awaitable[None]],
    name: str,
    *,
    until_done: bool = False,
    fatal: tuple[type[Exception], ...] = (),
    first_pause_s: float = FIRST_PAUSE_S,
) -> None:
    """Run `work` for ever: when it raises or returns, it starts again after a pause that doubles each time.

    Args:
        work: starts the work; all it needs to go on must outlive it.
        name: says in the log whose end it was.
        until_done: end with it when it returns; only what it raises starts it again.
        fatal: errors that are raised and do not start it again.
        first_pause_s: the pause after the first failure.
    """
    loop = asyncio.get_running_loop()
    pause_s = first_pause_s
    while True:
        began = loop.time()
        try:
            await work()
        except fatal:
            raise
        except Exception:
            log.exception("%s failed; it starts again", name)
        else:
            if until_done:
                return
            log.error("%s ended; it starts again", name)
        if loop.time() - began > HEALTHY_S:
            pause_s = first_pause_s
        await asyncio.sleep(pause_s)
        pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)
