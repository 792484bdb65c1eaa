"""Lines of the access log: what they contain in both styles, and that they show the call as it was when it ended."""

import json
import logging

import pytest

from discordproxy_api.calls.call import Call
from discordproxy_api.calls.errors import refusal
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.pipeline import access_log
from discordproxy_api.pipeline.access_log import AccessLog
from discordproxy_ratelimit.process import logs
from fakes.virtual_time import VirtualClock, run


@pytest.fixture
def lines(monkeypatch, caplog) -> list[logs.DeferredLine]:
    written: list[logs.DeferredLine] = []
    monkeypatch.setattr(access_log, "late_writer", lambda _logger: written.append)
    caplog.set_level(logging.INFO, access_log.ACCESS_LOGGER)
    return written


def ended(call: Call, *outcome: object, **options: object) -> None:
    async def end() -> None:
        log = AccessLog(Metrics(), **options)  # type: ignore[arg-type]
        log.end(call, *outcome, log.begin())  # type: ignore[arg-type]

    run(end(), VirtualClock())


def test_a_line_shows_the_call_as_it_was_at_its_end(lines) -> None:
    call = Call("SendChannelMessage", "0123", app="srp", trace_id="t1")
    call.left(1.0, effect=True)
    ended(call, "CANCELLED", None)
    call.succeeded(200, effect=True)  # the request was finished in the background
    (line,) = lines
    human = logs.formatter("human", context=lambda: {"request_id": "another"}).format(line.record())
    assert human.endswith(
        "INFO discordproxy_api.access: SendChannelMessage CANCELLED app=srp sent=unknown requests=1 0.000 s [0123]"
    )
    document = json.loads(logs.formatter("json", context=lambda: {"request_id": "another"}).format(line.record()))
    assert document["message"] in human
    assert {name: document[name] for name in ("rpc", "app", "request_id", "trace_id", "sent", "http", "door")} == {
        "rpc": "SendChannelMessage",
        "app": "srp",
        "request_id": "0123",
        "trace_id": "t1",
        "sent": "unknown",
        "http": 0,
        "door": "grpc",
    }


def test_a_line_names_reason_status_and_way_in(lines) -> None:
    call = Call("Request", "0123", door="http")
    call.refused(403, effect=True)
    ended(call, "PERMISSION_DENIED", refusal("PERMISSION_DENIED", "DISCORD_REFUSED", "no"))
    text = logs.formatter("human").format(lines[0].record())
    assert "Request PERMISSION_DENIED DISCORD_REFUSED app=" in text
    assert " http=403 door=http 0.000 s [0123]" in text


def test_no_line_is_made_below_the_level(lines) -> None:
    ended(Call("Check", "0123"), "OK", None, level=logging.DEBUG)
    assert lines == []
