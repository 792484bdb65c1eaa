"""One child process: started again whenever it ends by accident, ended when told to, its output read line by line.

Knows nothing of what the child does; standard library only.
"""

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
LONGEST_PAUSE_S = 30.0
REPEAT_EVERY_S = 60.0
LONGEST_LINE = 8192

Report = Callable[[str, str], bool]
"""Takes a child's name and a line it wrote; tells whether it was a log line (else it is for the operator's eyes)."""


@dataclass(frozen=True)
class Ended:
    """How a child ended for good: its name, its exit status and the last line it left for the operator."""

    name: str
    status: int
    line: str


def pause_s(failures: int) -> float:
    """Return the seconds to wait before a start after `failures` early ends in a row (at least 1)."""
    return min(0.2 * 2.0 ** min(failures - 1, 10), LONGEST_PAUSE_S)


class Child:
    """A process of ours.

    Args:
        name: names it in logs, such as `api.1`.
        module: what `python -m` runs.
        environment: all of its environment; secrets travel here, never in the arguments.
        report: takes every line it writes.
        preexec: what runs in the child before the program, or None on systems that need the leash.
        parks_after_s: if it ends for good after having run so long, its place stays empty and its last words are
            repeated, instead of ending everything.

    Attribute `starting` is true while its process may exist although `pid` is None.
    """

    def __init__(
        self,
        name: str,
        module: str,
        *arguments: str,
        environment: Mapping[str, str],
        report: Report,
        preexec: Callable[[], None] | None,
        parks_after_s: float | None = None,
    ) -> None:
        self.name = name
        leash = () if preexec else ("discordproxy_api.processes.exit_with_parent",)
        self._command = (sys.executable, "-m", *leash, module, *arguments)
        self._environment = dict(environment)
        self._report = report
        self._preexec = preexec
        self._parks_after_s = parks_after_s
        self._stopping = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._last_words = ""
        self.starting = False

    @property
    def pid(self) -> int | None:
        """Process id, None while it is not running."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def keep(self) -> Ended | None:
        """Run the child, and again after every accident. Return how it ended for good, or None after `stop`."""
        failures = 0
        clock = asyncio.get_running_loop().time
        began = clock()
        while not self._stopping.is_set():
            started = clock()
            status, happened = await self._run()
            if self._stopping.is_set():
                break
            if status in (USAGE, CONFIGURATION):  # another start would change nothing
                if self._parks_after_s is None or clock() - began < self._parks_after_s:
                    return Ended(self.name, status, self._last_words)
                await self._park(status)
                break
            failures = 1 if clock() - started > STABLE_AFTER_S else failures + 1
            log.error("%s %s; starting it again in %.1f s", self.name, happened, pause_s(failures))
            await self._stopped_within(pause_s(failures))
        return None

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Send a signal and don't start the child again; `keep` returns once it has ended."""
        self._stopping.set()
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _run(self) -> tuple[int | None, str]:
        """Run the child once. Return its exit status, None if it could not be started, and what happened in words."""
        self._last_words = ""
        try:
            self._process = process = await self._start()
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            return None, f"cannot be started ({error})"  # no process, thread or descriptor is left, or no program
        log.info("%s started, pid %d", self.name, process.pid)
        if self._stopping.is_set():  # asked while it was being started
            self.stop()
        assert process.stdout is not None  # noqa: S101 - a pipe was asked for
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
                start_new_session=True,  # Ctrl-C in the terminal is for the supervisor, which knows the order
                preexec_fn=self._preexec,
            )
        finally:
            self.starting = False

    async def _read(self, output: asyncio.StreamReader) -> None:
        while True:
            try:
                raw = await output.readline()
            except ValueError:  # a line beyond the buffer; the reader has dropped it
                continue
            if not raw:
                return
            line = raw[:LONGEST_LINE].decode("utf-8", "replace").rstrip()
            if line and not self._report(self.name, line):
                self._last_words = line

    async def _park(self, status: int) -> None:
        while True:
            log.critical("%s is not started again (status %d): %s", self.name, status, self._last_words)
            if await self._stopped_within(REPEAT_EVERY_S):
                return

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True
