"""The end of a forked program: as at the interpreter's exit, without a return to the code that forked."""

import atexit
import os
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

INTERRUPTED = 130
"""Exit status of shells for SIGINT."""


def exit_as_interpreter(main: Callable[[], object]) -> NoReturn:
    """Run `main`, then exit with the status that `python -m` would have."""
    try:
        status = _status_of(main)
        for thread in threading.enumerate():
            if thread is not threading.current_thread() and not thread.daemon:
                thread.join()
        atexit._run_exitfuncs()  # noqa: SLF001 - `os._exit` skips them, and `sys.exit` would unwind the caller's stack
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
    except BaseException:  # noqa: BLE001 - the caller's code must not run in this process
        traceback.print_exc()
        os._exit(1)
    os._exit(status)


def _status_of(main: Callable[[], object]) -> int:
    try:
        main()
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return (error.code or 0) & 0xFF
        print(error.code, file=sys.stderr)  # noqa: T201 - as the interpreter does
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
        return 1
    return 0
