"""Reaps orphaned processes if the supervisor is process 1 or a child subreaper.

The kernel makes it the parent of processes whose own parent has died. Without reaping, each would stay in the process
table as a zombie.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from typing import Protocol

RETRY_S = 1.0


class OwnProcess(Protocol):
    """A process that is reaped by its owner. While `starting`, it may exist although `pid` is None."""

    @property
    def pid(self) -> int | None:
        """Process id, None while it is not running."""

    @property
    def starting(self) -> bool:
        """Whether it is being started."""


_PR_GET_CHILD_SUBREAPER = 37  # linux/prctl.h


def adopts_orphans() -> bool:
    """Return whether the kernel makes this process the parent of descendants whose own parent has died."""
    if os.getpid() == 1:
        return True
    if sys.platform != "linux":
        return False
    flag = ctypes.c_int()
    ctypes.CDLL(None).prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(flag), 0, 0, 0)
    return bool(flag.value)


async def reap_orphans(own: Sequence[OwnProcess]) -> None:
    """Reap every exited process except `own`, until cancelled."""
    loop = asyncio.get_running_loop()
    exited = asyncio.Event()
    loop.add_signal_handler(signal.SIGCHLD, exited.set)
    try:
        while True:
            exited.clear()
            if reap(own):
                await exited.wait()
            else:
                await asyncio.sleep(RETRY_S)
    finally:
        loop.remove_signal_handler(signal.SIGCHLD)


def reap(own: Sequence[OwnProcess]) -> bool:
    """Reap the processes that have exited, except `own`, whose status their owners need.

    Return False if another attempt is necessary: one of `own` has exited or is being started.
    """
    while not any(process.starting for process in own):  # the pid of a starting process is unknown
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return True
        if ended is None:
            return True
        if ended.si_pid in {process.pid for process in own}:
            return False  # the kernel returns the same one until its owner has reaped it
        with contextlib.suppress(ChildProcessError):
            os.waitpid(ended.si_pid, 0)
    return False
