"""The end of a worker's service: once it has begun, nobody waits here any longer and nobody new comes in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from discordproxy_api import errors


class Drain:
    """Tells waiting calls that this worker is going away."""

    def __init__(self) -> None:
        self._begun = False
        self._waiting: set[asyncio.Timeout] = set()

    @property
    def begun(self) -> bool:
        """Whether new calls must be refused."""
        return self._begun

    def begin(self) -> None:
        """Refuse what comes from now on, and end every wait at once."""
        self._begun = True
        now = asyncio.get_running_loop().time()
        for wait in self._waiting:
            wait.reschedule(now)

    @asynccontextmanager
    async def interruptible(self) -> AsyncIterator[None]:
        """Run a wait that ends with `errors.draining()` when the drain begins.

        Nothing may be on its way to Discord inside: the wait is cut wherever it stands.
        """
        if self._begun:
            raise errors.draining()
        wait = asyncio.timeout(None)
        try:
            async with wait:
                self._waiting.add(wait)
                try:
                    yield
                finally:
                    self._waiting.discard(wait)
        except TimeoutError:
            if wait.expired():
                raise errors.draining() from None
            raise
