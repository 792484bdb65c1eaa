"""RPC Request: refused requests, and the HTTP requests of the others."""

import json

import pytest

from discordproxy.discord_api_pb2 import ApiRequest, File
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.retry import Repeat
from discordproxy_api.contract.contract import load_contract
from discordproxy_api.discord.clock import DiscordClock
from discordproxy_api.discord.nonces import Nonces
from discordproxy_api.rpcs.commands.own import OwnCommands
from discordproxy_api.rpcs.interaction_responses import InteractionResponses
from discordproxy_api.rpcs.raw_request import Request, find_field_errors
from discordproxy_api.rpcs.route_policy import RoutePolicy
from fakes.every_case import every_case
from strategies.bad_api_requests import BAD_API_REQUESTS

RPC = load_contract()["Request"]
PARAM = ApiRequest.Param
FILE = File(filename="a.png", content=b"x")


class SilentRest:
    """Records the requests instead of sending them."""

    def __init__(self) -> None:
        self.sent = []
        self.nonces = Nonces("token")
        self.clock = DiscordClock()

    async def send(self, request, call):
        self.sent.append(request)
        raise AssertionError("not reached")


def procedure(policy=None):
    rest = SilentRest()
    return Request(RPC, rest, InteractionResponses(rest, None), policy or RoutePolicy(), OwnCommands(None, None, rest))


def job(policy=None, **fields):
    return procedure(policy).job(ApiRequest(**fields), Call("Request", "r"))


def made(**fields):
    request, _call = job(**fields).run.args[0].args
    return request


@every_case("bad", BAD_API_REQUESTS, ids=str)
def test_the_error_of_a_refused_request_contains_the_field(bad):
    with pytest.raises(ApiError) as refused:
        procedure().job(bad.request, Call("Request", "r"))
    error = refused.value
    assert (error.status, error.code, error.scope) == ("INVALID_ARGUMENT", 50035, "proxy")
    assert bad.path in [field.path for field in error.fields]


@pytest.mark.parametrize(
    "path",
    [
        "/users/@me",
        "/guilds/1/audit-logs",
        "/channels/1/messages/2/reactions/%F0%9F%91%8D/@me",
        "/channels/1/messages/2/reactions/name:123/@me",
        "/webhooks/1/a-b_c.d/messages/@original",
        "/invites/..a",
    ],
)
def test_valid_paths_are_unchanged(path):
    assert not find_field_errors(ApiRequest(method="GET", path=path))
    assert made(method="GET", path=path).target == path


@pytest.mark.parametrize("path", ["/channels/1/m%65ssages", "/channels/%31/messages", "/channel%73/1/%6dessages"])
def test_needless_percent_encoding_hides_no_route(path):
    request = made(method="POST", path=path, json="{}")
    assert (request.path, request.route.lane) == (
        "/channels/1/messages",
        "POST /channels/{channel_id}/messages|channel_id=1",
    )
    with pytest.raises(ApiError, match="does not allow"):
        job(RoutePolicy(deny=["POST /channels/{channel_id}/messages"]), method="POST", path=path)
    with pytest.raises(ApiError, match="does not allow"):
        job(RoutePolicy(deny=["GET /users/@me"]), method="GET", path="/users/%40me")


def test_the_query_is_encoded_and_the_reason_is_kept():
    request = made(
        method="DELETE",
        path="/x",
        query=[PARAM(name="id", value="1"), PARAM(name="id", value="a b&c"), PARAM(name="q", value="\u00e9")],
        reason="caf\u00e9 \u2764 / x",
    )
    assert request.target == "/x?id=1&id=a%20b%26c&q=%C3%A9"
    assert request.reason == "café ❤ / x"


@pytest.mark.parametrize(("given", "header"), [("", None), ("none", ""), ("Bearer abc", "Bearer abc")])
def test_authorization(given, header):
    request = made(method="GET", path="/users/@me", authorization=given)
    assert request.authorization == header
    assert (request.route.credential == "bot") == (given == "")
    assert "abc" not in repr(request)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/webhooks/1/a-b_c.d"),
        ("POST", "/webhooks/1/a-b_c.d/github"),
        ("PATCH", "/webhooks/1/123456/messages/@original"),
        ("DELETE", "/webhooks/1/a%2Db/messages/2"),
        ("PUT", "/interactions/1/tok/callback"),
    ],
)
@pytest.mark.parametrize("given", ["", "none"])
def test_a_token_in_the_path_is_sent_without_the_bots(method, path, given):
    request = made(method=method, path=path, authorization=given)
    assert (request.authorization, request.route.credential) == ("", "ip")
    assert made(method=method, path=path, authorization="Bearer abc").authorization == "Bearer abc"


@pytest.mark.parametrize("path", ["/webhooks/1", "/channels/1/webhooks", "/invites/abc", "/guilds/1/templates/abc"])
def test_other_paths_are_sent_with_the_bots_token(path):
    assert made(method="GET", path=path).authorization is None


def test_a_message_gets_a_nonce():
    request = made(method="POST", path="/channels/1/messages", json='{"content": "x"}')
    assert b'"enforce_nonce":true' in request.body
    assert request.repeat is Repeat.NONCE


@pytest.mark.parametrize("own", ["mine", "x" * 25, 123, -5])
def test_a_callers_nonce_is_unique_per_application(own):
    def request(app):
        asked = ApiRequest(method="POST", path="/channels/1/messages", json=json.dumps({"content": "x", "nonce": own}))
        return procedure().job(asked, Call("Request", "r", app=app)).run.args[0].args[0]

    sent = [json.loads(request(app).body)["nonce"] for app in ("a", "a", "b")]
    assert sent[0] == sent[1] != sent[2]
    assert own not in sent
    assert {len(each) for each in sent} == {25}
    answer = json.dumps({"id": "1", "nonce": sent[0]}).encode()
    assert json.loads(request("a").as_asked(answer)) == {"id": "1", "nonce": own}


@pytest.mark.parametrize("own", [["x"], {"a": 1}, True, 1.5, "x" * 26])
def test_an_invalid_nonce_is_sent_unchanged(own):
    request = made(method="POST", path="/channels/1/messages", json=json.dumps({"nonce": own}))
    assert (json.loads(request.body), request.repeat) == ({"nonce": own}, Repeat.NEVER)


def test_a_message_that_is_no_object_is_sent_unchanged():
    request = made(method="POST", path="/channels/1/messages", json='["x"]')
    assert (request.body, request.repeat) == (b'["x"]', Repeat.NEVER)


def test_an_idempotency_key_determines_the_nonce():
    def body(key):
        call = Call("Request", "r", idempotency_key=key)
        asked = ApiRequest(method="POST", path="/channels/1/messages", json='{"content": "x"}')
        return procedure().job(asked, call).run.args[0].args[0].body

    assert body("k1") == body("k1") != body("k2")
    assert body("") != body("")


def test_other_posts_are_not_repeatable():
    assert made(method="POST", path="/channels/1/webhooks", json="{}").repeat is Repeat.NEVER
    assert made(method="PUT", path="/x", json="[1]").repeat is Repeat.ALWAYS


def test_files():
    request = made(method="POST", path="/guilds/1/stickers", json='{"name": "x"}', files=[FILE], file_field="file")
    assert [(file.field, file.filename) for file in request.files] == [("file", "a.png")]
    request = made(method="POST", path="/x", files=[FILE, FILE])
    assert [file.field for file in request.files] == ["files[0]", "files[1]"]


@pytest.mark.parametrize(
    ("policy", "allowed"),
    [
        (RoutePolicy(), True),
        (RoutePolicy(allow=["GET /guilds/{guild_id}/audit-logs"]), True),
        (RoutePolicy(allow=["GET /guilds/{guild_id}"]), False),
        (RoutePolicy(deny=["GET /guilds/{guild_id}/audit-logs"]), False),
        (RoutePolicy(deny=["POST /guilds/{guild_id}/audit-logs"]), True),
        (RoutePolicy(deny=["GET /guilds/{guild.id}/audit-logs"]), False),
        (RoutePolicy(deny=["GET /guilds/*"]), False),
        (RoutePolicy(deny=["* /guilds/{id}/*"]), False),
        (RoutePolicy(deny=["*"]), False),
        (RoutePolicy(deny=["DELETE *"]), True),
        (RoutePolicy(allow=["GET *"]), True),
        (RoutePolicy(allow=["GET *"], deny=["* */audit-logs"]), False),
    ],
)
def test_the_routes_that_the_operator_allows(policy, allowed):
    fields = {"method": "GET", "path": "/guilds/123/audit-logs"}
    if allowed:
        assert job(policy, **fields)
        return
    with pytest.raises(ApiError) as refused:
        job(policy, **fields)
    assert (refused.value.status, refused.value.reason) == ("PERMISSION_DENIED", "FORBIDDEN_BY_OPERATOR")
