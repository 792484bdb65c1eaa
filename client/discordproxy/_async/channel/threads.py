"""Calls about threads and forum posts. To edit or delete a thread use the calls about channels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discordproxy._async.calls import AsyncCalls
from discordproxy._requests.checks import make
from discordproxy._requests.compose import write_message
from discordproxy.discord_api_pb2 import (
    CreateForumPostRequest,
    CreateMessageThreadRequest,
    CreateThreadRequest,
    GuildId,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from discordproxy._requests.arguments import CallArguments, EmbedLike, ForumPostArguments
    from discordproxy.discord_api_pb2 import Channel, ThreadsResponse


class AsyncThreadCalls(AsyncCalls):
    """Calls about threads."""

    async def create_thread(
        self,
        channel_id: int,
        name: str,
        type: Channel.Type.ValueType | None = None,  # noqa: A002 -- Discord's name
        *,
        auto_archive_duration: int | None = None,
        rate_limit_per_user: int | None = None,
        invitable: bool | None = None,
        reason: str = "",
        **call: Unpack[CallArguments],
    ) -> Channel:
        """Create a thread without a starter message.

        Args:
            channel_id: The channel.
            name: 1 to 100 characters.
            type: Channel.PUBLIC_THREAD or Channel.PRIVATE_THREAD. Default: Channel.PRIVATE_THREAD.
            auto_archive_duration: Minutes without a message until the thread is archived: 60, 1440, 4320 or 10080.
            rate_limit_per_user: Slow mode: seconds between two messages of a user, up to 21600.
            invitable: Whether non-moderators can add other non-moderators to a private thread.
            reason: Reason for the audit log, up to 512 characters.
            call: `timeout`, `priority`, `max_wait`, `idempotency_key`: see CallArguments.
        """
        request = make(
            CreateThreadRequest,
            channel_id=channel_id,
            name=name,
            type=type,
            auto_archive_duration=auto_archive_duration,
            rate_limit_per_user=rate_limit_per_user,
            invitable=invitable,
            reason=reason,
        )
        return (await self._write(self.stub.CreateThread, request, **call)).channel

    async def create_message_thread(
        self,
        channel_id: int,
        message_id: int,
        name: str,
        *,
        auto_archive_duration: int | None = None,
        rate_limit_per_user: int | None = None,
        reason: str = "",
        **call: Unpack[CallArguments],
    ) -> Channel:
        """Create a thread from a message."""
        request = make(
            CreateMessageThreadRequest,
            channel_id=channel_id,
            message_id=message_id,
            name=name,
            auto_archive_duration=auto_archive_duration,
            rate_limit_per_user=rate_limit_per_user,
            reason=reason,
        )
        return (await self._write(self.stub.CreateMessageThread, request, **call)).channel

    async def create_forum_post(
        self,
        channel_id: int,
        name: str,
        content: str = "",
        embed: EmbedLike | None = None,
        **post: Unpack[ForumPostArguments],
    ) -> Channel:
        """Create a thread with its first message in a forum or media channel.

        Discord supports no nonce here, so the call is not retried if its outcome is unknown, unless it has an
        `idempotency_key`.

        Args:
            channel_id: The forum or media channel.
            name: Title of the post, 1 to 100 characters.
            content: Text of the first message, up to 2000 characters.
            embed: One embed; for several see `embeds`.
            post: `applied_tags`, `embeds`, `files` ...: see ForumPostArguments.
        """
        request = make(CreateForumPostRequest, channel_id=channel_id, name=name)
        call = write_message(request, content, embed, post)
        return (await self._write(self.stub.CreateForumPost, request, **call)).channel

    async def get_active_threads(
        self, guild_id: int, *, fresh: bool = False, **call: Unpack[CallArguments]
    ) -> ThreadsResponse:
        """Return the active threads of a guild and the bot's memberships. `fresh` has no effect: there is no cache."""
        return await self._read(self.stub.GetActiveThreads, make(GuildId, guild_id=guild_id, fresh=fresh), **call)
