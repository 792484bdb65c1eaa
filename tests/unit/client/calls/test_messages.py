"""Plain Python arguments arrive as fields of the request."""

import io
import json
import os
import tempfile
from datetime import datetime, timedelta, timezone

import grpc
import pytest
from google.protobuf import json_format

from discordproxy import builders
from discordproxy.aio import AsyncDiscordClient
from discordproxy.client import UNSET, DiscordClient, DiscordProxyException, DiscordProxyHttpError, Embed
from discordproxy.discord_api_pb2 import (
    OVERFLOW_SPLIT,
    AllowedMentions,
    Component,
    File,
    KeepAttachment,
    Message,
    RequestOptions,
    SendChannelMessageRequest,
)
from discordproxy.snowflakes import message_url, snowflake_at, snowflake_time


@pytest.fixture
def sent(proxy, client):
    """Return a function that sends with some arguments and returns the request."""

    def send(*args, **kwargs):
        client.create_channel_message(1, *args, **kwargs)
        return proxy.requests("SendChannelMessage")[-1]

    return send


def as_dict(message):
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


CARRIERS = {
    "content": "x",
    "embed": Embed(),
    "embeds": [{"title": "t"}],
    "files": [("a", b"")],
    "components": [{"type": 10, "content": "x"}],
    "poll": builders.poll("q", ["a"]),
    "sticker_ids": [4],
    "message_reference": Message.Reference(type=Message.Reference.FORWARD, message_id=1, channel_id=2),
    "forward": Message(id=1, channel_id=2),
}


class TestSubstance:
    """Whether something makes a message is for Discord to judge; only a call without anything is refused at once."""

    @pytest.mark.parametrize("carrier", CARRIERS)
    @pytest.mark.parametrize("method", ["create_channel_message", "create_direct_message"])
    async def test_whatever_can_make_a_message_is_sent(self, proxy, client, method, carrier):
        getattr(client, method)(5, **{carrier: CARRIERS[carrier]})
        await getattr(AsyncDiscordClient(), method)(5, **{carrier: CARRIERS[carrier]})
        assert len(proxy.messages) == 2

    @pytest.mark.parametrize("carrier", sorted(CARRIERS.keys() - {"forward", "message_reference", "sticker_ids"}))
    def test_elsewhere_too(self, proxy, client, carrier):
        client.execute_webhook(1, "token", **{carrier: CARRIERS[carrier]})
        client.edit_webhook_message(1, "token", 2, **({} if carrier == "poll" else {carrier: CARRIERS[carrier]}))
        if carrier != "poll":
            client.create_forum_post(1, "name", **{carrier: CARRIERS[carrier]})
        assert proxy.calls

    def test_what_a_later_discord_takes_is_not_judged_here(self, client):
        with pytest.raises(DiscordProxyHttpError, match="empty message"):
            client.create_channel_message(5, allowed_mentions=builders.mentions(roles=True), silent=True)

    @pytest.mark.parametrize("nothing", [{}, {"files": []}, {"embeds": [], "silent": False, "overflow": "error"}])
    def test_nothing_at_all_is_refused_before_any_io(self, proxy, client, nothing):
        for call in (
            lambda: client.create_channel_message(1, **nothing),
            lambda: client.execute_webhook(1, "token", **{k: v for k, v in nothing.items() if k != "overflow"}),
        ):
            with pytest.raises(ValueError, match="content or embed"):
                call()
        assert not proxy.calls

    @pytest.mark.parametrize("empty", [{"content": " \n"}, {"nonce": "n"}, {"reply_to": 5}, {"tts": True}])
    def test_the_fake_proxy_refuses_what_shows_nothing(self, client, empty):
        with pytest.raises(DiscordProxyHttpError, match="empty message"):
            client.create_channel_message(5, **empty)
        with pytest.raises(DiscordProxyHttpError, match="empty message"):
            client.execute_webhook(5, "token", " ")

    def test_forward(self, proxy, client, sent):
        original = client.create_channel_message(9, "news", embed=Embed(title="t"), files=[("a", b"b")])
        request = sent(forward=original)
        assert request.message_reference == Message.Reference(
            type=Message.Reference.FORWARD, message_id=original.id, channel_id=9
        )
        (snapshot,) = proxy.messages[-1].message_snapshots
        assert (snapshot.content, snapshot.embeds[0].title, snapshot.attachments[0].filename) == ("news", "t", "a")
        assert (proxy.messages[-1].type, snapshot.HasField("author")) == (Message.DEFAULT, False)
        with pytest.raises(ValueError, match="reply_to and forward exclude each other"):
            sent(forward=original, reply_to=original)


class TestMessage:
    def test_embeds(self, sent):
        request = sent(embed=Embed(title="a"), embeds=[{"title": "b", "fields": [{"name": "n", "value": "v"}]}])
        assert request.embed.title == "a"
        assert (request.embeds[0].title, request.embeds[0].fields[0].name) == ("b", "n")

    def test_embed_for_requests_without_the_old_field(self, proxy, client):
        client.execute_webhook(
            1, "token", embed=Embed(title="a"), embeds=[Embed(title="b")], username="Bot", thread_id=7
        )
        request = proxy.requests("ExecuteWebhook")[0]
        assert [embed.title for embed in request.embeds] == ["a", "b"]
        assert (request.webhook_token, request.username, request.thread_id) == ("token", "Bot", 7)

    def test_files(self, sent, tmp_path):
        path = tmp_path / "a.png"
        path.write_bytes(b"picture")
        with path.open("rb") as opened:
            files = [
                str(path),
                path,
                ("b.txt", b"text"),
                opened,
                io.BytesIO(b"memory"),
                File(filename="c", spoiler=True),
            ]
            request = sent(files=files)
        assert [(file.filename, file.content) for file in request.files] == [
            ("a.png", b"picture"),
            ("a.png", b"picture"),
            ("b.txt", b"text"),
            ("a.png", b"picture"),
            ("file", b"memory"),
            ("c", b""),
        ]
        assert request.files[5].spoiler

    def test_an_open_file_without_a_usable_name(self, sent, tmp_path):
        unnamed = io.BytesIO(b"")
        unnamed.name = ""
        odd = tmp_path / os.fsdecode(b"\xff.txt")
        odd.touch()
        with tempfile.TemporaryFile() as numbered, tempfile.SpooledTemporaryFile() as spooled, odd.open("rb") as opened:
            request = sent(files=[numbered, spooled, unnamed, opened])
        assert [file.filename for file in request.files] == ["file", "file", "file", "\ufffd.txt"]

    @pytest.mark.parametrize("kind", [bytearray, io.BytesIO])
    def test_a_content_that_is_not_bytes(self, sent, kind):
        with pytest.raises(ValueError, match=rf"^files\[0\]: content: must be bytes, not {kind.__name__}$"):
            sent(files=[("a.txt", kind(b"text"))])

    def test_flags(self, sent):
        assert sent("x").flags == 0
        assert sent("x", silent=True).flags == Message.SUPPRESS_NOTIFICATIONS
        flags = sent("x", silent=True, suppress_embeds=True, flags=Message.IS_VOICE_MESSAGE).flags
        assert flags == Message.SUPPRESS_NOTIFICATIONS | Message.SUPPRESS_EMBEDS | Message.IS_VOICE_MESSAGE

    def test_mentions(self, sent):
        assert not sent("x").HasField("allowed_mentions")
        assert not sent("x", suppress_mentions=False).HasField("allowed_mentions")
        request = sent("x", suppress_mentions=True)
        assert request.HasField("allowed_mentions")
        assert request.allowed_mentions == AllowedMentions()
        assert sent("x", allowed_mentions=builders.mentions(users=[3])).allowed_mentions.users == [3]
        with pytest.raises(ValueError, match="exclude each other"):
            sent("x", allowed_mentions=AllowedMentions(), suppress_mentions=True)

    def test_nonce_is_made_for_each_call(self, sent):
        first, second = sent("x").nonce, sent("x").nonce
        assert first != second
        assert 0 < len(first) <= 25

    def test_own_nonce(self, sent):
        assert sent("x", nonce=123, enforce_nonce=True).nonce == "123"

    def test_key_leaves_the_nonce_to_the_proxy(self, sent):
        request = sent("x", idempotency_key="order-7")
        assert (request.nonce, request.options.idempotency_key) == ("", "order-7")
        assert sent("x", idempotency_key="order-8", nonce="mine").nonce == "mine"

    def test_reply(self, proxy, client, sent):
        assert sent("x", reply_to=5).message_reference.message_id == 5
        original = client.create_channel_message(9, "question")
        answer = client.create_reply(original, "answer")
        assert (answer.channel_id, answer.message_reference.message_id) == (9, original.id)

    def test_options(self, sent):
        options = sent("x", priority="high", max_wait=1.5).options
        assert (options.priority, options.max_wait.ToTimedelta()) == (RequestOptions.HIGH, timedelta(seconds=1.5))
        assert sent("x", max_wait=0).options.HasField("max_wait")
        assert sent("x", max_wait=timedelta(minutes=1)).options.max_wait.seconds == 60
        assert not sent("x").HasField("options")

    def test_overflow_and_the_rest(self, sent):
        request = sent("x", overflow="split", sticker_ids=[4], tts=True, crosspost=True)
        assert request.overflow == OVERFLOW_SPLIT
        assert (list(request.sticker_ids), request.tts, request.crosspost) == ([4], True, True)

    @pytest.mark.parametrize("method", ["create_channel_message", "create_direct_message"])
    async def test_all_messages_of_a_split_text_are_returned(self, proxy, client, method):
        arguments = {"overflow": "split", "embeds": [Embed(title="end")], "nonce": "n"}
        first = getattr(client, method)(5, "a" * 2000 + "b" * 2000 + "c", **arguments)
        assert [message.content[0] for message in (first, *first.more_messages)] == ["a", "b", "c"]
        assert [len(message.embeds) for message in proxy.messages] == [0, 0, 1]
        assert [message.id for message in proxy.messages] == [first.id, *(more.id for more in first.more_messages)]
        again = await getattr(AsyncDiscordClient(), method)(5, "a" * 2000 + "b" * 2000 + "c", **arguments)
        assert again == first
        assert len(proxy.messages) == 3

    @pytest.mark.parametrize(("overflow", "content", "files"), [("truncate", "x" * 1999 + "…", 0), ("file", "", 1)])
    def test_other_ways_out_for_a_long_text(self, client, overflow, content, files):
        message = client.create_channel_message(5, "x" * 2001, overflow=overflow)
        assert (message.content, len(message.attachments), len(message.more_messages)) == (content, files, 0)

    def test_anything_but_text_is_enough(self, sent):
        sent(poll=builders.poll("Lunch?", ["yes", "no"]))
        sent(sticker_ids=[1])
        sent(files=[("a", b"")])
        with pytest.raises(ValueError, match="need to be specified"):
            sent(files=[], embeds=[], components=[])

    def test_misspelt_argument(self, client):
        with pytest.raises(TypeError, match="'slient'"):
            client.create_channel_message(1, "x", slient=True)
        with pytest.raises(TypeError, match="'tiemout'"):
            client.delete_channel_message(1, 2, tiemout=3)
        with pytest.raises(TypeError, match="'nik'"):
            client.edit_guild_member(1, 2, nik="x")

    def test_forum_post(self, proxy, client):
        client.create_forum_post(1, "Title", "Text", applied_tags=[3], files=[("a", b"b")], reason="why")
        request = proxy.requests("CreateForumPost")[0]
        assert (request.name, request.content, list(request.applied_tags), request.reason) == (
            "Title",
            "Text",
            [3],
            "why",
        )

    def test_given_request_is_not_changed(self, client):
        request = SendChannelMessageRequest(channel_id=1, content="x")
        client.call("SendChannelMessage", request, priority="low")
        assert request == SendChannelMessageRequest(channel_id=1, content="x")


class TestEdit:
    @pytest.fixture
    def edited(self, proxy, client):
        message_id = client.create_channel_message(1, "x").id

        def edit(*args, **kwargs):
            client.edit_channel_message(1, message_id, *args, **kwargs)
            request = proxy.requests("EditMessage")[-1]
            request.ClearField("channel_id")
            request.ClearField("message_id")
            return request

        return edit

    def test_nothing_given_changes_nothing(self, edited):
        assert as_dict(edited()) == {}
        assert as_dict(edited(UNSET)) == {}

    def test_values_and_resets(self, edited):
        assert as_dict(edited("new")) == {"content": "new"}
        assert as_dict(edited("")) == {"content": ""}
        assert as_dict(edited(None)) == {"clear": ["content"]}
        assert as_dict(edited(embed=None)) == {"clear": ["embeds"]}
        assert as_dict(edited(embeds=[], components=[])) == {"clear": ["embeds", "components"]}
        assert as_dict(edited(embed=Embed(title="t"), embeds=[Embed(title="u")])) == {
            "embeds": [{"title": "t"}, {"title": "u"}]
        }

    def test_attachments(self, edited):
        kept = edited(attachments=[3, KeepAttachment(id=4, description="alt")], files=[("a", b"b")])
        assert [(attachment.id, attachment.description) for attachment in kept.attachments] == [(3, ""), (4, "alt")]
        assert kept.files[0].filename == "a"
        assert as_dict(edited(attachments=[], files=[])) == {"clear": ["attachments"]}

    def test_previews(self, edited):
        assert edited(suppress_embeds=True).flags == Message.SUPPRESS_EMBEDS
        request = edited(suppress_embeds=False)
        assert request.HasField("flags")
        assert request.flags == 0

    def test_mentions(self, edited):
        assert edited("x", suppress_mentions=True).HasField("allowed_mentions")

    def test_webhook_message(self, proxy, client):
        client.edit_webhook_message(1, "token", 2, None, components=[builders.TextDisplay("x")])
        request = proxy.requests("EditWebhookMessage")[0]
        assert (list(request.clear), request.components[0].content) == (["content"], "x")

    def test_patch_of_other_things(self, proxy, client):
        guild = proxy.add_guild()
        proxy.add_member(guild.id, 5)
        client.edit_guild_member(guild.id, 5, nick=None, mute=False, roles=[], reason="because", timeout=3)
        request = proxy.requests("EditGuildMember")[0]
        assert list(request.clear) == ["nick", "roles"]
        assert request.HasField("mute")
        assert (request.mute, request.reason) == (False, "because")
        assert proxy.calls[-1].timeout == 3


class TestComponents:
    def test_buttons(self, sent):
        row = builders.ActionRow(
            builders.Button.link("Site", "https://example.org", emoji=builders.emoji("👍")),
            builders.Button.action("Go", "go", Component.DANGER, emoji=builders.emoji("wave:7")),
            builders.Button.premium(3),
        )
        request = sent("x", components=[row])
        assert request.flags == 0
        assert [button.style for button in request.components[0].components] == [5, 4, 6]
        assert (row.components[0].emoji.name, row.components[1].emoji.id) == ("👍", 7)

    def test_components_only(self, sent):
        container = builders.Container(
            builders.Section("Title", accessory=builders.Thumbnail("attachment://a.png")),
            builders.MediaGallery("https://example.org/a.png"),
            builders.Separator(large=True),
            builders.AttachedFile("a.pdf"),
            accent_color=0xFF0000,
        )
        request = sent(components=[container])
        assert request.flags == Message.IS_COMPONENTS_V2
        assert [part.type for part in request.components[0].components] == [9, 12, 14, 13]

    def test_discords_own_form(self, sent):
        request = sent("x", components=[{"type": 1, "components": []}])
        assert (json.loads(request.components_json), request.flags) == ([{"type": 1, "components": []}], 0)
        assert sent(components=[{"type": 17}]).flags == Message.IS_COMPONENTS_V2
        with pytest.raises(TypeError, match="not both"):
            sent(components=[{"type": 1}, builders.TextDisplay("x")])

    def test_select(self):
        select = builders.StringSelect("pick", ["a", Component.Option(label="B", value="b")], placeholder="Pick")
        assert [(option.label, option.value) for option in select.options] == [("a", "a"), ("B", "b")]

    def test_mentions(self):
        assert builders.mentions() == AllowedMentions()
        allowed = builders.mentions(users=True, roles=[4], everyone=True, replied_user=False)
        assert (list(allowed.parse), list(allowed.roles)) == (["users", "everyone"], [4])
        assert allowed.HasField("replied_user")

    def test_poll(self):
        poll = builders.poll("Lunch?", ["yes", "no"], duration=timedelta(days=2), multiselect=True)
        assert poll.question.text == "Lunch?"
        assert [answer.poll_media.text for answer in poll.answers] == ["yes", "no"]
        assert (poll.duration, poll.allow_multiselect) == (48, True)


class TestSnowflakes:
    def test_time_of_discords_example(self):
        assert snowflake_time(175928847299117063) == datetime(2016, 4, 30, 11, 18, 25, 796000, tzinfo=timezone.utc)

    def test_there_and_back(self):
        time = datetime(2026, 11, 23, 12, 0, 0, 1000, tzinfo=timezone.utc)
        assert snowflake_time(snowflake_at(time)) == time

    @pytest.mark.parametrize("time", [datetime(2026, 1, 1), datetime(2014, 1, 1, tzinfo=timezone.utc)])  # noqa: DTZ001 -- the mistake
    def test_impossible_times(self, time):
        with pytest.raises(ValueError, match=r"time zone|before 2015"):
            snowflake_at(time)

    def test_links(self):
        message = Message(id=3, channel_id=2)
        assert message_url(message) == "https://discord.com/channels/@me/2/3"
        assert message_url(message, guild_id=1) == "https://discord.com/channels/1/2/3"
        assert message_url(3, 2, 1) == "https://discord.com/channels/1/2/3"
        with pytest.raises(TypeError, match="channel_id"):
            message_url(3)


def details(**facts):
    return json.dumps({"type": "ProxyException", **facts})


class TestErrors:
    """What the proxy says about a failure reaches the application."""

    @pytest.fixture
    def stub(self, monkeypatch):
        from unittest.mock import MagicMock

        stub = MagicMock()
        monkeypatch.setattr("discordproxy.client.DiscordApiStub", lambda _channel: stub)
        return stub

    @pytest.fixture
    def failure(self, stub, monkeypatch):
        from discordproxy.tests.factories import create_rpc_error

        monkeypatch.setattr(DiscordClient, "_sleep", lambda _client, _seconds: None)

        def fail(*errors, **options):
            stub.SendChannelMessage.side_effect = [create_rpc_error(code=code, details=text) for code, text in errors]
            with pytest.raises(DiscordProxyException) as caught:
                DiscordClient(**options).create_channel_message(1, "x")
            return caught.value

        return fail

    def test_facts(self, failure):
        text = details(
            text="Waiting",
            reason="WAIT_EXCEEDS_DEADLINE",
            sent="no",
            retry_after=12.5,
            request_id="r1",
            fields=[{"path": "content", "code": "X", "message": "too long"}],
            sent_message_ids=["5"],
        )
        error = failure((grpc.StatusCode.RESOURCE_EXHAUSTED, text))
        assert type(error).__name__ == "DiscordProxyTimeoutError"
        assert (error.sent, error.retry_after, error.request_id, error.text) == ("no", 12.5, "r1", "Waiting")
        assert error.fields[0]["path"] == "content"
        assert error.sent_message_ids == (5,)
        assert error.details == text

    def test_own_request_id_when_the_proxy_names_none(self, failure, stub):
        error = failure((grpc.StatusCode.INTERNAL, "broken"))
        assert error.request_id == dict(stub.SendChannelMessage.call_args.kwargs["metadata"])["x-request-id"]

    @pytest.mark.parametrize(
        ("code", "text", "sent"),
        [
            (grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", "unknown"),
            (grpc.StatusCode.UNAVAILABLE, "Socket closed", "unknown"),
            (grpc.StatusCode.UNAVAILABLE, "failed to connect to all addresses; last error: refused", "no"),
            (grpc.StatusCode.UNAVAILABLE, "DNS resolution failed for x", "no"),
            (grpc.StatusCode.INTERNAL, "failed to connect to all addresses", "unknown"),
            (grpc.StatusCode.UNIMPLEMENTED, "Method not found!", "no"),
            (grpc.StatusCode.UNIMPLEMENTED, "Received http2 header with status: 404", "no"),
            (grpc.StatusCode.UNKNOWN, "Failed to create channel to 'unix:/too-long': not valid", "no"),
            (grpc.StatusCode.NOT_FOUND, json.dumps({"type": "HTTPException", "status": 404}), "no"),
            (grpc.StatusCode.UNAVAILABLE, json.dumps({"type": "HTTPException", "status": 502}), "unknown"),
        ],
    )
    def test_sent(self, failure, code, text, sent):
        assert failure((code, text), retries=0).sent == sent

    def test_earlier_attempt_of_unknown_outcome_is_not_forgotten(self, failure, stub):
        error = failure(
            (grpc.StatusCode.UNAVAILABLE, "Socket closed"),
            (grpc.StatusCode.UNAVAILABLE, "failed to connect to all addresses"),
            retries=1,
        )
        assert error.sent == "unknown"
        requests = [call.args[0] for call in stub.SendChannelMessage.call_args_list]
        assert requests[0] == requests[1]

    def test_time_for_repetitions_shrinks(self, failure, stub):
        failure(*[(grpc.StatusCode.UNAVAILABLE, "failed to connect to all addresses")] * 2, retries=1, timeout=60)
        first, second = (call.kwargs["timeout"] for call in stub.SendChannelMessage.call_args_list)
        assert first == 60
        assert second < 60

    def test_webhook_messages_are_not_repeated_in_doubt(self, stub, monkeypatch):
        from discordproxy.tests.factories import create_rpc_error

        monkeypatch.setattr(DiscordClient, "_sleep", lambda _client, _seconds: None)
        stub.ExecuteWebhook.side_effect = create_rpc_error(code=grpc.StatusCode.UNAVAILABLE, details="Socket closed")
        with pytest.raises(DiscordProxyException):
            DiscordClient().execute_webhook(1, "token", "x")
        assert stub.ExecuteWebhook.call_count == 1
        with pytest.raises(DiscordProxyException):
            DiscordClient().execute_webhook(1, "token", "x", idempotency_key="k")
        assert stub.ExecuteWebhook.call_count == 1 + 4


async def test_to_delete_no_messages_sends_nothing(proxy, client):
    client.bulk_delete_channel_messages(1, [])
    await AsyncDiscordClient().bulk_delete_channel_messages(1, iter(()))
    assert not proxy.calls
    client.bulk_delete_channel_messages(1, [7], reason="spam")
    assert list(proxy.requests("BulkDeleteMessages")[0].message_ids) == [7]


async def test_every_async_method_answers(proxy):
    client = AsyncDiscordClient(timeout=5)
    response = await client.request(
        "get", "/guilds/1/audit-logs", query={"limit": 5, "id": [1, 2]}, json={"a": 1}, reason="r", timeout=2
    )
    request = proxy.requests("Request")[0]
    assert [(parameter.name, parameter.value) for parameter in request.query] == [
        ("limit", "5"),
        ("id", "1"),
        ("id", "2"),
    ]
    assert (request.method, request.json, response.status) == ("GET", '{"a": 1}', 200)
    await client.add_reaction(1, 2, "👍")
    assert proxy.requests("AddReaction")[0].emoji == "👍"
    assert [ban async for ban in client.list_bans(1)] == []
    with pytest.raises(DiscordProxyHttpError, match="Unknown Channel"):
        await client.get_channel(3)
