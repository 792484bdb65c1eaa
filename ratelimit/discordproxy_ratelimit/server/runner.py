"""The broker's work: runs the private Valkey, or monitors the server of DISCORDPROXY_REDIS_URL.

It ends only on request or if no start can succeed.
"""

import asyncio
import logging

from discordproxy_ratelimit.redis.client import connect
from discordproxy_ratelimit.server.embedded import EmbeddedError, PrivateServer, find_binary, folder_of
from discordproxy_ratelimit.server.watch import Watch, clients_gone

log = logging.getLogger("broker")

DRAIN_S = 4.0
"""Seconds that the server waits for its clients after the stop request; honcho kills after 5 seconds."""

STANDBY_S = 1.0
"""Seconds between two attempts to get the lock that another process holds."""

MIN_PAUSE_S, MAX_PAUSE_S = 0.1, 10.0
"""Bounds of the back-off between two starts of a server that ended by itself."""


class StopRequest:
    """Requests to stop: the first one lets the clients finish, the second one does not."""

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        self.immediately = asyncio.Event()

    def add(self) -> None:
        """Record one request."""
        (self.immediately if self.requested.is_set() else self.requested).set()

    async def within(self, seconds: float) -> bool:
        """Return whether the first request arrives within `seconds`."""
        try:
            await asyncio.wait_for(self.requested.wait(), seconds)
        except TimeoutError:
            return False
        return True


class BrokerRunner:
    """Runs the private server of a token, or monitors a configured one.

    Args:
        redis_url: the configured server; "" for the private one.
        token: determines the folder of the private server.
        stop: ends `run`.
    """

    def __init__(self, redis_url: str, token: str, stop: StopRequest) -> None:
        self._redis_url = redis_url
        self._token = token
        self._stop = stop
        self._server: PrivateServer | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the private server, None while this process runs none."""
        return self._server.pid if self._server else None

    @property
    def starting(self) -> bool:
        """Whether the private server is being started, so that `pid` is unknown."""
        return self._server is not None and self._server.starting

    async def run(self) -> None:
        """Run until a stop request.

        Raises:
            EmbeddedError: no start of the private server can succeed.
        """
        if self._redis_url:
            await self._monitor()
            return
        self._server = PrivateServer(folder_of(self._token), find_binary())
        try:
            await self._own(self._server)
        finally:
            await self._server.stop()

    async def _monitor(self) -> None:
        monitoring = asyncio.create_task(Watch(self._redis_url).run())
        try:
            await self._stop.requested.wait()
        finally:
            monitoring.cancel()

    async def _own(self, server: PrivateServer) -> None:
        """Run the server whenever no other process does. Failures that may pass are retried, since clients wait."""
        pause_s = MIN_PAUSE_S
        while not self._stop.requested.is_set():
            await self._stand_by(server)
            if self._stop.requested.is_set():
                return
            began = asyncio.get_running_loop().time()
            try:
                await server.start()
                log.info("private server ready at %s, for this machine; others need DISCORDPROXY_REDIS_URL", server.url)
                failure = await self._until_lost(server)
            except (EmbeddedError, OSError) as error:  # OSError: no process, descriptor or disk space is left
                if isinstance(error, EmbeddedError) and error.final:
                    raise
                failure = f"did not start: {error}"
            if not failure:
                await self._drain(server)
                return
            await server.stop()
            stable = asyncio.get_running_loop().time() - began > MAX_PAUSE_S
            pause_s = 2 * MIN_PAUSE_S if stable else min(2 * pause_s, MAX_PAUSE_S)
            log.error("the private server %s; starting it again in %.1f s", failure, pause_s)
            await self._stop.within(pause_s)

    async def _stand_by(self, server: PrivateServer) -> None:
        """Return with the server's lock, or after a stop request."""
        logged = False
        while not server.lock():
            if not logged:
                log.info("another process runs the private server at %s; standing by", server.url)
                logged = True
            if await self._stop.within(STANDBY_S):
                return

    async def _until_lost(self, server: PrivateServer) -> str:
        """Return how the server failed, or "" if a stop request comes first."""
        lost = asyncio.create_task(server.lost())
        requested = asyncio.create_task(self._stop.requested.wait())
        done, pending = await asyncio.wait({lost, requested}, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        return lost.result() if lost in done else ""

    async def _drain(self, server: PrivateServer) -> None:
        """Stop the server once its clients have disconnected, after `DRAIN_S`, or at a second request."""
        client = connect(server.url)
        gone = asyncio.create_task(clients_gone(client, within_s=DRAIN_S))
        immediately = asyncio.create_task(self._stop.immediately.wait())
        await asyncio.wait({gone, immediately}, return_when=asyncio.FIRST_COMPLETED)
        for task in (gone, immediately):
            task.cancel()
        await client.aclose()
        await server.stop()
        log.info("private server stopped")
