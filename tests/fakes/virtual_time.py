"""An event loop whose clock jumps to the next timer, while a real Valkey answers in real time.

The clock stands still as long as anything is under way between this process and the server, so hours pass in seconds
and every run of a simulation takes the same decisions, however slow the machine is.
"""

import asyncio
import os
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

from redis import RedisError

from processes.redis_servers import connections

EPOCH_S = 1_790_000_000.0
GRACE_S = 0.003 if "TOPOLOGY" in os.environ else 0.0
"""Nodes of a Cluster pass messages on to each other, which no reply of theirs proves to have happened."""

ROUND_TRIPS = 2
"""A server that has answered twice has read what was sent before, and has written what that led to.

It handles what it has read from all connections before it writes to any. So the first reply may overtake another
connection's reply or message, the second one cannot.
"""


class VirtualClock:
    """The time of a simulation; it moves only when nothing is under way."""

    def __init__(self) -> None:
        self.now = EPOCH_S
        self.commands = 0
        self._connections: dict[str, list[Any]] = {}
        self._quiet = True

    def us(self) -> int:
        return round(self.now * 1e6)

    def follow(self, url: str) -> None:
        """Let time move only when the servers of `url` have delivered everything."""
        if url not in self._connections:
            self._connections[url] = connections(url)

    def stir(self) -> None:
        """Note that something was sent or has come: more may follow."""
        self._quiet = False

    def await_deliveries(self) -> None:
        """Block until the servers have written all there is; one that is away has nothing to write."""
        if self._quiet:
            return
        self._quiet = True
        for connection in (each for server in self._connections.values() for each in server):
            await_writes(connection)

    def close(self) -> None:
        for connection in (each for server in self._connections.values() for each in server):
            connection.disconnect()
        self._connections.clear()


def await_writes(connection: Any) -> None:
    """Block until a server has written all that others' commands have led to."""
    try:
        for _ in range(ROUND_TRIPS):
            connection.send_packed_command([b"PING\r\n"])
            connection.read_response()
    except (RedisError, OSError):
        connection.disconnect()


class _Selector(selectors.DefaultSelector):
    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is not None and timeout <= 0:
            events = super().select(0)
        elif self._clock.commands or timeout is None:
            events = super().select(5)
        else:
            self._clock.await_deliveries()
            events = super().select(GRACE_S)
            if not events:
                self._clock.now += timeout
        if events:
            self._clock.stir()
        return events


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(_Selector(clock))
        self._virtual = clock
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self._virtual.now


class WatchedRedis:
    """A Redis client whose commands and messages stop the clock while they are under way."""

    def __init__(self, client: Any, clock: VirtualClock, url: str) -> None:
        self._client, self._clock = client, clock
        self.run_id = ""
        clock.follow(url)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._client, name)
        self._clock.stir()
        if name not in {"evalsha", "eval", "info", "get", "set", "publish"}:
            return attribute
        return self._counted(name, attribute)

    def _counted(self, name: str, command: Callable[..., Coroutine[Any, Any, Any]]) -> Any:
        async def counted(*args: Any, **options: Any) -> Any:
            self._clock.commands += 1
            try:
                reply = await command(*args, **options)
            finally:
                self._clock.commands -= 1
            return {**reply, "run_id": self.run_id} if name == "info" and self.run_id else reply

        return counted


def run(coroutine: Coroutine[Any, Any, Any], clock: VirtualClock) -> Any:
    """Run a coroutine in virtual time."""
    try:
        with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(clock)) as runner:
            return runner.run(coroutine)
    finally:
        clock.close()
