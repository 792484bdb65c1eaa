"""Makes a fork wait until none of our calls is under way.

gRPC can prepare a fork only while no thread is inside a call; otherwise it skips its preparations.
Observed with 40 children of a parent with two busy threads: grpcio 1.85 crashed a child or hung the parent in every
third run, grpcio 1.71 crashed the parent in every run. test_client_under_load pins that the gate prevents it.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType


class ForkGate:
    """A context manager around everything that enters gRPC; many threads may be inside at a time.

    Args:
        patience_s: How long a fork waits for calls. A call may wait minutes for a rate limit; then the risk is taken.
    """

    def __init__(self, patience_s: float = 5.0) -> None:
        self._patience_s = patience_s
        self._open()
        os.register_at_fork(before=self._close, after_in_parent=self._reopen, after_in_child=self._open)

    def __enter__(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._forking)
            self._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._changed:
            self._inside -= 1
            if self._forking:
                self._changed.notify_all()

    def _close(self) -> None:
        """Let nobody in, wait until all are out, and hold the lock during the fork."""
        self._changed.acquire()
        self._forking = True
        self._changed.wait_for(lambda: not self._inside, self._patience_s)

    def _reopen(self) -> None:
        self._forking = False
        self._changed.notify_all()
        self._changed.release()

    def _open(self) -> None:
        """Start anew: in a child, the threads that were inside do not exist."""
        self._changed = threading.Condition()
        self._inside = 0
        self._forking = False


fork_gate = ForkGate()
