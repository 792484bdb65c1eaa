"""Children that the fork server starts: like newly executed ones, and they survive neither it nor the supervisor."""

import ast
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fakes.eventually import eventually
from processes.process import Process, children_of, visible

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="NOT TESTED: only Linux has the fork server")

PARENT = """
import asyncio, os, signal, socket, sys
from discordproxy_api.processes.children import Child
from discordproxy_api.processes.fork.client import forking
from discordproxy_api.processes.programs import Program

def on_lines(name, lines):
    for line in lines:
        print(name, line.decode(), flush=True)
    return lines[-1].decode()

async def main(forks):
    kept = socket.socket()  # must not reach the children
    programs = [Program(name, "program", ("--of", name), {"NAME": name}) for name in sys.argv[2:]]
    children = [Child(program, start=forks.start, on_lines=on_lines) for program in programs]
    print("fork server", forks.pid, flush=True)
    stop = lambda: [child.stop() for child in children]
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
    running = asyncio.gather(*(child.run() for child in children))
    if sys.argv[1] == "stop":
        while not all(child.starting for child in children):
            await asyncio.sleep(0)
        stop()
    print("exits", await running, flush=True)

with forking("preloaded") as forks:
    asyncio.run(main(forks))
print("left", forks.pid, flush=True)
"""

FACTS = """
import asyncio, os, random, signal, sys, threading
import preloaded
def main():
    print("facts", {
        "argv": sys.argv[1:], "name": os.environ["NAME"], "preloaded": preloaded.PID not in (os.getpid(), os.getppid()),
        "leader": os.getsid(0) == os.getpid(), "stdin": sys.stdin.read(), "random": random.random(),
        "files": sorted(os.readlink(f"/proc/self/fd/{n}").split(":")[0] for n in os.listdir("/proc/self/fd")
                        if os.path.exists(f"/proc/self/fd/{n}")),
        "signals": [signal.getsignal(n) in (signal.SIG_DFL, signal.default_int_handler)
                    for n in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)],
        "threads": threading.active_count(),
    })
    print("to stderr: \\u00fc", file=sys.stderr)
    asyncio.run(asyncio.sleep(0))
    raise SystemExit(78)
"""
FOREVER = """
import os, signal, sys, time
def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        print("up", os.getpid(), flush=True)
        while True:
            time.sleep(600)
    finally:
        print("stopped", flush=True)
"""

Run = Callable[..., "Process"]


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a supervisor whose children run the given program text."""

    @asynccontextmanager
    async def start(
        program: str, *names: str, preloaded: str = "import os; PID = os.getpid()", word: str = "s3cret"
    ) -> AsyncIterator[Process]:
        (tmp_path / "program").mkdir()
        (tmp_path / "program" / "__main__.py").write_text(program + "\nif __name__ == '__main__':\n    main()\n")
        (tmp_path / "preloaded.py").write_text(preloaded)
        (tmp_path / "parent.py").write_text(PARENT)
        command = (sys.executable, str(tmp_path / "parent.py"), word, *names)
        async with Process(*command, env={"PYTHONPATH": str(tmp_path)}, cwd=tmp_path) as parent:
            yield parent

    return start


async def test_a_forked_child_is_like_an_executed_one(run: Run) -> None:
    async with run(FACTS, "a", "b") as parent:
        found = [ast.literal_eval((await parent.line("facts", count=n)).partition("facts ")[2]) for n in (1, 2)]
        assert await parent.ended() == 0
    assert sorted(facts["name"] for facts in found) == ["a", "b"]
    for facts in found:
        assert facts["argv"] == ["--of", facts["name"]]
        assert (facts["preloaded"], facts["leader"], facts["stdin"]) == (True, True, "")
        assert facts["files"] == ["/dev/null", "pipe", "pipe"]
        assert facts["signals"] == [True] * 4
        assert facts["threads"] == 1
    assert found[0]["random"] != found[1]["random"]
    assert "a to stderr: ü" in parent.lines
    assert "ChildExit(name='a', status=78, line='to stderr: ü'), " in parent.output


async def test_its_command_line_is_its_own(run: Run) -> None:
    async with run(FOREVER, "api.1") as parent:
        child = int((await parent.line("up")).split()[-1])
        server = int((await parent.line("fork server")).split()[-1])
        assert visible(child).startswith(f"{sys.executable}\0-m\0program\0--of\0api.1\0".encode())
        assert visible(child).endswith(b"api.1\n")
        assert b"-m\0discordproxy_api.processes.fork.server\0" in visible(server)
        assert all(b"s3cret" not in visible(pid) for pid in (child, server))


async def test_it_is_stopped_and_the_fork_server_ends(run: Run) -> None:
    async with run(FOREVER, "a", "b") as parent:
        await parent.line("up", count=2)
        server = int((await parent.line("fork server")).split()[-1])
        os.kill(server, signal.SIGTERM)  # as a service manager does; it waits for the supervisor
        parent.signal(signal.SIGTERM)
        assert await parent.line("exits") == "exits [None, None]"
        assert await parent.ended() == 0
    assert {"a stopped", "b stopped", "left None"} <= set(parent.lines)
    assert not exists(server)


async def test_it_is_stopped_while_it_starts(run: Run) -> None:
    async with run(FOREVER, "a", "b", "c", "d", word="stop") as parent:
        assert await parent.line("exits") == "exits [None, None, None, None]"
        assert await parent.ended() == 0


async def test_killed_it_is_forked_again(run: Run) -> None:
    async with run(FOREVER, "a") as parent:
        os.kill(int((await parent.line("up")).split()[-1]), signal.SIGKILL)
        await parent.line("up", count=2)
        parent.signal(signal.SIGTERM)
        assert await parent.ended() == 0


async def test_without_the_fork_server_children_are_executed(run: Run) -> None:
    async with run(FOREVER, "a") as parent:
        await parent.line("up")
        os.kill(int((await parent.line("fork server")).split()[-1]), signal.SIGKILL)
        await parent.line("a stopped")  # by the kernel: its parent has died
        second = int((await parent.line("up", count=2)).split()[-1])
        assert second in children_of(parent.pid)
        parent.signal(signal.SIGTERM)
        assert await parent.ended() == 0


async def test_what_cannot_be_imported_ends_nothing_else(run: Run) -> None:
    async with run(FOREVER, "a", preloaded="raise ImportError('broken')") as parent:
        await parent.line("up")
        parent.signal(signal.SIGTERM)
        assert await parent.ended() == 0


async def test_without_a_process_for_it_children_are_executed(run: Run) -> None:
    no_fork = "import os\ndef fork():\n    raise BlockingIOError(11, 'no process left')\nos.fork = fork"
    async with run(FOREVER, "a", preloaded=no_fork) as parent:
        assert await parent.line("fork server") == "fork server None"
        child = int((await parent.line("up")).split()[-1])
        assert children_of(parent.pid) == [child]
        parent.signal(signal.SIGTERM)
        assert await parent.ended() == 0


async def test_all_end_with_the_supervisor(run: Run) -> None:
    async with run(FOREVER, "a") as parent:
        await parent.line("up")
        pids = children_of(parent.pid)
        assert len(pids) == 2
        parent.signal(signal.SIGKILL)
        await parent.ended()
    await eventually(lambda: not any(map(exists, pids)))


ENDS = {
    "pass": (0, ""),
    "raise SystemExit": (0, ""),
    "raise SystemExit(300)": (44, ""),
    "raise SystemExit('last words')": (1, "last words\n"),
    "raise KeyError('x')": (1, "KeyError: 'x'\n"),
    "raise KeyboardInterrupt": (130, ""),
    "import atexit; atexit.register(print, 'at exit', flush=True)": (0, "at exit\n"),
    "threading.Thread(target=lambda: print('thread', end='')).start()": (0, "thread"),
}


@pytest.mark.parametrize("program", ENDS)
def test_it_ends_as_python_would(program: str) -> None:
    status, output = ENDS[program]
    text = (
        "import sys, threading\n"
        "from discordproxy_api.processes.fork.exiting import exit_as_interpreter\n"
        f"def main():\n    {program}\n"
        "try:\n    exit_as_interpreter(main)\n"
        "finally:\n    print('the code of the caller runs')\n"
    )
    ended = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False)
    assert (ended.returncode, (ended.stdout + ended.stderr).endswith(output)) == (status, True)
    assert "caller" not in ended.stdout
