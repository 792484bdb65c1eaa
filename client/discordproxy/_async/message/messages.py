"""Calls about messages: send, edit, read, delete, publish, pin."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from discordproxy._async.calls import AsyncCalls
from discordproxy._requests.arguments import UNSET
from discordproxy._requests.checks import convert, make, whole_number
from discordproxy._requests.compose import whole_message, write_changes, write_message
from discordproxy.discord_api_pb2 import (
    BulkDeleteMessagesRequest,
    ChannelId,
    EditMessageRequest,
    GetMessagesRequest,
    GetPinsRequest,
    MessageId,
    SendChannelMessageRequest,
    SendDirectMessageRequest,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from typing_extensions import Unpack

    from discordproxy._requests.arguments import CallArguments, EmbedLike, MessageArguments, MessageChanges, Unset
    from discordproxy.discord_api_pb2 import GetPinsResponse, Message

_MESSAGES_PER_PAGE = 100
_PINS_PER_PAGE = 50


class AsyncMessageCalls(AsyncCalls):
    """Calls about messages."""

    async def create_channel_message(
        self,
        channel_id: int,
        content: str = "",
        embed: EmbedLike | None = None,
        *,
        crosspost: bool = False,
        **message: Unpack[MessageArguments],
    ) -> Message:
        """Send a message to a channel or thread.

        Args:
            channel_id: The channel or thread.
            content: Text, up to 2000 characters; see `overflow`.
            embed: One embed; for several see `embeds`.
            crosspost: Publish the message if the channel is an announcement channel.
            message: `embeds`, `files`, `reply_to`, `silent`, `components` ...: see MessageArguments.

        Returns:
            The message. With overflow="split" the first one, with the others in its `more_messages`.

        Raises:
            ValueError: the message is empty, or an argument is invalid.
        """
        request = make(SendChannelMessageRequest, channel_id=channel_id, crosspost=crosspost)
        call = write_message(request, content, embed, message)
        response = await self._write(self.stub.SendChannelMessage, request, **call)
        return whole_message(response)

    async def create_direct_message(
        self,
        user_id: int,
        content: str = "",
        embed: EmbedLike | None = None,
        **message: Unpack[MessageArguments],
    ) -> Message:
        """Send a direct message to a user. Arguments and result are those of create_channel_message."""
        request = make(SendDirectMessageRequest, user_id=user_id)
        call = write_message(request, content, embed, message)
        response = await self._write(self.stub.SendDirectMessage, request, **call)
        return whole_message(response)

    async def create_reply(
        self,
        message: Message,
        content: str = "",
        embed: EmbedLike | None = None,
        **reply: Unpack[MessageArguments],
    ) -> Message:
        """Reply to a message in its channel. If the message no longer exists, the reply is sent without a reference."""
        reply.setdefault("reply_to", message)
        channel_id = convert("message", attrgetter("channel_id"), message)
        return await self.create_channel_message(channel_id, content, embed, **reply)

    async def edit_channel_message(
        self,
        channel_id: int,
        message_id: int,
        content: str | Unset | None = UNSET,
        *,
        suppress_embeds: bool | Unset = UNSET,
        **changes: Unpack[MessageChanges],
    ) -> Message:
        """Edit a message of the bot. Omitted arguments keep their value; None or an empty list removes it.

        Args:
            channel_id: Channel of the message.
            message_id: The message.
            content: New text, up to 2000 characters.
            suppress_embeds: Whether to hide the previews of links.
            changes: `embed`, `embeds`, `files`, `attachments`, `components` ...: see MessageChanges.
        """
        request = make(EditMessageRequest, channel_id=channel_id, message_id=message_id)
        call = write_changes(request, content, suppress_embeds, changes)
        response = await self._write(self.stub.EditMessage, request, **call)
        return response.message

    async def delete_channel_message(
        self, channel_id: int, message_id: int, *, reason: str = "", **call: Unpack[CallArguments]
    ) -> None:
        """Delete a message."""
        request = make(MessageId, channel_id=channel_id, message_id=message_id, reason=reason)
        await self._write(self.stub.DeleteMessage, request, **call)

    async def bulk_delete_channel_messages(
        self, channel_id: int, message_ids: Iterable[int], *, reason: str = "", **call: Unpack[CallArguments]
    ) -> None:
        """Delete any number of messages of a channel, in as few requests as Discord allows; none: sends nothing."""
        request = make(BulkDeleteMessagesRequest, channel_id=channel_id, message_ids=message_ids, reason=reason)
        if request.message_ids:
            await self._write(self.stub.BulkDeleteMessages, request, **call)

    async def get_channel_message(self, channel_id: int, message_id: int, **call: Unpack[CallArguments]) -> Message:
        """Return a message."""
        request = make(MessageId, channel_id=channel_id, message_id=message_id)
        return (await self._read(self.stub.GetMessage, request, **call)).message

    def get_channel_messages(
        self,
        channel_id: int,
        *,
        limit: int | None = None,
        before: int | None = None,
        after: int | None = None,
        **call: Unpack[CallArguments],
    ) -> AsyncIterator[Message]:
        """Iterate over the messages of a channel, page by page: newest first, or oldest first with `after`.

        Args:
            channel_id: The channel or thread.
            limit: Maximum number of messages; None: all.
            before: Only messages before this id. `snowflake_at` returns the id of a time.
            after: Only messages after this id.
            call: `timeout` and the others of CallArguments, for each page.
        """

        async def page(size: int, last_id: int | None) -> Sequence[Message]:
            if after is None:
                request = make(GetMessagesRequest, channel_id=channel_id, before=last_id or before, limit=size)
            else:
                request = make(
                    GetMessagesRequest, channel_id=channel_id, before=before, after=last_id or after, limit=size
                )
            messages = (await self._read(self.stub.GetMessages, request, **call)).messages
            return sorted(messages, key=lambda message: message.id, reverse=after is None)

        return self._pages(page, lambda message: message.id, _MESSAGES_PER_PAGE, limit)

    async def crosspost_message(self, channel_id: int, message_id: int, **call: Unpack[CallArguments]) -> Message:
        """Publish a message of an announcement channel to the channels that follow it."""
        request = make(MessageId, channel_id=channel_id, message_id=message_id)
        return (await self._write(self.stub.CrosspostMessage, request, **call)).message

    async def pin_message(
        self, channel_id: int, message_id: int, *, reason: str = "", **call: Unpack[CallArguments]
    ) -> None:
        """Pin a message. The bot needs the permission PIN_MESSAGES."""
        request = make(MessageId, channel_id=channel_id, message_id=message_id, reason=reason)
        await self._write(self.stub.PinMessage, request, **call)

    async def unpin_message(
        self, channel_id: int, message_id: int, *, reason: str = "", **call: Unpack[CallArguments]
    ) -> None:
        """Unpin a message. The bot needs the permission PIN_MESSAGES."""
        request = make(MessageId, channel_id=channel_id, message_id=message_id, reason=reason)
        await self._write(self.stub.UnpinMessage, request, **call)

    async def get_pins(
        self, channel_id: int, *, limit: int | None = None, **call: Unpack[CallArguments]
    ) -> AsyncIterator[GetPinsResponse.Pin]:
        """Iterate over the pinned messages of a channel with their pin times, the latest pin first, page by page."""
        before: str | None = None
        limit = whole_number("limit", limit)
        while limit is None or limit > 0:
            size = _PINS_PER_PAGE if limit is None else min(limit, _PINS_PER_PAGE)
            request = make(GetPinsRequest, channel_id=channel_id, before=before, limit=size)
            response = await self._read(self.stub.GetPins, request, **call)
            for pin in response.items:
                yield pin
            if not response.has_more or not response.items:
                return
            limit = None if limit is None else limit - size
            before = response.items[-1].pinned_at

    async def trigger_typing(self, channel_id: int, **call: Unpack[CallArguments]) -> None:
        """Show the bot as typing for ten seconds, or until it sends a message."""
        await self._write(self.stub.TriggerTyping, make(ChannelId, channel_id=channel_id), **call)
