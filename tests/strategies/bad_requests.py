"""Invalid requests: RPC, request, and the field path that the error must name.

Both the validation's own tests and runs against a server read this table.
"""

from typing import Any, NamedTuple

from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct, Value

from discordproxy import discord_api_pb2 as pb
from discordproxy_api.contract.contract import load_contract, request_parts

HUGE = 2**63  # one more than a snowflake can be
NEGATIVE = 2**64 - 1  # what -1 becomes on the wire
V2 = pb.Message.IS_COMPONENTS_V2


LOCATION = pb.ScheduledEvent.EntityMetadata(location="x")


class Bad(NamedTuple):
    rpc: str
    request: Any
    path: str

    def __str__(self) -> str:
        return f"{self.rpc}-{self.path}"


def send(path: str, **fields: Any) -> Bad:
    return Bad("SendChannelMessage", pb.SendChannelMessageRequest(**{"channel_id": 1, "content": "x", **fields}), path)


def embed(path: str, **fields: Any) -> Bad:
    return send(f"embeds[0].{path}", embeds=[pb.Embed(**fields)])


def component(path: str, **fields: Any) -> Bad:
    return send(f"components[0].{path}", components=[pb.Component(**{"type": 1, **fields})])


def button(path: str, **fields: Any) -> Bad:
    return component(f"components[0].{path}", components=[pb.Component(**{"type": 2, **fields})])


def file(path: str, **fields: Any) -> Bad:
    return send(f"files[0].{path}", files=[pb.File(**{"filename": "a.txt", "content": b"x", **fields})])


def poll(path: str, **fields: Any) -> Bad:
    answers = [pb.Poll.Answer(poll_media=pb.Poll.Media(text="a"))]
    return send(path, poll=pb.Poll(**{"question": pb.Poll.Media(text="?"), "answers": answers, **fields}))


def options(path: str, **fields: Any) -> Bad:
    return Bad("GetChannel", pb.ChannelId(channel_id=1, options=pb.RequestOptions(**fields)), f"options.{path}")


def channel(path: str, **fields: Any) -> Bad:
    return Bad("CreateChannel", pb.CreateChannelRequest(**{"guild_id": 1, "name": "n", **fields}), path)


def edit_channel(path: str, **fields: Any) -> Bad:
    return Bad("EditChannel", pb.EditChannelRequest(channel_id=1, **fields), path)


def edit_message(path: str, **fields: Any) -> Bad:
    return Bad("EditMessage", pb.EditMessageRequest(**{"channel_id": 1, "message_id": 2, **fields}), path)


def member(path: str, **fields: Any) -> Bad:
    return Bad("EditGuildMember", pb.EditGuildMemberRequest(guild_id=1, user_id=2, **fields), path)


def role(path: str, **fields: Any) -> Bad:
    return Bad("CreateRole", pb.CreateRoleRequest(guild_id=1, **fields), path)


def event(path: str, **fields: Any) -> Bad:
    given = {"guild_id": 1, "name": "n", "scheduled_start_time": "2030-01-01T00:00:00Z", "privacy_level": 2}
    given |= {"entity_type": 2, "channel_id": 5}
    return Bad("CreateScheduledEvent", pb.CreateScheduledEventRequest(**{**given, **fields}), path)


def webhook(path: str, **fields: Any) -> Bad:
    given = {"webhook_id": 1, "webhook_token": "token", "content": "x"}
    return Bad("ExecuteWebhook", pb.ExecuteWebhookRequest(**{**given, **fields}), path)


def reaction(emoji: str) -> Bad:
    return Bad("AddReaction", pb.ReactionRequest(channel_id=1, message_id=2, emoji=emoji), "emoji")


def bad_ids() -> list[Bad]:
    """Every path parameter of every RPC, absent and beyond a snowflake."""
    table = []
    for rpc in load_contract().values():
        for field in request_parts(rpc).path.values():
            values = [0, HUGE, NEGATIVE] if field.type == field.TYPE_UINT64 else [""]
            if field.type == field.TYPE_INT32:
                values = [0, -1]
            table += [Bad(rpc.name, rpc.request_type(**{field.name: value}), field.name) for value in values]
    return table


def not_a_number() -> Struct:
    return Struct(fields={"x": Value(number_value=float("nan"))})


MESSAGES = [
    send("content", content="x" * 2001),
    send("content", content="é" * 2001),
    send("content", content=""),
    send("content", content=" \n\t"),
    send("content", content="", embeds=[pb.Embed()]),
    send("content", content="x " * 60_000, overflow=pb.OVERFLOW_SPLIT),
    send("content", content="x" * 200_000, overflow=pb.OVERFLOW_SPLIT),
    send("files", content="x" * 2001, overflow=pb.OVERFLOW_FILE, files=[pb.File(filename="a")] * 10),
    send("overflow", overflow=99),
    send("embeds", embeds=[pb.Embed(title="x")] * 11),
    send("embeds", embed=pb.Embed(title="x"), embeds=[pb.Embed(title="x")] * 10),
    send("embeds", embeds=[pb.Embed(description="x" * 3001)] * 2),
    send("embeds[0].title", embed=pb.Embed(title="x" * 257)),
    send("embeds[1].title", embed=pb.Embed(title="x"), embeds=[pb.Embed(title="x" * 257)]),
    embed("title", title="x" * 257),
    embed("description", description="x" * 4097),
    embed("url", url="ftp://example.com"),
    embed("url", url="javascript:alert(1)"),
    embed("url", url="https://"),
    embed("url", url="https://example.com/" + "x" * 2048),
    embed("url", url="https://exa mple.com"),
    embed("url", url="attachment://a.png"),
    embed("timestamp", timestamp="yesterday"),
    embed("timestamp", timestamp="2024-13-01T00:00:00Z"),
    embed("color", color=-1),
    embed("color", color=0x1000000),
    embed("fields", fields=[pb.Embed.Field(name="a", value="b")] * 26),
    embed(
        "fields[2].name", fields=[pb.Embed.Field(name="a", value="b")] * 2 + [pb.Embed.Field(name="a" * 257, value="b")]
    ),
    embed("fields[0].value", fields=[pb.Embed.Field(name="a", value="b" * 1025)]),
    embed("footer.text", footer=pb.Embed.Footer(text="x" * 2049)),
    embed("footer.icon_url", footer=pb.Embed.Footer(text="x", icon_url="file:///etc/passwd")),
    embed("author.name", author=pb.Embed.Author(name="x" * 257)),
    embed("author.url", author=pb.Embed.Author(name="x", url="x")),
    embed("author.icon_url", author=pb.Embed.Author(name="x", icon_url="data:image/png;base64,AAAA")),
    embed("image.url", image=pb.Embed.Image(url="image.png")),
    embed("image.url", image=pb.Embed.Image(url="attachment://missing.png")),
    embed("image.description", image=pb.Embed.Image(url="https://example.com/a.png", description="x" * 4097)),
    embed("thumbnail.url", thumbnail=pb.Embed.Thumbnail(url="//example.com")),
    embed("video.url", video=pb.Embed.Video(url="example.com")),
    embed("provider.name", provider=pb.Embed.Provider(name="x" * 257)),
    embed("provider.url", provider=pb.Embed.Provider(url="x")),
    send("nonce", nonce="x" * 26),
    send("flags", flags=-1),
    send("sticker_ids", sticker_ids=[1, 2, 3, 4]),
    send("sticker_ids[1]", sticker_ids=[1, 0]),
    send("sticker_ids[0]", sticker_ids=[HUGE]),
    send("allowed_mentions.parse[0]", allowed_mentions=pb.AllowedMentions(parse=["everybody"])),
    send("allowed_mentions.parse[1]", allowed_mentions=pb.AllowedMentions(parse=["users", ""])),
    send("allowed_mentions.parse", allowed_mentions=pb.AllowedMentions(parse=["users"] * 4)),
    send("allowed_mentions.users", allowed_mentions=pb.AllowedMentions(users=range(1, 102))),
    send("allowed_mentions.users[0]", allowed_mentions=pb.AllowedMentions(users=[0])),
    send("allowed_mentions.roles", allowed_mentions=pb.AllowedMentions(roles=range(1, 102))),
    send("allowed_mentions.roles[1]", allowed_mentions=pb.AllowedMentions(roles=[1, NEGATIVE])),
    send("allowed_mentions.users", allowed_mentions=pb.AllowedMentions(parse=["users"], users=[1])),
    send("allowed_mentions.roles", allowed_mentions=pb.AllowedMentions(parse=["roles"], roles=[1])),
    send("message_reference.message_id", message_reference=pb.Message.Reference(channel_id=3)),
    send("message_reference.message_id", message_reference=pb.Message.Reference(message_id=HUGE)),
    send("message_reference.guild_id", message_reference=pb.Message.Reference(message_id=1, guild_id=HUGE)),
    send("message_reference.type", message_reference=pb.Message.Reference(message_id=1, type=7)),
    send("content", message_reference=pb.Message.Reference(message_id=1, channel_id=2, type=1)),
    send("message_reference.channel_id", content="", message_reference=pb.Message.Reference(message_id=1, type=1)),
    send(
        "embeds",
        content="",
        message_reference=pb.Message.Reference(message_id=1, channel_id=2, type=1),
        embeds=[pb.Embed(title="x")],
    ),
    Bad("SendDirectMessage", pb.SendDirectMessageRequest(content="x"), "user_id"),
    Bad("SendDirectMessage", pb.SendDirectMessageRequest(user_id=HUGE, content="x"), "user_id"),
    Bad("SendDirectMessage", pb.SendDirectMessageRequest(user_id=1), "content"),
    Bad("SendDirectMessage", pb.SendDirectMessageRequest(user_id=1, content="x" * 2001), "content"),
    Bad(
        "SendDirectMessage", pb.SendDirectMessageRequest(user_id=1, embed=pb.Embed(title="x" * 257)), "embeds[0].title"
    ),
]

FILES = [
    send("files", files=[pb.File(filename="a")] * 11),
    file("filename", filename=""),
    file("filename", filename="x" * 1025),
    file("filename", filename="a\r\nContent-Type: text/html"),
    file("filename", filename="a\0.png"),
    file("content_type", content_type="text/plain\r\nX-Injected: 1"),
    file("description", description="x" * 1025),
    file("duration_secs", duration_secs=-1),
    file("duration_secs", duration_secs=float("nan")),
    file("duration_secs", duration_secs=float("inf")),
    file("waveform", waveform="x" * 401),
    send("files", flags=8192, content=""),
    send("files", flags=8192, content="", files=[pb.File(filename="voice.ogg", content=b"x")]),
    send("content", flags=8192, files=[pb.File(filename="voice.ogg", waveform="AA==", duration_secs=1)]),
    edit_message("attachments", attachments=[pb.KeepAttachment(id=1)] * 11),
    edit_message("attachments", attachments=[pb.KeepAttachment(id=1)] * 6, files=[pb.File(filename="a")] * 5),
    edit_message("attachments[0].id", attachments=[pb.KeepAttachment(description="x")]),
    edit_message("attachments[1].id", attachments=[pb.KeepAttachment(id=1), pb.KeepAttachment(id=HUGE)]),
    edit_message("attachments[0].description", attachments=[pb.KeepAttachment(id=1, description="x" * 1025)]),
]

COMPONENTS = [
    component("type", type=0),
    component("id", id=-1),
    button("custom_id", custom_id="x" * 101),
    button("label", label="x" * 81),
    button("url", url="ftp://example.com"),
    button("url", url="https://example.com/" + "x" * 512),
    button("sku_id", sku_id=HUGE),
    button("emoji.name", emoji=pb.Component.Emoji(name="x" * 33)),
    button("emoji.id", emoji=pb.Component.Emoji(id=HUGE, name="x")),
    button("placeholder", placeholder="x" * 151),
    button("min_values", min_values=26),
    button("max_values", max_values=0),
    button("options", options=[pb.Component.Option(label="a", value="b")] * 26),
    button("options[0].label", options=[pb.Component.Option(value="b")]),
    button("options[0].value", options=[pb.Component.Option(label="a")]),
    button("options[0].description", options=[pb.Component.Option(label="a", value="b", description="x" * 101)]),
    button("channel_types[0]", channel_types=[0]),
    button("channel_types[0]", channel_types=[77]),
    button("default_values[0].id", default_values=[pb.Component.DefaultValue(type="user")]),
    button("default_values[0].type", default_values=[pb.Component.DefaultValue(id=1, type="users")]),
    component(
        "components[0].components[0].label",
        components=[pb.Component(type=1, components=[pb.Component(type=2, label="x" * 81)])],
    ),
    component("accent_color", accent_color=0x1000000),
    component("content", content="x" * 4001),
    component("items", items=[pb.Component.GalleryItem(media=pb.Component.Media(url="https://x.y"))] * 11),
    component("items[0].media", items=[pb.Component.GalleryItem(description="x")]),
    component("items[0].media.url", items=[pb.Component.GalleryItem(media=pb.Component.Media(url="attachment://no"))]),
    component("media.url", media=pb.Component.Media(url="x")),
    component("file.url", file=pb.Component.Media()),
    component("spacing", spacing=3),
    component("extra", extra=not_a_number()),
    component("extra", extra=Struct(fields={"x": Value(string_value="x" * 100_001)})),
    component("channel_types", channel_types=[1] * 41),
    component("type", type=pb.Component.CONTAINER),
    component("type", type=pb.Component.TEXT_DISPLAY),
    component("accessory.type", accessory=pb.Component(label="x")),
    send("components", components=[pb.Component(type=1)] * 41),
    send("components", components=[pb.Component(type=1, components=[pb.Component(type=2)] * 20)] * 2),
    send("components_json", components_json="{"),
    send("components_json", components_json="{}"),
    send("components_json", components_json="[1]"),
    send("components_json", components_json="null"),
    send("components_json", components_json="[" * 500 + "]" * 500),
    send("components_json", components_json='[{"components": ' * 40 + "[]" + "}]" * 40),
    send("components_json", components_json="[" + ",".join(['{"type": 2}'] * 41) + "]"),
    send("components_json", components_json="[" + " " * 200_001 + "]"),
    send("components_json", components=[pb.Component(type=1)], components_json='[{"type": 1}]'),
    send("content", flags=V2, components=[pb.Component(type=10, content="x")]),
    send("embeds", content="", flags=V2, embeds=[pb.Embed(title="x")]),
    send("embeds", content="", flags=V2, embed=pb.Embed(title="x")),
    send("sticker_ids", content="", flags=V2, sticker_ids=[1]),
    edit_message("content", content="x", flags=V2),
    edit_message("embeds", flags=V2, embeds=[pb.Embed(title="x")]),
]

POLLS = [
    poll("poll.question", question=None),
    poll("poll.question.text", question=pb.Poll.Media(text="x" * 301)),
    poll("poll.question.text", question=pb.Poll.Media(emoji=pb.Component.Emoji(name="x"))),
    poll("poll.answers", answers=[]),
    poll("poll.answers", answers=[pb.Poll.Answer(poll_media=pb.Poll.Media(text="a"))] * 11),
    poll("poll.answers[0].poll_media", answers=[pb.Poll.Answer()]),
    poll("poll.answers[0].poll_media.text", answers=[pb.Poll.Answer(poll_media=pb.Poll.Media(text="x" * 301))]),
    poll("poll.answers[0].poll_media.text", answers=[pb.Poll.Answer(poll_media=pb.Poll.Media(text="x" * 56))]),
    poll("poll.duration", duration=0),
    poll("poll.duration", duration=769),
    poll("poll.layout_type", layout_type=2),
    send("poll", content="", flags=V2, poll=pb.Poll(question=pb.Poll.Media(text="?"))),
]

COMMON = [
    options("priority", priority=9),
    options("max_wait", max_wait=Duration(seconds=-1)),
    options("max_wait", max_wait=Duration(nanos=-1)),
    options("max_wait", max_wait=Duration(seconds=2**62)),
    options("max_wait", max_wait=Duration(nanos=2_000_000_000)),
    options("idempotency_key", idempotency_key="x" * 256),
    Bad("DeleteMessage", pb.MessageId(channel_id=1, message_id=2, reason="x" * 513), "reason"),
    Bad("DeleteMessage", pb.MessageId(channel_id=1, message_id=2, reason="a\x1b[0m"), "reason"),
    Bad("DeleteMessage", pb.MessageId(channel_id=1, message_id=2, reason="a\0b"), "reason"),
    Bad("CreateBan", pb.CreateBanRequest(guild_id=1, user_id=2, reason="\x7f"), "reason"),
    Bad("SyncMemberRoles", pb.SyncMemberRolesRequest(guild_id=1, user_id=2, reason="a\x00b"), "reason"),
    member("clear[0]", clear=["nickname"]),
    member("clear[0]", clear=["guild_id"]),
    member("clear[0]", clear=["options"]),
    member("clear", clear=["nick"] * 41),
    member("clear[0]", clear=["reason"]),
    member("clear[0]", clear=["clear"]),
    member("clear[0]", clear=[""]),
    member("clear[1]", clear=["mute", "nick"], nick="x"),
    member("clear[0]", clear=["roles"], roles=[1]),
    edit_message("clear[0]", clear=["content"], content=""),
    edit_message("clear[0]", clear=["files"]),
    edit_message("clear[0]", clear=["message_id"]),
    edit_channel("name", clear=["name"]),
    Bad(
        "EditScheduledEvent",
        pb.EditScheduledEventRequest(guild_id=1, guild_scheduled_event_id=2, clear=["name"]),
        "name",
    ),
    Bad(
        "EditWebhookMessage",
        pb.EditWebhookMessageRequest(webhook_id=1, webhook_token="t", message_id=3, clear=["thread_id"]),
        "clear[0]",
    ),
]

PATHS = [
    *(
        reaction(emoji)
        for emoji in (
            "..",
            ".",
            "../x",
            "a/b",
            "a\\b",
            "%2e%2e",
            "a?b",
            "a#b",
            "👍/../x",
            "👍\n",
            "a b",
            "❤%2f..%2f",
            "❤%252f",
            "❤%",
            "❤.",
        )
    ),
    *(reaction(emoji) for emoji in ("<:name:1>", "name", ":name:", "x" * 300, "😀" * 65, "name:abc")),
    *(Bad("DeleteInvite", pb.InviteCode(code=code), "code") for code in ("..", "a/b", "a?b", "a%2fb", "ä", "x" * 3000)),
    *(
        Bad(
            "DeleteWebhookMessage",
            pb.WebhookMessageId(webhook_id=1, webhook_token=token, message_id=3),
            "webhook_token",
        )
        for token in ("..", "a/b", "a\r\nb", "a b", "x" * 3000)
    ),
]

LISTS = [
    Bad("GetMessages", pb.GetMessagesRequest(channel_id=1, limit=0), "limit"),
    Bad("GetMessages", pb.GetMessagesRequest(channel_id=1, limit=101), "limit"),
    Bad("GetMessages", pb.GetMessagesRequest(channel_id=1, limit=-1), "limit"),
    Bad("GetMessages", pb.GetMessagesRequest(channel_id=1, after=HUGE), "after"),
    Bad("GetMessages", pb.GetMessagesRequest(channel_id=1, before=1, after=2), "after"),
    Bad("GetMessages", pb.GetMessagesRequest(channel_id=1, around=1, before=2), "before"),
    Bad("GetPins", pb.GetPinsRequest(channel_id=1, limit=51), "limit"),
    Bad("GetPins", pb.GetPinsRequest(channel_id=1, before="now"), "before"),
    Bad("GetReactions", pb.GetReactionsRequest(channel_id=1, message_id=2, emoji="👍", limit=101), "limit"),
    Bad("GetReactions", pb.GetReactionsRequest(channel_id=1, message_id=2, emoji="👍", type=2), "type"),
    Bad("GetPollVoters", pb.GetPollVotersRequest(channel_id=1, message_id=2, answer_id=1, limit=0), "limit"),
    Bad("ListGuilds", pb.ListGuildsRequest(limit=201), "limit"),
    Bad("ListGuilds", pb.ListGuildsRequest(before=1, after=2), "after"),
    Bad("ListGuildMembers", pb.ListGuildMembersRequest(guild_id=1, limit=1001), "limit"),
    Bad("ListGuildMembers", pb.ListGuildMembersRequest(guild_id=1, after=NEGATIVE), "after"),
    Bad("SearchGuildMembers", pb.SearchGuildMembersRequest(guild_id=1), "query"),
    Bad("SearchGuildMembers", pb.SearchGuildMembersRequest(guild_id=1, query="x" * 101), "query"),
    Bad("ListBans", pb.ListBansRequest(guild_id=1, limit=1001), "limit"),
    Bad("BulkDeleteMessages", pb.BulkDeleteMessagesRequest(channel_id=1), "message_ids"),
    Bad("BulkDeleteMessages", pb.BulkDeleteMessagesRequest(channel_id=1, message_ids=[5, 0]), "message_ids[1]"),
    Bad("BulkBan", pb.BulkBanRequest(guild_id=1), "user_ids"),
    Bad("BulkBan", pb.BulkBanRequest(guild_id=1, user_ids=range(1, 202)), "user_ids"),
    Bad(
        "BulkBan", pb.BulkBanRequest(guild_id=1, user_ids=[1], delete_message_seconds=604801), "delete_message_seconds"
    ),
    Bad("CreateBan", pb.CreateBanRequest(guild_id=1, user_id=2, delete_message_seconds=-1), "delete_message_seconds"),
]

GUILDS = [
    channel("name", name=""),
    channel("name", name="x" * 101),
    channel("type", type=pb.Channel.DM),
    channel("type", type=pb.Channel.PUBLIC_THREAD),
    channel("type", type=99),
    channel("topic", topic="x" * 4097),
    channel("position", position=-1),
    channel("parent_id", parent_id=0),
    channel("parent_id", parent_id=HUGE),
    channel("rate_limit_per_user", rate_limit_per_user=21601),
    channel("bitrate", bitrate=7999),
    channel("user_limit", user_limit=10001),
    channel("permission_overwrites[0].id", permission_overwrites=[pb.PermissionOverwrite(allow=1)]),
    channel("permission_overwrites[0].type", permission_overwrites=[pb.PermissionOverwrite(id=1, type=2)]),
    channel("permission_overwrites", permission_overwrites=[pb.PermissionOverwrite(id=1)] * 101),
    channel("video_quality_mode", video_quality_mode=3),
    channel("default_auto_archive_duration", default_auto_archive_duration=61),
    channel("default_reaction_emoji.emoji_id", default_reaction_emoji=pb.DefaultReaction(emoji_id=HUGE)),
    channel("default_thread_rate_limit_per_user", default_thread_rate_limit_per_user=-1),
    channel("available_tags", available_tags=[pb.ForumTag(name="t")] * 21),
    channel("available_tags[0].name", available_tags=[pb.ForumTag(moderated=True)]),
    channel("available_tags[0].id", available_tags=[pb.ForumTag(id=1, name="t")]),
    channel("default_sort_order", default_sort_order=2),
    channel("default_forum_layout", default_forum_layout=3),
    edit_channel("type", type=0),
    edit_channel("name", name=""),
    edit_channel("auto_archive_duration", auto_archive_duration=5),
    edit_channel("applied_tags", applied_tags=[1, 2, 3, 4, 5, 6]),
    edit_channel("applied_tags[0]", applied_tags=[0]),
    edit_channel("flags", flags=-1),
    Bad("SetChannelPermissions", pb.SetChannelPermissionsRequest(channel_id=1, overwrite_id=2, type=5), "type"),
    Bad("CreateThread", pb.CreateThreadRequest(channel_id=1), "name"),
    Bad("CreateThread", pb.CreateThreadRequest(channel_id=1, name="t", type=pb.Channel.GUILD_TEXT), "type"),
    Bad(
        "CreateThread", pb.CreateThreadRequest(channel_id=1, name="t", auto_archive_duration=0), "auto_archive_duration"
    ),
    Bad("CreateMessageThread", pb.CreateMessageThreadRequest(channel_id=1, message_id=2, name="x" * 101), "name"),
    Bad("CreateForumPost", pb.CreateForumPostRequest(channel_id=1, content="x"), "name"),
    Bad("CreateForumPost", pb.CreateForumPostRequest(channel_id=1, name="n"), "content"),
    Bad("CreateForumPost", pb.CreateForumPostRequest(channel_id=1, name="n", content="x" * 2001), "content"),
    Bad(
        "CreateForumPost",
        pb.CreateForumPostRequest(channel_id=1, name="n", content="x", applied_tags=range(1, 7)),
        "applied_tags",
    ),
    Bad("CreateInvite", pb.CreateInviteRequest(channel_id=1, max_age=5184001), "max_age"),
    Bad("CreateInvite", pb.CreateInviteRequest(channel_id=1, max_uses=101), "max_uses"),
    Bad("AddGuildMember", pb.AddGuildMemberRequest(guild_id=1, user_id=2), "access_token"),
    Bad("AddGuildMember", pb.AddGuildMemberRequest(guild_id=1, user_id=2, access_token="t", roles=[0]), "roles[0]"),
    member("nick", nick="x" * 33),
    member("roles[1]", roles=[1, 0]),
    member("roles", roles=range(1, 352)),
    member("channel_id", channel_id=0),
    member("communication_disabled_until", communication_disabled_until="tomorrow"),
    Bad("SyncMemberRoles", pb.SyncMemberRolesRequest(user_id=2), "guild_id"),
    Bad("SyncMemberRoles", pb.SyncMemberRolesRequest(guild_id=1), "user_id"),
    Bad("SyncMemberRoles", pb.SyncMemberRolesRequest(guild_id=1, user_id=2, roles=[HUGE]), "roles[0]"),
    Bad("SyncMemberRoles", pb.SyncMemberRolesRequest(guild_id=1, user_id=2, managed=[0]), "managed[0]"),
    role("name", name=""),
    role("name", name="x" * 101),
    role("color", color=-1),
    role("colors.primary_color", colors=pb.Role.Colors(primary_color=0x1000000)),
    role("icon", icon="https://example.com/icon.png"),
    role("unicode_emoji", unicode_emoji="x" * 101),
    event("name", name=""),
    event("scheduled_start_time", scheduled_start_time=""),
    event("scheduled_start_time", scheduled_start_time="soon"),
    event("scheduled_end_time", scheduled_end_time="later"),
    event("privacy_level", privacy_level=1),
    event("entity_type", entity_type=0),
    event("entity_type", entity_type=4),
    event("description", description="x" * 1001),
    event("image", image="x"),
    event("channel_id", entity_type=1, channel_id=None),
    event("channel_id", entity_type=3, entity_metadata=pb.ScheduledEvent.EntityMetadata(location="x")),
    event("entity_metadata.location", entity_type=3, channel_id=None),
    event("entity_metadata.location", entity_metadata=pb.ScheduledEvent.EntityMetadata(location="x")),
    event("scheduled_end_time", entity_type=3, channel_id=None, entity_metadata=LOCATION),
    event("channel_id", entity_type=3, scheduled_end_time="2030-01-02T00:00:00Z", entity_metadata=LOCATION),
    event("scheduled_end_time", entity_type=3, entity_metadata=pb.ScheduledEvent.EntityMetadata(location="x")),
    Bad(
        "EditScheduledEvent",
        pb.EditScheduledEventRequest(guild_id=1, guild_scheduled_event_id=2, status=5),
        "status",
    ),
    Bad(
        "EditScheduledEvent",
        pb.EditScheduledEventRequest(guild_id=1, guild_scheduled_event_id=2, entity_type=3, channel_id=5),
        "channel_id",
    ),
    Bad(
        "EditScheduledEvent",
        pb.EditScheduledEventRequest(
            guild_id=1,
            guild_scheduled_event_id=2,
            entity_type=2,
            entity_metadata=pb.ScheduledEvent.EntityMetadata(location="x"),
        ),
        "entity_metadata.location",
    ),
    Bad("CreateWebhook", pb.CreateWebhookRequest(channel_id=1), "name"),
    Bad("CreateWebhook", pb.CreateWebhookRequest(channel_id=1, name="x" * 81), "name"),
    Bad("CreateWebhook", pb.CreateWebhookRequest(channel_id=1, name="n", avatar="x"), "avatar"),
    webhook("content", content=""),
    webhook("content", content="x" * 2001),
    webhook("username", username="x" * 81),
    webhook("avatar_url", avatar_url="x"),
    webhook("thread_name", thread_name="x" * 101),
    webhook("thread_name", thread_name="t", content="x" * 2001, overflow=pb.OVERFLOW_SPLIT),
    webhook("applied_tags", applied_tags=range(1, 7)),
    webhook("thread_id", thread_id=HUGE),
]

RULE = {"guild_id": 1, "name": "n", "event_type": 1, "trigger_type": 1, "actions": [{"type": 1}]}
EMOJI = {"guild_id": 1, "name": "cat", "image": "data:image/png;base64,AAAA"}
SOUND = {"guild_id": 1, "name": "cat", "sound": "data:audio/ogg;base64,AAAA"}
STICKER = {"guild_id": 1, "name": "cat", "tags": "cat", "file": {"filename": "cat.png", "content": b"x"}}


def of(rpc: str, path: str, **fields: Any) -> Bad:
    return Bad(rpc, load_contract()[rpc].request_type(**fields), path)


def rule(path: str, **fields: Any) -> Bad:
    return of("CreateAutoModerationRule", path, **{**RULE, **fields})


def prompt(path: str, **fields: Any) -> Bad:
    given = {"id": 1, "title": "t", "options": [{"title": "o"}], **fields}
    return of("SetOnboarding", f"prompts[0].{path}", guild_id=1, prompts=[given])


MANAGEMENT = [
    of("SearchMessages", "content", guild_id=1, content="x" * 1025),
    of("SearchMessages", "has[1]", guild_id=1, has=["link", "links"]),
    of("SearchMessages", "author_id[0]", guild_id=1, author_id=[0]),
    of("SearchMessages", "author_id", guild_id=1, author_id=range(1, 102)),
    of("SearchMessages", "limit", guild_id=1, limit=26),
    of("SearchMessages", "offset", guild_id=1, offset=9976),
    of("SearchMessages", "min_id", guild_id=1, min_id=HUGE),
    of("SearchThreads", "sort_by", channel_id=1, sort_by="name"),
    of("SearchThreads", "tag", channel_id=1, tag=range(1, 22)),
    of("EditChannelPositions", "channels", guild_id=1),
    of("EditChannelPositions", "channels[0].id", guild_id=1, channels=[{"position": 1}]),
    of("EditRolePositions", "roles[1].id", guild_id=1, roles=[{"id": 1}, {"position": 1}]),
    of("FollowChannel", "webhook_channel_id", channel_id=1),
    of("SetVoiceChannelStatus", "status", channel_id=1, status="x" * 501),
    of("ListPublicArchivedThreads", "before", channel_id=1, before="yesterday"),
    of("ListPublicArchivedThreads", "limit", channel_id=1, limit=1),
    of("GetAuditLog", "after", guild_id=1, before=1, after=2),
    of("GetAuditLog", "limit", guild_id=1, limit=101),
    of("GetPruneCount", "days", guild_id=1, days=31),
    of("PruneGuild", "days", guild_id=1, days=0),
    of("PruneGuild", "include_roles[0]", guild_id=1, include_roles=[0]),
    of("SetIncidentActions", "dms_disabled_until", guild_id=1, dms_disabled_until="soon"),
    of("ListJoinRequests", "status", guild_id=1, status="OPEN"),
    of("ReviewJoinRequest", "action", guild_id=1, request_id=2),
    of("ReviewJoinRequest", "action", guild_id=1, request_id=2, action="STARTED"),
    rule("name", name=""),
    rule("event_type", event_type=3),
    rule("trigger_type", trigger_type=2),
    rule("actions", actions=[]),
    rule("actions", actions=[{"type": 1}] * 6),
    rule("actions[0].type", actions=[{"type": 9}]),
    rule("actions[0].metadata.channel_id", actions=[{"type": 2}]),
    rule("actions[0].metadata.duration_seconds", actions=[{"type": 1, "metadata": {"duration_seconds": 5}}]),
    rule("actions[0].metadata.custom_message", actions=[{"type": 1, "metadata": {"custom_message": "x" * 151}}]),
    rule("trigger_metadata.presets", trigger_metadata={"presets": [1]}),
    rule("trigger_metadata.presets[0]", trigger_type=4, trigger_metadata={"presets": [9]}),
    rule("trigger_metadata", trigger_type=4),
    rule("exempt_roles", exempt_roles=range(1, 22)),
    of(
        "EditAutoModerationRule",
        "trigger_metadata",
        guild_id=1,
        rule_id=2,
        trigger_metadata={"presets": [1], "mention_total_limit": 5},
    ),
    of("SetInviteTargetUsers", "user_ids", code="abc"),
    of("SetInviteTargetUsers", "user_ids[0]", code="abc", user_ids=[0]),
    of("EditWebhook", "name", webhook_id=1, name="x" * 81),
    of("EditWebhook", "name", webhook_id=1, clear=["name"]),
    of("EditGuild", "name", guild_id=1, name="x"),
    of("EditGuild", "icon", guild_id=1, icon="https://example.com/icon.png"),
    of("EditGuild", "afk_timeout", guild_id=1, afk_timeout=61),
    of("EditGuild", "preferred_locale", guild_id=1, preferred_locale="tlh"),
    prompt("id", id=0),
    prompt("title", title=""),
    prompt("options", options=[]),
    prompt("options[0].title", options=[{"description": "d"}]),
    prompt("type", type=2),
    of(
        "EditWelcomeScreen",
        "welcome_channels",
        guild_id=1,
        welcome_channels=[{"channel_id": 1, "description": "d"}] * 6,
    ),
    of("EditWelcomeScreen", "welcome_channels[0].description", guild_id=1, welcome_channels=[{"channel_id": 1}]),
    of("EditCurrentMember", "bio", guild_id=1, bio="x" * 191),
    of("CreateGuildEmoji", "name", **{**EMOJI, "name": "c"}),
    of("CreateGuildEmoji", "image", **{**EMOJI, "image": "cat.png"}),
    of("CreateGuildEmoji", "image", guild_id=1, name="cat"),
    of("CreateGuildSoundboardSound", "sound", **{**SOUND, "sound": EMOJI["image"]}),
    of("CreateGuildSoundboardSound", "volume", **{**SOUND, "volume": 1.5}),
    of("CreateGuildSticker", "tags", **{**STICKER, "tags": ""}),
    of("CreateGuildSticker", "file", guild_id=1, name="cat", tags="cat"),
    of("CreateGuildSticker", "file.filename", **{**STICKER, "file": {"content": b"x"}}),
    of("SendSoundboardSound", "sound_id", channel_id=1),
    of("EditCurrentApplication", "description", description="x" * 401),
    of("EditCurrentApplication", "event_webhooks_types[0]", event_webhooks_types=["MESSAGE_CREATE"]),
    of("EditCurrentApplication", "install_params.scopes[0]", install_params={"scopes": ["email"]}),
    of("SetRoleConnectionMetadata", "metadata[0].key", application_id=1, metadata=[{"type": 1}]),
    of("SetRoleConnectionMetadata", "metadata", application_id=1, metadata=[{"type": 1}] * 6),
]


def theme(path: str, **fields: Any) -> Bad:
    given = {"colors": ["00ff00"], "gradient_angle": 1, "base_mix": 1}
    return send(f"shared_client_theme{path}", shared_client_theme=pb.SharedClientTheme(**{**given, **fields}))


def recurrence(path: str, **fields: Any) -> Bad:
    rule = pb.RecurrenceRule(**{"start": "2030-01-01T00:00:00Z", **fields})
    return event(f"recurrence_rule{path}", recurrence_rule=rule)


def invite(path: str, **fields: Any) -> Bad:
    return Bad("CreateInvite", pb.CreateInviteRequest(channel_id=1, **fields), path)


def response(path: str, **fields: Any) -> Bad:
    ids = {"interaction_id": 1, "interaction_token": "token"}
    return Bad("CreateInteractionResponse", pb.CreateInteractionResponseRequest(**ids, **fields), path)


def choice(path: str, **fields: Any) -> Bad:
    given = {"name": "n", "number_value": 1}
    made = pb.CreateInteractionResponseRequest.Choice(**{**given, **fields})
    return response(f"choices[0].{path}", type="AUTOCOMPLETE", choices=[made])


NEW_IN_2026 = [
    theme(".colors", colors=[]),
    theme(".colors", colors=["00ff00"] * 6),
    theme(".colors[0]", colors=["#00ff0"]),
    theme(".gradient_angle", gradient_angle=361),
    theme(".base_mix", base_mix=-1),
    theme(".base_theme", base_theme=9),
    send("shared_client_theme", content="", flags=V2, shared_client_theme=pb.SharedClientTheme(colors=["00ff00"])),
    channel("default_tag_setting", default_tag_setting="match"),
    edit_message("attachments[0].title", attachments=[pb.KeepAttachment(id=1, title="x" * 1025)]),
    edit_message("attachments[0].filename", attachments=[pb.KeepAttachment(id=1, filename="a\nb")]),
    edit_message("sticker_ids", sticker_ids=[1, 2, 3, 4]),
    file("title", title="x" * 1025),
    component("file_types", file_types=[".pdf"] * 11),
    recurrence(".start", start=""),
    recurrence(".frequency", frequency=4),
    recurrence(".by_weekday[0]", by_weekday=[7]),
    recurrence(".by_month_day[0]", by_month_day=[32]),
    recurrence(".by_month_day", by_month_day=[1] * 34),
    recurrence(".by_n_weekday[0].n", by_n_weekday=[pb.RecurrenceRule.NthWeekday(day=1)]),
    invite("role_ids", role_ids=range(1, 252)),
    invite("role_ids[0]", role_ids=[HUGE]),
    invite("target_type", target_type=0),
    invite("target_user_id", target_type=1),
    invite("target_application_id", target_type=2),
    invite("user_ids", user_ids=range(1, 100_002)),
    invite("user_ids[1]", user_ids=[1, 0]),
    response("type", type=10),
    response("title", type="MODAL", custom_id="c", components=[pb.Component(type=10, content="x")]),
    response("components", type="MODAL", custom_id="c", title="t"),
    response("title", type="MODAL", custom_id="c", title="x" * 46, components=[pb.Component(type=10, content="x")]),
    response("content", type="AUTOCOMPLETE", content="x"),
    response("flags", type="MODAL", custom_id="c", title="t", components_json='[{"type": 10}]', flags=64),
    response("choices", choices=[{"name": "n", "number_value": 1}]),
    response("choices", type="AUTOCOMPLETE", choices=[{"name": "n", "number_value": 1}] * 26),
    choice("name", name=""),
    choice("value", number_value=None),
    choice("number_value", number_value=float("inf")),
    choice("string_value", number_value=None, string_value=""),
    choice("name_localizations.de", name_localizations={"de": ""}),
    choice("name_localizations", name_localizations={str(number): "x" for number in range(41)}),
]

BAD_REQUESTS = [
    *bad_ids(),
    *NEW_IN_2026,
    *MANAGEMENT,
    *MESSAGES,
    *FILES,
    *COMPONENTS,
    *POLLS,
    *COMMON,
    *PATHS,
    *LISTS,
    *GUILDS,
]
