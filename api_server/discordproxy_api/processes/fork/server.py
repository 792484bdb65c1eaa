"""The fork server: a process without threads and event loop, whose forks run the programs.

A fork shares the imported libraries with its siblings and starts without importing them again. The fork server
therefore creates nothing that does not survive a fork: no thread, no event loop, no gRPC object.
"""

import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from discordproxy_api.processes.fork.exiting import exit_as_interpreter
from discordproxy_api.processes.programs import Program
from discordproxy_ratelimit.process.stop_signals import STOP_SIGNALS
from discordproxy_ratelimit.server.parent_death import end_with_parent

MAX_MESSAGE_BYTES = 65536
NAME = "fork-server"

_STANDARD = (0, 1, 2)
"""File descriptors of stdin, stdout and stderr."""

_PR_SET_NAME = 15  # linux/prctl.h
_ARGUMENTS = 45
"""Place of `arg_start` in /proc/PID/stat, counted from the state."""


class ForkServer:
    """Starts programs, signals them and reports their ends, as requested through a socket of the supervisor.

    Each message is a JSON object: `{"start": {...}}` comes with the descriptor of the program's output and is answered
    by `{"started": pid}` or `{"failed": text}`; `{"signal": number, "pid": pid}` has no answer; every end is
    reported as `{"ended": pid, "status": status}`.
    """

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._running: set[int] = set()

    def serve(self) -> None:
        """Serve until the supervisor closes the socket, which also happens if it is killed."""
        reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # without a handler there is no wake-up
        control = self._control.fileno()
        while True:
            readable, _, _ = select.select([control, reading], [], [])
            if reading in readable:
                os.read(reading, 4096)
                self._report_ends()
            if control in readable and not self._handle_message():
                return

    def _handle_message(self) -> bool:
        message, descriptors, _, _ = socket.recv_fds(self._control, MAX_MESSAGE_BYTES, 1)
        if not message:
            return False
        request = json.loads(message)
        if "start" in request:
            self._start(Program(**request["start"]), descriptors[0])
        elif request["pid"] in self._running:  # otherwise the id may belong to another process by now
            os.kill(request["pid"], request["signal"])
        return True

    def _start(self, program: Program, output: int) -> None:
        prepare_child = end_with_parent()
        try:
            pid = os.fork()
        except OSError as error:
            self._send({"failed": str(error)})
        else:
            if not pid:
                if prepare_child:
                    prepare_child()
                _run(program, output)
            self._running.add(pid)
            self._send({"started": pid})
        os.close(output)

    def _report_ends(self) -> None:
        while self._running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            self._running.discard(pid)
            self._send({"ended": pid, "status": os.waitstatus_to_exitcode(status)})

    def _send(self, message: Mapping[str, Any]) -> None:
        with suppress(OSError):  # the supervisor has ended; `serve` notices
            self._control.send(json.dumps(message).encode())


def run_fork_server(control: socket.socket) -> NoReturn:
    """Be the fork server in a newly forked process.

    Args:
        control: socket to the supervisor, of type SOCK_SEQPACKET.
    """
    try:
        os.setsid()
        # Only the end of the supervisor ends this process. Signals that reach a new fork early stay pending there.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        set_command_line(NAME, sys.executable, "-m", __name__)
        ForkServer(control).serve()
    except BaseException:  # noqa: BLE001 - the caller's code must not run in this process
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def _run(program: Program, output: int) -> NoReturn:
    """Run a program in a newly forked process as if Python had been started for it."""
    try:
        os.setsid()
        _replace_standard_streams(output)
        _reset_signals()
        os.environ.update(program.environment)
        set_command_line(program.name, sys.executable, "-m", program.module, *program.arguments)
        sys.argv[:] = [program.module, *program.arguments]
        main = importlib.import_module(f"{program.module}.__main__").main
        gc.enable()  # after the imports, whose time collections would lengthen by a fourth
    except BaseException:  # noqa: BLE001 - the caller's code must not run in this process
        traceback.print_exc()
        os._exit(1)
    exit_as_interpreter(main)


def _reset_signals() -> None:
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, *STOP_SIGNALS):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


def _replace_standard_streams(output: int) -> None:
    """Read from nothing, write to `output`, and close everything else that was inherited."""
    empty = os.open(os.devnull, os.O_RDONLY)
    for source, number in zip((empty, output, output), _STANDARD, strict=True):
        os.dup2(source, number)
    for descriptor in [int(path.name) for path in Path("/proc/self/fd").iterdir()]:
        if descriptor not in _STANDARD:
            with suppress(OSError):  # that of the folder itself is closed already
                os.close(descriptor)
    sys.stdout = open(1, "w", encoding="utf-8", buffering=1, closefd=False)  # noqa: SIM115 - for the whole run
    sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115 - same


def set_command_line(name: str, *words: str) -> None:
    """Show `words` as this process's command line and `name` as its short name, in `ps` and `top`.

    A fork inherits the command line of the supervisor, which may contain a token, and has no more room than that.
    """
    ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    start, end = map(int, fields[_ARGUMENTS : _ARGUMENTS + 2])
    if start:  # hidden otherwise
        room = end - start - 1
        text = b"\0".join(map(os.fsencode, words))
        if len(text) > room:  # the module says more than the path of the interpreter
            text = b"\0".join([b"python", *map(os.fsencode, words[1:])])[:room]
        ctypes.memmove(start, text.ljust(room + 1, b"\0"), room + 1)
