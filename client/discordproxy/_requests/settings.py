"""Types of the keyword arguments that change guilds, expressions and the application, and of searches.

In the calls that edit, omitted arguments keep their value and None resets it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from discordproxy._requests.arguments import CallArguments

if TYPE_CHECKING:
    from collections.abc import Iterable

    from discordproxy.discord_api_pb2 import Application, AutoModerationRule, OnboardingPrompt, WelcomeChannel


class GuildChanges(CallArguments, total=False):
    """Arguments of edit_guild. Images are data URIs; units and limits: see EditGuildRequest in guild_settings.proto."""

    name: str
    description: str | None
    icon: str | None
    splash: str | None
    discovery_splash: str | None
    banner: str | None
    home_header: str | None
    verification_level: int | None
    default_message_notifications: int | None
    explicit_content_filter: int | None
    afk_channel_id: int | None
    afk_timeout: int | None
    system_channel_id: int | None
    system_channel_flags: int | None
    rules_channel_id: int | None
    public_updates_channel_id: int | None
    safety_alerts_channel_id: int | None
    preferred_locale: str | None
    features: Iterable[str] | None
    premium_progress_bar_enabled: bool | None
    reason: str


class OnboardingChanges(CallArguments, total=False):
    """Arguments of set_onboarding. Lists replace the existing ones.

    prompts: Up to 15 prompts. A new prompt needs any id that is not used yet.
    default_channel_ids: The channels that every member sees.
    mode: 0 = only default channels count towards the required channels, 1 = those of options count, too.
    """

    prompts: Iterable[OnboardingPrompt] | None
    default_channel_ids: Iterable[int] | None
    enabled: bool | None
    mode: int | None
    reason: str


class WelcomeScreenChanges(CallArguments, total=False):
    """Arguments of edit_welcome_screen.

    welcome_channels: Up to 5 channels; they replace the existing ones.
    description: Up to 140 characters.
    """

    enabled: bool | None
    welcome_channels: Iterable[WelcomeChannel] | None
    description: str | None
    reason: str


class WidgetChanges(CallArguments, total=False):
    """Arguments of edit_widget_settings. channel_id: channel of the widget's invite."""

    enabled: bool | None
    channel_id: int | None
    reason: str


class IncidentActions(CallArguments, total=False):
    """Arguments of set_incident_actions: ISO 8601, at most 24 hours ahead; None ends the measure."""

    invites_disabled_until: str | None
    dms_disabled_until: str | None


class CurrentMemberChanges(CallArguments, total=False):
    """Arguments of edit_current_member.

    nick: Up to 32 characters.
    avatar, banner: Data URIs.
    bio: Up to 190 characters.
    """

    nick: str | None
    avatar: str | None
    banner: str | None
    bio: str | None
    reason: str


class AutoModerationRuleSettings(CallArguments, total=False):
    """Arguments of create_auto_moderation_rule.

    trigger_metadata: Words, patterns or limits, depending on the trigger type.
    enabled: Default False.
    exempt_roles: Up to 20 role ids.
    exempt_channels: Up to 50 channel ids.
    """

    trigger_metadata: AutoModerationRule.TriggerMetadata | None
    enabled: bool | None
    exempt_roles: Iterable[int] | None
    exempt_channels: Iterable[int] | None
    reason: str


class AutoModerationRuleChanges(AutoModerationRuleSettings, total=False):
    """Arguments of edit_auto_moderation_rule. The trigger type cannot be changed."""

    name: str
    event_type: int
    actions: Iterable[AutoModerationRule.Action]


class WebhookChanges(CallArguments, total=False):
    """Arguments of edit_webhook. name: 1 to 80 characters. avatar: a data URI. channel_id: moves the webhook."""

    name: str
    avatar: str | None
    channel_id: int | None
    reason: str


class WebhookChangesWithToken(CallArguments, total=False):
    """Arguments of edit_webhook_with_token. name: 1 to 80 characters. avatar: a data URI."""

    name: str
    avatar: str | None


class EmojiChanges(CallArguments, total=False):
    """Arguments of edit_guild_emoji. name: 2 to 32 characters. roles: role ids that may use it; None: everybody."""

    name: str
    roles: Iterable[int] | None
    reason: str


class StickerChanges(CallArguments, total=False):
    """Arguments of edit_guild_sticker.

    name: 2 to 30 characters.
    description: Up to 100 characters.
    tags: Words for the search, separated by commas, up to 200 characters.
    """

    name: str
    description: str | None
    tags: str
    reason: str


class SoundChanges(CallArguments, total=False):
    """Arguments of edit_guild_soundboard_sound.

    name: 2 to 32 characters.
    volume: 0 to 1.
    emoji_id: A custom emoji.
    emoji_name: A unicode emoji.
    """

    name: str
    volume: float | None
    emoji_id: int | None
    emoji_name: str | None
    reason: str


class ApplicationChanges(CallArguments, total=False):
    """Arguments of edit_current_application. Units and limits: see EditCurrentApplicationRequest."""

    custom_install_url: str | None
    description: str | None
    role_connections_verification_url: str | None
    install_params: Application.InstallParams | None
    integration_types_config: Application.IntegrationTypesConfig | None
    flags: int | None
    icon: str | None
    cover_image: str | None
    interactions_endpoint_url: str | None
    tags: Iterable[str] | None
    event_webhooks_url: str | None
    event_webhooks_status: int | None
    event_webhooks_types: Iterable[str] | None


class EventExceptionChanges(CallArguments, total=False):
    """Arguments of edit_scheduled_event_exception. Times are ISO 8601."""

    scheduled_start_time: str | None
    scheduled_end_time: str | None
    is_canceled: bool | None


class VoiceStateChanges(CallArguments, total=False):
    """Arguments of edit_current_voice_state.

    channel_id: The stage channel in which the bot is.
    suppress: True moves the bot to the audience.
    request_to_speak_timestamp: ISO 8601, now or later; None withdraws the request.
    """

    channel_id: int | None
    suppress: bool | None
    request_to_speak_timestamp: str | None


class TemplateChanges(CallArguments, total=False):
    """Arguments of edit_guild_template. name: 1 to 100 characters. description: up to 120 characters."""

    name: str
    description: str | None


class UserChanges(CallArguments, total=False):
    """Arguments of edit_current_user: images as data URIs."""

    avatar: str | None
    banner: str | None


class MessageSearch(CallArguments, total=False):
    """Criteria of search_messages, which are combined; in a list, one of the elements must match.

    slop: Words that may be between those of the text.
    channel_id, author_id, mentions, mentions_role_id, replied_to_user_id, replied_to_message_id: Ids.
    author_type: "user", "bot", "webhook".
    has: "link", "embed", "file", "image", "video", "sound", "sticker", "poll", "snapshot".
    embed_type: "image", "video", "gif", "sound", "article".
    min_id, max_id: Only messages after and before an id. `snowflake_at` returns the id of a time.
    sort_by: "timestamp" or "relevance".
    sort_order: "desc" or "asc".
    limit: 1 to 25. offset: messages to skip, up to 9975.

    A word of `author_type` and `has` with "-" before it excludes messages.
    """

    slop: int
    channel_id: Iterable[int]
    author_id: Iterable[int]
    author_type: Iterable[str]
    mentions: Iterable[int]
    mentions_role_id: Iterable[int]
    mention_everyone: bool
    replied_to_user_id: Iterable[int]
    replied_to_message_id: Iterable[int]
    pinned: bool
    has: Iterable[str]
    embed_type: Iterable[str]
    embed_provider: Iterable[str]
    link_hostname: Iterable[str]
    attachment_filename: Iterable[str]
    attachment_extension: Iterable[str]
    min_id: int
    max_id: int
    include_nsfw: bool
    sort_by: str
    sort_order: str
    limit: int
    offset: int


class ThreadSearch(CallArguments, total=False):
    """Criteria of search_threads, which are combined.

    slop: Words that may be between those of the name.
    tag: Tag ids of a forum or media channel; `tag_setting`: "match_some" or "match_all" of them.
    min_id, max_id: Only threads after and before an id. `snowflake_at` returns the id of a time.
    sort_by: "last_message_time", "archive_time", "creation_time" or "relevance".
    sort_order: "desc" or "asc".
    limit: 1 to 25. offset: threads to skip, up to 9975.
    """

    slop: int
    tag: Iterable[int]
    tag_setting: str
    archived: bool
    min_id: int
    max_id: int
    sort_by: str
    sort_order: str
    limit: int
    offset: int
