"""A process under test: its output line by line, its signals, its exit. Its children end with the test."""

import asyncio
import contextlib
import os
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from typing_extensions import Self

from processes.end_with_parent import END_WITH_PARENT


def visible(pid: int) -> bytes:
    """Return the command line and the name of a process, which every user can read."""
    return Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/comm").read_bytes()


def environment(pid: int) -> bytes:
    """Return the environment of a process, which its own user and root can read."""
    return Path(f"/proc/{pid}/environ").read_bytes()


def children_of(pid: int) -> list[int]:
    """Return the process ids of all descendants of `pid`."""
    found: list[int] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == pid:
                found += [int(stat.parent.name), *children_of(int(stat.parent.name))]
    return found


class Process:
    """`async with Process(...)`: leaving the block kills the process and its descendants if it still runs."""

    def __init__(self, *command: str, env: Mapping[str, str], cwd: Path, **options: Any) -> None:
        self.lines: list[str] = []
        self._command, self._env, self._cwd, self._options = command, dict(env), cwd, options
        self._news = asyncio.Condition()
        self._process: asyncio.subprocess.Process | None = None

    @classmethod
    def module(cls, name: str, *arguments: str, env: Mapping[str, str], cwd: Path, **options: Any) -> Self:
        """A module of the project, run by this Python."""
        return cls(sys.executable, "-m", name, *arguments, env=env, cwd=cwd, **options)

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            *END_WITH_PARENT,
            *self._command,
            env={"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", **self._env},
            cwd=self._cwd,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            **self._options,
        )
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        for pid in [self.pid, *children_of(self.pid)] if self.running else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await self._process.wait()
        await self._reading

    async def _read(self) -> None:
        async for raw in self._process.stdout:
            async with self._news:
                self.lines.append(raw.decode().rstrip())
                self._news.notify_all()
        async with self._news:
            self._news.notify_all()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    async def line(self, pattern: str, *, count: int = 1, within_s: float = 60.0) -> str:
        """Wait for the `count`-th line that matches and return it."""

        def found() -> list[str]:
            return [line for line in self.lines if re.search(pattern, line)]

        async with self._news:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(
                    self._news.wait_for(lambda: len(found()) >= count or self._reading.done()), within_s
                )
        assert len(found()) >= count, f"no line {pattern!r} in:\n{self.output}"
        return found()[count - 1]

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    async def ended(self, *, within_s: float = 60.0) -> int:
        """Wait for its end and return the exit status."""
        try:
            status = await asyncio.wait_for(self._process.wait(), within_s)
        except TimeoutError:
            raise AssertionError(f"still running after {within_s:g} s:\n{self.output}") from None
        await self._reading
        return status
