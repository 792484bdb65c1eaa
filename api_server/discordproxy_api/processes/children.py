"""One child process: restarted after a crash, stopped by a signal, its output read in lines."""

import asyncio
import contextlib
import logging
import math
import os
import signal
import subprocess
from dataclasses import dataclass

from discordproxy_api.processes.output import OnLines, open_output, read_lines
from discordproxy_api.processes.programs import Program, RunningProcess, Start
from discordproxy_ratelimit.process.exit_status import CONFIGURATION, USAGE

log = logging.getLogger("supervisor")

STABLE_AFTER_S = 60.0
MAX_PAUSE_S = 30.0
REPEAT_EVERY_S = 60.0


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
        program: the program to run.
        start: starts the program.
        on_lines: receives the lines of its output.
        parks_after_s: if it exits for good after this time, it is not restarted and its last line is logged every
            minute, instead of ending the server.
        retried_after_s: if it exits for good after this time, it is restarted as after a crash: a file that others have
            read before may be invalid for now.

    Attribute `starting` is true while its process may exist although `pid` is None.
    """

    def __init__(
        self,
        program: Program,
        *,
        start: Start,
        on_lines: OnLines,
        parks_after_s: float | None = None,
        retried_after_s: float = math.inf,
    ) -> None:
        self.name = program.name
        self._program = program
        self._start_program = start
        self._on_lines = on_lines
        self._parks_after_s = parks_after_s
        self._retried_after_s = retried_after_s
        self._stopping = asyncio.Event()
        self._process: RunningProcess | None = None
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
            if status in (USAGE, CONFIGURATION) and clock() - began < self._retried_after_s:
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
            output = await self._start()
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            return None, f"cannot be started ({error})"  # out of processes, threads or descriptors, or no such program
        process = self._process
        assert process is not None  # noqa: S101 - started
        log.info("%s started, pid %d", self.name, process.pid)
        if self._stopping.is_set():  # `stop` was called during the start
            self.stop()
        await read_lines(output, self._receive)
        status = await process.wait()
        return status, f"ended with status {status}"

    async def _start(self) -> int:
        """Start the process and return the descriptor of its output."""
        self.starting = True
        reading, writing = open_output()
        try:
            self._process = await self._start_program(self._program, writing)
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
            self.starting = False
        return reading

    def _receive(self, lines: list[bytes]) -> None:
        self._last_line = self._on_lines(self.name, lines) or self._last_line

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
