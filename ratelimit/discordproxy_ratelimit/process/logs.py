"""The log lines of all processes, human-readable or JSON; the supervisor parses them for its log file.

Secrets are removed from every line, tracebacks included, right before it is written.
"""

import asyncio
import json
import logging
import re
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timezone
from functools import lru_cache
from typing import Any, Literal, NamedTuple, Protocol, TextIO

from discordproxy_ratelimit.process.redaction import Redaction

Style = Literal["human", "json"]
Context = Callable[[], Mapping[str, str]]
"""Returns the call that the running task belongs to: rpc, app, request_id; empty outside of calls."""

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

FIELDS = "fields"
"""Name of the record's attribute (`extra={"fields": {...}}`) whose items become keys of a JSON line."""

CALL = "call"
"""Name of the record's attribute that holds the call it belongs to, if that is not the running one."""

MAX_DELAY_S = 0.05
"""Maximum delay of a deferred line."""

MAX_DEFERRED = 100
"""Number of deferred lines that are written even before that: more would hold up the event loop for milliseconds."""

_HUMAN = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (DEBUG|INFO|WARNING|ERROR|CRITICAL) (.*)$")
_LEVELS = {"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}

_LEVEL = rb"(DEBUG|INFO|WARNING|ERROR|CRITICAL)"
_HUMAN_START = re.compile(rb"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} " + _LEVEL + rb" ")
_JSON_START = re.compile(rb'(\{"time": "[^"\\]+", "level": "' + _LEVEL + rb'", "logger": ")([^"\\]*)(", "message": ")')
_NUMBERS = {name.encode(): number for name, number in logging.getLevelNamesMapping().items()}


class DeferredLine(Protocol):
    """A line that is made when it is written."""

    def record(self) -> logging.LogRecord:
        """Return the record of the line."""


class Line(NamedTuple):
    """A parsed log line.

    Attributes:
        level: its number.
        text: logger and message.
        fields: the other keys of a JSON line.
    """

    level: int
    text: str
    fields: dict[str, Any]


def set_up(
    level: str,
    style: Style = "human",
    *,
    secrets: Iterable[str] = (),
    context: Context = dict[str, str],
) -> None:
    """Log to stderr from `level` on; verbose libraries from WARNING on."""
    # Attributes that no line shows need not be computed (the library's documentation, "Optimization").
    logging._srcfile = None  # noqa: SLF001 - documented, underscore and all
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = DeferringHandler(sys.stderr)
    handler.setFormatter(formatter(style, secrets=secrets, context=context))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in ("asyncio", "discord", "aiohttp.access"):
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
    logging.getLogger("discord.client").setLevel(logging.ERROR)  # warns at every start that voice needs more packages


def formatter(style: Style, *, secrets: Iterable[str] = (), context: Context = dict[str, str]) -> logging.Formatter:
    """Return the formatter of a style.

    Args:
        style: `human`, or `json` for one object per line.
        secrets: redacted from all lines, those of libraries included.
        context: called for every line.
    """
    kind = JsonFormatter if style == "json" else HumanFormatter
    return kind(Redaction(secrets), context)


class DeferringHandler(logging.StreamHandler[TextIO]):
    """Writes deferred lines together, at most `MAX_DELAY_S` late, and before each other line.

    Made and written one by one, the lines of the access log were a tenth of a busy worker's CPU time; together, they
    are 4 %.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._deferred: deque[DeferredLine] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def defer(self, line: DeferredLine) -> None:
        """Write a line soon. The event loop must run."""
        self._deferred.append(line)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(MAX_DELAY_S, self._on_timer)
        elif len(self._deferred) >= MAX_DEFERRED:
            self._write_deferred()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line, after the deferred ones."""
        self._write_deferred()
        super().emit(record)

    def flush(self) -> None:
        """Write the deferred lines, also at the end of the process."""
        self._write_deferred()
        super().flush()

    def _on_timer(self) -> None:
        self._timer = None
        self._write_deferred()

    def _write_deferred(self) -> None:
        """Write the deferred lines at once: a write for each one would take as long as its format."""
        self.acquire()
        try:
            lines = []
            while self._deferred:
                record = self._deferred.popleft().record()
                try:
                    lines.append(self.format(record) + self.terminator)
                except Exception:  # noqa: BLE001 - the library's way: one bad record loses no other
                    self.handleError(record)
            if lines:
                self._write("".join(lines), record)
        finally:
            self.release()

    def _write(self, text: str, last: logging.LogRecord) -> None:
        try:
            self.stream.write(text)
            self.stream.flush()
        except Exception:  # noqa: BLE001 - the library's way: a full disk or a closed pipe ends no call
            self.handleError(last)


def late_writer(logger: logging.Logger) -> Callable[[DeferredLine], None]:
    """Return a function that writes a line of `logger`, late if the process has a handler that defers."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, DeferringHandler):
            return handler.defer
    return lambda line: logger.handle(line.record())


class HumanFormatter(logging.Formatter):
    """`FORMAT`, followed by the call that the line belongs to, unless its text contains the request id."""

    def __init__(self, redact: Redaction, context: Context) -> None:
        super().__init__(FORMAT)
        self._redact, self._context = redact, context

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """Return the line without traceback."""
        line = f"{record.asctime} {record.levelname} {record.name}: {record.message}"
        of = _call_of(record, self._context)
        if of and of.get("request_id", "") not in line:
            line += f" ({' '.join(f'{name}={value}' for name, value in of.items())})"
        return line

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text without secrets."""
        if record.exc_info or record.exc_text or record.stack_info:
            return self._redact(super().format(record))
        record.message = record.getMessage()
        record.asctime = f"{_seconds(int(record.created))},{int(record.msecs):03d}"
        return self._redact(self.formatMessage(record))


@lru_cache(maxsize=1)
def _seconds(created: int) -> str:
    """Return the local time of a Unix time."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(created))


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time (ISO, UTC), level, logger, message, call, further fields, exception."""

    def __init__(self, redact: Redaction, context: Context) -> None:
        super().__init__()
        self._redact, self._context = redact, context

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON without secrets."""
        document: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_call_of(record, self._context),
            **getattr(record, FIELDS, {}),
        }
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        text = "\n".join(_texts(document))
        if self._redact(text) != text:
            document = _deep(self._redact, document)
        return json.dumps(document, ensure_ascii=False, default=str)


def _call_of(record: logging.LogRecord, context: Context) -> Mapping[str, str]:
    call: Mapping[str, str] | None = getattr(record, CALL, None)
    return context() if call is None else call


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts of a document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)


def _deep(redact: Redaction, value: Any) -> Any:
    """Redact the texts of a document. In the finished line, a secret could be escaped, or an escape be cut in half."""
    if isinstance(value, str):
        return redact(value)
    return {name: _deep(redact, each) for name, each in value.items()} if isinstance(value, dict) else value


def attribute(line: bytes, source: bytes) -> tuple[int, bytes] | None:
    """Return the level of a formatted line, and the line as if logged by `source`, its logger before the message.

    None for a line that no formatter of this module wrote. Much cheaper than `read` and another formatter.

    Args:
        line: a whole line, without its end.
        source: name of a process, without quotation marks and backslashes.
    """
    if found := _HUMAN_START.match(line):
        return _NUMBERS[found[1]], b"%b%b: %b" % (found[0], source, line[found.end() :])
    if (found := _JSON_START.match(line)) and line.endswith(b"}"):
        head, level, logger, message = found.groups()
        return _NUMBERS[level], b"%b%b%b%b: %b" % (head, source, message, logger, line[found.end() :])
    return None


def read(line: str) -> Line | None:
    """Parse a line of either style; None for other lines, such as tracebacks."""
    if line.startswith("{"):
        return _read_json(line)
    found = _HUMAN.match(line)
    return Line(logging.getLevelNamesMapping()[found[1]], found[2], {}) if found else None


def _read_json(line: str) -> Line | None:
    try:
        document = json.loads(line)
        level, logger, message = (document.pop(name) for name in ("level", "logger", "message"))
    except (ValueError, KeyError, RecursionError):
        return None
    document.pop("time", None)
    return (
        Line(logging.getLevelNamesMapping()[level], f"{logger}: {message}", document) if str(level) in _LEVELS else None
    )
