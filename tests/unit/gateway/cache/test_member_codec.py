import pytest
from hypothesis import given
from hypothesis import strategies as st

from discordproxy_gateway.cache import member_codec

snowflakes = st.integers(1, 2**63 - 1)
texts = st.none() | st.text(min_size=1, max_size=40)
hashes = texts | st.from_regex(r"\A(a_)?[0-9a-f]{32}\Z")
times = (
    st.none() | st.datetimes(timezones=st.timezones()).map(lambda t: t.isoformat()) | st.text(min_size=1, max_size=40)
)
decorations = st.none() | st.fixed_dictionaries({"asset": hashes, "sku_id": texts})
tags = st.fixed_dictionaries(
    {"identity_guild_id": texts, "identity_enabled": st.booleans(), "tag": texts, "badge": texts}
)
users = st.fixed_dictionaries(
    {
        "id": snowflakes.map(str),
        "username": st.text(max_size=32),
        "global_name": texts,
        "discriminator": st.sampled_from(["0", "0001", "9999"]),
        "avatar": hashes,
        "bot": st.booleans(),
        "system": st.booleans(),
        "public_flags": st.integers(0, 2**40),
        "banner": hashes,
        "accent_color": st.none() | st.integers(0, 2**24),
        "avatar_decoration_data": decorations,
        "primary_guild": st.none() | tags,
    }
)
rows = st.fixed_dictionaries(
    {
        "user": users,
        "nick": texts,
        "roles": st.lists(snowflakes.map(str), max_size=5),
        "joined_at": times,
        "premium_since": times,
        "deaf": st.booleans(),
        "mute": st.booleans(),
        "pending": st.booleans(),
        "flags": st.integers(0, 2**31),
        "avatar": hashes,
        "banner": hashes,
        "communication_disabled_until": times,
        "avatar_decoration_data": decorations,
    }
)


@given(rows)
def test_a_member_comes_back_as_it_was(member):
    packed = member_codec.pack(member)
    assert member_codec.unpack(int(member["user"]["id"]), packed) == member
    shown = [member["user"]["username"], member["user"]["global_name"], member["nick"]]
    assert list(member_codec.names(packed)) == [name for name in shown if name]


def test_what_discord_leaves_out_is_absent():
    packed = member_codec.pack({"user": {"id": "5", "username": "five"}, "roles": []})
    member = member_codec.unpack(5, packed)
    assert member["nick"] is None
    assert member["deaf"] is False
    assert member["user"]["discriminator"] == "0"
    assert len(packed) < 12


@given(st.lists(snowflakes, unique=True))
def test_fields_sort_like_ids(ids):
    assert sorted(map(member_codec.id_field, ids)) == [member_codec.id_field(each) for each in sorted(ids)]
    assert [member_codec.user_id_of(member_codec.id_field(each)) for each in ids] == ids


def test_another_layout_is_refused():
    with pytest.raises(ValueError, match="layout 02"):
        member_codec.unpack(1, b"\x02\x90")
