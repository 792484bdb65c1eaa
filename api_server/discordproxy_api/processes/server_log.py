"""The supervisor's log for all children: a rotating file and the console, each with its own level.

Lines of the children are already formatted and redacted. They are written as they are, many at once.

Only the supervisor writes the file, so that rotation is safe. Other programs may rotate it, too: if the file was
moved or removed, the next line creates a new one.
"""

import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

from discordproxy_api.processes.output import MAX_LINE_BYTES
from discordproxy_ratelimit.process import logs
from discordproxy_ratelimit.process.logs import Style
from discordproxy_ratelimit.process.private_files import open_log
from discordproxy_ratelimit.process.streams import complain

FILE_NAME = "discordproxyserver.log"
MEBIBYTES, KEPT = 10, 10

LEVELS = ("DEBUG", "INFO", "WARN", "ERROR", "CRITICAL")


class LogFile(RotatingFileHandler):
    """A rotating file with mode 0600, reopened after another program has moved it."""

    _opened: os.stat_result

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        if self.stream is not None and self._was_moved():
            self._reopen(self.stream)
        super().emit(record)

    def write_lines(self, lines: list[bytes]) -> None:
        """Write finished lines. Errors are handled as those of a record."""
        self.acquire()
        try:
            self._write(b"\n".join([*lines, b""]).decode("utf-8", "replace"))
        except Exception:  # noqa: BLE001 - as the library's handlers do
            self.handleError(logging.makeLogRecord({}))
        finally:
            self.release()

    def _write(self, text: str) -> None:
        if self.stream is None:
            self.stream = self._open()
        elif self._was_moved():
            self._reopen(self.stream)
        if self.stream.seek(0, os.SEEK_END) + len(text) > self.maxBytes:
            self.doRollover()
        self.stream.write(text)
        self.stream.flush()

    def _open(self) -> TextIOWrapper:
        descriptor = open_log(self.baseFilename)
        self._opened = os.fstat(descriptor)
        return os.fdopen(descriptor, "a", encoding=self.encoding, errors=self.errors)

    def _was_moved(self) -> bool:
        try:
            return not os.path.samestat(os.lstat(self.baseFilename), self._opened)
        except FileNotFoundError:
            return True

    def _reopen(self, moved: TextIOWrapper) -> None:
        try:
            self.stream = self._open()
        except OSError:
            return  # the moved file still accepts lines
        moved.close()


def set_up(
    folder: Path, file_level: str, console_level: str, *, style: Style = "human", secrets: Iterable[str] = ()
) -> "ServerLog":
    """Log to `folder`/discordproxyserver.log and to stderr.

    Args:
        folder: exists and can be written to.
        file_level: lowest level in the file.
        console_level: lowest level on the console.
        style: format of the lines.
        secrets: redacted from the lines.

    Raises:
        OSError: the file cannot be written.
    """
    path = folder.absolute() / FILE_NAME
    file = LogFile(path, maxBytes=MEBIBYTES * 2**20, backupCount=KEPT, encoding="utf-8")
    file.handleError = LostLines(path).warn  # type: ignore[method-assign] # of this one only
    file.setLevel(file_level)
    console = ConsoleHandler()
    console.setLevel(console_level)
    secrets = [secret for secret in secrets if secret]
    for handler in (file, console):
        handler.setFormatter(logs.formatter(style, secrets=secrets))
    logging.basicConfig(level=lower(file_level, console_level), handlers=[file, console], force=True)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    return ServerLog(path, file, console, secrets)


class ServerLog:
    """Writes the lines of the children to the file and the console.

    Args:
        path: absolute path of the file.
        file, console: the handlers.
        secrets: known secrets; lines that contain one are redacted again.
    """

    def __init__(self, path: Path, file: LogFile, console: "ConsoleHandler", secrets: Iterable[str] = ()) -> None:
        self.path = path
        self._file, self._console = file, console
        self._secrets = [secret.encode() for secret in secrets]

    def relay(self, name: str, lines: list[bytes]) -> str:
        """Log lines of the child `name` at their own levels; return the last one that is no log line, or ""."""
        source, finished, other = name.encode(), [], ""
        for line in lines:
            attributed = None if self._is_doubtful(line) else logs.attribute(line, source)
            if attributed:
                finished.append(attributed)
                continue
            self._write(finished)
            finished = []
            text = line.decode("utf-8", "replace")
            if not log_line(name, text):
                other = text
        self._write(finished)
        return other

    def _is_doubtful(self, line: bytes) -> bool:
        """Return whether a line may be cut or contains a secret."""
        return len(line) >= MAX_LINE_BYTES or any(secret in line for secret in self._secrets)

    def _write(self, lines: list[tuple[int, bytes]]) -> None:
        if for_file := [line for level, line in lines if level >= self._file.level]:
            self._file.write_lines(for_file)
        self._console.write_lines([line for level, line in lines if level >= self._console.level])


class LostLines:
    """Warns on stderr, at most once a minute, that log lines cannot be written to `path`."""

    EVERY_S = 60.0

    def __init__(self, path: Path) -> None:
        self._path = path
        self._warned_at = float("-inf")

    def warn(self, record: logging.LogRecord) -> None:  # noqa: ARG002 - the signature of the library
        """Replace a handler's `handleError`, which prints a traceback for each line."""
        if time.monotonic() - self._warned_at > self.EVERY_S:
            self._warned_at = time.monotonic()
            complain(f"WARNING: log lines are lost: {self._path} cannot be written ({sys.exception()})")


class ConsoleHandler(logging.Handler):
    """Writes lines to stderr in a thread, so that a blocked terminal or pipe does not block the server."""

    MAX_LINES = 1000
    FLUSH_S = 1.0

    def __init__(self) -> None:
        super().__init__()
        self._lines: queue.Queue[bytes] = queue.Queue(self.MAX_LINES)
        threading.Thread(target=self._write, name="console", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Queue a line; it is dropped if the queue is full."""
        try:
            self._lines.put_nowait(f"{self.format(record)}\n".encode("utf-8", "backslashreplace"))
        except queue.Full:
            pass
        except Exception:  # noqa: BLE001 - as the library's handlers do
            self.handleError(record)

    def write_lines(self, lines: list[bytes]) -> None:
        """Queue finished lines, as `emit`."""
        for line in lines:
            with suppress(queue.Full):
                self._lines.put_nowait(line + b"\n")

    def flush(self) -> None:
        """Wait until all lines are written, for a limited time. `logging` calls this at exit."""
        deadline = time.monotonic() + self.FLUSH_S
        while self._lines.unfinished_tasks and time.monotonic() < deadline:
            time.sleep(0.01)

    def _write(self) -> None:
        while True:
            line = self._lines.get()
            with suppress(OSError):
                # Not with `sys.stderr`: a thread that blocks in it keeps the interpreter from exiting.
                while line := line[os.write(2, line) :]:
                    pass
            self._lines.task_done()


def lower(first: str, second: str) -> str:
    """Return the lower of two levels, which the children must log at."""
    names = logging.getLevelNamesMapping()
    return min(first, second, key=names.__getitem__)


def log_line(name: str, line: str) -> bool:
    """Log a line of the child `name` at its own level; return False if it is no log line, such as a traceback."""
    read = logs.read(line)
    if read is None:
        logging.getLogger(name).error("%s", line)
        return False
    logging.getLogger(name).log(read.level, "%s", read.text, extra={logs.FIELDS: read.fields})
    return True
