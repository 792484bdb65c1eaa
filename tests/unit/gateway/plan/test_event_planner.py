import pytest

from discordproxy_gateway.keys import Keys, Slot
from discordproxy_gateway.plan.event_planner import EventPlanner
from discordproxy_gateway.plan.member_operations import GuildState

KEYS = Keys("dp", "1")
GUILD = "4194304"


def planner(*, members: bool = True, **guilds: GuildState) -> EventPlanner:
    known = {GUILD: GuildState(3, current=True, size=2)} | guilds
    return EventPlanner(KEYS, Slot(0, 1), guilds=known, mark="mark", awaited=(), members=members, user_id="1")


def member(number: int, **fields) -> dict:
    return {"user": {"id": str(number), "username": f"u{number}"}, "roles": [], **fields}


def chunk(index: int, count: int, *rows: dict, nonce: str = "n") -> dict:
    return {"guild_id": GUILD, "members": list(rows), "chunk_index": index, "chunk_count": count, "nonce": nonce}


def written(operations) -> set[str]:
    return {operation[1] for operation in operations}


def commands(operations, key: str) -> list[str]:
    return [operation[0] for operation in operations if operation[1] == key]


def test_a_list_is_complete_only_with_every_chunk():
    plan = planner()
    plan.member_lists.request(GUILD, "n")
    for index in (2, 0, 0):
        plan.plan("GUILD_MEMBERS_CHUNK", chunk(index, 3, member(index + 10)), 1)
        assert not plan.guilds[GUILD].complete
    operations = plan.plan("GUILD_MEMBERS_CHUNK", chunk(1, 3, member(11)), 2)
    assert plan.guilds[GUILD].complete
    assert ("HSET", KEYS.meta(GUILD), "complete", "1") in operations
    assert plan.guilds[GUILD].request is None


def test_a_chunk_nobody_asked_for_writes_nothing():
    plan = planner()
    plan.member_lists.request(GUILD, "n")
    assert plan.plan("GUILD_MEMBERS_CHUNK", chunk(0, 1, member(10), nonce="another"), 1) == []
    assert not plan.guilds[GUILD].complete


def test_events_during_a_request_win_over_its_chunks():
    plan = planner()
    plan.member_lists.request(GUILD, "n")
    plan.plan("GUILD_MEMBER_REMOVE", {"guild_id": GUILD, "user": {"id": "10"}}, 1)
    plan.plan("GUILD_MEMBER_UPDATE", {"guild_id": GUILD, **member(11, nick="new")}, 2)
    operations = plan.plan("GUILD_MEMBERS_CHUNK", chunk(0, 1, member(10), member(11), member(12)), 3)
    (stored,) = [operation for operation in operations if operation[1] == KEYS.members(GUILD, 3)]
    assert stored[2::2] == ((12).to_bytes(8, "big"),)


def test_a_new_session_starts_a_new_generation():
    plan = planner()
    ready = {"session_id": "s", "user": {"id": "1"}, "guilds": [{"id": GUILD, "unavailable": True}]}
    plan.plan("READY", ready, 1)
    assert not plan.guilds[GUILD].current
    assert plan.plan("GUILD_MEMBER_ADD", {"guild_id": GUILD, **member(5)}, 2)[0][0] == "APPEND"
    operations = plan.plan("GUILD_CREATE", {"id": GUILD, "name": "g", "members": [member(5)], "member_count": 9}, 3)
    assert plan.guilds[GUILD].generation == 4
    assert not plan.guilds[GUILD].complete
    assert commands(operations, KEYS.members(GUILD, 3)) == ["PEXPIRE"]
    assert commands(operations, KEYS.members(GUILD, 4)) == ["HSET"]


def test_guilds_the_bot_has_left_are_purged_by_ready():
    plan = planner(**{"8388608": GuildState(1, current=True)})
    operations = plan.plan("READY", {"session_id": "s", "user": {}, "guilds": [{"id": GUILD}]}, 1)
    assert ("HDEL", KEYS.guilds, "8388608") in operations
    assert ("HDEL", KEYS.guilds, GUILD) not in operations
    assert set(plan.guilds) == {GUILD}


def test_without_the_members_intent_no_list_is_kept():
    plan = planner(members=False)
    operations = plan.plan("GUILD_CREATE", {"id": GUILD, "members": [member(5)]}, 1)
    assert KEYS.members(GUILD, 4) not in {key for key in written(operations) if key.endswith("g4")}
    assert [operation[0] for operation in plan.plan("GUILD_MEMBER_ADD", {"guild_id": GUILD, **member(5)}, 2)] == [
        "APPEND"
    ]


@pytest.mark.parametrize("name", ["READY", "RESUMED", "GUILD_MEMBERS_CHUNK", "RATE_LIMITED"])
def test_the_connections_own_events_are_not_passed_on(name):
    data = {"session_id": "s", "user": {}, "guilds": [], **chunk(0, 1)}
    assert "APPEND" not in {operation[0] for operation in planner().plan(name, data, 1)}


@pytest.mark.parametrize(
    ("name", "data", "guild", "channel"),
    [
        ("MESSAGE_CREATE", {"id": "9", "guild_id": GUILD, "channel_id": "10"}, GUILD, "10"),
        ("MESSAGE_CREATE", {"id": "9", "channel_id": "10"}, None, "10"),
        ("CHANNEL_UPDATE", {"id": "10", "guild_id": GUILD}, GUILD, "10"),
        ("THREAD_DELETE", {"id": "10", "guild_id": GUILD, "parent_id": "1"}, GUILD, "10"),
        ("GUILD_UPDATE", {"id": GUILD}, GUILD, None),
        ("SOMETHING_NEW", {"id": "9"}, None, None),
    ],
)
def test_entries_say_where_they_belong(name, data, guild, channel):
    entry = planner().plan(name, data, 77)[-1]
    words = dict(zip(entry[2::2], entry[3::2], strict=True))
    assert (words["t"], words["s"], words["x"]) == (name, "77", "mark")
    assert (words.get("g"), words.get("c")) == (guild, channel)


def test_an_outage_keeps_what_is_known():
    plan = planner()
    operations = plan.plan("GUILD_DELETE", {"id": GUILD, "unavailable": True}, 1)
    assert written(operations[:-1]) == {KEYS.meta(GUILD)}
    assert not plan.guilds[GUILD].available


def test_direct_messages_have_no_cache():
    assert [operation[0] for operation in planner().plan("CHANNEL_CREATE", {"id": "5", "type": 1}, 1)] == ["APPEND"]


def test_big_chunks_are_written_in_slices():
    plan = planner()
    plan.member_lists.request(GUILD, "n")
    operations = plan.plan("GUILD_MEMBERS_CHUNK", chunk(0, 1, *(member(n) for n in range(1, 1001))), 1)
    assert commands(operations, KEYS.members(GUILD, 3)) == ["HSET"] * 10
    assert max(map(len, operations)) < 210


@pytest.mark.parametrize(
    ("name", "data", "fields"),
    [
        ("GUILD_UPDATE", {"id": GUILD, "name": "new"}, ("parts",)),
        ("GUILD_CREATE", {"id": GUILD, "name": "new"}, ("parts", "members")),
        ("GUILD_DELETE", {"id": GUILD}, ("parts",)),
        ("CHANNEL_CREATE", {"guild_id": GUILD, "id": "9"}, ("parts",)),
        ("GUILD_MEMBER_ADD", {"guild_id": GUILD, **member(5)}, ("members",)),
    ],
)
def test_the_last_change_of_an_event_renews_the_stamps_of_its_guild(name, data, fields):
    *_, last, appended = planner().plan(name, data, 1)
    assert last == ("RENEW", KEYS.meta(GUILD), *fields)
    assert appended[0] == "APPEND"


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("MESSAGE_CREATE", {"guild_id": GUILD, "id": "9"}),
        ("CHANNEL_CREATE", {"id": "9"}),
        ("VOICE_STATE_UPDATE", {"guild_id": GUILD, "user_id": "5", "channel_id": None}),
        ("USER_UPDATE", {"id": "1"}),
    ],
)
def test_events_without_a_cached_change_renew_nothing(name, data):
    assert "RENEW" not in {operation[0] for operation in planner().plan(name, data, 1)}


@pytest.mark.parametrize("name", ["CHANNEL_UPDATE", "THREAD_UPDATE", "VOICE_CHANNEL_STATUS_UPDATE"])
def test_the_channel_of_an_event_may_be_its_id(name):
    (appended,) = planner().append_only(name, {"id": "77", "guild_id": GUILD}, 1)
    assert appended[appended.index("c") + 1] == "77"


def test_the_server_of_a_voice_connection_is_passed_on():
    (appended,) = planner().append_only("VOICE_SERVER_UPDATE", {"guild_id": GUILD, "token": "t", "endpoint": None}, 1)
    assert appended[appended.index("t") + 1] == "VOICE_SERVER_UPDATE"


def about(guild_id: str) -> dict[str, dict]:
    """Return an event for each name that changes a guild's caches, without those that begin or end a guild."""
    place = {"guild_id": guild_id}
    return {
        "GUILD_UPDATE": {"id": guild_id, "name": "g", "roles": [{"id": "5"}]},
        "GUILD_ROLE_CREATE": {**place, "role": {"id": "5"}},
        "GUILD_ROLE_UPDATE": {**place, "role": {"id": "5"}},
        "GUILD_ROLE_DELETE": {**place, "role_id": "5"},
        "GUILD_EMOJIS_UPDATE": {**place, "emojis": [{"id": "5"}]},
        "GUILD_STICKERS_UPDATE": {**place, "stickers": [{"id": "5"}]},
        "CHANNEL_CREATE": {**place, "id": "6"},
        "CHANNEL_UPDATE": {**place, "id": "6"},
        "CHANNEL_DELETE": {**place, "id": "6"},
        "THREAD_CREATE": {**place, "id": "7"},
        "THREAD_UPDATE": {**place, "id": "7"},
        "THREAD_DELETE": {**place, "id": "7"},
        "THREAD_LIST_SYNC": {**place, "threads": [{"id": "7"}]},
        "THREAD_MEMBERS_UPDATE": {**place, "id": "7", "removed_member_ids": ["1"]},
        "VOICE_STATE_UPDATE": {**place, "user_id": "8", "channel_id": "6"},
        "GUILD_MEMBER_ADD": {**place, **member(8)},
        "GUILD_MEMBER_UPDATE": {**place, **member(8)},
        "GUILD_MEMBER_REMOVE": {**place, "user": {"id": "8"}},
        "GUILD_MEMBERS_CHUNK": {**chunk(0, 1, member(8)), **place},
    }


@pytest.mark.parametrize("members", [True, False])
def test_a_voice_state_concerns_a_member_only_while_lists_are_kept(members):
    operations = planner(members=members).plan("VOICE_STATE_UPDATE", about(GUILD)["VOICE_STATE_UPDATE"], 1)
    assert ("VOICE" in {operation[0] for operation in operations}) == members


def test_every_event_of_a_guild_is_tried_below():
    assert set(about(GUILD)) == set(planner()._plans) - {"READY", "USER_UPDATE", "GUILD_CREATE", "GUILD_DELETE"}


@pytest.mark.parametrize("name", sorted(about(GUILD)))
def test_what_comes_after_a_guild_was_left_leaves_nothing_in_the_caches(name):
    plan = planner()
    plan.plan("GUILD_DELETE", {"id": GUILD}, 1)
    passed_on = plan.plan(name, about(GUILD)[name], 2)
    assert [operation[0] for operation in passed_on] == ([] if name == "GUILD_MEMBERS_CHUNK" else ["APPEND"])


@pytest.mark.parametrize(("removed", "dropped"), [(["1"], True), (["8", "1"], True), (["8"], False), (None, False)])
def test_a_thread_that_the_bot_was_removed_from_is_dropped(removed, dropped):
    data = {"guild_id": GUILD, "id": "7", "member_count": 2, "removed_member_ids": removed}
    operations = planner().plan("THREAD_MEMBERS_UPDATE", data, 1)
    assert (("HDEL", KEYS.part("th", GUILD), "7") in operations) == dropped
    assert operations[-1][0] == "APPEND"


def test_a_guild_that_cannot_be_read_changes_nothing():
    plan = planner()
    with pytest.raises(TypeError):
        plan.plan("GUILD_CREATE", {"id": GUILD, "roles": 5}, 1)
    assert plan.guilds[GUILD] == GuildState(3, current=True, size=2)


def test_lists_of_a_guild_may_be_null():
    lists = ("roles", "emojis", "stickers", "channels", "threads", "voice_states", "members", "member_count")
    plan = planner()
    plan.plan("GUILD_CREATE", {"id": GUILD, **dict.fromkeys(lists)}, 1)
    assert plan.guilds[GUILD].generation == 4
