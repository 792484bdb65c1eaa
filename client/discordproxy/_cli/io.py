"""Input and output of the commands: invalid UTF-8, closed or full streams, broken pipes."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from pathlib import Path
from typing import NamedTuple

from discordproxy._requests.reading import read_within

MAX_INPUT_BYTES = 32 * 1024 * 1024
"""The largest request that the proxy accepts by default."""

_BROKEN_PIPE = errno.EPIPE


class CommandResult(NamedTuple):
    """The result of a command.

    Attributes:
        status: Exit status.
        text: Text to print, without the last line break.
        done: Whether the command changed something. Then a failure to print the text does not change the status.
    """

    status: int
    text: str
    done: bool = False


def show(outcome: CommandResult, *, unwritten: int) -> int:
    """Print the text; return the exit status: `unwritten` if printing failed and was the command's only purpose."""
    try:
        if outcome.text:
            _print(outcome.text)
    except OSError as error:
        _discard_stdout()
        if error.errno != _BROKEN_PIPE:
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


def _discard_stdout() -> None:
    """Discard the buffered output: Python would flush it again at exit and change the exit status."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, sys.stdout.fileno())
        os.close(devnull)


def complain(text: str) -> None:
    """Print a line to standard error; ignore failures."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError):
            print(text, file=sys.stderr, flush=True)


def text_of_argument(value: str) -> str:
    """Return an argument as text. Invalid UTF-8 is replaced and reported."""
    return text_of_bytes(os.fsencode(value), "an argument") if not _is_text(value) else value


def _is_text(value: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in value)


def text_of_bytes(content: bytes, source: str) -> str:
    """Return bytes as text. Invalid UTF-8 is replaced and reported."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        complain(f"Byte {error.start + 1} of {source} is not UTF-8; invalid bytes are replaced by U+FFFD")
        return content.decode("utf-8-sig", "replace")


def read_stdin(limit: int = MAX_INPUT_BYTES, limit_text: str = "32 MiB, the largest request") -> str:
    """Return the text of standard input.

    Args:
        limit: Maximum number of bytes.
        limit_text: The limit, for the error.

    Raises:
        ValueError: Standard input is closed, or has more.
    """
    if sys.stdin is None:
        raise ValueError("no text: standard input is closed")
    excess = f"standard input has more than {limit_text}"
    content = read_within(getattr(sys.stdin, "buffer", sys.stdin), limit, excess)
    return text_of_bytes(content, "standard input") if isinstance(content, bytes) else content


def read_text(path: str) -> str:
    """Return the text of a file.

    Raises:
        OSError: The file cannot be read.
        ValueError: It has more than the largest request.
    """
    with Path(path).open("rb") as file:
        content = read_within(file, MAX_INPUT_BYTES, f"{path} has more than 32 MiB, the largest request")
    return text_of_bytes(content, path)
