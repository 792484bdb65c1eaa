"""An event loop in virtual time: its clock jumps to the next timer, while a real Valkey answers in real time.

The clock stands still while messages are in transit between this process and the server, so hours pass in seconds, and
every run of a simulation makes the same decisions, independent of the machine's speed.
"""

import asyncio
import contextlib
import os
import selectors
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from redis import RedisError

from processes.redis_servers import connections

EPOCH_S = 1_790_000_000.0
GRACE_S = 0.003 if "TOPOLOGY" in os.environ else 0.0
"""Nodes of a Cluster forward messages to each other, and no reply proves that they have done so."""

ROUND_TRIPS = 2
"""After two replies, a server has processed all earlier commands and has written their effects.

It processes the input of all connections before it writes to any. So the first reply may overtake another connection's
reply or message, the second one cannot.
"""


class VirtualClock:
    """The time of a simulation; it advances only while nothing is in transit."""

    def __init__(self) -> None:
        self.now = EPOCH_S
        self.commands = 0
        self._connections: dict[str, list[Any]] = {}
        self._quiet = True

    def us(self) -> int:
        return round(self.now * 1e6)

    @contextlib.contextmanager
    def command(self) -> Iterator[None]:
        """Stop the clock while a command is under way."""
        self.commands += 1
        try:
            yield
        finally:
            self.commands -= 1

    def follow(self, url: str) -> None:
        """Advance time only after the servers of `url` have delivered everything."""
        if url not in self._connections:
            self._connections[url] = connections(url)

    def stir(self) -> None:
        """Record that something was sent or received: more may follow."""
        self._quiet = False

    def await_deliveries(self) -> None:
        """Block until the servers have written everything; unreachable ones are skipped."""
        if self._quiet:
            return
        self._quiet = True
        for connection in (each for server in self._connections.values() for each in server):
            await_writes(connection)

    def close(self) -> None:
        for connection in (each for server in self._connections.values() for each in server):
            connection.disconnect()
        self._connections.clear()


class TickingClock(VirtualClock):
    """A clock whose every reading is a microsecond later: aiolimiter waits until two times differ."""

    _now = 1000.0  # the initial value EPOCH_S is ignored

    @property
    def now(self) -> float:
        self._now += 1e-6
        return self._now

    @now.setter
    def now(self, value: float) -> None:
        self._now = max(self._now, value) if value < EPOCH_S else self._now


def await_writes(connection: Any) -> None:
    """Block until a server has written the effects of all earlier commands."""
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
    """A Redis client whose commands and messages stop the clock while they are in transit."""

    def __init__(self, client: Any, clock: VirtualClock, url: str) -> None:
        self._client, self._clock = client, clock
        self.run_id = ""
        clock.follow(url)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._client, name)
        self._clock.stir()
        if name == "open_pipeline":
            return self._opened(attribute)
        if name not in {"evalsha", "eval", "info", "execute_command"}:
            return attribute
        return self._counted(name, attribute)

    def _opened(self, open_pipeline: Callable[..., Coroutine[Any, Any, Any]]) -> Any:
        async def opened(**options: Any) -> Any:
            with self._clock.command():
                return _WatchedPipeline(await open_pipeline(**options), self)

        return opened

    def sent(self, command: tuple[Any, ...], reply: asyncio.Future[Any]) -> asyncio.Future[Any]:
        """Stop the clock until the reply to a command comes."""
        self._clock.stir()
        self._clock.commands += 1
        reply.add_done_callback(self._answered)
        return self._as_another(reply) if command[0] == "INFO" and self.run_id else reply

    def _answered(self, _reply: asyncio.Future[Any]) -> None:
        self._clock.commands -= 1

    def _as_another(self, reply: asyncio.Future[Any]) -> asyncio.Future[Any]:
        async def info() -> bytes:
            return (await reply).replace(b"run_id:", f"run_id:{self.run_id}\r\nother_run_id:".encode())

        return asyncio.ensure_future(info())

    def _counted(self, name: str, command: Callable[..., Coroutine[Any, Any, Any]]) -> Any:
        async def counted(*args: Any, **options: Any) -> Any:
            with self._clock.command():
                reply = await command(*args, **options)
            return {**reply, "run_id": self.run_id} if name == "info" and self.run_id else reply

        return counted


class _WatchedPipeline:
    """A pipeline whose commands stop the clock while they are under way."""

    def __init__(self, pipeline: Any, client: WatchedRedis) -> None:
        self._pipeline, self._client = pipeline, client
        self.close = pipeline.close

    @property
    def is_open(self) -> bool:
        return self._pipeline.is_open

    def send(self, *command: Any) -> asyncio.Future[Any]:
        return self._client.sent(command, self._pipeline.send(*command))


def run(coroutine: Coroutine[Any, Any, Any], clock: VirtualClock) -> Any:
    """Run a coroutine in virtual time."""
    try:
        with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(clock)) as runner:
            return runner.run(coroutine)
    finally:
        clock.close()
