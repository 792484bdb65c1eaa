"""Detects gevent and eventlet: gRPC needs preparation if they have patched the standard library."""

from __future__ import annotations

import sys
import warnings
from functools import cache


@cache
def warn_of_green_threads() -> None:
    """Warn once if a call would block all green threads of the process."""
    if problem := _problem():
        warnings.warn(problem, RuntimeWarning, stacklevel=4)


def _problem() -> str:
    gevent = sys.modules.get("gevent.monkey")
    if gevent is not None and gevent.is_module_patched("socket"):
        # The only place where gRPC exposes whether it is prepared.
        prepared = getattr(sys.modules.get("grpc._cython.cygrpc"), "g_gevent_activated", True)
        if prepared:
            return ""
        prepare = "grpc.experimental.gevent.init_gevent()"
        return f"gevent has patched this process, so each call blocks all others: call {prepare} first"
    eventlet = sys.modules.get("eventlet.patcher")
    if eventlet is not None and eventlet.is_monkey_patched("socket"):
        return "eventlet has patched this process, which gRPC does not support: each call blocks all others; use gevent"
    return ""
