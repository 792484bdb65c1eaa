"""The end of a worker's service: once it has begun, nobody waits here any longer and nobody new comes in."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from discordproxy_api.calls import errors


class Drain:
    """Tells waiting calls that this worker is going away."""

    def __init__(self) -> None:
        self._begun = False
        self._waiting: set[asyncio.Timeout] = set()
        self._served = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._speaks = asyncio.Event()
        self._speaks.set()

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

    @contextmanager
    def silence(self) -> Iterator[None]:
        """Hold answers back: whoever gets none does not send its next call into a connection that is just closing."""
        self._speaks.clear()
        try:
            yield
        finally:
            self._speaks.set()

    async def may_answer(self) -> None:
        """Return when a call may be answered: at once, but for a moment of every stop."""
        await self._speaks.wait()

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Count a call that `idle` waits for."""
        self._served += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._served -= 1
            if not self._served:
                self._idle.set()

    async def idle(self) -> None:
        """Return once no call is being served."""
        await self._idle.wait()

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
