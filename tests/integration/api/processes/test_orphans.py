"""The supervisor as parent of processes it did not start: each is reaped, no status of its own children is lost."""

import sys
from pathlib import Path

import pytest

from processes.process import Process

CHILD = """
import os, sys
for number in range(10):
    if not os.fork():
        if not os.fork():
            os._exit(number)  # an orphan once the process between has ended
        os._exit(0)
for number in range(10):
    os.wait()
raise SystemExit(int(sys.argv[1]))
"""
SUPERVISOR = """
import asyncio, ctypes, os, pathlib
from discordproxy_api.processes import orphans
from discordproxy_api.processes.children import Child
from discordproxy_api.processes.programs import Program, execution

assert not orphans.adopts_orphans()
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
assert orphans.adopts_orphans()
orphans.RETRY_S = 0.001

def zombies():
    found = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if (state, int(parent)) == ("Z", os.getpid()):
            found.append(stat.parent.name)
    return found

async def main():
    children = [
        Child(Program(f"api.{n}", "program", (str(status),)), start=execution(None), on_lines=lambda *_: "")
        for n, status in enumerate([2, 78] * 4)
    ]
    reaping = asyncio.create_task(orphans.reap_orphans(children))
    ended = await asyncio.gather(*(child.run() for child in children))
    print("statuses", *(one.status for one in ended), flush=True)
    while zombies():
        await asyncio.sleep(0.01)
    print("none left", flush=True)
    reaping.cancel()

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="NOT TESTED: only Linux has subreapers")
async def test_orphans_are_reaped_and_the_children_keep_their_status(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(CHILD)
    (tmp_path / "supervisor.py").write_text(SUPERVISOR)
    async with Process(
        sys.executable, str(tmp_path / "supervisor.py"), env={"PYTHONPATH": str(tmp_path)}, cwd=tmp_path
    ) as supervisor:
        assert await supervisor.line("^statuses") == "statuses 2 78 2 78 2 78 2 78"
        await supervisor.line("^none left")
        assert await supervisor.ended() == 0
