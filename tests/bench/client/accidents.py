"""The client while its API worker is killed repeatedly, and after forks, with real processes.

A local Discord without limits, a Valkey, one API worker as a process, and the client in threads of this process.
"""

import asyncio
import contextlib
import json
import socket
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from discordproxy.aio import AsyncDiscordClient
from discordproxy.client import DiscordClient, DiscordProxyException
from discordproxy_ratelimit.server import embedded
from discordproxy_sandbox.limits.book import LimitBook
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from processes import forking_program
from processes.deployment import CHANNEL, GUILD, TOKEN
from processes.process import Process

SENDS, THREADS, KILLED_EVERY = 1000, 16, 200


class Deployment:
    """One API worker that can be killed and started again, and the Discord behind it."""

    def __init__(self, discord: Sandbox, environment: dict[str, str], folder: Path) -> None:
        self.discord = discord
        self.serving = threading.Event()
        self.address = f"127.0.0.1:{environment['DISCORDPROXY_PORT']}"
        self._environment, self._folder = environment, folder

    @contextlib.asynccontextmanager
    async def worker(self) -> AsyncIterator[None]:
        """Run a worker for the length of the block; at its end it is killed."""
        async with Process.module("discordproxy_api", env=self._environment, cwd=self._folder) as process:
            await process.line("serves on", within_s=60)
            self.serving.set()
            yield
            self.serving.clear()

    async def die_every(self, calls: int, ended: list[object]) -> None:
        """Run one worker after the other; each is killed when so many more calls have ended."""
        while True:
            async with self.worker():
                goal = len(ended) + calls
                while len(ended) < goal:  # noqa: ASYNC110 -- the threads that count announce nothing
                    await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def deployment() -> AsyncIterator[Deployment]:
    """Start a Discord without limits and a Valkey."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    limits = LimitBook(default=None, global_limit=None)
    with tempfile.TemporaryDirectory(prefix="dp-") as name:
        folder = Path(name)
        options = ("--port", "0", "--unixsocket", f"{folder}/s", "--save", "", "--dir", name)
        async with (
            Process(embedded.find_binary(), *options, env={}, cwd=folder) as valkey,
            Sandbox(SandboxConfig(token=TOKEN, limits=limits)) as discord,
        ):
            await valkey.line("Ready to accept connections")
            environment = {
                "DISCORD_BOT_TOKEN": TOKEN,
                "DISCORDPROXY_DISCORD_URL": discord.rest_url,
                "DISCORDPROXY_REDIS_URL": f"unix://{folder}/s",
                "DISCORDPROXY_PORT": str(port),
                "DISCORDPROXY_GLOBAL_LIMIT": "100000",
            }
            yield Deployment(discord, environment, folder)


async def killed(retries: int) -> tuple[str, str]:
    """Return the results of the sends with a worker that keeps dying, and whether the client's errors were true."""
    outcomes: list[tuple[str, str]] = []
    async with deployment() as deployed:
        reaper = asyncio.create_task(deployed.die_every(KILLED_EVERY, outcomes))
        with DiscordClient(deployed.address, timeout=120, retries=retries) as client:

            def send(number: int) -> None:
                if not retries:  # or everything would fail at once while there is no worker
                    deployed.serving.wait()
                outcomes.append((str(number), outcome(client, number)))

            await in_threads(THREADS, send, range(SENDS))
        reaper.cancel()
        await asyncio.gather(reaper, return_exceptions=True)
        channel = deployed.discord.world.channels[str(CHANNEL)]
        stored = Counter(message["content"] for message in channel.messages.values())
    untrue = [text for text, answer in outcomes if (answer, text in stored) in {("answered", False), ("no", True)}]
    doubled = sum(count - 1 for count in stored.values())
    answers = sorted(Counter(answer for _, answer in outcomes).items())
    figure = f"{len(stored)} messages, {doubled} doubled, {len(untrue)} untrue"
    return figure, ", ".join(f"{number} {answer}" for answer, number in answers)


def outcome(client: DiscordClient, number: int) -> str:
    """Send a message; return "answered", or the error's `sent`: "no" or "unknown"."""
    try:
        client.create_channel_message(CHANNEL, str(number))
    except DiscordProxyException as error:
        return error.sent
    return "answered"


async def in_threads(count: int, function: Callable[[int], Any], numbers: Iterable[int]) -> list[Any]:
    """Return results, and exceptions, of a function that blocks."""
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(count) as threads:
        calls = [loop.run_in_executor(threads, function, number) for number in numbers]
        return await asyncio.gather(*calls, return_exceptions=True)


async def crowds() -> tuple[str, str]:
    """Return the failures of 40 forked children of a busy parent, of 64 threads and of 1,000 tasks."""
    async with deployment() as deployed, deployed.worker():
        warnings = ("-W", "error", "-W", "ignore:This process:DeprecationWarning")  # Python's own, about forks
        command = (sys.executable, *warnings, forking_program.__file__, deployed.address, str(GUILD))
        async with Process(*command, env={}, cwd=Path.cwd()) as program:
            assert await program.ended(within_s=120) == 0, program.output
        forks = json.loads(program.lines[-1])
        with DiscordClient(deployed.address, timeout=60, retries=0) as client:
            threaded = await in_threads(64, lambda _: client.get_guild_channels(GUILD), range(SENDS))
        async with AsyncDiscordClient(deployed.address, timeout=60, retries=0) as asynchronous:
            sends = [asynchronous.create_channel_message(CHANNEL, str(number)) for number in range(SENDS)]
            tasks = await asyncio.gather(*sends, return_exceptions=True)
    failed = [sum(isinstance(answer, Exception) for answer in answers) for answers in (threaded, tasks)]
    children = sum(status != 0 for status in forks["children"])
    what = f"{len(forks['children'])} forked children: {children}, their parent: {len(forks['parent'])}, "
    return f"{children + len(forks['parent']) + sum(failed)} failures", (
        f"{what}64 threads, {SENDS} calls: {failed[0]}, {SENDS} tasks at once: {failed[1]}; "
        f"other lines on the terminal: {len(program.lines) - 1}"
    )
