"""Events that are not what Discord documents: they cost themselves at most."""

import asyncio

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from discordproxy_gateway.discord.dispatch import Dispatch
from discordproxy_gateway.discord.intents import EVENTS
from discordproxy_gateway.events.entry import decode
from discordproxy_gateway.ids import id_of, number_of
from discordproxy_gateway.keys import Keys, Slot
from discordproxy_gateway.options import GatewayOptions
from discordproxy_gateway.plan.event_planner import INTERNAL, EventPlanner
from discordproxy_gateway.plan.member_operations import GuildState
from discordproxy_gateway.store.lease import Lease
from discordproxy_gateway.write.writer import Writer
from fakes.every_case import every_case
from strategies.examples import examples

KEYS = Keys("dp", "1")
SLOT = Slot(0, 1)
GUILD = "4194304"

PLACES = [
    "@me",
    {"id": "7"},
    ["7"],
    1.5,
    -7,
    "-7",
    str(2**64),
    1.9e19,
    "9" * 40,
    "7 ",
    "\u0667",
    True,
    "",
    None,
    0,
    "0",
]
"""What may stand where an id belongs; the last four name no place at all."""

json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(
    [
        "id",
        "guild_id",
        "channel_id",
        "parent_id",
        "user",
        "user_id",
        "role",
        "role_id",
        "members",
        "roles",
        "emojis",
        "stickers",
        "channels",
        "threads",
        "voice_states",
        "thread_metadata",
        "unavailable",
        "nonce",
        "chunk_index",
    ]
)
ids = st.sampled_from([GUILD, "8", *PLACES[:-4]])
events = st.dictionaries(names, json | ids | st.lists(st.dictionaries(names, json | ids, max_size=3), max_size=2))


def writer() -> Writer:
    planner = EventPlanner(
        KEYS, SLOT, guilds={GUILD: GuildState(1, current=True)}, mark="m", awaited=(), members=True, era=1
    )
    lease = Lease(None, KEYS, SLOT, owner="o", fence=1, lease_s=10)
    return Writer(
        None,
        KEYS,
        lease,
        session=None,
        fingerprint="f",
        planner=planner,
        on_stored=print,
        options=GatewayOptions("", ()),
    )


def operations(name: str, data) -> list[tuple]:
    async def plan():
        planned = writer().plan(Dispatch(name, data, 5, 0.0))
        return [] if planned is None else list(planned.operations)

    return asyncio.run(plan())


def entry_of(planned: list[tuple]):
    (append,) = [operation for operation in planned if operation[0] == "APPEND"]
    words = [word.encode() if isinstance(word, str) else word for word in append[2:]]
    return decode(0, "e", b"5-1", dict(zip(words[::2], words[1::2], strict=True)), after=0)


@every_case("place", PLACES, ids=repr)
@every_case("field", ["guild_id", "channel_id"])
@every_case("name", ["MESSAGE_CREATE", "CHANNEL_UPDATE", "GUILD_MEMBER_UPDATE", "VOICE_STATE_UPDATE", "NEW"])
def test_an_event_with_an_odd_place_is_passed_on_without_it(name, field, place):
    data = {"id": "9", "guild_id": GUILD, "channel_id": "10", "user": {"id": "3"}, "user_id": "3"} | {field: place}
    entry = entry_of(operations(name, data))
    assert (entry.type, orjson.loads(entry.json)) == (name, data)
    expected = {"guild_id": int(GUILD), "channel_id": 10} | {field: 0}
    if field == "channel_id" and name == "CHANNEL_UPDATE" and place in ("", None, 0):
        expected["channel_id"] = 9  # the channel itself
    assert (entry.guild_id, entry.channel_id) == (expected["guild_id"], expected["channel_id"])


@every_case("name", ["GUILD_CREATE", "GUILD_UPDATE", "GUILD_DELETE"])
@every_case("place", PLACES, ids=repr)
def test_a_guild_without_an_id_is_not_cached(name, place):
    planned = operations(name, {"id": place, "name": "x", "unavailable": False})
    assert [operation[0] for operation in planned] == ["APPEND"]
    assert entry_of(planned).guild_id == 0


@given(st.sampled_from(sorted(EVENTS)), events | json)
@example("GUILD_CREATE", {"id": GUILD, "channels": ["x", {"id": "@me"}, {"id": "5"}], "roles": [{"id": {}}]})
@example("GUILD_CREATE", {"id": GUILD, "members": [{"user": {"id": "x"}}, {"user": None}, None, {"user": {"id": "5"}}]})
@example(
    "READY", {"session_id": "s", "resume_gateway_url": "u", "user": {}, "guilds": [{"id": "@me"}, None, {"id": "7"}]}
)
@examples(300)
def test_whatever_comes_no_key_and_no_field_is_made_of_what_is_no_id(name, data):
    for operation in operations(name, data):
        command, key, *words = operation
        assert isinstance(key, str)
        assert all(isinstance(word, str | bytes) for word in words), operation
        if command == "HSET" and ":c:" in key and ":meta:" not in key and ":m:" not in key:
            assert all(id_of(field) == field for field in words[::2]), operation
        if command == "APPEND":
            fields = dict(zip(words[::2], words[1::2], strict=True))
            assert all(id_of(fields.get(place)) == fields.get(place, "") for place in ("g", "c", "p"))


def test_odd_events_of_one_kind_are_counted_and_warned_of_once(caplog):
    async def plan():
        one = writer()
        for data in [None, [1], None]:
            one.plan(Dispatch("CHANNEL_CREATE", data, 5, 0.0))
            one.plan(Dispatch("RESUMED\n", data, 5, 0.0))
        return one.skipped.count

    assert asyncio.run(plan()) >= 3
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == len(set(lines))
    assert any("'CHANNEL_CREATE' not understood" in line for line in lines)
    assert not any("\n" in line for line in lines)


def test_one_odd_object_costs_the_others_nothing():
    rows = [{"id": "5", "name": "five"}, {"id": "@me"}, None, "x", {"name": "no id"}, {"id": "6", "name": "six"}]
    member = {"user": {"id": "5", "username": "u"}, "roles": ["7"]}
    people = [member, {"user": {"id": "6"}, "roles": [{}]}, None, {"user": "x"}, {**member, "user": {"id": "8"}}]
    guild = {"id": GUILD, "channels": rows, "threads": rows, "roles": rows, "members": people}
    planned = operations("GUILD_CREATE", guild | {"voice_states": [{"user_id": "5"}, {"user_id": None}, 7]})
    stored = {operation[1]: operation[2::2] for operation in planned if operation[0] == "HSET"}
    for kind in ("ch", "th", "ro"):
        assert stored[KEYS.part(kind, GUILD)] == ("5", "6")
    assert stored[KEYS.part("vs", GUILD)] == ("5",)
    assert [int.from_bytes(field, "big") for field in stored[KEYS.members(GUILD, 2)]] == [5, 8]


@pytest.mark.parametrize("name", sorted(INTERNAL))
def test_the_connections_own_events_are_never_passed_on_however_odd(name):
    assert "APPEND" not in {operation[0] for operation in operations(name, {"odd": True})}


@given(json | st.binary())
def test_numbers_are_of_64_bits_or_none(value):
    number = number_of(value)
    assert number is None or 0 <= number < 2**64
    assert id_of(value) in {"", str(number)}


entries = st.dictionaries(
    st.sampled_from([b"n", b"t", b"s", b"x", b"g", b"c", b"p", b"d", b"from", b"to"]),
    st.binary(max_size=30) | st.integers(-(2**70), 2**70).map(lambda number: str(number).encode()),
)


@given(entries, st.integers(0, 2**64 - 1))
def test_whatever_stands_in_a_stream_is_an_entry(fields, ms):
    entry = decode(0, "e", f"{ms}-0".encode(), fields, after=6)
    assert 0 < entry.position.ordinal < 2**63
    assert 0 <= entry.sequence < 2**63
    assert all(0 <= number < 2**64 for number in (entry.guild_id, entry.channel_id, entry.parent_id))
