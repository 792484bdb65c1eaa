"""Types of the keyword arguments that many calls share, for type checkers and editors.

At run time a call receives plain keywords; `_compose` turns them into fields of the request.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Final, TypedDict

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import timedelta
    from typing import IO, Literal

    from discordproxy.discord_api_pb2 import (
        AllowedMentions,
        Channel,
        Component,
        CreateInteractionResponseRequest,
        DefaultReaction,
        Embed,
        File,
        ForumTag,
        KeepAttachment,
        Message,
        PermissionOverwrite,
        Poll,
        RecurrenceRule,
        Role,
        ScheduledEvent,
        SharedClientTheme,
    )

    EmbedLike = Embed | Mapping[str, Any]
    FileLike = File | str | os.PathLike[str] | tuple[str, bytes] | IO[bytes]
    ComponentLike = Component | Mapping[str, Any]
    ChoicesLike = Mapping[str, str | float] | Iterable[CreateInteractionResponseRequest.Choice]
    Seconds = float | timedelta


class Unset(enum.Enum):
    """The type of UNSET: the default of arguments for which None has a meaning."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return self.value


UNSET: Final = Unset.UNSET


class CallArguments(TypedDict, total=False):
    """Arguments of every call.

    timeout: Seconds for the whole call, including waits for rate limits. None, 0 or more than a year: no deadline.
        Default: the timeout of the client.
    priority: Calls of priority "low" yield to other calls that wait for the same rate limit. Default: "normal".
    max_wait: Maximum wait for a rate limit, in seconds. A longer wait fails immediately; 0 never waits.
    idempotency_key: Up to 255 characters. Calls with the same key take effect once; later calls return the result of
        the first one.
    """

    timeout: float | None
    priority: Literal["normal", "low", "high"]
    max_wait: Seconds
    idempotency_key: str


class ContentArguments(CallArguments, total=False):
    """Arguments of every call that writes a message.

    embeds: Up to 10 embeds: Embed objects, or dictionaries in the form of Discord's JSON.
    files: Up to 10 files: paths, (name, bytes) tuples, open binary files, or File objects (alt text, spoiler).
    allowed_mentions: The mentions that ping, see `discordproxy.builders.mentions`. Default: all mentions in the text,
        or the default that the operator of the proxy has set.
    suppress_mentions: If True, no mention pings.
    silent: If True, the message sends no notifications.
    suppress_embeds: If True, links have no previews.
    components: Components from `discordproxy.builders`, or dictionaries in the form of Discord's JSON.
    poll: A poll, see `discordproxy.builders.poll`.
    flags: Additional flags, see Message.Flag.
    """

    embeds: Iterable[EmbedLike]
    files: Iterable[FileLike]
    allowed_mentions: AllowedMentions | None
    suppress_mentions: bool
    silent: bool
    suppress_embeds: bool
    components: Sequence[ComponentLike]
    poll: Poll | None
    flags: int


class ForumPostArguments(ContentArguments, total=False):
    """Arguments of create_forum_post.

    sticker_ids: Ids of up to 3 stickers.
    shared_client_theme: A theme of Discord's client that the message shares.
    applied_tags: Ids of up to 5 tags of the forum.
    auto_archive_duration: Minutes without a message until the post is archived: 60, 1440, 4320 or 10080.
    rate_limit_per_user: Slow mode: seconds between two messages of a user, up to 21600.
    reason: Reason for the audit log, up to 512 characters.
    """

    sticker_ids: Iterable[int]
    shared_client_theme: SharedClientTheme | None
    applied_tags: Iterable[int]
    auto_archive_duration: int | None
    rate_limit_per_user: int | None
    reason: str


class MessageArguments(ContentArguments, total=False):
    """Arguments of the calls that create a message in a channel.

    reply_to: The message to reply to, or its id. If it does not exist, the message is sent without a reference.
    forward: The message to forward, from any channel the bot can read. A forward has no content of its own.
    message_reference: A reply or forward in the form of Discord's JSON.
    sticker_ids: Ids of up to 3 stickers.
    nonce: Up to 25 characters. A second message with the same nonce within a few minutes is not posted; the call
        returns the first one. Default: a random nonce for each call, so that a retry cannot post twice.
    enforce_nonce: Accepted for compatibility; the proxy always enforces nonces.
    overflow: How to handle a text of more than 2000 characters: "error" fails, "split" sends several messages (the
        first has the others in `more_messages`), "truncate" shortens the text, "file" attaches it. Default: "error".
    tts: If True, the message is read aloud (text-to-speech).
    shared_client_theme: A theme of Discord's client that the message shares.
    """

    reply_to: Message | int | None
    forward: Message | None
    message_reference: Message.Reference | None
    sticker_ids: Iterable[int]
    nonce: str | int | None
    enforce_nonce: bool
    overflow: Literal["error", "split", "truncate", "file"]
    tts: bool
    shared_client_theme: SharedClientTheme | None


class WebhookMessageArguments(ContentArguments, total=False):
    """Arguments of execute_webhook.

    username: Name shown as the author, up to 80 characters.
    avatar_url: URL of the author's avatar.
    thread_id: Thread to send the message to.
    thread_name: Title of a new forum post, up to 100 characters.
    applied_tags: Ids of up to 5 tags of that forum post.
    overflow, tts: See MessageArguments.
    """

    username: str
    avatar_url: str
    thread_id: int | None
    thread_name: str
    applied_tags: Iterable[int]
    overflow: Literal["error", "split", "truncate", "file"]
    tts: bool


class InteractionArguments(ContentArguments, total=False):
    """Arguments of create_interaction_response.

    embed: One embed; for several see `embeds`. None or an empty list removes the embeds of an updated message.
    attachments: Attachments of an updated message to keep.
    tts: If True, the message is read aloud (text-to-speech).
    choices: For type "autocomplete": up to 25 choices: a mapping from the shown name to the value, a text or number.
    title, custom_id: For type "modal": the heading of up to 45 characters, and your id of the modal. `components` are
        labels, text displays, or action rows with text inputs.
    """

    embed: EmbedLike | None
    attachments: Iterable[int | KeepAttachment] | None
    tts: bool
    choices: ChoicesLike
    title: str
    custom_id: str


class MessageChanges(CallArguments, total=False):
    """Arguments of the calls that edit a message. Omitted arguments keep their value; None or an empty list removes it.

    attachments: The attachments to keep: ids, or KeepAttachment objects to change an alt text or to make an attachment
        a spoiler. Default: all.
    files: Attachments to add.
    sticker_ids: Ids of up to 3 stickers; not in messages of webhooks.
    """

    embed: EmbedLike | None
    embeds: Iterable[EmbedLike] | None
    files: Iterable[FileLike]
    attachments: Iterable[int | KeepAttachment] | None
    allowed_mentions: AllowedMentions | None
    suppress_mentions: bool
    components: Sequence[ComponentLike] | None
    sticker_ids: Iterable[int] | None


class ChannelSettings(CallArguments, total=False):
    """Arguments of create_channel. Units and limits: see CreateChannelRequest in channels.proto."""

    topic: str | None
    position: int | None
    parent_id: int | None
    nsfw: bool | None
    rate_limit_per_user: int | None
    bitrate: int | None
    user_limit: int | None
    permission_overwrites: Iterable[PermissionOverwrite] | None
    rtc_region: str | None
    video_quality_mode: int | None
    default_auto_archive_duration: int | None
    default_reaction_emoji: DefaultReaction | None
    default_thread_rate_limit_per_user: int | None
    available_tags: Iterable[ForumTag] | None
    default_sort_order: int | None
    default_forum_layout: int | None
    default_tag_setting: Literal["match_all", "match_some"] | None
    reason: str


class ChannelChanges(ChannelSettings, total=False):
    """Arguments of edit_channel, for channels and threads. Omitted arguments keep their value; None resets it."""

    name: str
    type: Channel.Type.ValueType
    flags: int
    archived: bool
    locked: bool
    invitable: bool
    auto_archive_duration: int
    applied_tags: Iterable[int] | None


class RoleSettings(CallArguments, total=False):
    """Arguments of create_role and edit_role. Omitted arguments keep their value; None resets it.

    permissions: Bit set.
    color: 0xRRGGBB.
    icon: Image as a data URI.
    reason: Reason for the audit log, up to 512 characters.
    """

    name: str | None
    permissions: int | None
    color: int | None
    hoist: bool | None
    mentionable: bool | None
    colors: Role.Colors | None
    icon: str | None
    unicode_emoji: str | None
    reason: str


class MemberChanges(CallArguments, total=False):
    """Arguments of edit_guild_member. Omitted arguments keep their value; None resets it.

    nick: Up to 32 characters.
    roles: Replaces all roles.
    channel_id: Moves the member to this voice channel; None disconnects the member.
    communication_disabled_until: End of the member's timeout, ISO 8601, at most 28 days ahead; None ends the timeout.
    """

    nick: str | None
    roles: Iterable[int] | None
    mute: bool | None
    deaf: bool | None
    channel_id: int | None
    communication_disabled_until: str | None
    flags: int | None
    reason: str


class ScheduledEventSettings(CallArguments, total=False):
    """Arguments of create_scheduled_event.

    Times are ISO 8601. privacy_level: 2 = guild only. entity_type: 1 = stage, 2 = voice channel, 3 = external. An
    external event requires a location in `entity_metadata` and `scheduled_end_time`.
    """

    description: str | None
    scheduled_end_time: str | None
    privacy_level: int
    channel_id: int | None
    entity_metadata: ScheduledEvent.EntityMetadata | None
    image: str | None
    recurrence_rule: RecurrenceRule | None
    reason: str


class ScheduledEventChanges(ScheduledEventSettings, total=False):
    """Arguments of edit_scheduled_event. Omitted arguments keep their value; None resets it.

    status: 2 starts the event, 3 completes it, 4 cancels it.
    """

    name: str
    scheduled_start_time: str
    entity_type: int
    status: int
