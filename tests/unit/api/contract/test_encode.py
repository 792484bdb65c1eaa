import orjson
import pytest
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given
from hypothesis import strategies as st

from discordproxy import discord_api_pb2 as pb
from discordproxy_api.contract.contract import load_contract
from discordproxy_api.contract.translate import Outgoing, OutgoingFile, Translator, message_reader, message_writer
from strategies.examples import examples
from strategies.random_messages import messages

CONTRACT = load_contract()
TRANSLATORS = {name: Translator(rpc) for name, rpc in CONTRACT.items() if rpc.method}


def outgoing(name, /, **fields):
    return TRANSLATORS[name].outgoing(CONTRACT[name].request_type(**fields))


def test_path_query_body_and_reason():
    sent = outgoing("CreateInvite", channel_id=5, max_age=0, unique=True, reason="because")
    assert (sent.method, sent.path, sent.reason) == ("POST", "/channels/5/invites", "because")
    assert (sent.query, sent.body) == ([], {"max_age": 0, "unique": True})


def test_query_parameters_keep_zero_and_false():
    sent = outgoing("ListGuilds", after=0, limit=5, with_counts=False)
    assert sent.query == [("after", "0"), ("limit", "5"), ("with_counts", "false")]
    assert sent.body is None


def test_plain_query_parameter_is_left_out_when_empty():
    assert outgoing("SearchGuildMembers", guild_id=1).query == []
    assert outgoing("SearchGuildMembers", guild_id=1, query="böb").query == [("query", "böb")]


def test_path_parameters_are_percent_encoded():
    sent = outgoing("AddReaction", channel_id=1, message_id=2, emoji="👍")
    assert sent.path == "/channels/1/messages/2/reactions/%F0%9F%91%8D/@me"
    sent = outgoing("AddReaction", channel_id=1, message_id=2, emoji="blob:77")
    assert sent.path == "/channels/1/messages/2/reactions/blob%3A77/@me"
    assert sent.parameters == {"channel_id": "1", "message_id": "2", "emoji_name": "blob:77"}
    assert Outgoing("GET", "/invites/{code}", {"code": "../x?y#z"}).path == "/invites/..%2Fx%3Fy%23z"


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("TriggerTyping", {"channel_id": 1}),
        ("PinMessage", {"channel_id": 1, "message_id": 2}),
        ("AddMemberRole", {"guild_id": 1, "user_id": 2, "role_id": 3}),
        ("EndPoll", {"channel_id": 1, "message_id": 2}),
        ("KickGuildMember", {"guild_id": 1, "user_id": 2}),
    ],
)
def test_routes_without_fields_have_no_body(name, fields):
    assert outgoing(name, **fields).body is None


def test_a_route_with_fields_has_a_body_even_when_nothing_is_set():
    assert outgoing("CreateBan", guild_id=1, user_id=2).body == {}


def test_reason_is_left_out_where_discord_takes_none():
    assert outgoing("GetMessage", channel_id=1, message_id=2, reason="x").reason == ""


def test_unset_set_and_reset():
    assert outgoing("EditGuildMember", guild_id=1, user_id=2).body == {}
    assert outgoing("EditGuildMember", guild_id=1, user_id=2, nick="", mute=False).body == {"nick": "", "mute": False}
    reset = outgoing("EditGuildMember", guild_id=1, user_id=2, clear=["nick", "roles", "channel_id"])
    assert reset.body == {"nick": None, "roles": [], "channel_id": None}


def test_ids_and_permissions_are_texts_and_flags_are_numbers():
    overwrite = pb.PermissionOverwrite(id=7, allow=2**63)
    sent = outgoing("CreateChannel", guild_id=1, name="n", parent_id=2**60, permission_overwrites=[overwrite])
    assert sent.body == {
        "name": "n",
        "parent_id": str(2**60),
        "permission_overwrites": [{"id": "7", "allow": str(2**63), "type": 0, "deny": "0"}],
    }
    assert outgoing("EditChannel", channel_id=1, flags=2**40).body == {"flags": 2**40}


def test_channel_types_become_discords():
    assert outgoing("CreateChannel", guild_id=1, name="n", type=pb.Channel.GUILD_TEXT).body["type"] == 0
    assert outgoing("CreateChannel", guild_id=1, name="n", type=pb.Channel.GUILD_MEDIA).body["type"] == 16
    menu = pb.Component(type=8, channel_types=[pb.Channel.GUILD_TEXT, pb.Channel.GUILD_FORUM])
    body = outgoing("SendChannelMessage", channel_id=1, components=[menu]).body
    assert body["components"] == [{"type": 8, "channel_types": [0, 15]}]


def test_discords_own_key_names():
    footer = pb.Embed.Footer(text="t", icon_url="https://x.y/z")
    sent = outgoing("SendChannelMessage", channel_id=1, embeds=[pb.Embed(footer=footer)])
    assert sent.body == {"embeds": [{"footer": {"text": "t", "icon_url": "https://x.y/z"}}]}
    assert outgoing("BulkDeleteMessages", channel_id=1, message_ids=[3, 4]).body == {"messages": ["3", "4"]}


def test_a_field_of_an_embed_is_sent_with_an_empty_name_and_value():
    """Discord requires both keys."""
    sent = outgoing("SendChannelMessage", channel_id=1, embeds=[pb.Embed(fields=[pb.Embed.Field()])])
    assert sent.body == {"embeds": [{"fields": [{"name": "", "value": ""}]}]}


def test_what_only_discord_fills_is_left_out_of_requests():
    echoed = pb.Embed(
        title="t", flags=5, image=pb.Embed.Image(url="u", proxy_url="p", proxy_icon_url="p", content_type="c")
    )
    assert outgoing("SendChannelMessage", channel_id=1, embeds=[echoed]).body == {
        "embeds": [{"title": "t", "image": {"url": "u"}}]
    }


def test_empty_allowed_mentions_ping_nobody():
    assert outgoing("SendChannelMessage", channel_id=1, allowed_mentions=pb.AllowedMentions()).body == {
        "allowed_mentions": {"parse": []}
    }


def test_a_reply_says_that_a_missing_message_does_not_matter():
    sent = outgoing("SendChannelMessage", channel_id=1, message_reference=pb.Message.Reference(message_id=5))
    assert sent.body == {"message_reference": {"message_id": "5", "fail_if_not_exists": False}}


def test_component_keys_newer_than_the_contract():
    component = pb.Component(type=77, label="known")
    component.extra.update({"shape": {"sides": 3, "ratio": 1.5, "names": ["a", 1]}, "label": "stray"})
    assert outgoing("SendChannelMessage", channel_id=1, components=[component]).body == {
        "components": [{"type": 77, "label": "known", "shape": {"sides": 3, "ratio": 1.5, "names": ["a", 1]}}]
    }


def test_files():
    files = [pb.File(filename="a.txt", content=b"a", content_type="text/plain"), pb.File(filename="b")]
    sent = outgoing("SendChannelMessage", channel_id=1, files=files)
    assert sent.files == [
        OutgoingFile("files[0]", "a.txt", b"a", "text/plain"),
        OutgoingFile("files[1]", "b", b"", ""),
    ]


def test_the_repr_shows_the_route_only():
    sent = outgoing(
        "ExecuteWebhook", webhook_id=1, webhook_token="hunter2", content="hunter2", files=[pb.File(content=b"hunter2")]
    )
    assert "hunter2" not in repr(sent) + repr(sent.files)
    assert "/webhooks/{webhook_id}/{webhook_token}" in repr(sent)
    assert sent.no_bot_auth


def test_message_writer_and_reader():
    to_json, from_json = message_writer(pb.Role.DESCRIPTOR), message_reader(pb.Role.DESCRIPTOR)
    role = pb.Role(id=5, name="r", tags=[pb.Role.Tag(id=7)], colors=pb.Role.Colors(secondary_color=0))
    document = to_json(role)
    assert document == {"id": "5", "name": "r", "tags": [{"bot_id": "7"}], "colors": {"secondary_color": 0}}
    assert from_json(document) == role


def _plain(field):
    """Leave Google's own types empty: what may stand in them is the validation's business."""
    foreign = field.message_type is not None and field.message_type.full_name.startswith("google.")
    return st.builds(GetMessageClass(field.message_type)) if foreign else None


@pytest.mark.parametrize("name", TRANSLATORS)
@given(data=st.data())
@examples(6)
def test_any_request_becomes_json(name, data):
    request = data.draw(messages(CONTRACT[name].request, choose=_plain))
    if "clear" in request.DESCRIPTOR.fields_by_name:
        request.ClearField("clear")
    sent = TRANSLATORS[name].outgoing(request)
    orjson.dumps(sent.body)
    assert "{" not in sent.path


def test_lists_in_the_query_are_repeated_or_joined():
    sent = outgoing("SearchMessages", guild_id=1, channel_id=[5, 6], has=["link"], pinned=False, limit=3)
    assert sent.query == [
        ("channel_id", "5"),
        ("channel_id", "6"),
        ("pinned", "false"),
        ("has", "link"),
        ("limit", "3"),
    ]
    assert outgoing("GetPruneCount", guild_id=1, include_roles=[5, 6]).query == [("include_roles", "5,6")]
    assert outgoing("GetPruneCount", guild_id=1).query == []


def test_a_list_may_be_the_whole_body():
    sent = outgoing("EditRolePositions", guild_id=1, roles=[{"id": 5, "position": 0}, {"id": 6}], reason="because")
    assert sent.document == [{"id": "5", "position": 0}, {"id": "6"}]
    assert (sent.body, sent.reason) == (None, "because")
    assert outgoing("SetRoleConnectionMetadata", application_id=1).document == []


def test_maps_are_objects():
    metadata = pb.RoleConnectionMetadata(type=7, key="k", name="n", name_localizations={"de": "N"}, description="d")
    (sent,) = outgoing("SetRoleConnectionMetadata", application_id=1, metadata=[metadata]).document
    assert sent == {"type": 7, "key": "k", "name": "n", "name_localizations": {"de": "N"}, "description": "d"}
