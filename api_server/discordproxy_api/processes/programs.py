"""The program of a child process, and its start by executing a new Python."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from discordproxy_ratelimit.server.parent_death import end_with_parent


@dataclass(frozen=True)
class Program:
    """A module of this installation, run as `python -m`.

    Attributes:
        name: name of the process in logs and process lists, such as `api.1`.
        module: a package with `__main__`, whose function `main` is the program.
        arguments: command-line arguments, visible to all users.
        environment: variables added to those of the supervisor; secrets belong here.
    """

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


class RunningProcess(Protocol):
    """A started process. `returncode` is None while it runs, and minus the signal's number if a signal ended it."""

    @property
    def pid(self) -> int:
        """Process id."""

    @property
    def returncode(self) -> int | None:
        """Exit status."""

    async def wait(self) -> int:
        """Wait for the end and return the exit status."""

    def send_signal(self, signal: int, /) -> None:
        """Send a signal. Raises ProcessLookupError if the process has ended."""


Start = Callable[[Program, int], Awaitable[RunningProcess]]
"""Starts a program whose stdout and stderr go to a file descriptor, in a session of its own.

Raises OSError, RuntimeError or SubprocessError if that is not possible.
"""


def execution(preexec: Callable[[], None] | None) -> Start:
    """Return a start that executes a new Python.

    Args:
        preexec: function that runs in the new process before the program; None to use `exit_with_parent`.
    """

    async def start(program: Program, output: int) -> RunningProcess:
        wrapper = () if preexec else ("discordproxy_api.processes.exit_with_parent",)
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *wrapper, program.module, *program.arguments),
            env={**os.environ, **program.environment, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"},
            stdin=subprocess.DEVNULL if preexec else subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # only the supervisor gets Ctrl-C, and stops its children in order
            preexec_fn=preexec,
        )

    return start


def default_execution() -> Start:
    """Return `execution` with the way to end with the parent that this system offers."""
    return execution(end_with_parent())
