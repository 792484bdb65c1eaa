"""Waits for a condition by polling."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable


async def eventually(condition: Callable[[], bool | Awaitable[bool]], *, within_s: float = 60.0) -> None:
    """Return once `condition`, a function or coroutine function, is true; fail after `within_s` seconds."""
    async with asyncio.timeout(within_s):
        while True:
            met = condition()
            if await met if inspect.isawaitable(met) else met:
                return
            await asyncio.sleep(0.01)
