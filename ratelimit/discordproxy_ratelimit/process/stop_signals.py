"""The signals that stop a process, and their handlers."""

import asyncio
import signal
from collections.abc import Callable
from typing import NoReturn

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def on_stop_signal(callback: Callable[[], object]) -> None:
    """Call `callback` in the running event loop for each stop signal."""
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, callback)


def exit_on_stop_signal() -> None:
    """Exit with status 0 on a stop signal. As process 1 the kernel drops signals without a handler."""
    for number in STOP_SIGNALS:
        signal.signal(number, _exit)


def _exit(_number: int, _frame: object) -> NoReturn:
    raise SystemExit(0)
