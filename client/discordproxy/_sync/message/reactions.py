# Generated from _async/message/reactions.py by client/generate_sync.py; edit that file and run it again.
"""Calls about reactions and polls."""

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
    """Calls about reactions and polls. An emoji is a character such as "👍", or "name:id" of a custom emoji."""

    def add_reaction(self, channel_id: int, message_id: int, emoji: str, **call: Unpack[CallArguments]) -> None:
        """Add a reaction of the bot to a message."""
        request = make(ReactionRequest, channel_id=channel_id, message_id=message_id, emoji=emoji)
        self._write(self.stub.AddReaction, request, **call)

    def remove_reaction(self, channel_id: int, message_id: int, emoji: str, **call: Unpack[CallArguments]) -> None:
        """Remove a reaction of the bot from a message."""
        request = make(ReactionRequest, channel_id=channel_id, message_id=message_id, emoji=emoji)
        self._write(self.stub.RemoveReaction, request, **call)

    def remove_user_reaction(
        self, channel_id: int, message_id: int, emoji: str, user_id: int, **call: Unpack[CallArguments]
    ) -> None:
        """Remove a reaction of another user from a message."""
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
        """Iterate over the users who reacted to a message with an emoji, page by page."""

        def page(size: int, after: int | None) -> Sequence[User]:
            request = make(
                GetReactionsRequest, channel_id=channel_id, message_id=message_id, emoji=emoji, after=after, limit=size
            )
            return self._read(self.stub.GetReactions, request, **call).users

        return self._pages(page, lambda user: user.id, _USERS_PER_PAGE, limit)

    def end_poll(self, channel_id: int, message_id: int, **call: Unpack[CallArguments]) -> Message:
        """End a poll of the bot immediately; return its message."""
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
        """Iterate over the users who voted for an answer of a poll, page by page."""

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

    def clear_emoji_reactions(
        self, channel_id: int, message_id: int, emoji: str, **call: Unpack[CallArguments]
    ) -> None:
        """Remove all reactions with one emoji from a message."""
        request = make(ReactionRequest, channel_id=channel_id, message_id=message_id, emoji=emoji)
        self._write(self.stub.ClearEmojiReactions, request, **call)
