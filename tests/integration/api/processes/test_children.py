"""A child process: started again after accidents, not after a refusal to run; its lines; its end with its parent."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from discordproxy_api.processes.children import Child, ChildExit
from discordproxy_api.processes.programs import Program, execution
from fakes.eventually import eventually
from processes.process import Process

Start = Callable[..., Child]


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def child(tmp_path: Path, lines: list[str]) -> Start:
    """A child that runs the given program text."""

    def on_lines(_name: str, received: list[bytes]) -> str:
        texts = [line.decode() for line in received]
        lines.extend(texts)
        return next((text for text in reversed(texts) if not text.startswith("log ")), "")

    def make(program: str, **options: object) -> Child:
        (tmp_path / "program.py").write_text(program)
        settings = {"start": execution(None), **options}  # by the pipe of `exit_with_parent`
        environment = {"PYTHONPATH": str(tmp_path), "FOLDER": str(tmp_path)}
        return Child(Program("api.1", "program", environment=environment), on_lines=on_lines, **settings)

    return make


COUNTING = "import os, pathlib; f = pathlib.Path(os.environ['FOLDER'], 'count'); f.open('a').write('x')\n"
FOREVER = "import time; print('log up', flush=True); time.sleep(600)\n"


async def test_an_accident_is_repaired_and_a_refusal_is_final(child: Start, tmp_path: Path) -> None:
    program = COUNTING + "print('ERROR: tell me why', flush=True); raise SystemExit(1 if f.stat().st_size < 3 else 78)"
    assert await child(program).run() == ChildExit("api.1", 78, "ERROR: tell me why")
    assert (tmp_path / "count").read_text() == "xxx"


async def test_wrong_settings_are_final(child: Start) -> None:
    assert await child("print('log x'); raise SystemExit(2)").run() == ChildExit("api.1", 2, "")


async def test_a_refusal_later_on_leaves_the_place_empty(
    child: Start, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    parked = child(COUNTING + "print('ERROR: revoked', flush=True); raise SystemExit(78)", parks_after_s=0.0)
    keeping = asyncio.create_task(parked.run())
    await eventually(lambda: "not restarted (status 78): ERROR: revoked" in caplog.text)
    parked.stop()
    assert await keeping is None
    assert (tmp_path / "count").read_text() == "x"


async def test_a_refusal_later_on_is_tried_again_if_others_keep_running(child: Start, tmp_path: Path) -> None:
    """A file may be invalid while it is edited."""
    retried = child(COUNTING + "raise SystemExit(2)", retried_after_s=0.0)
    keeping = asyncio.create_task(retried.run())
    await eventually(lambda: (tmp_path / "count").exists() and len((tmp_path / "count").read_text()) > 1)
    retried.stop()
    assert await keeping is None


@pytest.mark.parametrize(
    "problem",
    [
        FileNotFoundError(2, "No such file or directory", "/gone/python"),
        BlockingIOError(11, "Resource temporarily unavailable"),
        RuntimeError("can't start new thread"),
    ],
    ids=["upgraded away", "no process left", "no thread left"],
)
async def test_what_cannot_be_started_is_tried_again(
    problem: Exception,
    child: Start,
    lines: list[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start, failures = asyncio.create_subprocess_exec, [problem, problem]

    async def fails_at_first(*command: str, **options: object) -> asyncio.subprocess.Process:
        if failures:
            raise failures.pop()
        return await start(*command, **options)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", fails_at_first)
    forever = child(FOREVER)
    keeping = asyncio.create_task(forever.run())
    await eventually(lambda: lines == ["log up"])
    assert f"api.1 cannot be started ({problem}); restarting it in 0.4 s" in caplog.text
    forever.stop()
    assert await keeping is None


async def test_killed_it_comes_back_and_stopped_it_stays_away(child: Start, lines: list[str]) -> None:
    forever = child(FOREVER)
    keeping = asyncio.create_task(forever.run())
    await eventually(lambda: lines == ["log up"])
    os.kill(forever.pid, signal.SIGKILL)
    await eventually(lambda: lines == ["log up"] * 2)
    forever.stop()
    assert await keeping is None
    assert forever.pid is None


async def test_stopped_while_it_is_being_started(child: Start) -> None:
    forever = child(FOREVER)
    keeping = asyncio.create_task(forever.run())
    await asyncio.sleep(0)
    forever.stop()
    async with asyncio.timeout(60):
        assert await keeping is None


async def test_stopped_while_waiting_for_the_next_start(child: Start, caplog: pytest.LogCaptureFixture) -> None:
    failing = child("raise SystemExit(1)")
    keeping = asyncio.create_task(failing.run())
    await eventually(lambda: "in 0.4 s" in caplog.text)
    failing.stop()
    async with asyncio.timeout(60):
        assert await keeping is None
    assert "in 0.8 s" not in caplog.text, "it has not been started again"


async def test_an_endless_line_harms_nobody(child: Start, lines: list[str]) -> None:
    ended = await child("print('x' * 300_000); print('log after'); raise SystemExit(78)").run()
    assert ended.status == 78
    assert max(map(len, lines)) == 8192
    assert lines[-1] == "log after"


@pytest.mark.parametrize("pipe", [False, True], ids=["signal of the kernel", "pipe"])
async def test_it_ends_when_its_parent_is_killed(pipe: bool, tmp_path: Path) -> None:  # noqa: FBT001 - a parameter
    (tmp_path / "program.py").write_text("import os, time; print('pid', os.getpid(), flush=True); time.sleep(600)")
    (tmp_path / "parent.py").write_text(
        "import asyncio\n"
        "from discordproxy_api.processes.children import Child\n"
        "from discordproxy_api.processes.programs import Program, default_execution, execution\n"
        "on_lines = lambda name, lines: print(*map(bytes.decode, lines), flush=True) or ''\n"
        f"start = execution(None) if {pipe} else default_execution()\n"
        "child = Child(Program('x', 'program'), start=start, on_lines=on_lines)\n"
        "asyncio.run(child.run())\n"
    )
    async with Process(
        sys.executable, str(tmp_path / "parent.py"), env={"PYTHONPATH": str(tmp_path)}, cwd=tmp_path
    ) as parent:
        pid = int((await parent.line("^pid ")).split()[1])
        parent.signal(signal.SIGKILL)
        await eventually(lambda: not Path(f"/proc/{pid}").exists() or "Z" in Path(f"/proc/{pid}/stat").read_text())
