import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import example, given
from hypothesis import strategies as st

from discordproxy import discord_api_pb2 as pb
from discordproxy_api.contract.contract import json_key, load_contract
from discordproxy_api.contract.decode import MAX_DEPTH, Readers, build
from discordproxy_api.contract.quick_decode import UNEXPECTED, QuickReaders
from discordproxy_api.contract.translate import Translator, message_reader, message_writer
from strategies.examples import examples
from strategies.random_messages import JSON, documents, messages

CONTRACT = load_contract()
TRANSLATORS = {name: Translator(rpc) for name, rpc in CONTRACT.items() if rpc.method}


def read(descriptor, document):
    return message_reader(descriptor)(document)


def message(**document):
    return read(pb.Message.DESCRIPTOR, document)


def test_ids_types_and_text():
    made = message(id="5", channel_id="6", content="hé", type=19, tts=True, mention_roles=["7", "8"])
    expected = pb.Message(id=5, channel_id=6, content="hé", type=pb.Message.REPLY, tts=True, mention_roles=[7, 8])
    assert made == expected


def test_the_result_field_receives_the_document():
    assert TRANSLATORS["GetGuildChannels"].incoming([{"id": "1", "type": 0}, {"id": "2", "type": 15}]).channels == [
        pb.Channel(id=1, type=pb.Channel.GUILD_TEXT),
        pb.Channel(id=2, type=pb.Channel.GUILD_FORUM),
    ]
    pins = TRANSLATORS["GetPins"].incoming({"items": [{"pinned_at": "t", "message": {"id": "5"}}], "has_more": True})
    assert (pins.items[0].message.id, pins.has_more) == (5, True)


READ_INTERACTION = message_reader(pb.Interaction.DESCRIPTOR)


@pytest.mark.parametrize("document", [None, [], "text", 5, {}, [None], [5], {"id": {}}])
def test_an_unexpected_document_gives_an_empty_response(document):
    assert TRANSLATORS["GetMessage"].incoming(document) in (
        pb.MessageResponse(),
        pb.MessageResponse(message=pb.Message()),
    )
    assert TRANSLATORS["GetPins"].incoming(document) == pb.GetPinsResponse()
    assert not TRANSLATORS["GetMessages"].incoming(document).messages


@pytest.mark.parametrize(
    ("value", "expected"),
    [("5", 5), (5, 5), (5.0, 5), (True, 1), ("-1", 0), (-1, 0), (2**64, 0), ("x", 0), (None, 0), ([], 0), ({}, 0)],
)
def test_an_id_is_a_number_or_nothing(value, expected):
    assert message(id=value).id == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("x", "x"), (5, "5"), (1.5, "1.5"), (True, "true"), (False, "false"), ({}, ""), (10**400, "")],
)
def test_text(value, expected):
    assert message(content=value).content == expected


@pytest.mark.parametrize(("value", "expected"), [(True, True), (1, True), (0, False), ("true", False), ([], False)])
def test_truth(value, expected):
    assert message(tts=value).tts is expected


def test_amounts_are_clamped_and_bit_fields_keep_their_low_bits():
    attachment = read(pb.Message.Attachment.DESCRIPTOR, {"size": 2**40, "height": -(2**40), "flags": 2**63 + 5})
    assert (attachment.size, attachment.height, attachment.flags) == (2**31 - 1, -(2**31), 5)
    assert message(flags=2**31 + 64).flags == 64


@pytest.mark.parametrize(("value", "expected"), [("1.5", 1.5), (2, 2.0), (float("nan"), 0), (10**400, 0), ([], 0)])
def test_fractions(value, expected):
    assert read(pb.Message.Attachment.DESCRIPTOR, {"duration_secs": value}).duration_secs == expected


def test_new_enum_values_travel_where_the_numbers_are_discords():
    assert message(type=999).type == 999
    assert read(pb.Component.DESCRIPTOR, {"type": 99}).type == 99
    assert message(type=2**40).type == 0


def test_new_channel_types_are_undefined():
    assert read(pb.Channel.DESCRIPTOR, {"type": 77}).type == pb.Channel.UNDEFINED
    assert read(pb.Channel.DESCRIPTOR, {"type": 6}).type == pb.Channel.UNDEFINED  # the removed store channels


def test_nulls_in_lists_are_left_out():
    assert message(mention_roles=["1", None, "x", {}]).mention_roles == [1]
    assert message(embeds=[None, {"title": "t"}, 5]).embeds == [pb.Embed(title="t")]
    assert message(embeds={"title": "t"}).embeds == []


def test_half_a_surrogate_pair_does_not_lose_the_message():
    components = [{"new\ud800": ["\ud800"]}]
    made = message(id="5", tts=True, content="a\ud800b", embeds=[{"title": "\udfff"}], components=components)
    assert (made.id, made.tts, made.content, made.embeds[0].title) == (5, True, "a?b", "?")
    assert made.components[0].extra["new?"][0] == "?"


def test_maps():
    owners = {"0": "77", "1": None, "2": "x", "3": 5}
    made = message(interaction_metadata={"authorizing_integration_owners": owners})
    assert made.interaction_metadata.authorizing_integration_owners == {"0": 77, "3": 5}
    assert not message(interaction_metadata={"authorizing_integration_owners": []}).HasField("call")


def test_unknown_component_keys_are_kept():
    made = read(
        pb.Component.DESCRIPTOR, {"type": 1, "shape": {"sides": 3}, "deep": [[1, "x", None, True]], "none": None}
    )
    assert MessageToDict(made.extra) == {"shape": {"sides": 3.0}, "deep": [[1.0, "x", None, True]], "none": None}
    assert not read(pb.Component.DESCRIPTOR, {"type": 1}).HasField("extra")


def test_replies_nested_without_end_stay_readable():
    document, inner = {}, None
    inner = document
    for _ in range(900):
        inner["components"] = [{"type": 1, "odd": {}}]
        inner = inner["components"][0]
    inner["odd"] = nested = {}
    for _ in range(900):
        nested["x"] = nested = {}
    made = message(**document)
    depth = 0
    while made.components:
        made, depth = made.components[0], depth + 1
    assert depth == MAX_DEPTH
    copied = message(**document)
    assert pb.Message.FromString(copied.SerializeToString()) == copied


def test_embed_media_fill_both_names_of_the_proxied_url():
    embed = read(
        pb.Embed.DESCRIPTOR, {name: {"url": "u", "proxy_url": "p"} for name in ("image", "video", "thumbnail")}
    )
    assert (embed.image.proxy_url, embed.image.proxy_icon_url) == ("p", "p")
    assert (embed.video.proxy_url, embed.video.proxy_icon_url) == ("p", "p")
    assert embed.thumbnail.proxy_url == "p"
    assert read(pb.Embed.DESCRIPTOR, {"image": {"url": "u"}}).image == pb.Embed.Image(url="u")


def test_mentioned_channels_are_ids_and_objects():
    made = message(mention_channels=[{"id": "5", "guild_id": "6", "type": 5, "name": "news"}, {"name": "no id"}])
    assert made.mention_channels == [5]
    assert made.channel_mentions[0] == pb.Message.ChannelMention(
        id=5, guild_id=6, type=pb.Channel.GUILD_NEWS, name="news"
    )


def test_stickers_come_from_sticker_items():
    assert message(sticker_items=[{"id": "5", "name": "s", "format_type": 4}]).stickers[0].format_type == 4


def test_forwarded_messages_are_unwrapped():
    made = message(message_snapshots=[{"message": {"content": "forwarded"}}, {}, None, 5])
    assert [snapshot.content for snapshot in made.message_snapshots] == ["forwarded"]
    assert message(message_snapshots={}).message_snapshots == []


def test_role_tags_are_a_list_whose_nulls_mean_true():
    tags = {"bot_id": "5", "premium_subscriber": None, "available_for_purchase": False}
    role = read(pb.Role.DESCRIPTOR, {"tags": tags, "permissions": "2147483648"})
    assert role.tags == [pb.Role.Tag(id=5, premium_subscriber=True)]
    assert role.permission_bits == 2**31
    assert read(pb.Role.DESCRIPTOR, {"permissions": "lots"}).permission_bits == 0


def test_the_guild_of_members_and_roles_is_filled():
    parameters = {"guild_id": "9", "user_id": "5"}
    assert TRANSLATORS["GetGuildMember"].incoming({"nick": "n"}, parameters).member.guild_id == 9
    assert TRANSLATORS["ListGuildMembers"].incoming([{}, {}], parameters).members[1].guild_id == 9
    assert TRANSLATORS["GetGuildRoles"].incoming([{"id": "1"}], parameters).roles[0].guild_id == 9
    assert TRANSLATORS["CreateRole"].incoming({"id": "1"}).role.guild_id == 0
    assert TRANSLATORS["GetGuild"].incoming({"id": "9", "roles": [{"id": "1"}]}).guild.roles[0].guild_id == 9
    assert message(guild_id="9", member={"nick": "n"}).member.guild_id == 9


def test_legacy_names():
    assert read(pb.Emoji.DESCRIPTOR, {"require_colons": True}).required_colons
    assert message(activity={"type": 5}).activity.type == pb.Message.Activity.JOIN_REQUEST


def test_explicit_zero_keeps_its_presence():
    assert read(pb.User.DESCRIPTOR, {"accent_color": 0}).HasField("accent_color")
    assert not read(pb.User.DESCRIPTOR, {"accent_color": None}).HasField("accent_color")


@pytest.mark.parametrize("name", TRANSLATORS)
@given(data=st.data())
@examples(5)
def test_no_reply_is_ever_an_error(name, data):
    rpc = CONTRACT[name]
    inner = rpc.response.fields_by_name[rpc.result].message_type if rpc.result else rpc.response
    one = documents(inner, json_key)
    response = TRANSLATORS[name].incoming(data.draw(one | st.lists(one, max_size=2) | JSON), {"guild_id": "5"})
    assert rpc.response_type.FromString(response.SerializeToString()) == response


@given(document=JSON)
@example(document={"components": [{"components": [{}]}]})
@examples(50)
def test_no_document_is_ever_an_error(document):
    TRANSLATORS["SendChannelMessage"].incoming(document)


KINDS = [pb.Message, pb.Guild, pb.Channel, pb.GuildMember, pb.Role, pb.Component, pb.Embed, pb.User]


def quick_and_careful(kind, document):
    """Return both results; None for the quick one if careful decoding has to follow."""
    readers = Readers()
    quick, careful = QuickReaders(readers).reader(kind.DESCRIPTOR), readers.reader(kind.DESCRIPTOR)
    try:
        found = kind(**quick.read(document))
    except UNEXPECTED:
        found = None
    return found, build(kind, careful.read, document)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.DESCRIPTOR.name)
@given(data=st.data())
@examples(25)
def test_quick_and_careful_decoding_agree(kind, data):
    document = data.draw(documents(kind.DESCRIPTOR, json_key) | JSON.filter(lambda value: isinstance(value, dict)))
    found, expected = quick_and_careful(kind, document)
    assert found in (None, expected)


@pytest.mark.parametrize("kind", KINDS[1:], ids=lambda kind: kind.DESCRIPTOR.name)
@given(data=st.data())
@examples(20)
def test_documented_types_are_decoded_quickly(kind, data):
    document = message_writer(kind.DESCRIPTOR)(data.draw(messages(kind.DESCRIPTOR)))
    found, expected = quick_and_careful(kind, document)
    assert found == expected


def test_any_json_is_a_value():
    change = {"key": "$add", "new_value": [{"id": "5", "name": "Boss"}], "old_value": None}
    log = {"audit_log_entries": [{"id": "1", "action_type": 9999, "options": {"count": "3"}, "changes": [change]}]}
    (entry,) = TRANSLATORS["GetAuditLog"].incoming(log).audit_log_entries
    assert (entry.action_type, dict(entry.options)) == (9999, {"count": "3"})
    assert MessageToDict(entry.changes[0]) == {"key": "$add", "newValue": [{"id": "5", "name": "Boss"}]}
    for value in (5, 0, "x", True, False, 1.5):
        log["audit_log_entries"][0]["changes"] = [{"key": "k", "new_value": value}]
        (entry,) = TRANSLATORS["GetAuditLog"].incoming(log).audit_log_entries
        assert MessageToDict(entry.changes[0])["newValue"] == value


def test_a_map_has_keys_of_its_type():
    counts = TRANSLATORS["GetRoleMemberCounts"].incoming({"5": 3, "x": 4, "6": "7", "8": None}).counts
    assert dict(counts) == {5: 3, 6: 7}


def test_groups_of_messages_are_joined():
    found = TRANSLATORS["SearchMessages"].incoming(
        {"messages": [[{"id": "5"}], [{"id": "6"}], None], "total_results": 2}
    )
    assert [message.id for message in found.messages] == [5, 6]


@pytest.mark.parametrize(
    ("option", "field", "value"),
    [
        ({"type": 3, "value": "x"}, "string_value", "x"),
        ({"type": 6, "value": "5"}, "string_value", "5"),
        ({"type": 4, "value": 2**53}, "integer_value", 2**53),
        ({"type": 4, "value": 0}, "integer_value", 0),
        ({"type": 5, "value": False}, "boolean_value", False),
        ({"type": 10, "value": 1.5}, "number_value", 1.5),
        ({"type": 10, "value": 1}, "number_value", 1.0),
        ({"type": 4, "value": ""}, "string_value", ""),
        ({"type": 4, "value": 2**80}, None, None),
        ({"type": 3, "value": None}, None, None),
        ({"type": 3, "value": ["x"]}, None, None),
        ({"type": 3, "value": {"x": 1}}, None, None),
        ({"type": 3, "value": "\ud800"}, "string_value", "?"),
    ],
)
def test_the_value_of_an_option_has_the_type_of_its_json(option, field, value):
    made = READ_INTERACTION({"data": {"options": [{"name": "o", **option}]}}).data.options[0]
    assert made.WhichOneof("value") == field
    assert field is None or getattr(made, field) == value
    assert made.name == "o"
