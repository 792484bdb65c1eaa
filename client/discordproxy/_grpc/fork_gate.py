"""Delays a fork until no call is in progress.

gRPC prepares a fork only while no thread is inside a call; otherwise it skips the preparation.
Measured with 40 children of a parent with two busy threads: grpcio 1.85 crashed a child or hung the parent in every
third run, grpcio 1.71 crashed the parent in every run. test_client_under_load checks that the gate prevents this.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType


class ForkGate:
    """A context manager around calls of gRPC. Any number of threads may be inside.

    A fork does not wait for the calls of its own thread, which a signal handler interrupts.

    Args:
        timeout_s: Maximum delay of a fork. A call may wait minutes for a rate limit; after the timeout the process
            forks nevertheless.
    """

    def __init__(self, timeout_s: float = 5.0) -> None:
        self._timeout_s = timeout_s
        self._inside: list[int] = []
        self._open()
        os.register_at_fork(before=self._close, after_in_parent=self._reopen, after_in_child=self._open)

    def __enter__(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._forking)
            self._inside.append(threading.get_ident())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._changed:
            self._inside.remove(threading.get_ident())
            if self._forking:
                self._changed.notify_all()

    def _close(self) -> None:
        """Block new calls, wait for running ones, and hold the lock during the fork."""
        self._changed.acquire()
        self._forking = True
        own = threading.get_ident()
        self._changed.wait_for(lambda: self._inside.count(own) == len(self._inside), self._timeout_s)

    def _reopen(self) -> None:
        self._forking = False
        self._changed.notify_all()
        self._changed.release()

    def _open(self) -> None:
        """Reset the gate: the other threads that were inside do not exist in a child."""
        self._changed = threading.Condition()
        own = threading.get_ident()
        self._inside = [thread for thread in self._inside if thread == own]
        self._forking = False


fork_gate = ForkGate()
