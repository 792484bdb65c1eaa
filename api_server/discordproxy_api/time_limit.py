"""Time limits whose end is an error of the proxy."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


@asynccontextmanager
async def expires_as(limit: asyncio.Timeout, error: Callable[[], Exception]) -> AsyncIterator[None]:
    """Run a block within `limit`, and raise `error()` when it expires. A TimeoutError of the block itself passes.

    Args:
        limit: as returned by `asyncio.timeout` or `asyncio.timeout_at`.
        error: returns the error.
    """
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        raise error() from None
