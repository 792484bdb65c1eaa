"""How commands read and write: bytes that are not UTF-8, streams that are closed or full, readers that have left."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from typing import NamedTuple

_READER_LEFT = errno.EPIPE


class CommandResult(NamedTuple):
    """What a command found out or did.

    Attributes:
        status: Its exit status.
        text: What it prints, without the last line break.
        done: Whether it has changed something: then its status stands, even if nobody can read the text.
    """

    status: int
    text: str
    done: bool = False


def show(outcome: CommandResult, *, unwritten: int) -> int:
    """Print the text; return the exit status, which is `unwritten` if printing was the command's only purpose."""
    try:
        if outcome.text:
            _print(outcome.text)
    except OSError as error:
        _give_up_stdout()
        if error.errno != _READER_LEFT:
            what = "Done, but the output" if outcome.done else "The output"
            complain(f"{what} cannot be written: {error.strerror}")
            return outcome.status if outcome.done else unwritten
    return outcome.status


def _print(text: str) -> None:
    if sys.stdout is None:
        raise OSError(errno.EBADF, "standard output is closed")
    encoding = sys.stdout.encoding or "utf-8"
    print(text.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()


def _give_up_stdout() -> None:
    """Let what is still in the buffer go nowhere: Python would try again at its end, and change the exit status."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def complain(text: str) -> None:
    """Print a line to standard error, if somebody can read it."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            print(text, file=sys.stderr, flush=True)


def text_of_argument(value: str) -> str:
    """Return an argument as text; bytes that are not UTF-8 are replaced, and a message says so."""
    return text_of_bytes(os.fsencode(value), "an argument") if not _is_text(value) else value


def _is_text(value: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in value)


def text_of_bytes(content: bytes, source: str) -> str:
    """Return bytes as text; those that are not UTF-8 are replaced, and a message says so."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        complain(f"Byte {error.start + 1} of {source} is not UTF-8; invalid bytes are replaced by U+FFFD")
        return content.decode("utf-8-sig", "replace")


def read_stdin() -> str:
    """Return all of standard input.

    Raises:
        ValueError: it is closed.
    """
    if sys.stdin is None:
        raise ValueError("no text: standard input is closed")
    binary = getattr(sys.stdin, "buffer", None)
    return text_of_bytes(binary.read(), "standard input") if binary else sys.stdin.read()
