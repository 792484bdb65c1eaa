"""Reaps orphaned processes if the supervisor is process 1 or a child subreaper.

The kernel makes it the parent of processes whose own parent has died. Without reaping, each would stay in the process
table as a zombie.
"""

import asyncio
import contextlib
import ctypes
import os
import sys
from collections.abc import Sequence

from discordproxy_api.processes.children import Child

EVERY_S = 1.0

_PR_GET_CHILD_SUBREAPER = 37  # linux/prctl.h


def adopts_orphans() -> bool:
    """Tell whether the kernel makes this process the parent of descendants whose own parent has died."""
    if os.getpid() == 1:
        return True
    if sys.platform != "linux":
        return False
    flag = ctypes.c_int()
    ctypes.CDLL(None).prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(flag), 0, 0, 0)
    return bool(flag.value)


async def reap_orphans(children: Sequence[Child]) -> None:
    """Reap every exited process except `children`, until cancelled."""
    while True:
        reap(children)
        await asyncio.sleep(EVERY_S)


def reap(children: Sequence[Child]) -> None:
    """Reap the processes that have exited. asyncio reaps `children` itself, since it needs their status."""
    while not any(child.starting for child in children):  # the pid of a starting child is unknown
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid in {child.pid for child in children}:
            return  # the kernel returns the same one until asyncio has reaped it; the next round finds the others
        with contextlib.suppress(ChildProcessError):
            os.waitpid(ended.si_pid, 0)
