"""Errors as callers receive them: status, reason, Discord's text, size."""

import json

import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from discordproxy.common_pb2 import SENT_UNKNOWN, DiscordError
from discordproxy_api.calls import errors
from discordproxy_api.calls.field_errors import FieldError
from discordproxy_api.grpc_edge.error_details import MAX_BYTES, render
from discordproxy_ratelimit.errors import (
    BrokerError,
    BrokerUnavailableError,
    CircuitOpenError,
    DrainingError,
    KnownRefusalError,
    ShareUsedError,
    TokenRejectedError,
    WaitRefusedError,
)
from discordproxy_ratelimit.headers import read_answer


def from_answer(status, headers, body, **options):
    return errors.from_answer(read_answer(status, headers, body), headers, body, **options)


@pytest.mark.parametrize(
    ("http", "status"),
    [
        (400, "INVALID_ARGUMENT"),
        (401, "UNAUTHENTICATED"),
        (403, "PERMISSION_DENIED"),
        (404, "NOT_FOUND"),
        (405, "INVALID_ARGUMENT"),
        (409, "FAILED_PRECONDITION"),
        (412, "FAILED_PRECONDITION"),
        (413, "INVALID_ARGUMENT"),
        (418, "INVALID_ARGUMENT"),
        (302, "INVALID_ARGUMENT"),
        (429, "RESOURCE_EXHAUSTED"),
        (500, "INTERNAL"),
        (501, "INTERNAL"),
        (502, "UNAVAILABLE"),
        (503, "INTERNAL"),
        (504, "DEADLINE_EXCEEDED"),
        (505, "INTERNAL"),
        (507, "INTERNAL"),
        (520, "INTERNAL"),
        (524, "INTERNAL"),
    ],
)
def test_every_http_status_has_its_grpc_status(http, status):
    assert errors.status_of(http) == status
    assert from_answer(http, {}, b"").http_status == http


@pytest.mark.parametrize(
    ("error", "status", "reason", "http"),
    [
        (WaitRefusedError("x"), "RESOURCE_EXHAUSTED", "WAIT_EXCEEDS_DEADLINE", 0),
        (WaitRefusedError("x", reason="QUEUE_FULL"), "RESOURCE_EXHAUSTED", "QUEUE_FULL", 0),
        (BrokerUnavailableError("x"), "UNAVAILABLE", "BROKER_UNAVAILABLE", 0),
        (CircuitOpenError("x"), "UNAVAILABLE", "CIRCUIT_OPEN", 0),
        (ShareUsedError("x"), "RESOURCE_EXHAUSTED", "INVALID_BUDGET_USED", 0),
        (DrainingError("x"), "UNAVAILABLE", "DRAINING", 0),
        (TokenRejectedError("x"), "UNAUTHENTICATED", "UNAUTHENTICATED", 401),
        (KnownRefusalError("x", status=403, code=50001), "PERMISSION_DENIED", "DISCORD_ERROR", 403),
        (KnownRefusalError("x", status=404), "NOT_FOUND", "DISCORD_ERROR", 404),
        (BrokerError("x"), "INTERNAL", "INTERNAL", 0),
    ],
)
def test_refusals_of_the_broker(error, status, reason, http):
    error.retry_after_s = 2.5
    api_error = errors.from_broker(error)
    assert (api_error.status, api_error.reason, api_error.http_status) == (status, reason, http)
    assert api_error.retry_after_s == 2.5
    assert api_error.scope == "proxy"


def test_the_four_keys_of_1_5_1_come_first():
    body = b'{"message": "Missing Access", "code": 50001}'
    details = render(from_answer(403, {}, body), sent="no", request_id="r1").details
    assert details.startswith('{"type": "HTTPException", "status": 403, "code": 50001, "text": "Missing Access"')
    assert json.loads(details)["sent"] == "no"


def test_field_errors_are_flattened_as_in_1_5_1():
    body = json.dumps(
        {
            "message": "Invalid Form Body",
            "code": 50035,
            "errors": {
                "content": {"_errors": [{"code": "BASE_TYPE_MAX_LENGTH", "message": "Must be 2000 or fewer."}]},
                "embeds": {"0": {"fields": {"3": {"name": {"_errors": [{"code": "REQUIRED", "message": "Needed"}]}}}}},
                "_errors": [{"code": "WHOLE", "message": "All wrong"}],
                "odd": ["not", "an object"],
            },
        }
    ).encode()
    error = from_answer(400, {}, body)
    assert error.text == (
        "Invalid Form Body\nIn content: Must be 2000 or fewer.\nIn embeds.0.fields.3.name: Needed\nAll wrong"
    )
    assert [field.path for field in error.fields] == ["content", "embeds[0].fields[3].name", ""]


def test_deeply_nested_field_errors_are_omitted():
    body = b'{"message": "Invalid Form Body", "code": 50035, "errors": %s{}%s}' % (b'{"a":' * 900, b"}" * 900)
    error = from_answer(400, {}, body)
    assert (error.status, error.code, error.fields) == ("INVALID_ARGUMENT", 50035, ())


@pytest.mark.parametrize("body", [b"", b"<html>secret</html>", b"[1]", b'"text"', b'{"code": "x", "errors": 7}'])
def test_a_body_that_is_not_discords_is_not_quoted(body):
    error = from_answer(502, {"Via": "1.1 google"}, body)
    assert (error.text, error.code, error.fields) == ("Bad Gateway", 0, ())


@pytest.mark.parametrize("status", [401, 403, 429, 502])
@pytest.mark.parametrize("body", [b"", b"<html>secret</html>", b'{"error_code": 1015, "cloudflare_error": true}'])
def test_an_error_states_that_the_edge_responded(status, body):
    error = from_answer(status, {"CF-RAY": "1"}, body)
    details = json.loads(render(error, sent="no", request_id="r").details)
    assert (details["answered_by"], details["status"], details["code"]) == ("edge", status, 0)
    assert "not by Discord's API" in details["text"]
    assert "answered_by" not in render(from_answer(status, {"Via": "1"}, b""), sent="no", request_id="r").details


def test_scope_and_bucket_come_from_the_headers():
    headers = {"X-RateLimit-Scope": "shared", "X-RateLimit-Bucket": "abc"}
    details = json.loads(
        render(from_answer(429, headers, b"{}", retry_after_s=1.23456), sent="no", request_id="r").details
    )
    assert (details["scope"], details["bucket"], details["retry_after"]) == ("shared", "abc", 1.235)


def test_refusals_of_the_proxy_have_no_status():
    details = json.loads(render(errors.draining(), sent="no", request_id="r").details)
    assert details["type"] == "ProxyException"
    assert "status" not in details
    assert details["reason"] == "DRAINING"
    assert details["retry_after"] > 0


def unpacked(rendered):
    status = Status.FromString(dict(rendered.trailers)["grpc-status-details-bin"])
    assert status.message == rendered.details
    found = {}
    for part in status.details:
        for kind in (ErrorInfo, RetryInfo, BadRequest, DiscordError):
            if part.Is(kind.DESCRIPTOR):
                found[kind] = kind.FromString(part.value)
    return status, found


def test_rich_details_have_the_same_content():
    error = errors.invalid_request([FieldError("content", "BASE_TYPE_MAX_LENGTH", "Too long")])
    error.retry_after_s, error.sent_message_ids = 1.5, (2**63, 5)
    status, parts = unpacked(render(error, sent="unknown", request_id="r1"))
    assert status.code == 3
    assert parts[ErrorInfo].reason == "INVALID_REQUEST"
    assert parts[ErrorInfo].domain == "discordproxy"
    assert parts[RetryInfo].retry_delay.ToMilliseconds() == 1500
    assert parts[BadRequest].field_violations[0].field == "content"
    discord = parts[DiscordError]
    assert (discord.status, discord.code, discord.sent) == (400, 50035, SENT_UNKNOWN)
    assert list(discord.sent_message_ids) == [2**63, 5]


@pytest.mark.parametrize(("sent", "pushback"), [("no", None), ("yes", "-1"), ("unknown", "-1")])
def test_foreign_retry_policies_are_stopped_unless_nothing_was_sent(sent, pushback):
    assert dict(render(errors.draining(), sent=sent, request_id="r").trailers).get("grpc-retry-pushback-ms") == pushback
    for reason in ("DISCORD_UNREACHABLE", "CIRCUIT_OPEN", "BROKER_UNAVAILABLE", "QUEUE_FULL", "NO_GATEWAY"):
        refusal = errors.refusal("UNAVAILABLE", reason, "x")
        assert dict(render(refusal, sent=sent, request_id="r").trailers)["grpc-retry-pushback-ms"] == "-1"


@pytest.mark.parametrize("text", ["x" * 100_000, "\u4e16" * 50_000, "%" * 50_000, "\n" * 50_000])
def test_details_and_trailers_stay_small(text):
    fields = [FieldError(f"embeds[{n}]." + text[:300], "CODE", text) for n in range(200)]
    error = errors.invalid_request(fields)
    error.sent_message_ids = range(2**63, 2**63 + 500)
    rendered = render(error, sent="yes", request_id="r" * 64)
    status, _ = unpacked(rendered)
    assert json.loads(rendered.details)["code"] == 50035
    assert len(rendered.details) + len(status.SerializeToString()) * 4 / 3 <= MAX_BYTES


def test_the_repr_contains_no_text():
    assert "secret" not in repr(from_answer(400, {}, b'{"message": "secret"}'))


@pytest.mark.parametrize("code", [2**31, 10**30, -1])
def test_an_unexpected_response_can_be_encoded(code):
    headers = {"X-RateLimit-Bucket": "\udcff", "X-RateLimit-Scope": "\udcff"}
    error = from_answer(403, headers, json.dumps({"code": code, "message": "x"}).encode())
    assert (error.code, error.bucket, error.scope) == (0, "", "")
    assert json.loads(render(error, sent="no", request_id="r").details)["text"] == "x"


def test_a_copy_of_an_error_has_all_of_its_facts_and_shares_none() -> None:
    error = errors.ApiError(
        "INVALID_ARGUMENT",
        "DISCORD_ERROR",
        "text",
        http_status=400,
        code=50035,
        retry_after_s=1.5,
        scope="user",
        bucket="hash",
        fields=[errors.FieldError("content", "TOO_LONG", "long")],
        sent_message_ids=[1],
    )
    error.extras["key"] = "value"
    copy = error.copy()
    assert vars(copy) == vars(error)
    assert copy.args == error.args
    copy.extras["other"] = ""
    assert error.extras == {"key": "value"}
