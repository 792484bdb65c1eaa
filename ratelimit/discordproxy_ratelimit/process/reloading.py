"""A value read from files, again when they change. Invalid files leave the last valid value in force."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

log = logging.getLogger("discordproxy_api.access")

Value = TypeVar("Value")

CHECK_INTERVAL_S = 1.0


class UnusableFileError(Exception):
    """A file is invalid; the text is one line with the setting or file, the problem and the fix."""


class ReloadedValue(Generic[Value]):
    """Checks the files when the value is read, at most once a second, without a task.

    Several threads may use it: gRPC reads certificates in its own threads.

    Args:
        make: reads the files and returns the value, or raises UnusableFileError.

    Raises:
        UnusableFileError: there is no valid value at the start.
    """

    def __init__(
        self, paths: Sequence[Path], make: Callable[[], Value], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._paths = tuple(paths)
        self._make = make
        self._clock = clock
        self._lock = threading.Lock()
        self._checked_at = clock()
        self._stamps = self._read_stamps()  # before the files are read, so that a change in between is detected
        self._value = make()
        self._problem = ""

    def get(self) -> Value:
        """Return the latest valid value."""
        if self._clock() - self._checked_at >= CHECK_INTERVAL_S:
            with self._lock:
                self._refresh()
        return self._value

    def problem(self) -> str:
        """Return why the present content of the files is not in use, "" if it is."""
        self.get()
        return self._problem

    def _refresh(self) -> None:
        now = self._clock()
        if now - self._checked_at < CHECK_INTERVAL_S:
            return  # another thread was faster
        self._checked_at = now
        stamps = self._read_stamps()
        if stamps == self._stamps:
            return
        self._stamps = stamps
        try:
            self._value = self._make()
        except UnusableFileError as error:
            self._problem = str(error)
            log.error("%s; the last valid content stays in force", error)  # noqa: TRY400 - the line is complete
        else:
            self._problem = ""
            log.info("Read again: %s", ", ".join(map(str, self._paths)))

    def _read_stamps(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_stamp(path) for path in self._paths)


def read_file(path: Path, setting: str) -> bytes:
    """Return the content of a file.

    Raises:
        UnusableFileError: it cannot be read; the text names the setting.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnusableFileError(
            f"{setting}: cannot read {str(path)!r} ({error.strerror}); give the path of a file that this user may read"
        ) from None


def grants(path: Path, bits: int) -> bool:
    """Return whether a file's mode has one of these bits; False if the file is missing."""
    try:
        return bool(path.stat().st_mode & bits)
    except OSError:
        return False


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
