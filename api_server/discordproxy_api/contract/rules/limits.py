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
THEME_COLORS = 5
TARGET_USERS = 100_000
"""Limit of the proxy for the users of an invite."""
REASON = 512
TEXT = 100
"""Of one text of a map, such as the translations of a name."""
MAX_TEXTS = 40
"""Limit of the proxy for the texts of a map: more than Discord has languages."""
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
ROLE_MEMBERS = 250_000
"""Limit of the proxy: users of all roles of one synchronization."""
ROLES = 350
MAX_SNOWFLAKE = 2**63 - 1

DURATION = "google.protobuf.Duration"
MAX_DURATION_S = 315_576_000_000
MAX_NANOS = 999_999_999
"""Of a duration, protobuf's own limits."""

INT32 = 2**31 - 1
_COLOR = 0xFFFFFF
_ARCHIVE_MINUTES = (60, 1440, 4320, 10080)
_WEEKDAYS = tuple(range(7))


class Form(Enum):
    """Format of a text."""

    WEB = auto()  # an http or https address
    LINK = auto()  # as WEB, or discord://
    MEDIA = auto()  # as WEB, or attachment://
    TIME = auto()  # ISO 8601
    IMAGE = auto()  # a data URI
    SOUND = auto()  # a data URI
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
        trimmed: the length of the text excludes whitespace at both ends, which Discord removes.
    """

    least: int = 0
    most: int = INT32
    choices: tuple[int | str, ...] = ()
    form: Form | None = None
    required: bool = False
    trimmed: bool = False


def _required(least: int, most: int, form: Form | None = None) -> Limit:
    return Limit(least, most, form=form, required=True)


def _trimmed(most: int) -> Limit:
    return Limit(most=most, trimmed=True)


def _choice(*choices: int | str, required: bool = False) -> Limit:
    return Limit(choices=choices, required=required)


def _with_exclusions(*words: str) -> tuple[str, ...]:
    """Return the words of a search criterion, and each with "-" before it."""
    return (*words, *(f"-{word}" for word in words))


_PAGE = Limit(1, 100)
_MEDIA_URL = Limit(most=2048, form=Form.MEDIA)
_WEB_URL = Limit(most=2048, form=Form.WEB)
_TIME = Limit(most=64, form=Form.TIME)
_IMAGE = Limit(form=Form.IMAGE)
_NAME = Limit(1, 100)

_REQUIRED_IMAGE = Limit(1, form=Form.IMAGE, required=True)
_SLOP = Limit(0, 100)
_CONTENTS = ("link", "embed", "file", "image", "video", "sound", "sticker", "poll", "snapshot")
_LOCALES = (
    *(
        "ar",
        "bg",
        "cs",
        "da",
        "de",
        "el",
        "en-GB",
        "en-US",
        "es-419",
        "es-ES",
        "fi",
        "fr",
        "he",
        "hi",
        "hr",
        "hu",
        "id",
    ),
    *("it", "ja", "ko", "lt", "nl", "no", "pl", "pt-BR", "ro", "ru", "sv-SE", "th", "tr", "uk", "vi", "zh-CN", "zh-TW"),
)
_WEBHOOK_EVENTS = (
    *("APPLICATION_AUTHORIZED", "APPLICATION_DEAUTHORIZED", "QUEST_USER_ENROLLMENT"),
    *("ENTITLEMENT_CREATE", "ENTITLEMENT_DELETE", "ENTITLEMENT_UPDATE"),
    *("GAME_DIRECT_MESSAGE_CREATE", "GAME_DIRECT_MESSAGE_DELETE", "GAME_DIRECT_MESSAGE_UPDATE"),
    *("LOBBY_MESSAGE_CREATE", "LOBBY_MESSAGE_DELETE", "LOBBY_MESSAGE_UPDATE"),
)
_RULE: Mapping[str, Limit] = {
    "actions": Limit(1, 5),
    "exempt_roles": Limit(most=20),
    "exempt_channels": Limit(most=50),
}

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
    "default_tag_setting": _choice("match_all", "match_some"),
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

_ATTACHMENT: Mapping[str, Limit] = {
    "title": Limit(most=1024),
    "description": Limit(most=1024),
    "duration_secs": Limit(),
    "waveform": Limit(most=400),
}

_EVENT: Mapping[str, Limit] = {
    "description": Limit(most=1000),
    "scheduled_end_time": _TIME,
    "image": _IMAGE,
}

_BY_MESSAGE: Mapping[str, Mapping[str, Limit]] = {
    "Embed": {
        "title": _trimmed(256),
        "description": _trimmed(4096),
        "url": _WEB_URL,
        "timestamp": _TIME,
        "color": Limit(0, _COLOR),
        "fields": Limit(most=25),
    },
    "Embed.Footer": {"text": _trimmed(2048), "icon_url": _MEDIA_URL},
    "Embed.Image": {"url": _MEDIA_URL, "description": Limit(most=4096)},
    "Embed.Thumbnail": {"url": _MEDIA_URL, "description": Limit(most=4096)},
    "Embed.Video": {"url": _MEDIA_URL, "description": Limit(most=4096)},
    "Embed.Provider": {"name": Limit(most=256), "url": _WEB_URL},
    "Embed.Author": {"name": _trimmed(256), "url": _WEB_URL, "icon_url": _MEDIA_URL},
    "Embed.Field": {"name": _trimmed(256), "value": _trimmed(1024)},  # both may be empty
    "AllowedMentions": {
        "parse": Limit(most=3, choices=("users", "roles", "everyone")),
        "users": Limit(most=100),
        "roles": Limit(most=100),
    },
    "Message.Reference": {"message_id": Limit(required=True)},
    "File": {
        "filename": _required(1, 1024, Form.FILENAME),
        "content_type": Limit(most=255, form=Form.FILENAME),
        **_ATTACHMENT,
    },
    "KeepAttachment": {"id": Limit(required=True), "filename": Limit(1, 1024, form=Form.FILENAME), **_ATTACHMENT},
    "SharedClientTheme": {
        "colors": _required(1, THEME_COLORS),
        "gradient_angle": Limit(0, 360),
        "base_mix": Limit(0, 100),
        "base_theme": _choice(0, 1, 2, 3, 4),
    },
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
        "file_types": Limit(most=10),
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
    "RecurrenceRule": {
        "start": _required(1, 64, Form.TIME),
        "end": _TIME,
        "frequency": _choice(0, 1, 2, 3),
        "interval": Limit(),
        "by_weekday": Limit(most=7, choices=_WEEKDAYS),
        "by_n_weekday": Limit(most=7),
        "by_month": Limit(most=12, choices=tuple(range(1, 13))),
        "by_month_day": Limit(most=33),
        "by_year_day": Limit(most=367),
        "count": Limit(),
    },
    "RecurrenceRule.NthWeekday": {"n": _required(1, 5), "day": _choice(*_WEEKDAYS)},
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
    "CreateInviteRequest": {
        "max_age": Limit(0, 5184000),
        "max_uses": Limit(0, 100),
        "role_ids": Limit(most=250),
        "target_type": _choice(1, 2),
        "user_ids": Limit(most=TARGET_USERS),
    },
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
    "SyncGuildRolesRequest": {
        "guild_id": Limit(required=True),
        "roles": _required(1, ROLES),
        "max_removals": Limit(),
    },
    "SyncGuildRolesRequest.RoleMembers": {"role_id": Limit(required=True), "user_ids": Limit(most=ROLE_MEMBERS)},
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
        "type": _choice(4, 5, 6, 7, 8, 9, 12),
        "choices": Limit(most=25),
        "title": Limit(1, 45),
        "custom_id": Limit(1, 100),
    },
    "CreateInteractionResponseRequest.Choice": {"name": _required(1, 100), "string_value": Limit(1, 6000)},
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
    "EditCurrentMemberRequest": {"nick": Limit(most=32), "avatar": _IMAGE, "banner": _IMAGE, "bio": Limit(most=190)},
    "EditRolePositionsRequest": {"roles": Limit(1, 250, required=True)},
    "RolePosition": {"id": Limit(required=True)},
    "EditChannelPositionsRequest": {"channels": Limit(1, 500, required=True)},
    "ChannelPosition": {"id": Limit(required=True), "position": Limit()},
    "FollowChannelRequest": {"webhook_channel_id": Limit(required=True)},
    "SetVoiceChannelStatusRequest": {"status": Limit(most=500)},
    "ListArchivedThreadsRequest": {"before": _TIME, "limit": Limit(2, 100)},
    "ListJoinedArchivedThreadsRequest": {"limit": Limit(2, 100)},
    "ListThreadMembersRequest": {"limit": _PAGE},
    "SearchMessagesRequest": {
        "content": Limit(most=1024),
        "slop": _SLOP,
        "channel_id": Limit(most=500),
        "author_id": Limit(most=100),
        "author_type": Limit(most=6, choices=_with_exclusions("user", "bot", "webhook")),
        "mentions": Limit(most=100),
        "mentions_role_id": Limit(most=100),
        "replied_to_user_id": Limit(most=100),
        "replied_to_message_id": Limit(most=100),
        "has": Limit(most=18, choices=_with_exclusions(*_CONTENTS)),
        "embed_type": Limit(most=5, choices=("image", "video", "gif", "sound", "article")),
        "embed_provider": Limit(most=100),
        "link_hostname": Limit(most=100),
        "attachment_filename": Limit(most=100),
        "attachment_extension": Limit(most=100),
        "sort_by": _choice("relevance", "timestamp"),
        "sort_order": _choice("asc", "desc"),
        "limit": Limit(1, 25),
        "offset": Limit(0, 9975),
    },
    "SearchThreadsRequest": {
        "name": Limit(most=100),
        "slop": _SLOP,
        "tag": Limit(most=20),
        "tag_setting": _choice("match_all", "match_some"),
        "sort_by": _choice("relevance", "creation_time", "last_message_time", "archive_time"),
        "sort_order": _choice("asc", "desc"),
        "limit": Limit(1, 25),
        "offset": Limit(0, 9975),
    },
    "GetAuditLogRequest": {"limit": _PAGE},
    "GetPruneCountRequest": {"days": Limit(1, 30), "include_roles": Limit(most=100)},
    "PruneGuildRequest": {"days": Limit(1, 30), "include_roles": Limit(most=100)},
    "SetIncidentActionsRequest": {"invites_disabled_until": _TIME, "dms_disabled_until": _TIME},
    "ListJoinRequestsRequest": {
        "limit": _PAGE,
        "status": _choice("STARTED", "SUBMITTED", "REJECTED", "APPROVED"),
    },
    "ReviewJoinRequestRequest": {
        "action": _choice("APPROVED", "REJECTED", required=True),
        "rejection_reason": Limit(most=160),
    },
    "CreateAutoModerationRuleRequest": {
        "name": _required(1, 100),
        "event_type": _choice(1, 2, required=True),
        "trigger_type": _choice(1, 3, 4, 5, 6, required=True),
        **_RULE,
        "actions": _required(1, 5),
    },
    "EditAutoModerationRuleRequest": {"name": _NAME, "event_type": _choice(1, 2), **_RULE},
    "AutoModerationRule.TriggerMetadata": {
        "keyword_filter": Limit(most=1000),
        "regex_patterns": Limit(most=10),
        "presets": _choice(1, 2, 3),
        "allow_list": Limit(most=1000),  # 100 with other triggers than presets
        "mention_total_limit": Limit(0, 50),
    },
    "AutoModerationRule.Action": {"type": _choice(1, 2, 3, 4, required=True)},
    "AutoModerationRule.Action.Metadata": {
        "duration_seconds": Limit(0, 2419200),
        "custom_message": Limit(most=150),
    },
    "SetInviteTargetUsersRequest": {"user_ids": Limit(1, 100_000, required=True)},
    "EditWebhookRequest": {"name": Limit(1, 80), "avatar": _IMAGE},
    "EditWebhookWithTokenRequest": {"name": Limit(1, 80), "avatar": _IMAGE},
    "EditGuildRequest": {
        "name": Limit(2, 100),
        "description": Limit(most=300),
        **dict.fromkeys(("icon", "splash", "discovery_splash", "banner", "home_header"), _IMAGE),
        "verification_level": _choice(0, 1, 2, 3, 4),
        "default_message_notifications": _choice(0, 1),
        "explicit_content_filter": _choice(0, 1, 2),
        "afk_timeout": _choice(60, 300, 900, 1800, 3600),
        "system_channel_flags": Limit(),
        "preferred_locale": _choice(*_LOCALES),
        "features": Limit(most=1521),
    },
    "SetOnboardingRequest": {
        "prompts": Limit(most=15),
        "default_channel_ids": Limit(most=500),
        "mode": _choice(0, 1),
    },
    "OnboardingPrompt": {
        "id": Limit(required=True),
        "type": _choice(0, 1),
        "options": _required(1, 50),
        "title": _required(1, 100),
    },
    "OnboardingPrompt.Option": {
        "channel_ids": Limit(most=50),
        "role_ids": Limit(most=50),
        "emoji_name": Limit(most=100),
        "title": _required(1, 50),
        "description": Limit(most=100),
    },
    "EditWelcomeScreenRequest": {"welcome_channels": Limit(most=5), "description": Limit(most=140)},
    "WelcomeChannel": {"channel_id": Limit(required=True), "description": _required(1, 50)},
    "CreateGuildEmojiRequest": {"name": _required(2, 32), "image": _REQUIRED_IMAGE, "roles": Limit(most=1521)},
    "EditGuildEmojiRequest": {"name": Limit(2, 32), "roles": Limit(most=1521)},
    "CreateApplicationEmojiRequest": {"name": _required(2, 32), "image": _REQUIRED_IMAGE},
    "EditApplicationEmojiRequest": {"name": _required(2, 32)},
    "CreateGuildStickerRequest": {
        "name": _required(2, 30),
        "description": Limit(most=100),
        "tags": _required(1, 200),
        "file": Limit(required=True),
    },
    "EditGuildStickerRequest": {"name": Limit(2, 30), "description": Limit(most=100), "tags": Limit(1, 200)},
    "CreateGuildSoundboardSoundRequest": {
        "name": _required(2, 32),
        "sound": Limit(1, form=Form.SOUND, required=True),
        "volume": Limit(0, 1),
        "emoji_name": Limit(1, 32),
    },
    "EditGuildSoundboardSoundRequest": {"name": Limit(2, 32), "volume": Limit(0, 1), "emoji_name": Limit(1, 32)},
    "SendSoundboardSoundRequest": {"sound_id": Limit(required=True)},
    "EditCurrentApplicationRequest": {
        "custom_install_url": _WEB_URL,
        "description": Limit(most=400),
        "role_connections_verification_url": _WEB_URL,
        "icon": _IMAGE,
        "cover_image": _IMAGE,
        "interactions_endpoint_url": _WEB_URL,
        "tags": Limit(most=5),
        "event_webhooks_url": _WEB_URL,
        "event_webhooks_status": _choice(1, 2),
        "event_webhooks_types": Limit(choices=_WEBHOOK_EVENTS),
        "flags": Limit(),
    },
    "Application.InstallParams": {"scopes": Limit(1, choices=("applications.commands", "bot"))},
    "SetRoleConnectionMetadataRequest": {"metadata": Limit(most=5)},
    "RoleConnectionMetadata": {
        "type": _choice(*range(1, 9), required=True),
        "key": _required(1, 50),
        "name": _required(1, 100),
        "description": _required(1, 200),
    },
    "ListScheduledEventUsersRequest": {"limit": _PAGE},
    "ListScheduledEventExceptionUsersRequest": {"limit": _PAGE},
    "CountScheduledEventUsersRequest": {"guild_scheduled_event_exception_ids": Limit(most=10)},
    "CreateScheduledEventExceptionRequest": {
        "original_scheduled_start_time": _required(1, 64, Form.TIME),
        "scheduled_start_time": _TIME,
        "scheduled_end_time": _TIME,
    },
    "EditScheduledEventExceptionRequest": {"scheduled_start_time": _TIME, "scheduled_end_time": _TIME},
    "CreateStageInstanceRequest": {
        "channel_id": Limit(required=True),
        "topic": _required(1, 120),
        "privacy_level": _choice(1, 2),
    },
    "EditStageInstanceRequest": {"topic": Limit(1, 120), "privacy_level": _choice(1, 2)},
    "EditCurrentVoiceStateRequest": {"request_to_speak_timestamp": _TIME},
    "ListEntitlementsRequest": {"limit": _PAGE, "sku_ids": Limit(most=100)},
    "CreateTestEntitlementRequest": {
        "sku_id": Limit(required=True),
        "owner_id": Limit(required=True),
        "owner_type": _choice(1, 2, required=True),
    },
    "ListSubscriptionsRequest": {"limit": _PAGE},
    "CreateGuildTemplateRequest": {"name": _required(1, 100), "description": Limit(most=120)},
    "EditGuildTemplateRequest": {"name": _NAME, "description": Limit(most=120)},
    "EditCurrentUserRequest": {"username": _required(2, 32), "avatar": _IMAGE, "banner": _IMAGE},
    "RequestOptions": {"idempotency_key": Limit(most=IDEMPOTENCY_KEY)},
}

NEVER_RESET: Mapping[str, frozenset[str]] = {
    "EditChannelRequest": frozenset({"name"}),
    "EditScheduledEventRequest": frozenset({"name", "scheduled_start_time", "privacy_level"}),
    "EditAutoModerationRuleRequest": frozenset({"name", "event_type"}),
    **{
        f"Edit{what}Request": frozenset({"name"})
        for what in ("Guild", "GuildEmoji", "GuildSoundboardSound", "GuildTemplate", "Webhook", "WebhookWithToken")
    },
    "EditGuildStickerRequest": frozenset({"name", "tags"}),
    "EditCurrentUserRequest": frozenset({"username"}),
}
"""By request: fields that cannot be reset."""

PATH_FORMS: Mapping[str, Form] = {
    "emoji": Form.EMOJI,
    "webhook_token": Form.TOKEN,
    "interaction_token": Form.TOKEN,
    "code": Form.TOKEN,
}
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
        "EditInteractionResponseRequest",
    }
)


def writes_message(message: str) -> bool:
    """Return whether requests of this name write a message."""
    return message in _WRITERS


def limits_of(message: str) -> Mapping[str, Limit]:
    """Return the limits of a message's fields; the name is without the package."""
    own = _BY_MESSAGE.get(message, {})
    return {**EVERY_WRITER, **own} if writes_message(message) else own
