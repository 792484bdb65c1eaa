"""Targets of HTTP requests: options, version, path and query are separated, and what is unclear is refused."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from discordproxy_api.calls.errors import ApiError
from discordproxy_api.rest_edge.target import parse_target

EMOJI = "/channels/1/messages/2/reactions/%F0%9F%91%8D/@me"


@pytest.mark.parametrize(
    ("raw", "options", "version", "path", "query"),
    [
        ("/api/v10/users/@me", {}, "10", "/users/@me", ""),
        ("/v10/users/@me", {}, "10", "/users/@me", ""),
        ("/api/users/@me", {}, "", "/users/@me", ""),
        ("/users/@me", {}, "", "/users/@me", ""),
        ("/api/v9/users/@me", {}, "9", "/users/@me", ""),
        ("/api/v11/users/@me?a=1&a=2&b", {}, "11", "/users/@me", "a=1&a=2&b"),
        ("/app=shop/wait=240/api/v10" + EMOJI, {"app": "shop", "wait": "240"}, "10", EMOJI, ""),
        ("/key=dpk_a%2Bb/users/@me", {"key": "dpk_a+b"}, "", "/users/@me", ""),
        ("/api/v10", {}, "10", "/", ""),
        ("/api/v10?x=/../", {}, "10", "/", "x=/../"),
        ("/apis/x", {}, "", "/apis/x", ""),
        ("/v10x/x", {}, "", "/v10x/x", ""),
    ],
)
def test_a_target_is_split(raw, options, version, path, query):
    target = parse_target(raw)
    assert (target.options, target.version, target.path, target.query) == (options, version, path, query)


@pytest.mark.parametrize(
    "raw",
    [
        *(
            "/api/v10/../x",
            "/api/v10/%2e%2e/x",
            "/api/v10/a%2Fb",
            "/api/v10//x",
            "/api/v10/a\\b",
            "/api/v10/%252e%252e/x",
        ),
        *("/api/v10/a b", "/api/v10/a\x00", "/api/v10/a?b c", "/api/v10/a#b", "/api/v10/é", "/a?é", "/a%0d%0ab"),
        *("/what=1/users/@me", "/app=a/app=b/users/@me", "http://evil.example/x", "evil.example:443", "*"),
    ],
)
def test_an_unclear_target_is_refused(raw):
    with pytest.raises(ApiError) as refused:
        parse_target(raw)
    assert (refused.value.http_status, refused.value.code) == (400, 50035)


@pytest.mark.parametrize(
    "raw",
    [
        *("/Key=dpk_secret/api/v10/users/@me", "/dpk_secret=1/users/@me", "/key%3Ddpk_secret/users/@me"),
        *("/api/key=dpk_secret/v10/users/@me", "/api/v10/key=dpk_secret/users/@me", "/api/v10/webhooks/1/dpk_secret"),
    ],
)
def test_a_misplaced_key_is_neither_sent_nor_quoted(raw):
    with pytest.raises(ApiError) as refused:
        parse_target(raw)
    assert refused.value.http_status == 400
    assert "secret" not in str(refused.value.fields)


@pytest.mark.parametrize("version", ["0", "6", "8", "08"])
def test_old_versions_are_refused_with_discords_code(version):
    with pytest.raises(ApiError) as refused:
        parse_target(f"/api/v{version}/users/@me")
    assert (refused.value.http_status, refused.value.code) == (400, 50041)


@given(st.text("/.%2eEfF5c=v10api?&\\@#", max_size=40))
@example("/api/v10/%2e./x")
def test_whatever_passes_stays_below_the_api(raw):
    try:
        target = parse_target(raw)
    except ApiError:
        return
    assert target.path.startswith("/")
    assert not {".", ".."} & set(target.path.lower().replace("%2e", ".").split("/"))
    assert raw.endswith((target.path + (f"?{target.query}" if target.query else ""), "?")) or target.path == "/"


def test_the_repr_hides_keys():
    assert "dpk_" not in repr(parse_target("/key=dpk_secret/webhooks/1/token"))
    assert "token" not in repr(parse_target("/key=dpk_secret/webhooks/1/token"))
