"""Threads and forum posts. Editing and deleting a thread are calls about channels."""

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
        """Start a thread that belongs to no message.

        Args:
            channel_id: The channel.
            name: Of the thread.
            type: Channel.PUBLIC_THREAD or Channel.PRIVATE_THREAD, which is the default.
            auto_archive_duration: Minutes without a message until it is archived: 60, 1440, 4320 or 10080.
            rate_limit_per_user: Seconds between two messages of a user.
            invitable: Whether everybody in a private thread may add others.
            reason: For the audit log.
            call: `timeout` and the like: see CallArguments.
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
        """Start a thread from a message."""
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
        """Start a thread with its first message in a forum or media channel.

        Discord knows no nonce here: the call is not repeated when its outcome is unknown, unless it has an
        `idempotency_key`.

        Args:
            channel_id: The forum.
            name: Title of the post.
            content: Text of its message.
            embed: An embed; `embeds` takes several.
            post: `applied_tags`, `embeds`, `files` ...: see ForumPostArguments.
        """
        request = make(CreateForumPostRequest, channel_id=channel_id, name=name)
        call = write_message(request, content, embed, post)
        return (await self._write(self.stub.CreateForumPost, request, **call)).channel

    async def get_active_threads(
        self, guild_id: int, *, fresh: bool = False, **call: Unpack[CallArguments]
    ) -> ThreadsResponse:
        """Return the threads of a guild that are not archived, and the bot's membership of them."""
        return await self._read(self.stub.GetActiveThreads, make(GuildId, guild_id=guild_id, fresh=fresh), **call)
