"""The keyword arguments that many calls share, as types: written once, checked and completed by editors.

At run time a call receives them as plain keywords; `_compose` turns them into fields of the request.
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
        DefaultReaction,
        Embed,
        File,
        ForumTag,
        KeepAttachment,
        Message,
        PermissionOverwrite,
        Poll,
        Role,
        ScheduledEvent,
    )

    EmbedLike = Embed | Mapping[str, Any]
    FileLike = File | str | os.PathLike[str] | tuple[str, bytes] | IO[bytes]
    ComponentLike = Component | Mapping[str, Any]
    Seconds = float | timedelta


class Unset(enum.Enum):
    """The type of UNSET: an argument that was not given, where None has a meaning of its own."""

    UNSET = "UNSET"

    def __repr__(self) -> str:
        return self.value


UNSET: Final = Unset.UNSET


class CallArguments(TypedDict, total=False):
    """Accepted by every call.

    timeout: Seconds for the whole call, waiting for rate limits included; None, 0 or more than a year for no deadline.
        Default: the timeout of the client.
    priority: Calls of "low" priority yield to others that wait for the same rate limit.
    max_wait: Longest wait for a rate limit, in seconds. A longer one is refused at once; 0 never waits.
    idempotency_key: Calls with the same key take effect once; later ones get the first one's result.
    """

    timeout: float | None
    priority: Literal["normal", "low", "high"]
    max_wait: Seconds
    idempotency_key: str


class ContentArguments(CallArguments, total=False):
    """Accepted by every call that writes a message.

    embeds: Up to 10 embeds: Embed objects, or dictionaries in Discord's form.
    files: Paths, pairs of name and bytes, open binary files, or File objects (alt text, spoiler).
    allowed_mentions: Who may be pinged. Default: whoever the text mentions.
    suppress_mentions: True pings nobody.
    silent: True notifies nobody.
    suppress_embeds: True shows no previews of links.
    components: Buttons, containers ... from `discordproxy.builders`, or dictionaries in Discord's form.
    poll: A poll, see `discordproxy.builders.poll`.
    flags: Further flags, see Message.Flag.
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
    """Accepted by create_forum_post.

    sticker_ids: Up to three stickers.
    applied_tags: Ids of the tags of the post.
    auto_archive_duration: Minutes without a message until it is archived: 60, 1440, 4320 or 10080.
    rate_limit_per_user: Seconds between two messages of a user.
    reason: For the audit log.
    """

    sticker_ids: Iterable[int]
    applied_tags: Iterable[int]
    auto_archive_duration: int | None
    rate_limit_per_user: int | None
    reason: str


class MessageArguments(ContentArguments, total=False):
    """Accepted by the calls that create a message in a channel.

    reply_to: The message this one answers, or its id.
    forward: The message to forward, from any channel the bot can read; nothing of its own goes with it.
    message_reference: The same as Discord writes it, for replies and forwards.
    sticker_ids: Up to three stickers.
    nonce: At most 25 characters. A second message with the same nonce within some minutes is not posted; the first one
        is returned instead. Default: a random one for each call, so that no repetition can post twice.
    enforce_nonce: Accepted for programs that set it; the proxy always enforces nonces.
    overflow: What to do with a text that is too long: refuse it ("error"), post it as several messages ("split"; those
        after the first are in its `more_messages`), cut it ("truncate") or attach it ("file").
    tts: True reads the message aloud.
    """

    reply_to: Message | int | None
    forward: Message | None
    message_reference: Message.Reference | None
    sticker_ids: Iterable[int]
    nonce: str | int | None
    enforce_nonce: bool
    overflow: Literal["error", "split", "truncate", "file"]
    tts: bool


class WebhookMessageArguments(ContentArguments, total=False):
    """Accepted by execute_webhook.

    username: Shown as the author.
    avatar_url: Shown as the author's picture.
    thread_id: Post in this thread.
    thread_name: Start a forum post of this name.
    applied_tags: Ids of the tags of that forum post.
    overflow, tts: As for messages of the bot.
    """

    username: str
    avatar_url: str
    thread_id: int | None
    thread_name: str
    applied_tags: Iterable[int]
    overflow: Literal["error", "split", "truncate", "file"]
    tts: bool


class InteractionArguments(ContentArguments, total=False):
    """Accepted by create_interaction_response.

    embed: One embed; `embeds` takes several. None or an empty list removes those of a message that is updated.
    attachments: Of a message that is updated, the attachments that stay.
    tts: True reads the message aloud.
    """

    embed: EmbedLike | None
    attachments: Iterable[int | KeepAttachment] | None
    tts: bool


class MessageChanges(CallArguments, total=False):
    """Accepted by the calls that edit a message. What is not given stays; None or an empty list removes it.

    attachments: The attachments that stay: ids, or KeepAttachment objects to change an alt text. Default: all of them.
    files: Further attachments.
    """

    embed: EmbedLike | None
    embeds: Iterable[EmbedLike] | None
    files: Iterable[FileLike]
    attachments: Iterable[int | KeepAttachment] | None
    allowed_mentions: AllowedMentions | None
    suppress_mentions: bool
    components: Sequence[ComponentLike] | None


class ChannelSettings(CallArguments, total=False):
    """Accepted by create_channel."""

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
    reason: str


class ChannelChanges(ChannelSettings, total=False):
    """Accepted by edit_channel, for channels and threads. What is not given stays; None resets it."""

    name: str
    type: Channel.Type.ValueType
    flags: int
    archived: bool
    locked: bool
    invitable: bool
    auto_archive_duration: int
    applied_tags: Iterable[int] | None


class RoleSettings(CallArguments, total=False):
    """Accepted by create_role and edit_role. What is not given stays; None resets it."""

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
    """Accepted by edit_guild_member. What is not given stays; None resets it.

    roles: Replaces all roles.
    channel_id: Moves the member to another voice channel; None disconnects.
    communication_disabled_until: ISO 8601, at most 28 days ahead; None ends the member's timeout.
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
    """Accepted by create_scheduled_event.

    Times are ISO 8601; privacy_level 2 = the guild's members; entity_type 1 = stage, 2 = voice channel, 3 = elsewhere,
    which needs a location in `entity_metadata` and an end.
    """

    description: str | None
    scheduled_end_time: str | None
    privacy_level: int
    channel_id: int | None
    entity_metadata: ScheduledEvent.EntityMetadata | None
    image: str | None
    reason: str


class ScheduledEventChanges(ScheduledEventSettings, total=False):
    """Accepted by edit_scheduled_event. What is not given stays; None resets it."""

    name: str
    scheduled_start_time: str
    entity_type: int
    status: int
