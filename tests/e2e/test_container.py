"""The server in a bare environment: as process 1 of a container, without home, locale and standard streams."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import grpc.aio
import pytest

from discordproxy import discord_api_pb2 as pb
from discordproxy_sandbox.sandbox import Sandbox
from fakes.eventually import eventually
from processes.deployment import CHANNEL, COMMANDS, Connect
from processes.process import Process, children_of

UNSHARE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
STOPPED_EARLY = """
import time
from discordproxy_api import supervisor
def slow():
    print("starting", flush=True)
    time.sleep(600)
supervisor.parser = slow
supervisor.main()
"""
INTO_PIPE = """
import os, sys
os.dup2(int(sys.argv[1]), 1)
os.dup2(1, 2)
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.fixture
def namespace() -> tuple[str, ...]:
    """The command that makes the next one process 1."""
    if not shutil.which("unshare") or subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("NOT TESTED as process 1: unshare is missing or this user may not use it (run as root)")
    return UNSHARE


def zombies(parent: int) -> list[int]:
    stats = {pid: Path(f"/proc/{pid}/stat").read_text() for pid in children_of(parent) if Path(f"/proc/{pid}").exists()}
    return [pid for pid, stat in stats.items() if stat.rpartition(")")[2].split()[0] == "Z"]


async def answers(connect: Connect) -> None:
    """Wait until a message can be sent: the server starts, or its Redis does."""
    stub, request = connect(), pb.SendChannelMessageRequest(channel_id=CHANNEL, content="hi")

    async def sent() -> bool:
        try:
            await stub.SendChannelMessage(request, timeout=60, wait_for_ready=True)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                return False
            raise
        return True

    await eventually(sent)


async def test_as_process_1_with_nothing_around_it(
    namespace: tuple[str, ...], discord: Sandbox, settings: dict[str, str], connect: Connect, tmp_path: Path
) -> None:
    bare = {name: value for name, value in settings.items() if name.startswith(("DISCORD", "XDG"))}
    variables = [f"{name}={value}" for name, value in bare.items()]  # no PATH, HOME, LANG, TMPDIR
    command = (*namespace, "env", "-i", *variables, "/bin/sh", "-c", 'exec "$@" <&- >/dev/full 2>&-', "-")
    log = tmp_path / "discordproxyserver.log"

    async with Process(*command, str(COMMANDS / "discordproxyserver"), env=bare, cwd=tmp_path) as whole:
        await answers(connect)
        (server,) = [pid for pid in children_of(whole.pid) if b"discordproxyserver" in _command(pid)]
        (forks,) = [pid for pid in children_of(server) if b"discordproxy_api.processes.f" in _command(pid)]
        (gateway,) = [pid for pid in children_of(forks) if b"discordproxy_gateway" in _command(pid)]
        os.kill(forks, signal.SIGKILL)  # its forks become orphans and end
        await eventually(lambda: not Path(f"/proc/{gateway}").exists())
        await eventually(lambda: not zombies(server))
        await answers(connect)
        os.kill(server, signal.SIGTERM)
        assert await whole.ended() == 0
    assert "Traceback" not in log.read_text()


async def test_process_1_can_be_stopped_while_it_starts(
    namespace: tuple[str, ...], settings: dict[str, str], tmp_path: Path
) -> None:
    command = (*namespace, sys.executable, "-c", STOPPED_EARLY)
    async with Process(*command, env=settings, cwd=tmp_path) as whole:
        await whole.line("starting")
        (python,) = [pid for pid in children_of(whole.pid) if b"supervisor" in _command(pid)]
        os.kill(python, signal.SIGTERM)
        assert await whole.ended() == 0


async def test_nobody_reads_what_it_prints(
    discord: Sandbox, settings: dict[str, str], connect: Connect, tmp_path: Path
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    server = (str(COMMANDS / "discordproxyserver"), "--log-console-level", "INFO")
    try:
        async with Process(
            *(sys.executable, "-c", INTO_PIPE, str(writing), *server), env=settings, cwd=tmp_path, pass_fds=(writing,)
        ) as whole:
            await answers(connect)
            await eventually(lambda: "listening on" in (tmp_path / "discordproxyserver.log").read_text())
            whole.signal(signal.SIGTERM)
            assert await whole.ended() == 0
    finally:
        os.close(writing)


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
