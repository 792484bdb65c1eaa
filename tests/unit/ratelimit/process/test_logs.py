"""Lines for people and for machines, and back."""

import asyncio
import io
import json
import logging
from typing import NamedTuple

import pytest

from discordproxy_ratelimit.process import logs
from fakes.virtual_time import VirtualClock, run

CALL = {"rpc": "SendChannelMessage", "app": "srp", "request_id": "0123456789abcdef"}


def record(text: str, *arguments: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("discordproxy_api.rest", logging.WARNING, "rest.py", 1, text, arguments, None)
    made.__dict__.update(extra)
    return made


def raised(text: str) -> logging.LogRecord:
    try:
        raise ValueError(text)  # noqa: TRY301 - only a raised error has a traceback
    except ValueError as error:
        made = record("failed")
        made.exc_info = (type(error), error, error.__traceback__)
    return made


def test_a_human_line_names_the_call_it_belongs_to_once() -> None:
    formatter = logs.formatter("human", context=lambda: CALL)
    said = formatter.format(record("slow"))
    assert said.endswith("slow (rpc=SendChannelMessage app=srp request_id=0123456789abcdef)")
    assert formatter.format(record("slow [%s]", CALL["request_id"])).endswith("slow [0123456789abcdef]")


def test_a_json_line_holds_call_and_facts() -> None:
    line = logs.formatter("json", context=lambda: CALL).format(record("took %d s", 3, fields={"seconds": 3}))
    document = json.loads(line)
    assert document.pop("time").endswith("+00:00")
    expected = {"level": "WARNING", "logger": "discordproxy_api.rest", "message": "took 3 s", "seconds": 3}
    assert document == expected | CALL


@pytest.mark.parametrize("style", ["human", "json"])
def test_no_secret_gets_through_texts_facts_or_tracebacks(style: logs.Style) -> None:
    formatter = logs.formatter(style, secrets=['quo"ted-secret'], context=lambda: {"app": 'quo"ted-secret'})
    for each in (
        record('a quo"ted-secret'),
        record("x", fields={"y": {"z": 'quo"ted-secret'}}),
        raised('quo"ted-secret'),
    ):
        said = formatter.format(each)
        assert "ted-secret" not in said
    assert "ValueError: ***" in formatter.format(raised('quo"ted-secret'))


@pytest.mark.parametrize("style", ["human", "json"])
def test_a_line_is_read_back(style: logs.Style) -> None:
    line = logs.formatter(style, context=lambda: CALL if style == "json" else {}).format(record("100%"))
    assert logs.read(line) == (logging.WARNING, "discordproxy_api.rest: 100%", CALL if style == "json" else {})


@pytest.mark.parametrize(
    "line", ["Traceback (most recent call last):", "{}", "{", '{"level": 1, "logger": 2, "message": 3}']
)
def test_what_is_no_line_is_none(line: str) -> None:
    assert logs.read(line) is None


class Deferring(logs.DeferringHandler):
    """Writes to a text."""

    def __init__(self) -> None:
        super().__init__(io.StringIO())
        self.setFormatter(logs.formatter("json"))

    @property
    def lines(self) -> list[str]:
        return [json.loads(line)["message"] for line in self.stream.getvalue().splitlines()]


class Text(NamedTuple):
    """A deferred line."""

    text: str
    args: tuple[object, ...] = ()

    def record(self) -> logging.LogRecord:
        return logging.LogRecord("access", logging.INFO, "x.py", 1, self.text, self.args, None)


def test_deferred_lines_are_written_together_and_soon() -> None:
    async def finish() -> None:
        handler = Deferring()
        for text in "ab":
            handler.defer(Text(text))
        assert handler.lines == []
        await asyncio.sleep(logs.MAX_DELAY_S * 1.01)
        assert handler.lines == ["a", "b"]
        handler.defer(Text("c"))
        await asyncio.sleep(logs.MAX_DELAY_S * 1.01)
        assert handler.lines == ["a", "b", "c"]

    run(finish(), VirtualClock())


def test_other_lines_are_written_at_once_and_in_order() -> None:
    async def finish() -> None:
        handler = Deferring()
        handler.defer(Text("a"))
        handler.handle(Text("b").record())
        assert handler.lines == ["a", "b"]

    run(finish(), VirtualClock())


def test_a_line_that_another_thread_writes_comes_after_the_deferred_ones() -> None:
    async def finish() -> None:
        handler = Deferring()
        handler.defer(Text("a"))
        await asyncio.to_thread(handler.handle, Text("b").record())
        assert handler.lines == ["a", "b"]

    asyncio.run(finish())


def test_deferred_lines_are_bounded_and_written_at_the_end() -> None:
    async def finish() -> None:
        handler = Deferring()
        for _ in range(logs.MAX_DEFERRED):
            handler.defer(Text("a"))
        assert len(handler.lines) == logs.MAX_DEFERRED
        handler.defer(Text("last"))
        handler.flush()  # as `logging.shutdown`
        assert handler.lines[-1] == "last"

    run(finish(), VirtualClock())


def test_a_line_is_written_at_once_without_a_handler_that_defers(caplog) -> None:
    with caplog.at_level(logging.INFO):
        logs.late_writer(logging.getLogger("access"))(Text("a"))
    assert caplog.messages == ["a"]


def test_a_line_is_deferred_by_the_handler_of_the_process(monkeypatch) -> None:
    async def finish() -> None:
        handler = Deferring()
        monkeypatch.setattr(logging.getLogger(), "handlers", [logging.NullHandler(), handler])
        logs.late_writer(logging.getLogger("access"))(Text("a"))
        assert handler.lines == []
        handler.flush()
        assert handler.lines == ["a"]

    run(finish(), VirtualClock())


@pytest.mark.parametrize("created", [0.0, 1_796_052_449.9999, 1_796_052_450.001])
def test_a_line_is_that_of_the_librarys_formatter(created):
    one = record("took %d s", 3)
    one.created, one.msecs = created, (created % 1) * 1000
    assert logs.formatter("human").format(one) == logging.Formatter(logs.FORMAT).format(one)


def test_a_bad_deferred_line_loses_no_other(monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)

    async def finish() -> None:
        handler = Deferring()
        for each in (Text("first"), Text("%d", ("none",)), Text("last")):
            handler.defer(each)
        handler.flush()
        handler.flush()
        assert handler.lines == ["first", "last"]

    run(finish(), VirtualClock())


class Full(io.StringIO):
    """A stream to a full disk."""

    def write(self, _text: str) -> int:
        raise OSError("No space left on device")

    def flush(self) -> None:
        raise OSError("No space left on device")


def test_a_stream_that_cannot_be_written_fails_no_caller(monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)

    async def finish() -> None:
        handler = Deferring()
        handler.stream = Full()
        for _ in range(logs.MAX_DEFERRED + 1):
            handler.defer(Text("lost"))
        handler.handle(Text("lost").record())
        handler.defer(Text("lost"))
        await asyncio.sleep(logs.MAX_DELAY_S * 1.01)
        handler.stream = io.StringIO()
        handler.defer(Text("written"))
        await asyncio.sleep(logs.MAX_DELAY_S * 1.01)
        assert handler.lines == ["written"]

    run(finish(), VirtualClock())
