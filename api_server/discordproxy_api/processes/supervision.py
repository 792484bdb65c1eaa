"""All processes of one server: the order they start in, what the end of one means for the others, the way they end."""

import asyncio
import errno
import logging
import signal
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from discordproxy_api.processes.children import Child, Ended
from discordproxy_ratelimit.errors import BrokerUnavailableError
from discordproxy_ratelimit.process.streams import tell
from discordproxy_ratelimit.redis.client import wait_for

log = logging.getLogger("supervisor")

LISTENING_WITHIN_S = 30.0
MARGIN_S, GATEWAY_WITHIN_S, BROKER_WITHIN_S = 2.0, 6.0, 8.0
"""Seconds before a process is urged and then killed; the workers' margin comes on top of their drain time."""


class StartError(Exception):
    """The server cannot start; the text is one line with the fix. `temporary`: it may be able to, a little later."""

    def __init__(self, text: str, *, temporary: bool = False) -> None:
        super().__init__(text)
        self.temporary = temporary


@dataclass(frozen=True)
class Address:
    """Where the API workers listen."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def check_free(address: Address, option: str) -> None:
    """Bind `address` alone for a moment: the workers share it, so a second server would share it unnoticed.

    Raises:
        StartError: it is taken or not ours; the text names `option` as the way to another one.
    """
    try:
        found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, where in found:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(where)
    except OSError as error:
        reason = "is already in use; stop the other server" if error.errno == errno.EADDRINUSE else "cannot be used"
        detail = "" if error.errno == errno.EADDRINUSE else f" ({error.strerror or error})"
        raise StartError(f"{address} {reason}{detail}, or choose another one with {option}") from None


async def _accepts(address: Address) -> bool:
    try:
        _, writer = await asyncio.open_connection(address.host, address.port)
    except OSError:
        return False
    writer.close()
    return True


class Supervision:
    """Broker, gateways and API workers, started in this order and ended in the reverse one.

    Args:
        broker, gateways, workers: the children; a gateway for each bot.
        sandbox: a local Discord that starts before everybody and ends after them, or None.
        sandbox_address: where it listens.
        address: where the workers will listen.
        redis_url: the server the broker provides or watches; it has to answer within `redis_within_s` seconds.
        drain_s: how long the workers may take to finish their calls.
        greeting: what the operator sees once the workers listen.
    """

    def __init__(
        self,
        *,
        broker: Child,
        gateways: Sequence[Child],
        workers: Sequence[Child],
        sandbox: Child | None = None,
        sandbox_address: Address | None = None,
        address: Address,
        redis_url: str,
        drain_s: float,
        greeting: str,
        redis_within_s: float = 10.0,
    ) -> None:
        self._broker, self._gateways, self._workers = broker, list(gateways), list(workers)
        self._sandbox, self._sandbox_address = sandbox, sandbox_address
        self._address = address
        self._redis_url, self._redis_within_s = redis_url, redis_within_s
        self._drain_s = drain_s
        self._greeting = greeting
        self._tasks: dict[Child, asyncio.Task[Ended | None]] = {}
        self._over: asyncio.Future[Ended | None] = asyncio.get_running_loop().create_future()
        self._hurry = asyncio.Event()

    @property
    def children(self) -> list[Child]:
        """All of them."""
        return [self._broker, *self._gateways, *self._workers, *([self._sandbox] if self._sandbox else [])]

    async def run(self) -> Ended | None:
        """Start everything, look after it, end it. Return the child that ended it, or None if a signal did.

        Raises:
            StartError: Redis did not answer.
        """
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self.signal)
        starting = asyncio.create_task(self._start())
        starting.add_done_callback(self._note)
        try:
            return await self._over
        finally:
            starting.cancel()
            await self._end()

    def signal(self) -> None:
        """Stop in order at the first call, at once at the second."""
        if self._over.done():
            self._hurry.set()
        else:
            self._over.set_result(None)

    async def _start(self) -> None:
        self._keep(self._broker)
        if self._sandbox and self._sandbox_address:
            self._keep(self._sandbox)
            await self._listening(self._sandbox_address)
        try:
            await wait_for(self._redis_url, within_s=self._redis_within_s)
        except BrokerUnavailableError as error:
            raise StartError(f"{error}; the log file may tell why", temporary=True) from None
        for child in (*self._gateways, *self._workers):
            self._keep(child)
        await self._listening(self._address)
        log.info("listening on %s with %d workers", self._address, len(self._workers))
        tell(self._greeting)

    async def _listening(self, address: Address) -> None:
        """Wait until somebody accepts connections at `address`; say so if that takes long."""
        late = "nobody listens on %s yet after %g s; the log file may tell why"
        complaint = asyncio.get_running_loop().call_later(
            LISTENING_WITHIN_S, log.critical, late, address, LISTENING_WITHIN_S
        )
        try:
            while not await _accepts(address):  # noqa: ASYNC110 - a port announces nothing
                await asyncio.sleep(0.05)
        finally:
            complaint.cancel()

    def _keep(self, child: Child) -> None:
        self._tasks[child] = task = asyncio.create_task(child.keep(), name=child.name)
        task.add_done_callback(self._note)

    def _note(self, task: asyncio.Task[Ended | None] | asyncio.Task[None]) -> None:
        """Let what happened in `task` end the run, if it is of that kind."""
        if task.cancelled() or self._over.done():
            return
        if (error := task.exception()) is not None:
            self._over.set_exception(error)
        elif (ended := task.result()) is not None:
            self._over.set_result(ended)

    async def _end(self) -> None:
        """Drain: workers, then the gateways, the broker last, since the others talk to Redis until their end."""
        await self._stop(self._workers, self._drain_s + MARGIN_S)
        await self._stop(self._gateways, GATEWAY_WITHIN_S)
        await self._stop([self._broker, *([self._sandbox] if self._sandbox else [])], BROKER_WITHIN_S)
        for number in (signal.SIGTERM, signal.SIGKILL):  # a second SIGTERM means at once
            for child in (left := self._running(self._tasks)):
                log.error("%s did not end in time: %s", child.name, number.name)
                child.stop(number)
            if left:
                await asyncio.wait([self._tasks[child] for child in left], timeout=1.0)

    async def _stop(self, children: Sequence[Child], within_s: float) -> None:
        for child in children:
            child.stop()
        if left := self._running(children):
            gone = asyncio.create_task(asyncio.wait([self._tasks[child] for child in left]))
            hurry = asyncio.create_task(self._hurry.wait())
            await asyncio.wait({gone, hurry}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
            gone.cancel()
            hurry.cancel()

    def _running(self, children: Iterable[Child]) -> list[Child]:
        return [child for child in children if child in self._tasks and not self._tasks[child].done()]
