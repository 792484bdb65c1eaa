"""Standard input, output and error of a service: they may be closed or full, or their reader may have gone.

None of this may end a process. Standard library only.
"""

import atexit
import contextlib
import io
import os
import sys
from typing import TextIO


def prepare() -> None:
    """Make the standard streams safe to use. Call it before anything opens a file.

    The next file or socket would get the number of a closed stream, and what a library prints would go into it.
    """
    for number in (0, 1, 2):
        if not _is_open(number):
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003 - it gets the lowest free number
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr does: no locale makes a text impossible to print
    atexit.register(_let_go)


def tell(text: str, stream: TextIO | None = None) -> None:
    """Print `text` for the operator, on stdout if `stream` is None. Nothing happens if it cannot be written."""
    with contextlib.suppress(OSError, ValueError):
        print(text, file=stream or sys.stdout, flush=True)


def complain(text: str) -> None:
    """Print `text` on stderr. Nothing happens if it cannot be written."""
    tell(text, sys.stderr)


def _let_go() -> None:
    """Drop what could not be written: the interpreter would try once more and exit with status 120 for it."""
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
