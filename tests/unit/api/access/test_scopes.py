"""What a key allows: calls, routes, priorities, and the places a request reaches."""

import pytest

from discordproxy import discord_api_pb2 as pb
from discordproxy_api.access.permission import is_read
from discordproxy_api.access.targets import Targets, targets_of_request, targets_reader
from discordproxy_api.calls.scopes import Scopes
from discordproxy_api.contract.contract import load_contract

CONTRACT = load_contract()


def targets(name: str, **fields) -> Targets:
    rpc = CONTRACT[name]
    return targets_reader(rpc)(rpc.request_type(**fields))


@pytest.mark.parametrize(
    ("rpcs", "allowed", "refused"),
    [
        (None, {"SendChannelMessage", "GetChannel", "Request"}, set()),
        ((), set(), {"SendChannelMessage", "GetChannel", "Request"}),
        (
            ("read",),
            {"GetChannel", "ListGuilds", "SubscribeEvents", "ComputePermissions"},
            {"SendDirectMessage", "Request"},
        ),
        (("write",), {"SendDirectMessage", "SyncMemberRoles", "SyncGuildRoles"}, {"GetChannel", "Request"}),
        (("Send*",), {"SendChannelMessage", "SendDirectMessage"}, {"EditMessage", "sendx"}),
        (("read", "Request"), {"GetChannel", "Request"}, {"EditMessage"}),
        (("*",), {"Request", "EditMessage"}, set()),
    ],
)
def test_rpcs(rpcs, allowed, refused):
    scopes = Scopes(rpcs=rpcs)
    for name in allowed | refused:
        reads = is_read(CONTRACT[name]) if name in CONTRACT else False
        assert scopes.allows_rpc(name, reads=reads) is (name in allowed), name


def test_reads_and_writes_of_rpcs_without_a_route():
    odd = {name: is_read(rpc) for name, rpc in CONTRACT.items() if rpc.template is None}
    writing = {name for name, reads in odd.items() if not reads}
    assert {"SendDirectMessage", "SyncMemberRoles", "SyncGuildRoles", "Request"} <= writing
    assert all(name.startswith(("Get", "List", "Search", "Compute", "Subscribe")) for name in set(odd) - writing)


def test_a_list_of_requests_speaks_for_itself():
    scopes = Scopes(rpcs=("Send*",), requests=("GET /guilds/{guild_id}/*", "POST /channels/{channel_id}/typing"))
    assert scopes.allows_rpc("Request", reads=False)
    assert scopes.allows_route("GET /guilds/{guild_id}/audit-logs")
    assert scopes.allows_route("POST /channels/{channel_id}/typing")
    assert not scopes.allows_route("POST /channels/{channel_id}/messages")
    assert not scopes.allows_route("DELETE /guilds/{guild_id}/audit-logs")
    assert not Scopes(requests=()).allows_rpc("Request", reads=False)


def test_priorities_have_a_ceiling():
    assert [Scopes(priority="normal").cap_priority(each) for each in ("low", "normal", "high")] == [
        "low",
        "normal",
        "normal",
    ]


def test_direct_messages_follow_places_unless_said_otherwise():
    assert Scopes().may_write_to_users
    assert not Scopes(guilds=frozenset({1})).may_write_to_users
    assert Scopes(guilds=frozenset({1}), direct_messages=True).may_write_to_users
    assert not Scopes(direct_messages=False).may_write_to_users


def test_an_authorization_of_its_own_needs_a_key_without_limits_or_the_right():
    assert Scopes().may_authorize
    assert not Scopes(authorization=False).may_authorize
    for limits in ({"guilds": frozenset({1})}, {"rpcs": ("*",)}, {"requests": ("*",)}):
        assert not Scopes(**limits).may_authorize
        assert Scopes(**limits, authorization=True).may_authorize


def test_places_of_calls():
    assert targets("SendChannelMessage", channel_id=5) == Targets(channels=frozenset({5}))
    assert targets("GetGuildMember", guild_id=7, user_id=8) == Targets(guilds=frozenset({7}))
    assert targets("SyncMemberRoles", guild_id=7, user_id=8) == Targets(guilds=frozenset({7}))
    assert targets("EditGuildMember", guild_id=7, user_id=8, channel_id=9) == Targets(frozenset({7}), frozenset({9}))
    assert targets("GetUser", user_id=8) == targets("GetCurrentUser") == Targets()
    assert targets("ListGuilds").unplaced
    assert targets("DeleteWebhook", webhook_id=3).unplaced
    assert targets("DeleteInvite", code="abc").unplaced
    assert targets("ExecuteWebhook", webhook_id=3, webhook_token="t", content="x").by_token


def test_places_in_lists_count():
    welcome = pb.EditWelcomeScreenRequest(guild_id=7, welcome_channels=[{"channel_id": 5}, {"channel_id": 6}])
    assert targets_reader(CONTRACT["EditWelcomeScreen"])(welcome) == Targets(frozenset({7}), frozenset({5, 6}))
    alert = pb.AutoModerationRule.Action(type=2, metadata={"channel_id": 5})
    assert targets("EditAutoModerationRule", guild_id=7, rule_id=1, actions=[alert]).channels == {5}
    assert targets("SearchMessages", guild_id=7, channel_id=[5, 6]) == Targets(frozenset({7}), frozenset({5, 6}))


def test_a_forwarded_message_reaches_the_channel_it_comes_from():
    reference = pb.Message.Reference(message_id=1, channel_id=6, guild_id=7)
    forwarded = targets("SendChannelMessage", channel_id=5, message_reference=reference)
    assert forwarded == Targets(channels=frozenset({5, 6}))
    direct = targets("SendDirectMessage", user_id=8, message_reference=reference)
    assert direct == Targets(channels=frozenset({6}), to_users=True)


def test_every_rpc_has_a_reach_that_can_be_judged():
    """An RPC that a key for some places could never use is a decision, not an accident."""
    unplaced = {
        name for name, rpc in CONTRACT.items() if not rpc.streaming and targets_reader(rpc)(rpc.request_type()).unplaced
    }
    of_an_invite = {"DeleteInvite", "GetInvite"} | {f"{verb}InviteTargetUsers" for verb in ("Get", "Set")}
    of_a_webhook = {"DeleteWebhook", "GetWebhook", "EditWebhook"}
    words = ("Application", "CurrentUser", "Entitlement", "RoleConnection", "Subscription")
    of_the_application = {name for name in unplaced if any(word in name for word in words)} | {"GetGuildTemplate"}
    decided = (
        of_an_invite
        | of_a_webhook
        | {"CreateStageInstance", "GetInviteTargetUsersJob", "GetSticker", "ListGuilds", "Request"}
    )
    of_all_guilds = {"SyncCommands", "ListCommands", "ReleaseCommands"}  # without a guild
    assert unplaced <= decided | of_the_application | of_all_guilds, unplaced
    for name in of_all_guilds:
        assert targets(name, guild_id=7) == Targets(guilds=frozenset({7}))


@pytest.mark.parametrize(
    ("method", "path", "query", "body", "expected"),
    [
        ("POST", "/channels/5/messages", [], '{"content": "x"}', Targets(channels=frozenset({5}))),
        ("GET", "/guilds/7/audit-logs", [("user_id", "1")], "", Targets(guilds=frozenset({7}))),
        (
            "POST",
            "/channels/5/messages",
            [],
            '{"message_reference": {"type": 1, "guild_id": "7", "channel_id": "6", "channel_id": "5"}}',
            Targets(channels=frozenset({5, 6})),
        ),
        ("POST", "/channels/5/followers", [], '{"webhook_channel_id": 6}', Targets(channels=frozenset({5, 6}))),
        ("POST", "/users/@me/channels", [], '{"recipient_id": "1"}', Targets(to_users=True)),
        ("PATCH", "/users/@me", [], "{}", Targets(unplaced=True)),
        ("GET", "/users/@me/guilds", [], "", Targets(unplaced=True)),
        ("DELETE", "/users/@me/guilds/7", [], "", Targets(guilds=frozenset({7}))),
        ("PATCH", "/webhooks/3", [], '{"channel_id": "5"}', Targets(channels=frozenset({5}), unplaced=True)),
        ("POST", "/webhooks/3/token-of-it", [], "{}", Targets(by_token=True)),
        ("DELETE", "/webhooks/3/%2F", [], "", Targets(unplaced=True)),
        ("DELETE", "/webhooks/3/%20", [], "", Targets(unplaced=True)),
        ("GET", "/guilds/" + "1" * 5_000, [], "", Targets(unplaced=True)),
        ("GET", "/users/8", [], "", Targets()),
        ("GET", "/channels/x5", [], "", Targets(unplaced=True)),
        ("PATCH", "/guilds/7/members/8", [], '{"channel_id": null}', Targets(guilds=frozenset({7}))),
        ("PATCH", "/guilds/7/members/8", [], '{"channel_id": true}', Targets(guilds=frozenset({7}), unplaced=True)),
        ("GET", "/guilds/7", [], "[" * 100_000, Targets(guilds=frozenset({7}), unplaced=True)),
    ],
)
def test_places_of_requests(method, path, query, body, expected):
    assert targets_of_request(method, path, query, body) == expected


def test_a_request_with_its_own_authorization_needs_nothing_of_the_bot():
    assert targets_of_request("GET", "/users/@me/guilds", [], "", authorized=True).by_token
