"""Ending tasks for sure. Knows nothing of Discord or Redis.

Up to Python 3.11 `asyncio.wait_for`, which libraries use, can swallow a cancellation that comes in the same turn of the
loop as its result. So one `cancel` may not be enough, and a cancelled task may return.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

_REPEAT_S = 0.1

Outcome = TypeVar("Outcome")


async def end(*tasks: asyncio.Future[Any]) -> None:
    """Cancel until all have ended; their outcomes stay readable."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_REPEAT_S)


async def race(work: Coroutine[Any, Any, Outcome], over: asyncio.Future[Any]) -> Outcome | None:
    """Return what `work` returns; None, with `work` cancelled and ended, when `over` comes first.

    Work that could not be stopped in time still returns its result, so that the caller can give it back.
    """
    if over.done():
        work.close()
        return None
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task, over}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not task.done():
            await end(task)
    return None if task.cancelled() else task.result()


async def first(*events: asyncio.Event) -> None:
    """Return when one of the events is set."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end(*waiting)


async def together(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run all until they return; the first failure ends the others and is raised."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        await end(*tasks)
