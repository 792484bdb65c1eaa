"""The signals that stop a process, and their handlers.

A process inherits which signals are ignored and blocked. An ignored SIGHUP stays ignored, as `nohup` requests.
"""

import asyncio
import signal
from collections.abc import Callable
from typing import NoReturn

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def on_stop_signal(callback: Callable[[], object]) -> None:
    """Call `callback` in the running event loop for each stop signal."""
    loop = asyncio.get_running_loop()
    for number in _handled():
        loop.add_signal_handler(number, callback)


def exit_on_stop_signal() -> None:
    """Exit with status 0 on a stop signal. As process 1 the kernel drops signals without a handler."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # if it is ignored, the exit statuses of children are lost
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {*STOP_SIGNALS, signal.SIGCHLD})
    for number in _handled():
        signal.signal(number, _exit)


def _handled() -> list[signal.Signals]:
    ignores_hangup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [number for number in STOP_SIGNALS if not (number == signal.SIGHUP and ignores_hangup)]


def _exit(_number: int, _frame: object) -> NoReturn:
    raise SystemExit(0)
