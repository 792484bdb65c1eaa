"""Lines for people and for machines, and back."""

import asyncio
import io
import json
import logging

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


class Written(logging.StreamHandler):
    """Keeps formatted lines."""

    def __init__(self) -> None:
        super().__init__(io.StringIO())
        self.setFormatter(logs.formatter("json"))

    @property
    def lines(self) -> list[str]:
        return [json.loads(line)["message"] for line in self.stream.getvalue().splitlines()]


def deferring(context: logs.Context = dict[str, str]) -> tuple[Written, logging.Handler]:
    written = Written()
    return written, logs.DeferringHandler(written, "access", context)


def line(name: str, text: str) -> logging.LogRecord:
    return logging.LogRecord(name, logging.INFO, "x.py", 1, text, (), None)


def test_deferred_lines_are_written_together_and_soon() -> None:
    async def finish() -> None:
        written, handler = deferring()
        for text in "ab":
            handler.handle(line("access", text))
        assert written.lines == []
        await asyncio.sleep(logs.MAX_DELAY_S * 1.01)
        assert written.lines == ["a", "b"]
        handler.handle(line("access", "c"))
        await asyncio.sleep(logs.MAX_DELAY_S * 1.01)
        assert written.lines == ["a", "b", "c"]

    run(finish(), VirtualClock())


def test_the_lines_of_other_loggers_are_written_at_once_and_in_order() -> None:
    async def finish() -> None:
        written, handler = deferring()
        handler.handle(line("access", "a"))
        handler.handle(line("rest", "b"))
        assert written.lines == ["a", "b"]

    run(finish(), VirtualClock())


def test_deferred_lines_are_bounded_and_written_at_the_end() -> None:
    async def finish() -> None:
        written, handler = deferring()
        for _ in range(logs.MAX_DEFERRED):
            handler.handle(line("access", "a"))
        assert len(written.lines) == logs.MAX_DEFERRED
        handler.handle(line("access", "last"))
        handler.close()
        assert written.lines[-1] == "last"

    run(finish(), VirtualClock())


def test_without_an_event_loop_no_line_is_deferred() -> None:
    written, handler = deferring()
    handler.handle(line("access", "a"))
    assert written.lines == ["a"]


def test_a_deferred_line_names_the_call_that_ran_when_it_was_logged() -> None:
    running = {"request_id": "first"}

    async def finish() -> None:
        written, handler = deferring(lambda: dict(running))
        written.setFormatter(logs.formatter("json", context=lambda: {"request_id": "another"}))
        records = [line("access", "a")]
        handler.handle(records[0])
        running["request_id"] = "second"
        assert json.loads(written.format(records[0]))["request_id"] == "first"
        handler.close()

    run(finish(), VirtualClock())


@pytest.mark.parametrize("created", [0.0, 1_796_052_449.9999, 1_796_052_450.001])
def test_a_line_is_that_of_the_librarys_formatter(created):
    one = record("took %d s", 3)
    one.created, one.msecs = created, (created % 1) * 1000
    assert logs.formatter("human").format(one) == logging.Formatter(logs.FORMAT).format(one)


def test_deferred_lines_are_written_at_once_and_a_bad_one_loses_no_other(monkeypatch):
    monkeypatch.setattr(logging, "raiseExceptions", False)
    stream = io.StringIO()
    target = logging.StreamHandler(stream)
    target.setFormatter(logs.formatter("human"))
    handler = logs.DeferringHandler(target, "access", dict)
    for each in (record("first"), record("%d", "none"), record("last")):
        each.name = "access"
        handler.buffer.append(each)
    handler.flush()
    handler.flush()
    assert [line.rpartition(": ")[2] for line in stream.getvalue().splitlines()] == ["first", "last"]
