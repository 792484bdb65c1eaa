"""Lines for people and for machines, and back."""

import json
import logging

import pytest

from discordproxy_ratelimit.process import logs

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
