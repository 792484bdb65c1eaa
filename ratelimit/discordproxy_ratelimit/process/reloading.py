"""A value made from files, made anew when they change. What cannot be used leaves the last good value in force."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

log = logging.getLogger("discordproxy_api.access")

Value = TypeVar("Value")

LOOK_EVERY_S = 1.0


class UnusableFileError(Exception):
    """A file cannot be used; the text is one line with the setting or file, the problem and the fix."""


class ReloadedValue(Generic[Value]):
    """The files are looked at when the value is asked for, once a second at most; there is no task behind it.

    Safe to use from several threads: gRPC asks for certificates in its own.

    Args:
        make: reads the files and returns the value, or raises Unusable.

    Raises:
        Unusable: there is no good value to begin with.
    """

    def __init__(
        self, paths: Sequence[Path], make: Callable[[], Value], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._paths = tuple(paths)
        self._make = make
        self._clock = clock
        self._lock = threading.Lock()
        self._looked_at = clock()
        self._stamps = self._look()  # before reading: a change in between is then seen the next time
        self._value = make()

    def get(self) -> Value:
        """Return the newest good value."""
        if self._clock() - self._looked_at >= LOOK_EVERY_S:
            with self._lock:
                self._refresh()
        return self._value

    def _refresh(self) -> None:
        now = self._clock()
        if now - self._looked_at < LOOK_EVERY_S:
            return  # another thread was faster
        self._looked_at = now
        stamps = self._look()
        if stamps == self._stamps:
            return
        self._stamps = stamps
        try:
            self._value = self._make()
        except UnusableFileError as error:
            log.error("%s; what was read before stays in force", error)  # noqa: TRY400 - the line says it all
        else:
            log.info("read again: %s", ", ".join(map(str, self._paths)))

    def _look(self) -> tuple[tuple[int, int, int] | None, ...]:
        return tuple(_stamp(path) for path in self._paths)


def read_file(path: Path, setting: str) -> bytes:
    """Return what a file holds.

    Raises:
        Unusable: it cannot be read; the text names the setting.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnusableFileError(
            f"{setting}: cannot read {str(path)!r} ({error.strerror}); give the path of a file that this user may read"
        ) from None


def grants(path: Path, bits: int) -> bool:
    """Tell whether a file's mode has one of these bits; a file that has just gone grants nothing."""
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
