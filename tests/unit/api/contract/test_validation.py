import pytest
from hypothesis import given
from hypothesis import strategies as st

from discordproxy import discord_api_pb2 as pb
from discordproxy_api.calls.field_errors import MOST_PROBLEMS
from discordproxy_api.contract.contract import load_contract
from discordproxy_api.contract.rules import limits
from discordproxy_api.contract.validation import FieldError, InvalidRequestError, validate
from fakes.every_case import every_case
from strategies.bad_requests import BAD_REQUESTS
from strategies.examples import examples
from strategies.random_messages import messages

CONTRACT = load_contract()


def problems(name, request):
    try:
        validate(CONTRACT[name], request)
    except InvalidRequestError as invalid:
        return invalid.fields
    return ()


@every_case("bad", BAD_REQUESTS, ids=str)
def test_bad_request_is_refused_with_its_field_path(bad):
    found = problems(bad.rpc, bad.request)
    assert bad.path in [problem.path for problem in found]
    assert all(problem.code.isupper() and problem.message for problem in found)


def test_there_are_many_bad_requests():
    assert len(BAD_REQUESTS) > 400


Request = pb.SendChannelMessageRequest
ROW = pb.Component(type=1, components=[pb.Component(type=2, style=1, label="x", custom_id="y")])


WEB = "https://example.org/a.png"
SHOWN = [
    ("image two.png", "image two.png"),
    ("image two.png", "image_two.png"),
    ("_bug1.png", "_bug1.png"),
    ("_bug1.png", "bug1.png"),
    ("hello (world).png", "hello (world).png"),
    ("hello (world).png", "hello_world.png"),
    ("hello_world.png", "hello (world).png"),
    ("\u753b\u50cf.png", "\u753b\u50cf.png"),
    ("caf\u00e9.png", "cafe.png"),
]
"""File names, and how an embed or a component may refer to them."""


def shown(name, address):
    picture = pb.Embed.Image(url=f"attachment://{address}")
    return Request(channel_id=1, files=[pb.File(filename=name)], embeds=[pb.Embed(image=picture)])


@pytest.mark.parametrize(
    ("name", "request_"),
    [
        ("SendChannelMessage", Request(channel_id=1, content="x" * 2000)),
        ("SendChannelMessage", Request(channel_id=1, content="😀" * 2000)),
        ("SendChannelMessage", Request(channel_id=2**63 - 1, embed=pb.Embed(title="x" * 256, description="x" * 4096))),
        ("SendChannelMessage", Request(channel_id=1, embeds=[pb.Embed(description=" " * 2000 + "x" * 2096)] * 2)),
        ("SendChannelMessage", Request(channel_id=1, content="x", allowed_mentions=pb.AllowedMentions())),
        ("SendChannelMessage", Request(channel_id=1, content="x", components=[ROW])),
        ("SendChannelMessage", Request(channel_id=1, components=[pb.Component(type=17)], flags=32768)),
        ("SendChannelMessage", Request(channel_id=1, content="x", components=[pb.Component(type=60)])),
        (
            "SendChannelMessage",
            Request(channel_id=1, components_json='[{"type": 17, "news": {"a": [1]}}]', flags=32768),
        ),
        ("SendChannelMessage", Request(channel_id=1, sticker_ids=[1, 2, 3])),
        ("SendChannelMessage", Request(channel_id=1, content="x" * 50_000, overflow=pb.OVERFLOW_SPLIT)),
        ("SendChannelMessage", Request(channel_id=1, content="x" * 500_000, overflow=pb.OVERFLOW_FILE)),
        ("SendChannelMessage", Request(channel_id=1, content="x" * 500_000, overflow=pb.OVERFLOW_TRUNCATE)),
        (
            "SendChannelMessage",
            Request(
                channel_id=1,
                files=[pb.File(filename="a.png", spoiler=True)],
                embeds=[pb.Embed(image=pb.Embed.Image(url="attachment://a.png"))],
            ),
        ),
        (
            "SendChannelMessage",
            Request(channel_id=1, message_reference=pb.Message.Reference(message_id=1, channel_id=2, type=1)),
        ),
        (
            "SendChannelMessage",
            Request(channel_id=1, flags=8192, files=[pb.File(filename="v.ogg", waveform="AA==", duration_secs=2)]),
        ),
        *(("SendChannelMessage", shown(name, address)) for name, address in SHOWN),
        ("SendChannelMessage", Request(channel_id=1, embed=pb.Embed(title="x", footer=pb.Embed.Footer(text="")))),
        ("SendChannelMessage", Request(channel_id=1, embed=pb.Embed(title="x", author=pb.Embed.Author(icon_url=WEB)))),
        ("SendChannelMessage", Request(channel_id=1, embed=pb.Embed(title="x", url="https://x.y/a b?c=d e"))),
        ("SendChannelMessage", Request(channel_id=1, embed=pb.Embed(title="x", timestamp=" 2026-07-18t17:21:09z"))),
        ("SendDirectMessage", pb.SendDirectMessageRequest(user_id=1, content="x")),
        ("EditMessage", pb.EditMessageRequest(channel_id=1, message_id=2, clear=["content", "embeds", "attachments"])),
        (
            "EditMessage",
            pb.EditMessageRequest(channel_id=1, message_id=2, flags=32768, components=[pb.Component(type=17)]),
        ),
        ("EditMessage", pb.EditMessageRequest(channel_id=1, message_id=2, components=[pb.Component(type=17)])),
        ("EditGuildMember", pb.EditGuildMemberRequest(guild_id=1, user_id=2, nick="", clear=["roles", "channel_id"])),
        ("GetMessages", pb.GetMessagesRequest(channel_id=1, after=0, limit=100)),
        ("GetMessage", pb.MessageId(channel_id=1, message_id=2, reason="not\nused here")),
        ("AddReaction", pb.ReactionRequest(channel_id=1, message_id=2, emoji="👨‍👩‍👧")),
        ("AddReaction", pb.ReactionRequest(channel_id=1, message_id=2, emoji="#️⃣")),
        ("AddReaction", pb.ReactionRequest(channel_id=1, message_id=2, emoji="party_blob~1:123456789012345678")),
        ("DeleteInvite", pb.InviteCode(code="discord-developers")),
        ("CreateBan", pb.CreateBanRequest(guild_id=1, user_id=2, reason="ä" * 512)),
        ("CreateRole", pb.CreateRoleRequest(guild_id=1, permissions=2**63 + 5)),
        (
            "CreateChannel",
            pb.CreateChannelRequest(guild_id=1, name="n", permission_overwrites=[pb.PermissionOverwrite(id=1)]),
        ),
        ("EditChannel", pb.EditChannelRequest(channel_id=1, type=pb.Channel.GUILD_NEWS)),
        ("EditScheduledEvent", pb.EditScheduledEventRequest(guild_id=1, guild_scheduled_event_id=2, entity_type=2)),
        ("EditScheduledEvent", pb.EditScheduledEventRequest(guild_id=1, guild_scheduled_event_id=2, description="x")),
        ("EditScheduledEvent", pb.EditScheduledEventRequest(guild_id=1, guild_scheduled_event_id=2, entity_type=3)),
        ("CreateInvite", pb.CreateInviteRequest(channel_id=1, max_age=60 * 86_400)),
        ("ListBans", pb.ListBansRequest(guild_id=1, before=1, after=2)),
        ("DeleteMessage", pb.MessageId(channel_id=1, message_id=2, reason="for Ada:\r\n\tspam")),
        ("ExecuteWebhook", pb.ExecuteWebhookRequest(webhook_id=1, webhook_token="x" * 2048, content="x")),
        ("BulkDeleteMessages", pb.BulkDeleteMessagesRequest(channel_id=1, message_ids=range(1, 5000))),
    ],
)
def test_good_request_passes(name, request_):
    assert problems(name, request_) == ()


def test_a_file_may_be_as_large_as_a_guild_of_the_highest_level_takes(monkeypatch):
    monkeypatch.setattr(limits, "FILE_BYTES", 1_000_000)
    files = [pb.File(filename="a", content=bytes(1_000_000)), pb.File(filename="b", content=bytes(1_020_000))]
    found = problems("SendChannelMessage", Request(channel_id=1, files=files))
    assert [(each.path, each.code) for each in found] == [("files[1].content", "FILE_SIZE_MAX")]


def test_the_words_are_discords():
    assert problems("SendChannelMessage", Request(channel_id=1, content="x" * 2001)) == (
        FieldError("content", "BASE_TYPE_MAX_LENGTH", "Must be 2000 or fewer in length."),
    )


SPACE = " \n\u00a0"
PADDED = pb.Embed(
    title="x" * 256 + SPACE,
    description=SPACE + "x" * 4096,
    footer=pb.Embed.Footer(text="x" * 100 + SPACE * 1000),
    author=pb.Embed.Author(name=SPACE + "x" * 256 + SPACE),
    fields=[pb.Embed.Field(name="x" * 256 + SPACE, value="x" * 1024 + SPACE)],
)


def test_whitespace_around_the_texts_of_an_embed_is_not_counted():
    """Discord's documentation, "Embed Limits": leading and trailing whitespace is trimmed and not included."""
    assert not problems("SendChannelMessage", Request(channel_id=1, embeds=[PADDED]))
    longer = pb.Embed(title="x" * 257 + SPACE)
    assert [each.path for each in problems("SendChannelMessage", Request(channel_id=1, embeds=[longer]))] == [
        "embeds[0].title"
    ]


def test_a_field_of_an_embed_may_be_empty():
    """Discord accepts it, as discord.js and hikari do (discord.js#10744)."""
    empty = pb.Embed(fields=[pb.Embed.Field(), pb.Embed.Field(name=" ", value="\u200b")])
    assert not problems("SendChannelMessage", Request(channel_id=1, embeds=[empty]))


def test_all_problems_are_named_at_once_within_bounds():
    fields = [pb.Embed.Field(name="x" * 257, value="x" * 1025)] * 25
    found = problems("SendChannelMessage", Request(embeds=[pb.Embed(fields=fields)], nonce="x" * 26))
    assert found[0].path == "channel_id"
    assert {"nonce", "embeds[0].fields[0].name", "embeds[0].fields[0].value"} <= {problem.path for problem in found}
    assert len(found) == MOST_PROBLEMS


def test_no_value_is_repeated_in_an_error():
    secret = "hunter2" * 400
    request = Request(channel_id=1, content=secret, embed=pb.Embed(title=secret, url=f"ftp://{secret}"))
    with pytest.raises(InvalidRequestError) as caught:
        validate(CONTRACT["SendChannelMessage"], request)
    assert "hunter2" not in str(caught.value) + repr(caught.value) + str(caught.value.fields)


@pytest.mark.parametrize(
    "hostile",
    [
        lambda: Request(channel_id=1, components=[pb.Component(type=1)] * 200_000),
        lambda: Request(channel_id=1, embeds=[pb.Embed(title="x")] * 200_000),
        lambda: Request(channel_id=1, content="x", files=[pb.File(filename="a")] * 200_000),
        lambda: Request(channel_id=1, content=" " * 1_000_000, overflow=pb.OVERFLOW_SPLIT),
    ],
    ids=["components", "embeds", "files", "content"],
)
def test_a_hostile_list_is_refused_without_being_walked(hostile):
    assert len(problems("SendChannelMessage", hostile())) <= 3


@pytest.mark.parametrize("name", CONTRACT)
@given(data=st.data())
@examples(6)
def test_any_request_is_judged_without_surprises(name, data):
    request = data.draw(messages(CONTRACT[name].request))
    for problem in problems(name, request):
        assert problem.path
