import pytest

from discordproxy_sandbox.errors import DiscordError
from discordproxy_sandbox.resources.exchange import ApiRoute
from discordproxy_sandbox.rest.router import Router, local_path, masked

ROUTES = [
    "GET /users/@me",
    "GET /users/{user_id}",
    "GET /channels/{channel_id}/messages/pins",
    "GET /channels/{channel_id}/messages/{message_id}",
    "DELETE /channels/{channel_id}/messages/{message_id}",
    "PUT /channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}/@me",
    "POST /webhooks/{webhook_id}/{webhook_token}",
    "PATCH /webhooks/{webhook_id}/{webhook_token}/messages/@original",
    "PATCH /webhooks/{webhook_id}/{webhook_token}/messages/{message_id}",
    "POST /interactions/{interaction_id}/{interaction_token}/callback",
    "GET /stage-instances/{channel_id}",
]
ROUTER = Router({name: ApiRoute(lambda _: None) for name in ROUTES})


@pytest.mark.parametrize(
    ("method", "path", "template", "major"),
    [
        ("GET", "/users/@me", "/users/@me", ""),
        ("GET", "/users/5", "/users/{user_id}", ""),
        ("GET", "/channels/1/messages/pins", "/channels/{channel_id}/messages/pins", "1"),
        ("GET", "/channels/1/messages/2", "/channels/{channel_id}/messages/{message_id}", "1"),
        ("DELETE", "/channels/1/messages/2", "/channels/{channel_id}/messages/{message_id}", "1"),
        (
            "PUT",
            "/channels/1/messages/2/reactions/%F0%9F%91%8D/@me",
            "/channels/{channel_id}/messages/{message_id}/reactions/{emoji_name}/@me",
            "1",
        ),
        ("POST", "/webhooks/1/tok", "/webhooks/{webhook_id}/{webhook_token}", "1/tok"),
        (
            "PATCH",
            "/webhooks/1/tok/messages/@original",
            "/webhooks/{webhook_id}/{webhook_token}/messages/@original",
            "1/tok",
        ),
        (
            "POST",
            "/interactions/1/tok/callback",
            "/interactions/{interaction_id}/{interaction_token}/callback",
            "1/tok",
        ),
        ("GET", "/stage-instances/1", "/stage-instances/{channel_id}", ""),
    ],
)
def test_routes_and_majors(method, path, template, major):
    match = ROUTER.find(method, f"/api/v10{path}")
    assert (match.template, match.major) == (template, major)
    assert match.require()


def test_parameters_are_decoded():
    match = ROUTER.find("PUT", "/channels/1/messages/2/reactions/%F0%9F%91%8D/@me")
    assert match.params == {"channel_id": "1", "message_id": "2", "emoji_name": "👍"}


@pytest.mark.parametrize(("method", "path", "status"), [("POST", "/users/@me", 405), ("GET", "/nowhere", 404)])
def test_unknown_routes(method, path, status):
    with pytest.raises(DiscordError) as caught:
        ROUTER.find(method, path).require()
    assert caught.value.status == status


@pytest.mark.parametrize("base", ["", "/api", "/api/v10", "/discord/api/v9"])
def test_base_paths(base):
    assert local_path(f"{base}/users/@me") == "/users/@me"


def test_tokens_are_masked():
    known = ROUTER.find("POST", "/webhooks/1/tok")
    assert masked("/webhooks/1/tok", known) == "/webhooks/1/***"
    unknown = ROUTER.find("POST", "/webhooks/1/tok/typo")
    assert masked("/webhooks/1/tok/typo", unknown) == "/webhooks/?"
