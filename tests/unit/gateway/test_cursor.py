import pytest
from hypothesis import given
from hypothesis import strategies as st

from discordproxy_gateway.events import (
    BadCursorError,
    Cursor,
    Filter,
    IntentOffError,
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


@given(st.dictionaries(st.integers(0, 100), positions))
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


@pytest.mark.parametrize("places", ['[[0,1,2,"1-1"]]', '[[0,"e",2,"x"]]', "[[0]]", "{}x", '[[0,"e",2,"1-1) COUNT 1"]]'])
def test_forged_cursors_are_refused(places):
    import base64

    with pytest.raises(BadCursorError):
        Cursor.parse(base64.urlsafe_b64encode(places.encode()).decode())


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
