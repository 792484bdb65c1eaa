"""Standard streams of a service: closed, full or abandoned streams do not end a process.

Imports the standard library only.
"""

import atexit
import contextlib
import io
import os
import sys
from typing import TextIO


def prepare() -> None:
    """Make the standard streams safe to use. Call this before any file is opened.

    Otherwise the next file or socket would get the number of a closed stream, and receive the output of libraries.
    """
    for number in (0, 1, 2):
        if not _is_open(number):
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003 - `open` returns the lowest free number
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: every text can be printed in every locale
    atexit.register(_discard_unwritten)


def announce(text: str, stream: TextIO | None = None) -> None:
    """Print `text` for the operator, on stdout if `stream` is None. Errors are ignored."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=stream or sys.stdout, flush=True)


def complain(text: str) -> None:
    """Print `text` on stderr. Errors are ignored."""
    announce(text, sys.stderr)


def _discard_unwritten() -> None:
    """Discard text that could not be written. Otherwise the interpreter would exit with status 120."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            if not _flushes(stream):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _flushes(stream: TextIO) -> bool:
    try:
        stream.flush()
    except (OSError, ValueError):
        return False
    return True
