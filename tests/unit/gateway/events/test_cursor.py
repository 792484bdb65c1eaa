import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discordproxy_gateway.events import (
    BadCursorError,
    Cursor,
    Filter,
    IntentOffError,
    Place,
    Position,
    UnknownEventError,
    check_types,
)
from discordproxy_gateway.events.entry import decode

positions = st.builds(
    Position,
    st.text("0123456789abcdef", min_size=12, max_size=12),
    st.integers(0, 2**53),
    st.builds("{}-{}".format, st.integers(0, 2**48), st.integers(0, 1000)),
)


places = st.builds(Place, st.integers(1, 2**40), st.integers(0, 100))


@given(st.dictionaries(places, positions, min_size=1))
def test_a_cursor_survives_as_text(places):
    cursor = Cursor(places)
    assert Cursor.parse(str(cursor)) == cursor


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_anything_else_is_refused(text):
    try:
        cursor = Cursor.parse(text)
    except BadCursorError:
        return
    assert Cursor.parse(str(cursor)) == cursor


FORGED = [
    "[]",
    "[[]]",
    "{}",
    "7",
    '[[1,0,1,2,"1-1"]]',
    '[[1,0,"e",2]]',
    '[[1,0,"e",2,"x"]]',
    '[[1,0,"e",2,"1"]]',
    '[[1,0,"e",2,"1-"]]',
    '[[1,0,"e",2,"1-1-1"]]',
    '[[1,0,"e",2,"1-1) COUNT 1"]]',
    '[[1,0,"e",2,"\u0661-1"]]',  # a digit, but not one of Redis
    '[[1,0,"e",2,"-1-1"]]',
    f'[[1,0,"e",2,"{10**30}-1"]]',
    f'[[1,0,"e",{10**30},"1-1"]]',
    f'[[1,0,"e",{"9" * 40},"1-1"]]',
    f'[[1,0,"e",{2**63},"1-1"]]',
    '[[1,0,"e",-1,"1-1"]]',
    '[[1,0,"e",1.5,"1-1"]]',
    '[[1,0,"e",true,"1-1"]]',
    '[[1,0,"e","2","1-1"]]',
    '[[1,-1,"e",2,"1-1"]]',
    '[[null,0,"e",2,"1-1"]]',
    '[[1,0,"e e",2,"1-1"]]',
    f'[[1,0,"{"e" * 65}",2,"1-1"]]',
    "[" * 2000,
]


@pytest.mark.parametrize("places", FORGED)
def test_forged_cursors_are_refused(places):
    with pytest.raises(BadCursorError, match="no cursor of this service"):
        Cursor.parse(base64.urlsafe_b64encode(places.encode()).decode().rstrip("="))


@pytest.mark.parametrize("text", ["a", "a b", "W10=\n", "W1+x/", "\u0661", "x" * 1_000_000, "A" * 2_000_001])
def test_what_is_no_base64_or_endless_is_refused(text):
    with pytest.raises(BadCursorError):
        Cursor.parse(text)


def test_the_cursor_of_the_most_shards_is_read():
    every = {Place(7, shard): Position("0123456789ab", 2**40, "1790000000000-0") for shard in range(16_000)}
    assert len(Cursor.parse(str(Cursor(every))).positions) == 16_000


def entry(**fields: str):
    return decode(0, "e", b"5-1", {name.encode(): value.encode() for name, value in fields.items()})


@pytest.mark.parametrize(
    ("wanted", "passes"),
    [
        (Filter(), True),
        (Filter(types=frozenset({"A"})), True),
        (Filter(types=frozenset({"B"})), False),
        (Filter(guild_ids=frozenset({1})), True),
        (Filter(guild_ids=frozenset({2})), False),
        (Filter(channel_ids=frozenset({3})), True),
        (Filter(channel_ids=frozenset({4})), False),
        (Filter(frozenset({"A"}), frozenset({1}), frozenset({4})), False),
    ],
)
def test_filters(wanted, passes):
    assert wanted.passes(entry(n="1", t="A", g="1", c="3")) is passes


def test_events_without_a_guild_need_an_empty_guild_filter():
    assert Filter().passes(entry(n="1", t="A"))
    assert not Filter(guild_ids=frozenset({1})).passes(entry(n="1", t="A"))


def test_unknown_names_get_a_hint_and_missing_intents_are_named():
    with pytest.raises(UnknownEventError, match="did you mean MESSAGE_CREATE"):
        check_types(["message_creat"], ())
    with pytest.raises(IntentOffError, match="intent members"):
        check_types(["GUILD_MEMBER_ADD"], ("guilds",))
    assert check_types(["GUILD_MEMBER_ADD", "INTERACTION_CREATE"], ("guilds", "members"))
    assert check_types(["GUILD_MEMBER_ADD"], ())
