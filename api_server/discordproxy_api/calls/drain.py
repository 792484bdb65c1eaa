"""Drain of a stopping worker: refuses new calls, ends the waits of others, counts the calls in progress."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from discordproxy_api.calls import errors


class Drain:
    """The state of the drain, shared by all calls of a worker."""

    def __init__(self) -> None:
        self._begun = False
        self._waits: set[asyncio.Timeout] = set()
        self._calls = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._may_respond = asyncio.Event()
        self._may_respond.set()

    @property
    def begun(self) -> bool:
        """Whether new calls must be refused."""
        return self._begun

    def begin(self) -> None:
        """Refuse new calls from now on, and end all waits."""
        self._begun = True
        now = asyncio.get_running_loop().time()
        for wait in self._waits:
            wait.reschedule(now)

    @contextmanager
    def hold_responses(self) -> Iterator[None]:
        """Hold responses back: a caller that receives one would send its next call on a connection that is closing."""
        self._may_respond.clear()
        try:
            yield
        finally:
            self._may_respond.set()

    @property
    def are_responses_held(self) -> bool:
        """Whether responses are held back."""
        return not self._may_respond.is_set()

    async def until_responses_are_released(self) -> None:
        """Return when responses are no longer held back."""
        await self._may_respond.wait()

    def add_call(self) -> None:
        """Count a call in progress, until `remove_call`."""
        self._calls += 1
        self._idle.clear()

    def remove_call(self) -> None:
        """End the count of a call."""
        self._calls -= 1
        if not self._calls:
            self._idle.set()

    async def until_idle(self) -> None:
        """Return when no call is in progress."""
        await self._idle.wait()

    @asynccontextmanager
    async def interruptible(self) -> AsyncIterator[None]:
        """Run a wait, which ends with `errors.draining()` when the drain begins.

        The block must not send requests to Discord: it is cancelled at any point.
        """
        if self._begun:
            raise errors.draining()
        wait = asyncio.timeout(None)
        try:
            async with wait:
                self._waits.add(wait)
                try:
                    yield
                finally:
                    self._waits.discard(wait)
        except TimeoutError:
            if wait.expired():
                raise errors.draining() from None
            raise
