"""Short cuts for usual requests lead to the same as the general way."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from discordproxy_api.calls.errors import ApiError
from discordproxy_api.contract.contract import load_contract
from discordproxy_api.rest_edge.head import call_options
from discordproxy_api.rest_edge.reception import MAX_KNOWN, KnownTargets, Reception, ReceptionOptions
from discordproxy_api.rest_edge.target import parse_target
from discordproxy_api.rpcs.ordering import order_of
from discordproxy_api.rpcs.route_policy import CREATE_MESSAGE, RouteNames, request_line

NAMES = RouteNames(load_contract())
OPTIONS = ReceptionOptions(wait_s=8.0, limit_headers="own", max_message_bytes=1_000, http_timeout_s=30.0)
targets = KnownTargets(NAMES)
reception = Reception(OPTIONS, NAMES)

PARTS = st.sampled_from(
    [
        *("/api/v10", "/api", "/v9", "/app=shop", "/wait=20", "/key=dpk_secret", "/channels", "/messages", "/webhooks"),
        *("/1", "/500000000000000001", "/@me", "/%63hannels", "/..", "//", "?a=1", "?", "/a%2Fb", "/callback", "/x"),
    ]
)


def read(reader, method, raw):
    try:
        return reader(method, raw)
    except ApiError as error:
        return error.reason, error.text, error.fields


def read_generally(method, raw):
    target = parse_target(raw)
    line = request_line(method, target.path)
    return target, line, NAMES.of(line)


@given(st.sampled_from(["GET", "POST", "DELETE"]), st.lists(PARTS, max_size=6).map("".join))
@example("POST", "/app=shop/api/v10/channels/1/messages")
def test_a_target_that_comes_again_has_the_same_parts(method, raw):
    expected = read(read_generally, method, raw)
    for _ in range(2):
        assert read(targets.read, method, raw) == expected


@pytest.mark.parametrize(
    "raw",
    [
        "/key=dpk_secret/api/v10/channels/1/messages",
        "/api/v10/webhooks/1/secret",
        "/api/v10/interactions/1/secret/callback",
        "/api/v10/channels/1/messages?q=secret",
        f"/api/v10/channels/{'1' * 400}/messages",
    ],
)
def test_secrets_are_not_remembered(raw):
    own = KnownTargets(NAMES)
    own.read("POST", raw)
    assert not own._known


def test_so_many_targets_are_remembered():
    own = KnownTargets(NAMES)
    for number in range(MAX_KNOWN + 10):
        own.read("GET", f"/channels/{number}")
    assert 0 < len(own._known) <= MAX_KNOWN


HEADERS = st.fixed_dictionaries(
    {"host": st.just("x")},
    optional={
        "prefer": st.sampled_from(["", "wait=5", "respond-async"]),
        "x-discordproxy-priority": st.sampled_from(["low", "HIGH", "", "now"]),
        "x-discordproxy-app": st.sampled_from(["shop", ""]),
        "idempotency-key": st.sampled_from(["k", ""]),
        "accept": st.just("*/*"),
    },
)
IN_PATH = st.dictionaries(st.sampled_from(["wait", "priority", "app", "headers", "key"]), st.sampled_from(["1", "low"]))


@given(HEADERS, IN_PATH)
@example({"host": "x"}, {})
def test_a_request_without_options_has_the_defaults(headers, options):
    def generally(*found):
        return call_options(*found, wait_s=OPTIONS.wait_s, limit_headers=OPTIONS.limit_headers)

    assert read(reception._call_options, headers, options) == read(generally, headers, options)


@given(st.lists(st.sampled_from(["content", "attachments", "roles", "permission_overwrites"])))
def test_a_new_message_has_no_order(keys):
    assert order_of(*CREATE_MESSAGE, {"channel_id": "1"}, keys) == ""
