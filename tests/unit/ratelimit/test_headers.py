"""Validation of a response's headers and body."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discordproxy_ratelimit.headers import IMPLAUSIBLE_WAIT_S, MAX_WAIT_S, NO_ANSWER, Answer, read_answer
from fakes.every_case import every_case

BUCKET = {
    "X-RateLimit-Limit": "5",
    "X-RateLimit-Remaining": "3",
    "X-RateLimit-Reset": "1790000001.5",
    "X-RateLimit-Reset-After": "1.5",
    "X-RateLimit-Bucket": "abcd1234",
}


def body(**fields: Any) -> bytes:
    return json.dumps({"message": "You are being rate limited.", **fields}).encode()


def test_a_plain_answer() -> None:
    expected = Answer(200, "abcd1234", 5, 3, 1_790_000_001_500, 1.5)
    assert read_answer(200, BUCKET) == expected
    assert read_answer(200, {name.lower(): value for name, value in BUCKET.items()}) == expected
    assert read_answer(200, {name.upper(): value for name, value in BUCKET.items()}) == expected


def test_failed_requests_speak_of_the_bucket_too() -> None:
    assert read_answer(404, BUCKET, body(code=10008)) == Answer(
        404, "abcd1234", 5, 3, 1_790_000_001_500, 1.5, code=10008
    )


def test_no_headers_means_no_bucket() -> None:
    assert read_answer(200, {}) == Answer(200)
    assert NO_ANSWER.hash is None


@pytest.mark.parametrize("missing", BUCKET)
def test_a_bucket_is_known_by_all_of_its_headers_but_reset(missing: str) -> None:
    answer = read_answer(200, {name: value for name, value in BUCKET.items() if name != missing})
    if missing == "X-RateLimit-Reset":
        assert answer == replace(read_answer(200, BUCKET), reset_ms=0)
    else:
        assert answer.hash is None


NO_NUMBERS = ["", " ", "abc", "-1", "nan", "inf", "-inf", "1e400", "0x10", "1,5", "5 6", "None", "1e13", "²", "\x00"]


@every_case("value", NO_NUMBERS)
@every_case("name", [name for name in BUCKET if name != "X-RateLimit-Bucket"])
def test_a_header_that_is_no_number_was_not_said(name: str, value: str) -> None:
    assert read_answer(200, BUCKET | {name: value}) == Answer(200)


@pytest.mark.parametrize("value", ["\udcff", "", "with|bar"])
def test_a_hash_that_cannot_be_a_name_was_not_said(value: str) -> None:
    assert read_answer(200, BUCKET | {"X-RateLimit-Bucket": value}).hash is None


def test_odd_but_readable_headers() -> None:
    assert read_answer(200, BUCKET | {"X-RateLimit-Limit": "0"}).hash is None
    assert read_answer(200, BUCKET | {"X-RateLimit-Remaining": "9"}).remaining == 5
    assert read_answer(200, BUCKET | {"X-RateLimit-Remaining": " 2 "}).remaining == 2
    assert read_answer(200, BUCKET | {"X-RateLimit-Limit": "5.0"}).limit == 5
    endless = read_answer(200, BUCKET | {"X-RateLimit-Reset": "1900000000", "X-RateLimit-Reset-After": "700000"})
    assert (endless.reset_after_s, endless.reset_ms) == (IMPLAUSIBLE_WAIT_S, (1_900_000_000 - 700_000 + 3600) * 1000)
    assert read_answer(200, BUCKET | {"X-RateLimit-Bucket": "h" * 10_000}).hash == "h" * 100


# 429


@pytest.mark.parametrize(
    ("header", "told", "expected"),
    [
        ("1", 0.661, 0.661),  # the header is the same number, rounded up
        ("65", 64.57, 64.57),
        ("1", 1163.097, 1163.097),  # observed on announcement edits
        ("1163", 1.0, 1163.0),
        ("3", None, 3.0),
        (None, 2.5, 2.5),
        (None, None, None),
        ("soon", 2.5, 2.5),
        ("-5", None, None),
        ("5", "2.5", 5.0),
        ("5", math.inf, 5.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None, None),
        ("99999999", 1.0, 1.0),
        ("99999999", None, IMPLAUSIBLE_WAIT_S),
        (None, 99999999, IMPLAUSIBLE_WAIT_S),
        ("1e400", "inf", IMPLAUSIBLE_WAIT_S),
        ("0", 0, 0.0),
        (None, [1], None),
        (None, {"s": 1}, None),
        (None, True, 1.0),
    ],
)
def test_the_larger_of_header_and_body_counts(header: str | None, told: Any, expected: float | None) -> None:
    headers = {} if header is None else {"Retry-After": header}
    document = body() if told is None else body(retry_after=told)
    assert read_answer(429, headers, document).retry_after_s == expected


def test_only_a_429_says_when_to_come_back() -> None:
    answer = read_answer(
        503, VIA | {"Retry-After": "7", "X-RateLimit-Scope": "shared"}, body(retry_after=7, global_=True)
    )
    assert (answer.retry_after_s, answer.scope, answer.from_discord) == (None, "", True)


@pytest.mark.parametrize(
    ("headers", "fields", "scope"),
    [
        ({}, {}, "user"),
        ({"X-RateLimit-Scope": "user"}, {}, "user"),
        ({"X-RateLimit-Scope": "SHARED"}, {}, "shared"),
        ({"X-RateLimit-Scope": "global"}, {}, "global"),
        ({"X-RateLimit-Scope": "galaxy"}, {}, "user"),
        ({"X-RateLimit-Global": "true"}, {}, "global"),
        ({"X-RateLimit-Global": "True", "X-RateLimit-Scope": "shared"}, {}, "global"),
        ({"X-RateLimit-Global": "false"}, {}, "user"),
        ({}, {"global": True}, "global"),
        ({}, {"global": "true"}, "user"),
        ({}, {"global": 1}, "user"),
    ],
)
def test_scope(headers: dict[str, str], fields: dict[str, Any], scope: str) -> None:
    assert read_answer(429, headers, body(retry_after=1, **fields)).scope == scope


PAGE = b"<!doctype html><title>Access denied | error 1015</title>"
BANNED = b'{"code":0,"message":"You are being blocked from accessing our API temporarily"}'
EDGE_1015 = b'{"error_code":1015,"error_name":"rate_limited","cloudflare_error":true,"retry_after":30}'
DISCORDS = body(retry_after=1.0, **{"global": False})
ODD = [b"", DISCORDS[:-9], b"error code: 1015", PAGE, b"[1]", b'"retry_after"', b"\xff\xfe\x00", b"[" * 100_000]
VIA, RETRY = {"Via": "1.1 google"}, {"Retry-After": "2"}
EVERYWHERE = {"CF-RAY": "8f1-FRA", "Server": "cloudflare", "Content-Type": "application/json"}


@every_case("extra", [{}, RETRY, EVERYWHERE], ids=repr)
@every_case("name", ["Limit", "Remaining", "Reset", "Reset-After", "Bucket", "Global", "Scope"])
@every_case("document", [*ODD, DISCORDS, BANNED, EDGE_1015, body()])
def test_a_rate_limit_header_proves_that_discord_answered(name: str, extra: dict[str, str], document: bytes) -> None:
    for status in (401, 403, 404, 429, 500, 503):
        assert read_answer(status, {f"X-RateLimit-{name}": "1"} | extra, document).from_discord


@pytest.mark.parametrize("document", [*ODD, DISCORDS, body()])
def test_via_proves_it_whatever_the_body_is(document: bytes) -> None:
    answer = read_answer(429, VIA | RETRY | EVERYWHERE, document)
    assert answer.from_discord
    assert answer.retry_after_s is not None
    assert read_answer(429, VIA, document).from_discord


@every_case("headers", [{}, RETRY, EVERYWHERE, RETRY | EVERYWHERE])
@every_case(
    ("document", "from_discord"), [*((odd, False) for odd in ODD), (BANNED, False), (body(), False), (DISCORDS, True)]
)
def test_without_such_headers_the_body_decides(headers: dict[str, str], document: bytes, *, from_discord: bool) -> None:
    assert read_answer(429, headers, document).from_discord is from_discord


@pytest.mark.parametrize("headers", [{}, VIA, RETRY, VIA | RETRY, EVERYWHERE])
@pytest.mark.parametrize("status", [401, 403, 429, 503])
def test_cloudflares_own_json_names_itself(headers: dict[str, str], status: int) -> None:
    assert not read_answer(status, headers, EDGE_1015).from_discord


def test_a_ban_in_json_says_nothing_about_when_to_come_back() -> None:
    assert not read_answer(429, VIA, BANNED).from_discord
    assert read_answer(429, VIA | RETRY, BANNED).from_discord
    assert read_answer(403, VIA, BANNED).from_discord


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500, 502, 503])
def test_who_gave_another_error(status: int) -> None:
    error = b'{"message": "Missing Access", "code": 50001}'
    assert read_answer(status, {}, error).from_discord
    assert read_answer(status, VIA, PAGE).from_discord
    for odd in ODD:
        assert not read_answer(status, EVERYWHERE | RETRY, odd).from_discord


def test_what_is_no_error_is_discords() -> None:
    assert read_answer(200, {}, PAGE).from_discord
    assert read_answer(304, {}, b"").from_discord


@pytest.mark.parametrize("document", ODD)
@pytest.mark.parametrize("headers", [{"X-RateLimit-Global": "true"}, {"X-RateLimit-Scope": "global"}])
def test_the_headers_alone_identify_a_global_429(headers: dict[str, str], document: bytes) -> None:
    answer = read_answer(429, headers | RETRY, document)
    assert (answer.scope, answer.retry_after_s, answer.from_discord) == ("global", 2.0, True)


def test_a_number_beyond_all_bounds_is_a_long_wait() -> None:
    """A second in its place would cause a flood of requests."""
    assert read_answer(429, {}, b'{"retry_after": 1' + b"0" * 400 + b"}").retry_after_s == IMPLAUSIBLE_WAIT_S


@pytest.mark.parametrize("code", ["30", None, [1], 1.5, {}, 10**30, -1])
def test_a_code_that_is_no_number_was_not_said(code: Any) -> None:
    assert read_answer(400, {}, body(code=code)).code == 0


@pytest.mark.parametrize(
    ("status", "scope", "invalid"),
    [
        (200, "", False),
        (400, "", False),
        (401, "", True),
        (403, "", True),
        (404, "", False),
        (429, "user", True),
        (429, "global", True),
        (429, "shared", False),
        (500, "", False),
        (0, "", False),
    ],
)
def test_what_counts_against_the_address(status: int, scope: str, *, invalid: bool) -> None:
    assert Answer(status, scope=scope).is_invalid is invalid


odd_values = st.one_of(st.text(max_size=20), st.floats().map(str), st.integers().map(str), st.sampled_from(NO_NUMBERS))
names = st.sampled_from([*BUCKET, "Retry-After", "X-RateLimit-Global", "X-RateLimit-Scope", "Via", "Content-Type"])
json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
documents = st.one_of(
    st.binary(max_size=60),
    st.dictionaries(st.sampled_from(["retry_after", "global", "code", "x"]), json_values).map(
        lambda document: json.dumps(document).encode()
    ),
)


@given(st.sampled_from([0, 200, 204, 400, 401, 403, 404, 429, 500]), st.dictionaries(names, odd_values), documents)
def test_nothing_an_answer_says_is_an_error(status: int, headers: dict[str, str], document: bytes) -> None:
    answer = read_answer(status, headers, document)
    assert answer.status == status
    assert 0 <= answer.code < 1 << 31
    assert answer.retry_after_s is None or (status == 429 and 0 <= answer.retry_after_s <= MAX_WAIT_S)
    assert answer.scope in ({"user", "global", "shared"} if status == 429 else {""})
    if answer.hash is not None:
        assert 1 <= answer.limit <= 1e12
        assert 0 <= answer.remaining <= answer.limit
        assert 0 <= answer.reset_after_s <= MAX_WAIT_S
        assert answer.reset_ms >= 0
