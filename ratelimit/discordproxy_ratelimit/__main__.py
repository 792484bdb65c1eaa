"""The `broker` process: runs the private Valkey, or monitors the server of DISCORDPROXY_REDIS_URL.

It never ends by itself if the settings are valid: a launcher that stops everything when one process ends (honcho)
would stop the workers, too.
"""

import asyncio
import logging

from discordproxy_ratelimit.process import logs, streams
from discordproxy_ratelimit.process.exit_status import CONFIGURATION
from discordproxy_ratelimit.process.stop_signals import on_stop_signal
from discordproxy_ratelimit.redis.client import connect
from discordproxy_ratelimit.server import embedded
from discordproxy_ratelimit.server.embedded import EmbeddedError, PrivateServer
from discordproxy_ratelimit.server.watch import Watch, clients_gone
from discordproxy_ratelimit.settings import SharedSettings, load

log = logging.getLogger("discordproxy_ratelimit")

DRAIN_S = 4.0
"""How long the server runs after the signal while it has clients; honcho kills after 5 seconds."""

MIN_PAUSE_S, MAX_PAUSE_S = 0.1, 10.0
"""Bounds of the pause between two starts of a server that ends by itself."""


class Stop:
    """Stop signals: the first one requests a stop, the second one an immediate stop."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.now = asyncio.Event()

    def signal(self) -> None:
        """Process one signal."""
        (self.now if self.asked.is_set() else self.asked).set()

    async def within(self, seconds: float) -> bool:
        """Wait for the first signal for `seconds`; return whether it came."""
        try:
            await asyncio.wait_for(self.asked.wait(), seconds)
        except TimeoutError:
            return False
        return True


async def watch(url: str, stop: Stop) -> None:
    """Monitor a server that runs elsewhere, until a stop signal."""
    watching = asyncio.create_task(Watch(url).run())
    await stop.asked.wait()
    watching.cancel()


async def own(server: PrivateServer, stop: Stop) -> None:
    """Run the private server unless another process does, until a stop signal.

    Raises:
        EmbeddedError: no start can succeed. Other failures are followed by another start.
    """
    pause_s = MIN_PAUSE_S
    while not stop.asked.is_set():
        await stand_by(server, stop)
        if stop.asked.is_set():
            return
        began = asyncio.get_running_loop().time()
        try:
            await server.start()
            log.info(
                "private server ready at %s, for this machine; other machines require DISCORDPROXY_REDIS_URL",
                server.url,
            )
            happened = await until_lost(server, stop)
        except (EmbeddedError, OSError) as error:  # OSError: out of processes, descriptors or disk space
            if isinstance(error, EmbeddedError) and error.final:
                raise
            happened = f"did not start: {error}"
        if not happened:
            await drain(server, stop)
            return
        await server.stop()
        stable = asyncio.get_running_loop().time() - began > MAX_PAUSE_S
        pause_s = 2 * MIN_PAUSE_S if stable else min(2 * pause_s, MAX_PAUSE_S)
        log.error("the private server %s; starting it again in %.1f s", happened, pause_s)
        await stop.within(pause_s)


async def stand_by(server: PrivateServer, stop: Stop) -> None:
    """Wait for the lock of the private server, or for a stop signal."""
    is_logged = False
    while not server.lock():
        if not is_logged:
            log.info("another process runs the private server at %s; standing by", server.url)
            is_logged = True
        if await stop.within(1.0):
            return


async def until_lost(server: PrivateServer, stop: Stop) -> str:
    """Return what happened to the server, or an empty text after a stop signal."""
    lost = asyncio.create_task(server.lost())
    asked = asyncio.create_task(stop.asked.wait())
    done, pending = await asyncio.wait({lost, asked}, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    return lost.result() if lost in done else ""


async def drain(server: PrivateServer, stop: Stop) -> None:
    """Stop the server when its clients are gone, at the latest after `DRAIN_S` or a second signal."""
    client = connect(server.url)
    gone = asyncio.create_task(clients_gone(client, within_s=DRAIN_S))
    hurry = asyncio.create_task(stop.now.wait())
    await asyncio.wait({gone, hurry}, return_when=asyncio.FIRST_COMPLETED)
    for task in (gone, hurry):
        task.cancel()
    await client.aclose()
    await server.stop()
    log.info("private server stopped")


async def run(settings: SharedSettings) -> None:
    """Wire the process and run it until a signal."""
    stop = Stop()
    on_stop_signal(stop.signal)
    if url := settings.redis_url.get_secret_value():
        await watch(url, stop)
        return
    folder = embedded.folder_of(settings.home_token.get_secret_value())
    await own(PrivateServer(folder, embedded.find_binary()), stop)


def main() -> None:
    """Run the process; failures that only the operator can repair end it with one line and status 78."""
    streams.prepare()
    settings = load(SharedSettings)
    logs.set_up(settings.log_level, settings.log_format, secrets=settings.secrets)
    try:
        asyncio.run(run(settings))
    except EmbeddedError as error:
        streams.complain(f"ERROR: {error}")
        raise SystemExit(CONFIGURATION) from None


if __name__ == "__main__":
    main()
