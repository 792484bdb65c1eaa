"""Children that end with the process that started them, however that process ends."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_parent() -> Callable[[], None] | None:
    """Return a `preexec_fn`, by which the kernel sends SIGTERM to the child when the calling thread ends.

    None on systems without such a signal (all but Linux). Everything is prepared before the fork, since little is safe
    after it.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def request_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != parent:  # it ended in between, so the kernel will send no signal
            os._exit(1)

    return request_signal
