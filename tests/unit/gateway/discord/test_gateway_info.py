"""GET /gateway/bot with every odd value: the worker connects with a default, and never asks without a pause."""

import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # discord.py imports audioop
    import discord as _  # noqa: F401

from discordproxy_gateway.discord.gateway_info import DAY_MS, MIN_RESET_MS, GatewayInfoError, read_info, websocket_url

URL = "wss://gateway.discord.gg"
RESTED = {"total": 1000, "remaining": 1000, "reset_after": 0, "max_concurrency": 1}
ODD = [None, -1, -(10**30), "7", "", True, 1.5, [], {}, float("inf")]


def answer(**limit) -> dict:
    return {"url": URL, "shards": 1, "session_start_limit": RESTED | limit}


def test_a_rested_bot_has_a_full_budget_for_a_day():
    info = read_info(answer())
    assert (info.remaining, info.total, info.reset_after_ms, info.replaced) == (1000, 1000, DAY_MS, ())


@pytest.mark.parametrize(
    ("limit", "reset_after_ms"),
    [
        ({"remaining": 0}, MIN_RESET_MS),
        ({"remaining": 0, "reset_after": 1}, MIN_RESET_MS),
        ({"remaining": 1, "reset_after": 0}, DAY_MS),
        ({"remaining": 999, "reset_after": 3}, MIN_RESET_MS),
        ({"reset_after": 71_114_761}, 71_114_761),
        ({"reset_after": 30 * DAY_MS}, DAY_MS),
        ({"reset_after": 10**40}, DAY_MS),
    ],
)
def test_when_the_budget_is_full_again(limit, reset_after_ms):
    assert read_info(answer(**limit)).reset_after_ms == reset_after_ms


@pytest.mark.parametrize("value", [*ODD, "(absent)"], ids=repr)
@pytest.mark.parametrize(
    ("name", "default"), [("total", 1000), ("remaining", 1000), ("reset_after", DAY_MS), ("max_concurrency", 1)]
)
def test_an_odd_limit_is_replaced_and_named(name, default, value):
    odd = answer(**{name: value})
    if value == "(absent)":
        del odd["session_start_limit"][name]
    info = read_info(odd)
    values = (info.total, info.remaining, info.reset_after_ms, info.max_concurrency)
    assert default in values
    assert info.replaced == (name,)


@pytest.mark.parametrize("value", [*ODD, 0], ids=repr)
def test_an_odd_number_of_shards_is_one(value):
    info = read_info(answer() | {"shards": value})
    assert (info.shards, info.replaced) == (1, ("shards",))


@pytest.mark.parametrize("value", [None, [], "x", 3])
def test_without_any_limit_the_worker_connects(value):
    info = read_info(answer() | {"session_start_limit": value})
    assert (info.remaining, info.max_concurrency) == (1000, 1)
    assert len(info.replaced) == 4


@pytest.mark.parametrize("url", [None, "", 3, "https://discord.gg", "//x", "wss://", "gateway", "wss://[", []])
def test_without_an_address_there_is_no_advice(url):
    with pytest.raises(GatewayInfoError):
        read_info(answer() | {"url": url})
    assert read_info(answer() | {"url": url}, url="ws://127.0.0.1:1/").url == "ws://127.0.0.1:1/"


@pytest.mark.parametrize("document", [None, "text", [], 3])
def test_what_is_no_object_is_no_advice(document):
    with pytest.raises(GatewayInfoError):
        read_info(document, url=URL)


def test_addresses():
    assert websocket_url(URL + "/?v=10") == URL + "/?v=10"
    assert websocket_url("ws://127.0.0.1:4099/gateway") == "ws://127.0.0.1:4099/gateway"


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.integers())


@given(st.dictionaries(st.sampled_from(sorted(RESTED)), values), values)
def test_whatever_comes_makes_sense(limit, shards):
    info = read_info({"url": URL, "shards": shards, "session_start_limit": limit})
    assert 1 <= info.shards <= 16_000
    assert 1 <= info.max_concurrency <= 16_000
    assert 0 <= info.remaining < 2**53
    assert MIN_RESET_MS <= info.reset_after_ms <= DAY_MS
    assert all(type(number) is int for number in (info.shards, info.max_concurrency, info.remaining, info.total))
