"""Starts the programs that take part: Discord Proxy as users start it, the local Discord, programs of this folder."""

import asyncio
import contextlib
import json
import secrets
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from redis import Redis
from typing_extensions import Self

from bench.speed import procfs
from bench.speed.orders import Load, Outcome
from bench.speed.profiled_worker import MARK
from fakes.eventually import eventually
from fakes.ports import free_port
from processes.end_with_parent import END_WITH_PARENT
from processes.process import Process

TESTS = Path(__file__).resolve().parents[2]
ROOT = TESTS.parent
COMMANDS = Path(sys.executable).parent

STOP_S = 30.0
_SCRIPT_COMMANDS = ("eval", "evalsha", "eval_ro", "evalsha_ro", "fcall", "fcall_ro")


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a program of this folder."""
    return {"PYTHONPATH": str(TESTS), **more}


@asynccontextmanager
async def running(*command: str, env: dict[str, str], cwd: Path) -> AsyncIterator[Process]:
    """Run a program for the length of the block, then stop it with SIGTERM."""
    async with Process(*command, env=env, cwd=cwd) as process:
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError, AssertionError):  # what does not stop is killed
                process.signal(signal.SIGTERM)
                await process.ended(within_s=STOP_S)


def helper(name: str, *arguments: object, cwd: Path) -> Any:
    """Run a module of this folder for the length of the block."""
    return running(sys.executable, "-m", f"bench.speed.{name}", *map(str, arguments), env=environment(), cwd=cwd)


async def is_open(port: int) -> bool:
    """Return whether somebody accepts connections to a port of this machine."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def opened(process: Process, port: int) -> None:
    """Wait until a port is open.

    Raises:
        RuntimeError: the program that should open it has ended.
    """

    async def is_open_or_over() -> bool:
        return not process.running or await is_open(port)

    await eventually(is_open_or_over)
    if not process.running:
        raise RuntimeError(f"a program ended before port {port} was open:\n{process.output}")


@asynccontextmanager
async def sandbox(cwd: Path) -> AsyncIterator[int]:
    """Run the local Discord; yields its port."""
    port = free_port()
    async with running(
        *(sys.executable, "-m", "discordproxy_sandbox", "--port", str(port)), env=environment(), cwd=cwd
    ) as process:
        await opened(process, port)
        yield port


@dataclass(frozen=True)
class Valkey:
    """The server that holds the shared state."""

    pid: int
    socket: str

    def counts(self) -> dict[str, int]:
        """Return how many commands it has run so far: `scripts`, and `commands`, those inside of scripts included."""
        with Redis(unix_socket_path=self.socket) as redis:
            found: dict[str, Any] = redis.info("commandstats")
        calls = {name.removeprefix("cmdstat_"): figures["calls"] for name, figures in found.items()}
        return {"scripts": sum(calls.get(name, 0) for name in _SCRIPT_COMMANDS), "commands": sum(calls.values())}


@dataclass(frozen=True)
class Server:
    """A running `discordproxyserver` with one worker."""

    process: Process
    port: int
    environment: dict[str, str]
    folder: Path

    @property
    def rest_port(self) -> int:
        """The port of Discord's HTTP API."""
        return int(self.environment["DISCORDPROXY_REST_PORT"])

    @property
    def pids(self) -> list[int]:
        """All processes of the server."""
        return procfs.descendants(self.process.pid)

    def worker(self) -> int:
        """Return the process that answers calls."""
        return procfs.server_of(self.port, self.pids)

    def valkey(self) -> Valkey:
        """Return the private Valkey."""
        (pid,) = (pid for pid in self.pids if is_valkey(pid))
        (path,) = (path for path in procfs.unix_sockets(pid) if path.startswith(str(self.folder)))
        return Valkey(pid, path)


def is_valkey(pid: int) -> bool:
    return procfs.command_name(pid).startswith(("valkey", "redis"))


@asynccontextmanager
async def discord_proxy(discord_port: int, **settings: str) -> AsyncIterator[Server]:
    """Start `discordproxyserver` with default settings but for a Discord on this machine, and `settings`.

    Yields as soon as the process runs; use `opened` and the health check to wait for it.
    """
    with tempfile.TemporaryDirectory(prefix="dp-bench-") as folder:
        port = free_port()
        env = {
            "DISCORD_BOT_TOKEN": f"MTAwMDAwMDAwMDAwMDAwMDAx.bench.{secrets.token_hex(16)}",
            "DISCORDPROXY_DISCORD_URL": f"http://127.0.0.1:{discord_port}/api/v10",
            "DISCORDPROXY_PORT": str(port),
            "XDG_RUNTIME_DIR": folder,
            "HOME": folder,
            **settings,
        }
        async with running(str(COMMANDS / "discordproxyserver"), env=env, cwd=Path(folder)) as process:
            yield Server(process, port, env, Path(folder))


class LoadGenerator:
    """The process that makes calls; `async with LoadGenerator() as generator`."""

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *(*END_WITH_PARENT, sys.executable, "-m", "bench.speed.load"),
            cwd=TESTS,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        self._process.stdin.close()
        await self._process.wait()

    async def run(self, load: Load) -> Outcome:
        """Make calls.

        Raises:
            RuntimeError: the load generator has ended.
        """
        self._process.stdin.write(json.dumps(asdict(load)).encode() + b"\n")
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("the load generator has ended")
        return Outcome(**json.loads(line))

    async def ready(self) -> None:
        """Wait until it has started; it takes about as long as a server."""
        await self.run(Load("health check", 0, callers=0, seconds=0.0))

    async def until_answered(self, call: str, port: int, within_s: float = 60.0) -> None:
        """Repeat one call until it gets the answer that is wanted."""

        async def answered() -> bool:
            outcome = await self.run(Load(call, port, callers=1, seconds=1.0, limit=1))
            return bool(outcome.answered)

        await eventually(answered, within_s=within_s)


@asynccontextmanager
async def profiled_worker(server: Server) -> AsyncIterator["ProfiledWorker"]:
    """Start a second API worker of the same deployment, under a profile and on ports of its own."""
    port, rest_port = free_port(), free_port()
    ports = {"DISCORDPROXY_PORT": str(port), "DISCORDPROXY_REST_PORT": str(rest_port)}
    async with AsyncExitStack() as stack:
        process = await asyncio.create_subprocess_exec(
            *(*END_WITH_PARENT, sys.executable, "-m", "bench.speed.profiled_worker", "discordproxy_api"),
            env={**environment(), **server.environment, **ports},
            cwd=server.folder,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=stack.enter_context((server.folder / "profiled_worker.log").open("wb")),
        )
        stack.push_async_callback(process.wait)
        stack.callback(process.terminate)
        yield ProfiledWorker(process, port, rest_port)


class ProfiledWorker:
    """An API worker that counts the Python functions it enters."""

    def __init__(self, process: asyncio.subprocess.Process, port: int, rest_port: int) -> None:
        self._process, self.port, self.rest_port = process, port, rest_port

    async def entered(self) -> dict[str, int]:
        """Return the counts since the last time: `entered` and `different` functions."""
        self._process.stdin.write(b"\n")
        async for line in self._process.stdout:
            if line.startswith(MARK.encode()):
                return json.loads(line.removeprefix(MARK.encode()))
        raise RuntimeError("the profiled worker has ended")
