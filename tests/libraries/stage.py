"""The stage of a test: the sandbox, a server in front of it, and the program of a library."""

import asyncio
import contextlib
import json
import os
import re
import tempfile
import urllib.request
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typing_extensions import Self

from discordproxy_sandbox.resources.application import interactions
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from discordproxy_sandbox.world.population import CHANNEL_ID, GUILD_ID
from fakes.eventually import eventually
from fakes.ports import free_port, free_ports
from libraries.recording import Received, recording_sandbox
from libraries.snippets import written
from processes.deployment import COMMANDS, TOKEN
from processes.process import Process

PROGRAMS = Path(__file__).parent / "programs"
KEY = "MTAwMDAwMDAwMDAwMDAwMDAx.proxy.dpk_local"
"""Several libraries decode the first part of a token, or require its form."""

COMMAND_S = 400.0
RESPONSE_S = 60.0
"""Discord's three seconds for the first response to an interaction; a busy machine is slow."""

WORKERS = 2

_SERVED = re.compile(r"^discordproxy_http_requests_total\{.*\} (\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Library:
    """How a library's program is run.

    Attributes:
        interpreter: Python of the library's environment, node, or a program that compiles and runs.
        folder: where node finds the library.
    """

    name: str
    program: str
    interpreter: str
    folder: Path


class Program:
    """The program of a library: one command at a time.

    Args:
        base: address of the port or of the sandbox, with options of the port.
        snippet: use the documentation's settings, instead of the base URL alone.
        token: that the library sends.
        key: of the proxy, for libraries that send one beside the token.
        gateway: address of the gateway, for libraries that do not request it.
    """

    def __init__(
        self,
        library: Library,
        base: str,
        *,
        snippet: bool = False,
        token: str = KEY,
        key: str = KEY,
        gateway: str = "",
    ) -> None:
        self._library = library
        compiled = library.program.endswith(".go")  # with the snippet, which replaces the address of Discord
        path = written(library.name, library.folder, base, waits=snippet) if snippet or compiled else None
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(library.folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "BASE_URL": base,
            "TOKEN": token,
            "DISCORDPROXY_API_KEY": key,
            "CHANNEL": CHANNEL_ID,
            "GUILD": GUILD_ID,
            "GATEWAY": gateway,
            "SNIPPET": str(path or "") if snippet else "",
        }
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            self._library.interpreter,
            PROGRAMS / self._library.program,
            self._library.name,
            env=self._environment,
            cwd=self._library.folder,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            await self._answer()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), 10)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def run(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Run a command; its result contains `error` if it failed."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **arguments}).encode() + b"\n")
        return await self._answer()

    async def _answer(self) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdout is not None
        async with asyncio.timeout(COMMAND_S):
            async for line in self._process.stdout:
                if line.startswith(b"{"):  # a library may print
                    return dict(json.loads(line))
        raise AssertionError(f"{self._library.name}: its program has ended")


@dataclass
class Stage:
    """A server with its REST port in front of a sandbox."""

    discord: Sandbox
    received: list[Received]
    rest_url: str
    pages: list[int]
    server: Process
    key: str = KEY
    """A key of the proxy; any is accepted if none is required."""
    base: str = ""
    """The address, with the key in the path if keys are required: libraries send none on routes with a token."""

    def clear(self) -> None:
        """Forget what Discord has received."""
        self.discord.ledger.clear()
        self.discord.faults.clear()
        self.received.clear()

    def requests_served(self) -> int:
        """Return how many requests the workers have answered on the REST port."""
        found = 0.0
        for port in self.pages:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                found += sum(map(float, _SERVED.findall(answer.read().decode())))
        return int(found)


@contextlib.asynccontextmanager
async def stage(settings: Mapping[str, str], config: SandboxConfig, *, keyed: bool = False) -> AsyncIterator[Stage]:
    """Run a sandbox, and a server with the given settings; `keyed`: it requires keys."""
    sandbox, received = recording_sandbox(config)
    interactions._FIRST_RESPONSE_S = RESPONSE_S
    rest_port, pages = free_port(), free_ports(WORKERS)
    async with sandbox:
        with tempfile.TemporaryDirectory(prefix="dp") as folder:
            environment = {
                "DISCORD_BOT_TOKEN": TOKEN,
                "DISCORDPROXY_DISCORD_URL": sandbox.rest_url,
                "DISCORDPROXY_PORT": str(free_port()),
                "DISCORDPROXY_REST_PORT": str(rest_port),
                "DISCORDPROXY_HTTP_PORT": str(pages[0]),
                "XDG_RUNTIME_DIR": folder,
                "HOME": folder,
                **settings,
            }
            key = KEY
            if keyed:
                environment["DISCORDPROXY_KEYS_FILE"] = str(Path(folder, "keys.toml"))
                key = await _new_key(environment["DISCORDPROXY_KEYS_FILE"])
            command = (str(COMMANDS / "discordproxyserver"), "--workers", str(WORKERS))
            async with Process(*command, env=environment, cwd=Path(folder)) as server:
                await server.line(r"Discord Proxy .* is ready")
                await eventually(lambda: all(map(_is_ready, pages)))  # the server is ready with its first worker
                await eventually(lambda: sandbox.gateway.stats.identifies > 0)  # so that it makes no request meanwhile
                url = f"http://127.0.0.1:{rest_port}"
                base = f"{url}/key={key}" if keyed else url
                yield Stage(sandbox, received, url, pages, server, key, base)
                server.signal(15)
                await server.ended()


async def _new_key(path: str) -> str:
    command = (str(COMMANDS / "discordproxy"), "keys", "new", "--app", "bot", "--file", path)
    async with Process(*command, env={}, cwd=Path(path).parent) as making:
        await making.ended()
        return next(line for line in making.lines if line.startswith("dpk_"))


def _is_ready(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz").close()
    except OSError:
        return False
    return True
