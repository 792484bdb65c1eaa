# Generated from _async/channel/thread_members.py by client/generate_sync.py; edit that file and run it again.
"""Calls about archived threads and the members of threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discordproxy._requests.checks import make
from discordproxy._sync.calls import Calls
from discordproxy.discord_api_pb2 import (
    ChannelId,
    GetThreadMemberRequest,
    ListArchivedThreadsRequest,
    ListJoinedArchivedThreadsRequest,
    ListThreadMembersRequest,
    ThreadMemberId,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from typing_extensions import Unpack

    from discordproxy._requests.arguments import CallArguments
    from discordproxy.discord_api_pb2 import ThreadMember, ThreadsResponse

_MEMBERS_PER_PAGE = 100


class ThreadMemberCalls(Calls):
    """Calls about archived threads and the members of threads; `channel_id` is the thread."""

    def list_public_archived_threads(
        self, channel_id: int, *, before: str | None = None, limit: int | None = None, **call: Unpack[CallArguments]
    ) -> ThreadsResponse:
        """Return archived public threads of a channel, as list_private_archived_threads."""
        request = make(ListArchivedThreadsRequest, channel_id=channel_id, before=before, limit=limit)
        return self._read(self.stub.ListPublicArchivedThreads, request, **call)

    def list_private_archived_threads(
        self, channel_id: int, *, before: str | None = None, limit: int | None = None, **call: Unpack[CallArguments]
    ) -> ThreadsResponse:
        """Return archived private threads of a channel, most recently archived first.

        Args:
            channel_id: The channel.
            before: ISO 8601: only threads that were archived earlier, such as the `archive_timestamp` of the last one.
            limit: 2 to 100. Default: 50.
            call: `timeout`, `priority`, `max_wait`, `idempotency_key`: see CallArguments.

        Returns:
            `threads`, the bot's `members` in them, and whether it `has_more`.
        """
        request = make(ListArchivedThreadsRequest, channel_id=channel_id, before=before, limit=limit)
        return self._read(self.stub.ListPrivateArchivedThreads, request, **call)

    def list_joined_archived_threads(
        self, channel_id: int, *, before: int | None = None, limit: int | None = None, **call: Unpack[CallArguments]
    ) -> ThreadsResponse:
        """Return archived private threads that the bot has joined, newest first; `before` is a thread id."""
        request = make(ListJoinedArchivedThreadsRequest, channel_id=channel_id, before=before, limit=limit)
        return self._read(self.stub.ListJoinedArchivedThreads, request, **call)

    def join_thread(self, channel_id: int, **call: Unpack[CallArguments]) -> None:
        """Add the bot to a thread."""
        request = make(ChannelId, channel_id=channel_id)
        self._write(self.stub.JoinThread, request, **call)

    def leave_thread(self, channel_id: int, **call: Unpack[CallArguments]) -> None:
        """Remove the bot from a thread."""
        request = make(ChannelId, channel_id=channel_id)
        self._write(self.stub.LeaveThread, request, **call)

    def add_thread_member(self, channel_id: int, user_id: int, **call: Unpack[CallArguments]) -> None:
        """Add a member to a thread."""
        request = make(ThreadMemberId, channel_id=channel_id, user_id=user_id)
        self._write(self.stub.AddThreadMember, request, **call)

    def remove_thread_member(self, channel_id: int, user_id: int, **call: Unpack[CallArguments]) -> None:
        """Remove a member from a thread."""
        request = make(ThreadMemberId, channel_id=channel_id, user_id=user_id)
        self._write(self.stub.RemoveThreadMember, request, **call)

    def get_thread_member(
        self, channel_id: int, user_id: int, *, with_member: bool = False, **call: Unpack[CallArguments]
    ) -> ThreadMember:
        """Return a member of a thread. `with_member` fills the guild member."""
        request = make(GetThreadMemberRequest, channel_id=channel_id, user_id=user_id, with_member=with_member)
        return self._read(self.stub.GetThreadMember, request, **call).member

    def list_thread_members(
        self, channel_id: int, *, with_member: bool = True, limit: int | None = None, **call: Unpack[CallArguments]
    ) -> Iterator[ThreadMember]:
        """Iterate over the members of a thread, page by page, in the order of user ids."""

        def page(size: int, last_id: int | None) -> Sequence[ThreadMember]:
            request = make(
                ListThreadMembersRequest, channel_id=channel_id, with_member=with_member, after=last_id, limit=size
            )
            return self._read(self.stub.ListThreadMembers, request, **call).members

        return self._pages(page, lambda member: member.user_id, _MEMBERS_PER_PAGE, limit)
