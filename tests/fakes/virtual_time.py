"""An event loop whose clock jumps to the next timer, while a real Valkey answers in real time.

The clock stands still as long as a command or a hint is under way, so hours pass in seconds and every run of a
simulation takes the same decisions.
"""

import asyncio
import os
import selectors
from collections.abc import Coroutine
from typing import Any, Self

EPOCH_S = 1_790_000_000.0
GRACE_S = 0.003 if "TOPOLOGY" in os.environ else 0.0
"""Several servers, or TLS, bring what belongs together one after the other: time jumps only if nothing follows."""


class VirtualClock:
    """What is under way in the real world; time moves only when nothing is."""

    def __init__(self) -> None:
        self.now = EPOCH_S
        self.commands = 0
        self.hints = 0

    def us(self) -> int:
        return round(self.now * 1e6)


class _Selector(selectors.DefaultSelector):
    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        if self._clock.commands or self._clock.hints > 0 or timeout is None:
            return super().select(5)
        events = super().select(GRACE_S)
        if not events:
            self._clock.now += timeout
        return events


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(_Selector(clock))
        self._virtual = clock
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self._virtual.now


class _Inbox:
    """Counts a hint as under way until its reader asks for the next one."""

    def __init__(self, inbox: Any, clock: VirtualClock) -> None:
        self._inbox, self._clock, self._handed_out = inbox, clock, False

    async def __aenter__(self) -> Self:
        await self._inbox.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._inbox.__aexit__(*error)

    async def subscribe(self, *channels: str) -> None:
        self._clock.commands += 1
        try:
            await self._inbox.subscribe(*channels)
            await self._inbox.get_message(timeout=1)
        finally:
            self._clock.commands -= 1

    async def get_message(self, **options: Any) -> Any:
        if self._handed_out:
            self._clock.hints -= 1
        message = await self._inbox.get_message(**options)
        self._handed_out = message is not None and b'"C"' not in message["data"]  # circuits do not count theirs
        return message


class WatchedRedis:
    """A Redis client that tells the clock when a command is under way."""

    def __init__(self, client: Any, clock: VirtualClock) -> None:
        self._client, self._clock = client, clock
        self.script_calls = 0
        self.run_id = ""

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._client, name)
        if name == "pubsub":
            return lambda **options: _Inbox(attribute(**options), self._clock)
        if name not in {"evalsha", "eval", "info", "get", "set"}:
            return attribute

        async def watched(*args: Any, **options: Any) -> Any:
            self._clock.commands += 1
            try:
                reply = await attribute(*args, **options)
                if name == "info" and self.run_id:
                    return {**reply, "run_id": self.run_id}
                if name in {"evalsha", "eval"}:
                    self.script_calls += 1
                    if isinstance(reply, list) and len(reply) == 7:  # the broker's script
                        self._clock.hints += int(reply[5])
                return reply
            finally:
                self._clock.commands -= 1

        return watched


def run(coroutine: Coroutine[Any, Any, Any], clock: VirtualClock) -> Any:
    """Run a coroutine in virtual time."""
    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(clock)) as runner:
        return runner.run(coroutine)
