"""One child process: restarted after a crash, stopped by a signal, its output read line by line."""

import asyncio
import contextlib
import logging
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from discordproxy_ratelimit.process.exit_status import CONFIGURATION, USAGE

log = logging.getLogger("supervisor")

STABLE_AFTER_S = 60.0
MAX_PAUSE_S = 30.0
REPEAT_EVERY_S = 60.0
MAX_LINE_BYTES = 8192

OnLine = Callable[[str, str], bool]
"""Receives a child's name and a line of its output; returns whether it is a log line."""


@dataclass(frozen=True)
class ChildExit:
    """The final exit of a child: its name, its exit status and its last line that is no log line."""

    name: str
    status: int
    line: str


def pause_s(failures: int) -> float:
    """Return the seconds to wait before a restart, after `failures` (at least 1) consecutive early exits."""
    return min(0.2 * 2.0 ** min(failures - 1, 10), MAX_PAUSE_S)


class Child:
    """A supervised process.

    Args:
        name: name in logs, such as `api.1`.
        module: module that `python -m` runs.
        environment: its whole environment; secrets are passed here, never as arguments.
        on_line: receives every line of its output.
        preexec: function that runs in the child before the program; None to use `exit_with_parent`.
        parks_after_s: if it exits for good after this time, it is not restarted and its last line is logged every
            minute, instead of ending the server.

    Attribute `starting` is true while its process may exist although `pid` is None.
    """

    def __init__(
        self,
        name: str,
        module: str,
        *arguments: str,
        environment: Mapping[str, str],
        on_line: OnLine,
        preexec: Callable[[], None] | None,
        parks_after_s: float | None = None,
    ) -> None:
        self.name = name
        wrapper = () if preexec else ("discordproxy_api.processes.exit_with_parent",)
        self._command = (sys.executable, "-m", *wrapper, module, *arguments)
        self._environment = dict(environment)
        self._on_line = on_line
        self._preexec = preexec
        self._parks_after_s = parks_after_s
        self._stopping = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._last_line = ""
        self.starting = False

    @property
    def pid(self) -> int | None:
        """Process id, None while it is not running."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def run(self) -> ChildExit | None:
        """Run the child and restart it after crashes. Return its final exit, or None after `stop`."""
        failures = 0
        clock = asyncio.get_running_loop().time
        began = clock()
        while not self._stopping.is_set():
            started = clock()
            status, happened = await self._run_once()
            if self._stopping.is_set():
                break
            if status in (USAGE, CONFIGURATION):  # another start would change nothing
                if self._parks_after_s is None or clock() - began < self._parks_after_s:
                    return ChildExit(self.name, status, self._last_line)
                await self._park(status)
                break
            failures = 1 if clock() - started > STABLE_AFTER_S else failures + 1
            log.error("%s %s; restarting it in %.1f s", self.name, happened, pause_s(failures))
            await self._stopped_within(pause_s(failures))
        return None

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send a signal and do not restart the child; `run` returns once it has exited."""
        self._stopping.set()
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _run_once(self) -> tuple[int | None, str]:
        """Run the child once. Return its exit status, None if it could not be started, and a description."""
        self._last_line = ""
        try:
            self._process = process = await self._start()
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            return None, f"cannot be started ({error})"  # out of processes, threads or descriptors, or no such program
        log.info("%s started, pid %d", self.name, process.pid)
        if self._stopping.is_set():  # `stop` was called during the start
            self.stop()
        assert process.stdout is not None  # noqa: S101 - stdout=PIPE
        await self._read(process.stdout)
        status = await process.wait()
        return status, f"ended with status {status}"

    async def _start(self) -> asyncio.subprocess.Process:
        self.starting = True
        try:
            return await asyncio.create_subprocess_exec(
                *self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL if self._preexec else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # only the supervisor gets Ctrl-C, and stops its children in order
                preexec_fn=self._preexec,
            )
        finally:
            self.starting = False

    async def _read(self, output: asyncio.StreamReader) -> None:
        while True:
            try:
                raw = await output.readline()
            except ValueError:  # the line exceeds the buffer and was dropped
                continue
            if not raw:
                return
            line = raw[:MAX_LINE_BYTES].decode("utf-8", "replace").rstrip()
            if line and not self._on_line(self.name, line):
                self._last_line = line

    async def _park(self, status: int) -> None:
        while True:
            log.critical("%s is not restarted (status %d): %s", self.name, status, self._last_line)
            if await self._stopped_within(REPEAT_EVERY_S):
                return

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True
