"""The end of a worker's service: it refuses new calls and ends every wait."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from discordproxy_api.calls import errors


class Drain:
    """Ends the waits of calls when the worker stops, and counts the calls that are still served."""

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
        """Refuse new calls from now on, and end every wait."""
        self._begun = True
        now = asyncio.get_running_loop().time()
        for wait in self._waiting:
            wait.reschedule(now)

    @contextmanager
    def silence(self) -> Iterator[None]:
        """Hold answers back: a caller that gets one would send its next call on a connection that is closing."""
        self._speaks.clear()
        try:
            yield
        finally:
            self._speaks.set()

    @property
    def is_silent(self) -> bool:
        """Whether answers are held back."""
        return not self._speaks.is_set()

    async def may_answer(self) -> None:
        """Return when calls may be answered again."""
        await self._speaks.wait()

    def enter(self) -> None:
        """Count a call that `idle` waits for, until `leave`."""
        self._served += 1
        self._idle.clear()

    def leave(self) -> None:
        """Count the call no longer."""
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
