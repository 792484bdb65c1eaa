"""The processes between a fake gateway and subscribers: broker, gateway workers, an API worker."""

import asyncio
import contextlib
import json
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from fakes.gateway import TOKEN, FakeGateway
from processes.process import Process

TICKS = os.sysconf("SC_CLK_TCK")
SUBSCRIBERS = Path(__file__).with_name("subscribers.py")


class Chain:
    """The running processes; `discord` is the fake gateway in this process."""

    def __init__(self, discord: FakeGateway, environment: dict[str, str], folder: Path, port: int) -> None:
        self.discord = discord
        self.port = port
        self.api: Process
        self._environment = environment
        self._folder = folder

    def process(self, module: str) -> Process:
        """A process of the deployment, not started yet."""
        return Process.module(module, env=self._environment, cwd=self._folder)

    @contextlib.asynccontextmanager
    async def subscribers(self, count: int, total: int, *more: str) -> AsyncIterator[Process]:
        """`count` applications in one process of their own, which prints its findings after `total` events."""
        arguments = (sys.executable, str(SUBSCRIBERS), str(self.port), str(count), str(total), *more)
        async with Process(*arguments, env=self._environment, cwd=self._folder) as process:
            await process.line("subscribed", within_s=60)
            yield process

    async def emit(self, number: int, at_ns: int, text: str = "") -> None:
        """Let a message be written at Discord."""
        data = {"id": str(number), "guild_id": "7", "channel_id": "5", "content": text, "at_ns": at_ns}
        await self.discord.emit("MESSAGE_CREATE", data)


@contextlib.asynccontextmanager
async def chain(**settings: str) -> AsyncIterator[Chain]:
    """Start everything but the gateway workers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="dp-") as name:
        async with FakeGateway() as discord, contextlib.AsyncExitStack() as stack:
            environment = {
                "DISCORD_BOT_TOKEN": TOKEN,
                "DISCORDPROXY_DISCORD_URL": discord.rest_url,
                "DISCORDPROXY_INTENTS": "guilds,messages",
                "DISCORDPROXY_PORT": str(port),
                "DISCORDPROXY_LOG_LEVEL": "WARNING",
                "XDG_RUNTIME_DIR": name,
                **settings,
            }
            made = Chain(discord, environment, Path(name), port)
            await stack.enter_async_context(made.process("discordproxy_ratelimit"))
            made.api = await stack.enter_async_context(made.process("discordproxy_api"))
            yield made


def cpu_s(process: Process) -> float:
    """CPU time of a process and of the child that `setpriv` started."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def waited_s(process: Process) -> float:
    """Seconds that a process was ready to run but had no core."""
    return int(Path(f"/proc/{process.pid}/schedstat").read_text().split()[1]) / 1e9


async def findings(process: Process, *, within_s: float) -> list[dict[str, Any]]:
    """The findings of each subscriber, once all are done."""
    line = await process.line("^{", within_s=within_s)
    found: list[dict[str, Any]] = json.loads(line)["subscribers"]
    await asyncio.sleep(0)
    return found
