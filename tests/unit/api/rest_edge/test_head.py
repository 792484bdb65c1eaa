"""Heads of HTTP messages: the caller's options, and the headers of answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discordproxy_api.calls.errors import ApiError
from discordproxy_api.rest_edge.head import (
    call_options,
    exhausted_headers,
    limit_headers,
    passed_headers,
    proxy_headers,
)

DISCORD = {
    "x-ratelimit-limit": "5",
    "x-ratelimit-remaining": "0",
    "x-ratelimit-reset": "1000.5",
    "x-ratelimit-reset-after": "4.2",
    "x-ratelimit-bucket": "abcd",
}


def options(headers=None, path=None):
    return call_options(headers or {}, path or {}, wait_s=8.0, limit_headers="own")


def test_the_path_precedes_headers_and_they_precede_the_defaults():
    headers = {"prefer": "respond-async, wait=20", "x-discordproxy-priority": "low", "x-discordproxy-app": "a"}
    assert options().wait_s == 8.0
    assert (options(headers).wait_s, options(headers).preference_applied) == (20.0, True)
    found = options(headers, {"wait": "240", "priority": "high", "app": "shop", "headers": "none"})
    assert (found.wait_s, found.priority, found.app, found.limit_headers) == (240.0, "high", "shop", "none")
    assert not found.preference_applied
    assert options(path={"wait": "999999"}).wait_s == 1500.0


@pytest.mark.parametrize(
    "path", [{"wait": "long"}, {"wait": "-1"}, {"wait": "nan"}, {"priority": "urgent"}, {"headers": "all"}]
)
def test_invalid_options_are_refused(path):
    with pytest.raises(ApiError):
        options(path=path)


def test_hop_by_hop_headers_cookies_and_server_are_removed():
    removed = {
        "connection": "close, X-Hop",
        "x-hop": "1",
        "set-cookie": "a=b",
        "server": "cloudflare",
        "content-encoding": "gzip",
        "transfer-encoding": "chunked",
        "access-control-allow-origin": "*",
        "x-ratelimit-limit": "5",
        "retry-after": "3",
        "x-split": "a\r\nb: c",
    }
    kept = {"content-type": "application/json", "date": "Sat", "cf-ray": "1", "etag": 'W/"1"', "x-discord-trace": "t"}
    assert passed_headers(removed | kept) == kept


def test_every_answer_has_via_behind_discords():
    assert proxy_headers("id", "yes", 0.25)["Via"] == "1.1 discordproxy"
    assert proxy_headers("id", "yes", 0.25, "1.1 google")["Via"] == "1.1 google, 1.1 discordproxy"
    assert proxy_headers("id", "yes", 0.25)["X-Discordproxy-Waited"] == "0.250"


def test_limits_are_the_proxys_own_with_discords_beside_them():
    found = limit_headers(DISCORD, "own", 2000.0)
    assert found["X-RateLimit-Remaining"] == "250"
    assert found["X-RateLimit-Reset"] == "2000.100"
    assert found["X-RateLimit-Bucket"] == "abcd"
    assert found["x-discord-ratelimit-remaining"] == "0"


def test_discords_limits_end_by_this_machines_clock():
    assert limit_headers(DISCORD, "discord", 2000.0) == DISCORD | {"x-ratelimit-reset": "2004.200"}
    assert limit_headers(DISCORD, "none", 2000.0) == {}
    assert limit_headers({}, "own", 2000.0) == {}


@given(st.floats(0, 1e6))
def test_retry_after_is_a_whole_number_that_is_long_enough(seconds):
    headers = exhausted_headers(seconds, bucket="b", scope="shared", now=1000.0)
    assert headers["Retry-After"].isdigit()
    assert int(headers["Retry-After"]) >= max(1, seconds)
