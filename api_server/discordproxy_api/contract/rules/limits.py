"""Discord's limits of request fields.

A contract test compares them with Discord's OpenAPI description. The length of text is counted in code points.
`EVERY_WRITER` applies to each request that writes a message.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

CONTENT = 2000
EMBEDS = 10
EMBED_CHARACTERS = 6000
"""Of all embeds together: titles, descriptions, field names and values, footers, authors; trimmed."""
COMPONENTS = 40
"""Including nested ones."""
FILES = 10
POLL_ANSWERS = 10
POLL_TEXT = 300
POLL_ANSWER = 55
"""Of the text of an answer (documentation of the poll object; Discord's description has that of the question)."""
FILE_BYTES = 100 * 1024 * 1024
"""Of one file, in a guild of the highest boost level; Discord rejects lower limits itself (40005)."""
REASON = 512
TOKEN = 2048
"""Of a webhook or interaction, and of an invite's code."""
SPLIT_MESSAGES = 50
"""Limit of the proxy: messages that one call can post."""
COMPONENTS_JSON = 200_000
"""Limit of the proxy, in characters: more than forty components need."""
COMMANDS_JSON = 4_000_000
"""Limit of the proxy, in characters: more than all commands of a bot need."""
EXTRA_BYTES = 100_000
"""Limit of the proxy for the unknown keys of one component."""
CLEAR = 40
"""Limit of the proxy: more than any request has fields."""
IDEMPOTENCY_KEY = 255
"""Limit of the proxy: it is part of a Redis key."""
MAX_SNOWFLAKE = 2**63 - 1

DURATION = "google.protobuf.Duration"
MAX_DURATION_S = 315_576_000_000
MAX_NANOS = 999_999_999
"""Of a duration, protobuf's own limits."""

INT32 = 2**31 - 1
_COLOR = 0xFFFFFF
_ARCHIVE_MINUTES = (60, 1440, 4320, 10080)


class Form(Enum):
    """Format of a text."""

    WEB = auto()  # an http or https address
    LINK = auto()  # as WEB, or discord://
    MEDIA = auto()  # as WEB, or attachment://
    TIME = auto()  # ISO 8601
    IMAGE = auto()  # a data URI
    FILENAME = auto()
    PATH = auto()  # one segment of a path
    TOKEN = auto()  # letters, digits, "-" and "_"
    EMOJI = auto()  # a unicode emoji, or name:id


@dataclass(frozen=True, slots=True)
class Limit:
    """Bounds of a field: of its length for text and lists, of its value for numbers.

    Attributes:
        choices: the only values allowed, empty for any.
        required: the field must not be left out.
    """

    least: int = 0
    most: int = INT32
    choices: tuple[int | str, ...] = ()
    form: Form | None = None
    required: bool = False


def _required(least: int, most: int, form: Form | None = None) -> Limit:
    return Limit(least, most, form=form, required=True)


def _choice(*choices: int | str, required: bool = False) -> Limit:
    return Limit(choices=choices, required=required)


_PAGE = Limit(1, 100)
_MEDIA_URL = Limit(most=2048, form=Form.MEDIA)
_WEB_URL = Limit(most=2048, form=Form.WEB)
_TIME = Limit(most=64, form=Form.TIME)
_IMAGE = Limit(form=Form.IMAGE)
_NAME = Limit(1, 100)

EVERY_WRITER: Mapping[str, Limit] = {
    "content": Limit(most=CONTENT),
    "embeds": Limit(most=EMBEDS),
    "sticker_ids": Limit(most=3),
    "components": Limit(most=COMPONENTS),
    "components_json": Limit(most=COMPONENTS_JSON),
    "files": Limit(most=FILES),
    "attachments": Limit(most=FILES),
    "flags": Limit(),
    "nonce": Limit(most=25),
}

_CHANNEL: Mapping[str, Limit] = {
    "topic": Limit(most=4096),
    "position": Limit(),
    "rate_limit_per_user": Limit(0, 21600),
    "bitrate": Limit(8000),
    "user_limit": Limit(most=10000),  # of a stage; 99 for other voice channels
    "permission_overwrites": Limit(most=100),
    "video_quality_mode": _choice(1, 2),
    "default_auto_archive_duration": _choice(*_ARCHIVE_MINUTES),
    "default_thread_rate_limit_per_user": Limit(0, 21600),
    "available_tags": Limit(most=20),
    "default_sort_order": _choice(0, 1),
    "default_forum_layout": _choice(0, 1, 2),
    "type": _choice(1, 3, 5, 6, 14, 15, 16, 17),  # a guild's own channels, in the contract's numbers
}

_THREAD: Mapping[str, Limit] = {
    "name": _required(1, 100),
    "auto_archive_duration": _choice(*_ARCHIVE_MINUTES),
    "rate_limit_per_user": Limit(0, 21600),
    "applied_tags": Limit(most=5),
    "type": _choice(11, 12, 13),
}

_ROLE: Mapping[str, Limit] = {
    "name": _NAME,
    "color": Limit(0, _COLOR),
    "unicode_emoji": Limit(most=100),
    "icon": _IMAGE,
}

_EVENT: Mapping[str, Limit] = {
    "description": Limit(most=1000),
    "scheduled_end_time": _TIME,
    "image": _IMAGE,
}

_BY_MESSAGE: Mapping[str, Mapping[str, Limit]] = {
    "Embed": {
        "title": Limit(most=256),
        "description": Limit(most=4096),
        "url": _WEB_URL,
        "timestamp": _TIME,
        "color": Limit(0, _COLOR),
        "fields": Limit(most=25),
    },
    "Embed.Footer": {"text": Limit(most=2048), "icon_url": _MEDIA_URL},
    "Embed.Image": {"url": _MEDIA_URL, "description": Limit(most=4096)},
    "Embed.Thumbnail": {"url": _MEDIA_URL, "description": Limit(most=4096)},
    "Embed.Video": {"url": _MEDIA_URL, "description": Limit(most=4096)},
    "Embed.Provider": {"name": Limit(most=256), "url": _WEB_URL},
    "Embed.Author": {"name": Limit(most=256), "url": _WEB_URL, "icon_url": _MEDIA_URL},
    "Embed.Field": {"name": _required(1, 256), "value": _required(1, 1024)},
    "AllowedMentions": {
        "parse": Limit(most=3, choices=("users", "roles", "everyone")),
        "users": Limit(most=100),
        "roles": Limit(most=100),
    },
    "Message.Reference": {"message_id": Limit(required=True)},
    "File": {
        "filename": _required(1, 1024, Form.FILENAME),
        "content_type": Limit(most=255, form=Form.FILENAME),
        "description": Limit(most=1024),
        "duration_secs": Limit(),
        "waveform": Limit(most=400),
    },
    "KeepAttachment": {"id": Limit(required=True), "description": Limit(most=1024)},
    "Poll": {
        "question": Limit(required=True),
        "answers": _required(1, POLL_ANSWERS),
        "duration": Limit(1, 768),
        "layout_type": _choice(1),
    },
    "Poll.Answer": {"poll_media": Limit(required=True)},
    "Poll.Media": {"text": Limit(1, POLL_TEXT)},
    "Component": {
        "type": Limit(required=True),
        "id": Limit(),
        "custom_id": Limit(1, 100),
        "label": Limit(most=80),
        "url": Limit(most=512, form=Form.LINK),
        "options": Limit(1, 25),
        "placeholder": Limit(most=150),
        "min_values": Limit(0, 25),
        "max_values": Limit(1, 25),
        "default_values": Limit(most=25),
        "content": Limit(1, 4000),
        "description": Limit(1, 1024),
        "items": Limit(1, 10),
        "channel_types": Limit(most=40),  # limit of the proxy: more than exist
        "spacing": _choice(1, 2),
        "accent_color": Limit(0, _COLOR),
        "min_length": Limit(0, 4000),
        "max_length": Limit(1, 4000),
    },
    "Component.Emoji": {"name": Limit(most=32)},
    "Component.Media": {"url": _required(1, 2048, Form.MEDIA)},
    "Component.GalleryItem": {"media": Limit(required=True), "description": Limit(1, 1024)},
    "Component.Option": {
        "label": _required(1, 100),
        "value": _required(1, 100),
        "description": Limit(most=100),
    },
    "Component.DefaultValue": {"id": Limit(required=True), "type": _choice("user", "role", "channel", required=True)},
    "PermissionOverwrite": {"id": Limit(required=True)},
    "ForumTag": {"name": _required(1, 50), "emoji_name": Limit(most=100)},
    "DefaultReaction": {"emoji_name": Limit(most=100)},
    "Role.Colors": {key: Limit(0, _COLOR) for key in ("primary_color", "secondary_color", "tertiary_color")},
    "ScheduledEvent.EntityMetadata": {"location": Limit(most=100)},
    "GetMessagesRequest": {"limit": _PAGE},
    "GetPinsRequest": {"limit": Limit(1, 50), "before": _TIME},
    "GetReactionsRequest": {"limit": _PAGE, "type": _choice(0, 1)},
    "GetPollVotersRequest": {"limit": _PAGE},
    "ListGuildsRequest": {"limit": Limit(1, 200)},
    "ListGuildMembersRequest": {"limit": Limit(1, 1000)},
    "SearchGuildMembersRequest": {"limit": Limit(1, 1000), "query": _required(1, 100)},
    "ListBansRequest": {"limit": Limit(1, 1000)},
    "BulkDeleteMessagesRequest": {"message_ids": Limit(1, required=True)},
    "CreateChannelRequest": {"name": _required(1, 100), **_CHANNEL},
    "EditChannelRequest": {
        "name": _NAME,
        "flags": Limit(),
        "auto_archive_duration": _choice(*_ARCHIVE_MINUTES),
        "applied_tags": Limit(most=5),
        **_CHANNEL,
    },
    "CreateThreadRequest": _THREAD,
    "CreateMessageThreadRequest": _THREAD,
    "CreateForumPostRequest": _THREAD,
    "CreateInviteRequest": {"max_age": Limit(0, 5184000), "max_uses": Limit(0, 100)},
    "AddGuildMemberRequest": {
        "access_token": _required(1, 10240),
        "nick": Limit(most=32),
        "roles": Limit(most=250),
    },
    "EditGuildMemberRequest": {
        "nick": Limit(most=32),
        "roles": Limit(most=350),
        "communication_disabled_until": _TIME,
    },
    "SyncMemberRolesRequest": {
        "guild_id": Limit(required=True),
        "user_id": Limit(required=True),
        "roles": Limit(most=350),
    },
    "SyncCommandsRequest": {"commands": Limit(most=131), "commands_json": Limit(most=COMMANDS_JSON)},
    "Command": {"options": Limit(most=25)},
    "CommandOption": {"options": Limit(most=25), "choices": Limit(most=25), "channel_types": Limit(most=100)},
    "ReleaseCommandsRequest": {"names": _required(1, 131), "owner": Limit(most=64)},
    "SendDirectMessageRequest": {"user_id": Limit(required=True)},
    "GetVoiceStatesRequest": {"guild_id": Limit(required=True)},
    "ComputePermissionsRequest": {"guild_id": Limit(required=True)},
    "CreateRoleRequest": _ROLE,
    "EditRoleRequest": _ROLE,
    "CreateBanRequest": {"delete_message_seconds": Limit(0, 604800)},
    "BulkBanRequest": {"user_ids": _required(1, 200), "delete_message_seconds": Limit(0, 604800)},
    "CreateWebhookRequest": {"name": _required(1, 80), "avatar": _IMAGE},
    "ExecuteWebhookRequest": {
        "username": Limit(1, 80),
        "avatar_url": _WEB_URL,
        "thread_name": Limit(most=100),
        "applied_tags": Limit(most=5),
    },
    "CreateInteractionResponseRequest": {
        "interaction_id": Limit(required=True),
        "interaction_token": _required(1, TOKEN, Form.TOKEN),
        "type": _choice(4, 5, 6, 7),
    },
    "CreateScheduledEventRequest": {
        "name": _required(1, 100),
        "scheduled_start_time": _required(1, 64, Form.TIME),
        "privacy_level": _choice(2, required=True),
        "entity_type": _choice(1, 2, 3, required=True),
        **_EVENT,
    },
    "EditScheduledEventRequest": {
        "name": _NAME,
        "scheduled_start_time": _TIME,
        "privacy_level": _choice(2),
        "entity_type": _choice(1, 2, 3),
        "status": _choice(1, 2, 3, 4),
        **_EVENT,
    },
    "RequestOptions": {"idempotency_key": Limit(most=IDEMPOTENCY_KEY)},
}

NEVER_RESET: Mapping[str, frozenset[str]] = {
    "EditChannelRequest": frozenset({"name"}),
    "EditScheduledEventRequest": frozenset({"name", "scheduled_start_time", "privacy_level"}),
}
"""By request: fields that cannot be reset."""

PATH_FORMS: Mapping[str, Form] = {"emoji": Form.EMOJI, "webhook_token": Form.TOKEN, "code": Form.TOKEN}
"""By request field: the format of path parameters; all others must be one plain segment."""

_WRITERS = frozenset(
    {
        "SendChannelMessageRequest",
        "SendDirectMessageRequest",
        "EditMessageRequest",
        "CreateForumPostRequest",
        "CreateInteractionResponseRequest",
        "ExecuteWebhookRequest",
        "EditWebhookMessageRequest",
    }
)


def writes_message(message: str) -> bool:
    """Return whether requests of this name write a message."""
    return message in _WRITERS


def limits_of(message: str) -> Mapping[str, Limit]:
    """Return the limits of a message's fields; the name is without the package."""
    own = _BY_MESSAGE.get(message, {})
    return {**EVERY_WRITER, **own} if writes_message(message) else own
