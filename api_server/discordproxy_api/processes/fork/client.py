"""The supervisor's side of the fork server: starts children through it and awaits their ends."""

import asyncio
import gc
import importlib
import json
import logging
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from discordproxy_api.processes.fork.server import MAX_MESSAGE_BYTES, run_fork_server
from discordproxy_api.processes.programs import Program, RunningProcess, Start, default_execution

log = logging.getLogger("supervisor")

_LOST = -signal.SIGTERM
"""The exit status of a process whose end the fork server can no longer report: it receives this signal."""


class ForkedProcess:
    """A process that the fork server started; see `RunningProcess`."""

    def __init__(self, pid: int, client: "ForkClient") -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._client = client
        self._exited = asyncio.Event()
        self._handle = _handle_of(pid)

    async def wait(self) -> int:
        """Wait for the end and return the exit status."""
        await self._exited.wait()
        assert self.returncode is not None  # noqa: S101 - set with the event
        return self.returncode

    def send_signal(self, number: int, /) -> None:
        """Send a signal; nothing happens if the process has ended. A stopped fork server must not delay it."""
        if self.returncode is not None:
            return
        if self._handle is None:
            self._client.send({"signal": int(number), "pid": self.pid})
            return
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, number)

    def set_exited(self, status: int) -> None:
        """Store the exit status."""
        self.returncode = status
        self._exited.set()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _handle_of(pid: int) -> int | None:
    """Return a descriptor of a process, which cannot be mistaken for a later one; None on an old kernel."""
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


class ForkClient:
    """Starts programs in the fork server; without one, by executing a new Python.

    Args:
        pid: process id of the fork server.
        control: socket to it; None for no fork server.
    """

    def __init__(self, pid: int | None = None, control: socket.socket | None = None) -> None:
        self.pid = pid
        self.starting = False
        self._control = control
        self._executed: Start = default_execution()
        self._waiting: deque[asyncio.Future[ForkedProcess]] = deque()
        self._running: dict[int, ForkedProcess] = {}
        self._reading = False

    async def start(self, program: Program, output: int) -> RunningProcess:
        """Start a program; see `programs.Start`."""
        if self._control is None:
            return await self._executed(program, output)
        if not self._reading:
            asyncio.get_running_loop().add_reader(self._control, self._on_message, self._control)
            self._reading = True
        started: asyncio.Future[ForkedProcess] = asyncio.get_running_loop().create_future()
        socket.send_fds(self._control, [json.dumps({"start": asdict(program)}).encode()], [output])
        self._waiting.append(started)
        return await started

    def send(self, message: dict[str, Any]) -> None:
        """Send a message to the fork server, if it still runs."""
        if self._control is not None:
            with suppress(OSError):
                self._control.send(json.dumps(message).encode())

    def close(self) -> None:
        """End the fork server; the programs must have ended."""
        if self._control is not None and self.pid is not None:
            self._control.close()
            self._control = None
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = None

    def _on_message(self, control: socket.socket) -> None:
        try:
            message = control.recv(MAX_MESSAGE_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if not message:
            self._on_lost(control)
            return
        document = json.loads(message)
        if "ended" in document:
            self._running.pop(document["ended"]).set_exited(document["status"])
            return
        if "failed" in document:
            self._fail_start(document["failed"])
            return
        self._running[document["started"]] = process = ForkedProcess(document["started"], self)
        if not (started := self._waiting.popleft()).done():
            started.set_result(process)

    def _fail_start(self, reason: str) -> None:
        if not (started := self._waiting.popleft()).done():
            started.set_exception(OSError(reason))

    def _on_lost(self, control: socket.socket) -> None:
        log.error("the fork server has ended; children are executed from now on and share no memory")
        asyncio.get_running_loop().remove_reader(control)
        self.close()
        while self._waiting:
            self._fail_start("the fork server has ended")
        for process in self._running.values():
            process.set_exited(_LOST)
        self._running.clear()


@contextmanager
def forking(*preloaded: str) -> Iterator[ForkClient]:
    """Import the modules `preloaded` and run a fork server; without Linux' /proc, programs are executed instead.

    Enter this before the process has threads or an event loop.
    """
    if not Path("/proc/self/fd").exists():  # forks close what they inherited
        yield ForkClient()
        return
    _preload(preloaded)
    client = _fork_server()
    gc.enable()
    try:
        yield client
    finally:
        client.close()


def _preload(names: Iterable[str]) -> None:
    """Import modules and leave garbage collection disabled.

    A collection in a fork would write to the memory that it shares, and one before would leave holes, to which the
    forks would write. The supervisor imports, too, since a fork server that imports would copy what both have.
    """
    gc.disable()
    for name in names:
        with suppress(ImportError):  # the process that needs the module reports it
            importlib.import_module(name)
    gc.freeze()


def _fork_server() -> ForkClient:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()  # what is buffered must not be written twice
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        pid = os.fork()
    except OSError:  # too many processes: the children will report it, too, and are started later
        return ForkClient()
    if not pid:
        ours.close()
        run_fork_server(theirs)
    theirs.close()
    return ForkClient(pid, ours)
