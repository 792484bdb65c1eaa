"""What an accepted request changed, route by route."""

import pytest

from discordproxy_api.cached.changes import EFFECTS, AcceptedRequest, Overwrite, Put, RoleOfMember, changes_of
from discordproxy_api.contract.contract import load_contract
from discordproxy_gateway.cache import CHANNEL, EMOJI, GUILD, MEMBER, ROLE, THREAD, USER

IDS = {"guild_id": "1", "channel_id": "2", "user_id": "3", "role_id": "4", "overwrite_id": "5", "emoji_id": "6"}
TEXT = {"id": "2", "type": 0, "guild_id": "1"}
POST = {"id": "9", "type": 11, "guild_id": "1"}
MEMBER_3 = {"user": {"id": "3"}, "roles": []}


def changed(route, document=None, body=None, **parameters):
    return changes_of(route, AcceptedRequest({**IDS, **parameters}, body, document))


CASES = [
    ("POST /guilds/{guild_id}/channels", {"id": "2", "type": 0}, [Put(CHANNEL, "1", "2", TEXT)]),
    ("PATCH /channels/{channel_id}", TEXT, [Put(CHANNEL, "1", "2", TEXT)]),
    ("PATCH /channels/{channel_id}", POST, [Put(THREAD, "1", "9", POST)]),
    ("PATCH /channels/{channel_id}", None, []),
    ("DELETE /channels/{channel_id}", TEXT, [Put(CHANNEL, "1", "2", None)]),
    ("POST /channels/{channel_id}/threads", {**POST, "message": {"id": "9"}}, [Put(THREAD, "1", "9", POST)]),
    ("PUT /guilds/{guild_id}/members/{user_id}", MEMBER_3, [Put(MEMBER, "1", "3", MEMBER_3)]),
    ("PUT /guilds/{guild_id}/members/{user_id}", None, []),  # was a member before
    ("DELETE /guilds/{guild_id}/members/{user_id}", None, [Put(MEMBER, "1", "3", None)]),
    ("PUT /guilds/{guild_id}/bans/{user_id}", None, [Put(MEMBER, "1", "3", None)]),
    (
        "POST /guilds/{guild_id}/bulk-ban",
        {"banned_users": ["3", "7"], "failed_users": ["8"]},
        [Put(MEMBER, "1", "3", None), Put(MEMBER, "1", "7", None)],
    ),
    ("PUT /guilds/{guild_id}/members/{user_id}/roles/{role_id}", None, [RoleOfMember("1", "3", "4", added=True)]),
    ("DELETE /guilds/{guild_id}/members/{user_id}/roles/{role_id}", None, [RoleOfMember("1", "3", "4", added=False)]),
    ("POST /guilds/{guild_id}/roles", {"id": "4"}, [Put(ROLE, "1", "4", {"id": "4"})]),
    ("PATCH /guilds/{guild_id}/roles", [{"id": "4"}], [Put(ROLE, "1", "4", {"id": "4"})]),
    ("DELETE /guilds/{guild_id}/roles/{role_id}", None, [Put(ROLE, "1", "4", None)]),
    ("DELETE /guilds/{guild_id}/emojis/{emoji_id}", None, [Put(EMOJI, "1", "6", None)]),
    (
        "PATCH /guilds/{guild_id}",
        {"id": "1", "name": "x", "roles": []},
        [Put(GUILD, "1", "1", {"id": "1", "name": "x"})],
    ),
    ("DELETE /users/@me/guilds/{guild_id}", None, [Put(GUILD, "1", "1", None)]),
    ("PATCH /users/@me", {"id": "3"}, [Put(USER, "0", "3", {"id": "3"})]),
    ("DELETE /channels/{channel_id}/permissions/{overwrite_id}", None, [Overwrite("2", "5", None)]),
]


@pytest.mark.parametrize(("route", "document", "expected"), CASES)
def test_effect(route, document, expected):
    assert changed(route, document) == expected


def test_an_overwrite_is_read_from_the_request():
    (change,) = changed("PUT /channels/{channel_id}/permissions/{overwrite_id}", body={"type": 1, "allow": "8"})
    assert change == Overwrite("2", "5", {"id": "5", "type": 1, "allow": "8", "deny": "0"})


def test_a_direct_message_channel_belongs_to_no_guild():
    accepted = AcceptedRequest({"channel_id": "2"}, None, {"id": "2", "type": 1})
    assert changes_of("PATCH /channels/{channel_id}", accepted) == []


def test_messages_change_nothing_that_is_cached():
    assert changed("POST /channels/{channel_id}/messages", {"id": "1"}) == []


def test_every_write_of_the_contract_that_caches_hold_has_an_effect():
    """A new RPC that writes below a guild or channel must be looked at: does it change what the caches hold?"""
    written = {f"{rpc.method} {rpc.template}" for rpc in load_contract().values() if rpc.method not in {None, "GET"}}
    elsewhere = (
        "/messages",
        "/polls",
        "/typing",
        "/invites",
        "/webhooks",
        "/scheduled-events",
        "DELETE /guilds/{guild_id}/bans",
        "/applications/",  # of the application, not of a guild
        "/thread-members",  # gateway events only, like the next three
        "PATCH /guilds/{guild_id}/channels",
        "/voice-status",
        "/prune",
        "/followers",
        "/incident-actions",
        "/requests",
        "/auto-moderation",
        "/integrations",
        "/onboarding",
        "/welcome-screen",
        "/widget",
        "soundboard",
        "/stage-instances",
        "/voice-states",
        "/templates",
    )
    unseen = {route for route in written - set(EFFECTS) if not any(part in route for part in elsewhere)}
    assert unseen == set()
