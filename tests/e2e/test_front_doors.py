"""`make run` and `honcho start`: their output, and that a stop leaves nothing behind."""

import os
import re
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from discordproxy_sandbox.sandbox import Sandbox
from fakes.eventually import eventually
from fakes.ports import free_port
from processes.deployment import CHANNEL, COMMANDS, Server, left_running
from processes.process import Process, children_of

ROOT = Path(__file__).parents[2]


@pytest.fixture
def honcho(settings: dict[str, str], tmp_path: Path) -> Process:
    (tmp_path / "Procfile").symlink_to(ROOT / "Procfile")
    command = (str(COMMANDS / "honcho"), "start", "-e", "/dev/null", "-c", "api=2")
    return Process(*command, env=settings | {"PATH": f"{COMMANDS}:{os.environ['PATH']}"}, cwd=tmp_path)


async def all_end_before_honcho_kills(honcho: Process, number: signal.Signals) -> None:
    """Send a signal to honcho and its children, as a terminal does; each of them ends with status 0."""
    os.killpg(honcho.pid, number)
    await honcho.ended()
    assert "SIGKILL" not in honcho.output
    stopped = re.findall(r"(\S+) stopped \(rc=(-?\d+)\)", honcho.output)
    assert sorted(name for name, _ in stopped) == ["api.1", "api.2", "broker.1", "gateway.1"], honcho.output
    assert {status for _, status in stopped} == {"0"}, honcho.output


async def test_honcho_starts_all_and_all_end_before_it_kills(
    discord: Sandbox, honcho: Process, server: Server, settings: dict[str, str]
) -> None:
    async with honcho:
        await honcho.line(r"api\.1 .*serves on")
        await honcho.line(r"api\.2 .*serves on")
        await honcho.line("READY shard")
        arguments = ("channel", str(CHANNEL), "Hello, world!", "--port", settings["DISCORDPROXY_PORT"])
        async with server(*arguments, command="discordproxymessage") as sending:
            assert await sending.ended() == 0, sending.output
        await all_end_before_honcho_kills(honcho, signal.SIGINT)
    assert left_running(settings["XDG_RUNTIME_DIR"]) == []


async def test_a_refused_token_does_not_take_the_others_down_under_honcho(
    discord: Sandbox, honcho: Process, settings: dict[str, str]
) -> None:
    discord.access.tokens = {"another"}
    async with honcho:
        await honcho.line(r"gateway\.1 .*ERROR: .*token")
        await honcho.line(r"api\.1 .*serves on")
        await honcho.line(r"api\.2 .*serves on")
        assert honcho.running
        await all_end_before_honcho_kills(honcho, signal.SIGTERM)
    assert left_running(settings["XDG_RUNTIME_DIR"]) == []


@pytest.fixture
def make_run(settings: dict[str, str], tmp_path: Path) -> Callable[..., Process]:
    """`make run` without a token, in a folder of its own that has the tests' environment as an already built one."""
    del settings["DISCORD_BOT_TOKEN"]
    for name, target in (("Makefile", ROOT / "Makefile"), ("pyproject.toml", ROOT / "pyproject.toml")):
        (tmp_path / name).symlink_to(target)
    (tmp_path / ".venv").symlink_to(sys.prefix)

    def make(**changes: str) -> Process:
        command = ("make", "--old-file", ".venv/server.stamp", "run", "WORKERS=2")
        return Process(*command, env=settings | changes, cwd=tmp_path)

    return make


async def test_make_run_without_a_token_then_the_printed_command_then_ctrl_c(
    make_run: Callable[..., Process], settings: dict[str, str], tmp_path: Path
) -> None:
    async with make_run(SANDBOX_PORT=str(free_port()), DISCORDPROXY_REST_PORT=str(free_port())) as process:
        await process.line("Ctrl-C stops everything")
        assert any("sandbox: nothing leaves this machine" in line for line in process.lines)
        command = shlex.split(next(line for line in process.lines if " message channel " in line))
        async with Process(*command, env={"HOME": settings["HOME"]}, cwd=tmp_path) as sending:
            assert await sending.ended() == 0, sending.output
            assert re.search(r"\d{17,20}", sending.output), "the message's id"
        running = children_of(process.pid)
        assert len(running) == 7  # supervisor, Valkey, fork server, sandbox, gateway, two workers
        os.killpg(process.pid, signal.SIGINT)
        await process.ended()
    assert "Traceback" not in process.output
    await eventually(lambda: left_running(settings["XDG_RUNTIME_DIR"]) == [])
