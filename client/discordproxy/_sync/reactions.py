# Generated from _async/reactions.py by client/generate_sync.py; edit that file and run it again.
"""Reactions and polls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discordproxy._requests.checks import make
from discordproxy._sync.calls import Calls
from discordproxy.discord_api_pb2 import (
    GetPollVotersRequest,
    GetReactionsRequest,
    MessageId,
    ReactionRequest,
    RemoveUserReactionRequest,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from typing_extensions import Unpack

    from discordproxy._requests.arguments import CallArguments
    from discordproxy.discord_api_pb2 import Message, User

_USERS_PER_PAGE = 100


class ReactionCalls(Calls):
    """Calls about reactions and polls. An emoji is a character like "👍", or "name:id" for one of a guild."""

    def add_reaction(self, channel_id: int, message_id: int, emoji: str, **call: Unpack[CallArguments]) -> None:
        """React to a message."""
        request = make(ReactionRequest, channel_id=channel_id, message_id=message_id, emoji=emoji)
        self._write(self.stub.AddReaction, request, **call)

    def remove_reaction(self, channel_id: int, message_id: int, emoji: str, **call: Unpack[CallArguments]) -> None:
        """Remove the bot's own reaction."""
        request = make(ReactionRequest, channel_id=channel_id, message_id=message_id, emoji=emoji)
        self._write(self.stub.RemoveReaction, request, **call)

    def remove_user_reaction(
        self, channel_id: int, message_id: int, emoji: str, user_id: int, **call: Unpack[CallArguments]
    ) -> None:
        """Remove somebody else's reaction."""
        request = make(
            RemoveUserReactionRequest, channel_id=channel_id, message_id=message_id, emoji=emoji, user_id=user_id
        )
        self._write(self.stub.RemoveUserReaction, request, **call)

    def clear_reactions(self, channel_id: int, message_id: int, **call: Unpack[CallArguments]) -> None:
        """Remove all reactions from a message."""
        self._write(self.stub.ClearReactions, make(MessageId, channel_id=channel_id, message_id=message_id), **call)

    def get_reactions(
        self,
        channel_id: int,
        message_id: int,
        emoji: str,
        *,
        limit: int | None = None,
        **call: Unpack[CallArguments],
    ) -> Iterator[User]:
        """Iterate over the users who reacted with an emoji, page by page."""

        def page(size: int, after: int | None) -> Sequence[User]:
            request = make(
                GetReactionsRequest, channel_id=channel_id, message_id=message_id, emoji=emoji, after=after, limit=size
            )
            return self._read(self.stub.GetReactions, request, **call).users

        return self._pages(page, lambda user: user.id, _USERS_PER_PAGE, limit)

    def end_poll(self, channel_id: int, message_id: int, **call: Unpack[CallArguments]) -> Message:
        """Close a poll of the bot now."""
        request = make(MessageId, channel_id=channel_id, message_id=message_id)
        return self._write(self.stub.EndPoll, request, **call).message

    def get_poll_voters(
        self,
        channel_id: int,
        message_id: int,
        answer_id: int,
        *,
        limit: int | None = None,
        **call: Unpack[CallArguments],
    ) -> Iterator[User]:
        """Iterate over the users who voted for an answer, page by page."""

        def page(size: int, after: int | None) -> Sequence[User]:
            request = make(
                GetPollVotersRequest,
                channel_id=channel_id,
                message_id=message_id,
                answer_id=answer_id,
                after=after,
                limit=size,
            )
            return self._read(self.stub.GetPollVoters, request, **call).users

        return self._pages(page, lambda user: user.id, _USERS_PER_PAGE, limit)
