"""Starts, watches and stops the processes of one server in the right order."""

import asyncio
import errno
import logging
import signal
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from discordproxy_api.processes.children import Child, ChildExit
from discordproxy_ratelimit.errors import BrokerUnavailableError
from discordproxy_ratelimit.process.stop_signals import on_stop_signal
from discordproxy_ratelimit.process.streams import announce
from discordproxy_ratelimit.redis.client import wait_for

log = logging.getLogger("supervisor")

_NOT_YET = (errno.EADDRNOTAVAIL, socket.EAI_AGAIN)
"""Errors of an address that this machine may get later: at boot, the server may start before the network. An address
in use may become free later, too: the workers of a killed server finish their calls."""

LISTENING_WITHIN_S = 30.0
MARGIN_S, GATEWAY_WITHIN_S, BROKER_WITHIN_S = 2.0, 6.0, 8.0
"""Seconds before a process gets a second signal and is then killed; the margin is added to the drain timeout."""


class StartError(Exception):
    """The server cannot start; the text is one line with the fix. `temporary`: a later start may succeed."""

    def __init__(self, text: str, *, temporary: bool = False) -> None:
        super().__init__(text)
        self.temporary = temporary


@dataclass(frozen=True)
class Address:
    """Host and port of a listening socket."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def check_free(address: Address, option: str) -> None:
    """Bind `address` exclusively for a moment. With SO_REUSEPORT, a second server would share it silently.

    Raises:
        StartError: it is in use or not available; the text names `option` as the setting to change.
    """
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, where in found:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(where)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            text = f"{address} is already in use; stop the other server, or choose another one with {option}"
            raise StartError(text, temporary=True) from None
        text = f"{address} cannot be used ({error.strerror or error}); choose another one with --host or {option}"
        raise StartError(text, temporary=error.errno in _NOT_YET) from None


async def _accepts(address: Address) -> bool:
    try:
        _, writer = await asyncio.open_connection(address.host, address.port)
    except OSError:
        return False
    writer.close()
    return True


class Supervised(Protocol):
    """A child process, or work of this process that is treated as one."""

    @property
    def name(self) -> str:
        """Name in logs."""

    async def run(self) -> ChildExit | None:
        """Run until a final exit, which is returned, or until `stop`."""

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Request the end as with a signal; `run` returns afterwards."""


class Supervision:
    """Broker, gateways and API workers, started in this order and stopped in the reverse one.

    Args:
        broker: runs or monitors Redis.
        gateways, workers: the children; one gateway for each bot.
        sandbox: starts first and stops last; None for no sandbox.
        sandbox_address: address of the sandbox.
        address: address of the workers.
        redis_url: the server that the broker starts or watches; it must answer within `redis_within_s` seconds.
        drain_s: the drain timeout of the workers.
        banner: text to print once the workers listen.
    """

    def __init__(
        self,
        *,
        broker: Supervised,
        gateways: Sequence[Child],
        workers: Sequence[Child],
        sandbox: Child | None = None,
        sandbox_address: Address | None = None,
        address: Address,
        redis_url: str,
        drain_s: float,
        banner: str,
        redis_within_s: float = 10.0,
    ) -> None:
        self._broker, self._gateways, self._workers = broker, list(gateways), list(workers)
        self._sandbox, self._sandbox_address = sandbox, sandbox_address
        self._address = address
        self._redis_url, self._redis_within_s = redis_url, redis_within_s
        self._drain_s = drain_s
        self._banner = banner
        self._tasks: dict[Supervised, asyncio.Task[ChildExit | None]] = {}
        self._finished: asyncio.Future[ChildExit | None] = asyncio.get_running_loop().create_future()
        self._stop_now = asyncio.Event()

    @property
    def children(self) -> list[Child]:
        """All child processes."""
        return [*self._gateways, *self._workers, *([self._sandbox] if self._sandbox else [])]

    async def run(self) -> ChildExit | None:
        """Start, watch and stop the children. Return the exit of the child that ended the server, None after a signal.

        Raises:
            StartError: Redis did not answer.
        """
        on_stop_signal(self.stop)
        starting = asyncio.create_task(self._start())
        starting.add_done_callback(self._on_done)
        try:
            return await self._finished
        finally:
            starting.cancel()
            await self._stop_all()

    def stop(self) -> None:
        """Stop in order at the first call, immediately at the second."""
        if self._finished.done():
            self._stop_now.set()
        else:
            self._finished.set_result(None)

    async def _start(self) -> None:
        self._supervise(self._broker)
        if self._sandbox and self._sandbox_address:
            self._supervise(self._sandbox)
            await self._listening(self._sandbox_address)
        try:
            await wait_for(self._redis_url, within_s=self._redis_within_s)
        except BrokerUnavailableError as error:
            raise StartError(f"{error}; see the log file", temporary=True) from None
        for child in (*self._gateways, *self._workers):
            self._supervise(child)
        await self._listening(self._address)
        log.info("listening on %s with %d workers", self._address, len(self._workers))
        announce(self._banner)

    async def _listening(self, address: Address) -> None:
        """Wait until a process accepts connections at `address`; log a message if that takes long."""
        late = "no process listens on %s after %g s; see the log file"
        warning = asyncio.get_running_loop().call_later(
            LISTENING_WITHIN_S, log.critical, late, address, LISTENING_WITHIN_S
        )
        try:
            while not await _accepts(address):  # noqa: ASYNC110 - a port can only be polled
                await asyncio.sleep(0.05)
        finally:
            warning.cancel()

    def _supervise(self, child: Supervised) -> None:
        self._tasks[child] = task = asyncio.create_task(child.run(), name=child.name)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[ChildExit | None] | asyncio.Task[None]) -> None:
        """End the run if the task failed or its child exited for good."""
        if task.cancelled() or self._finished.done():
            return
        if (error := task.exception()) is not None:
            self._finished.set_exception(error)
        elif (ended := task.result()) is not None:
            self._finished.set_result(ended)

    async def _stop_all(self) -> None:
        """Stop the workers, then the gateways, then the broker: the others use Redis until they exit."""
        await self._stop(self._workers, self._drain_s + MARGIN_S)
        await self._stop(self._gateways, GATEWAY_WITHIN_S)
        await self._stop([self._broker, *([self._sandbox] if self._sandbox else [])], BROKER_WITHIN_S)
        for number in (signal.SIGTERM, signal.SIGKILL):  # a second SIGTERM skips the drain
            for child in (left := self._running(self._tasks)):
                log.error("%s did not exit in time: %s", child.name, number.name)
                child.stop(number)
            if left:
                await asyncio.wait([self._tasks[child] for child in left], timeout=1.0)

    async def _stop(self, children: Sequence[Supervised], within_s: float) -> None:
        for child in children:
            child.stop()
        if left := self._running(children):
            gone = asyncio.create_task(asyncio.wait([self._tasks[child] for child in left]))
            stop_now = asyncio.create_task(self._stop_now.wait())
            await asyncio.wait({gone, stop_now}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
            gone.cancel()
            stop_now.cancel()

    def _running(self, children: Iterable[Supervised]) -> list[Supervised]:
        return [child for child in children if child in self._tasks and not self._tasks[child].done()]
