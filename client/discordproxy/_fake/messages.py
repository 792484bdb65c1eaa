"""Responses of the in-memory Discord about messages."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from discordproxy._fake.objects import change, copy_equal_fields, echo
from discordproxy._fake.world import HttpRefusalError, now
from discordproxy.discord_api_pb2 import (
    OVERFLOW_FILE,
    OVERFLOW_SPLIT,
    OVERFLOW_TRUNCATE,
    Empty,
    KeepAttachment,
    Message,
    MessageResponse,
    MessagesResponse,
    SearchMessagesResponse,
)
from discordproxy.overflow import split, truncate, units

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.message import Message as AnyMessage

    from discordproxy._fake.objects import Handler
    from discordproxy._fake.world import FakeWorld

_MAX_CONTENT = 2000
# The fields that suffice for a message without text. In a split message they belong to the last part.
_CARRIERS = (
    *("embed", "embeds", "files", "components", "components_json", "sticker_ids", "poll"),
    "shared_client_theme",
)


def _check_not_empty(request: Any) -> None:
    """Raise HttpRefusalError for an empty message, as the proxy refuses it."""
    given = {field.name: value for field, value in request.ListFields()}
    forwards = given.get("message_reference", Message.Reference()).type == Message.Reference.FORWARD
    if not (given.get("content", "").strip() or given.keys() & set(_CARRIERS) or forwards):
        raise HttpRefusalError(400, 50006, "Cannot send an empty message")


def _check_text(text: str) -> None:
    if len(text) > _MAX_CONTENT:
        reason = f"Invalid Form Body\nIn content: Must be {_MAX_CONTENT} or fewer in length."
        raise HttpRefusalError(400, 50035, reason)


def send_channel_message(world: FakeWorld, request: Any) -> AnyMessage:
    channel = world.channels.get(request.channel_id)
    return _send(world, request, request.channel_id, channel.guild_id if channel else 0)


def send_direct_message(world: FakeWorld, request: Any) -> AnyMessage:
    return _send(world, request, world.direct_channel(request.user_id), 0)


def _send(world: FakeWorld, request: Any, channel_id: int, guild_id: int) -> AnyMessage:
    first, *more = [_post(world, part, channel_id, guild_id) for part in _parts(request)]
    return MessageResponse(message=first, more_messages=more)


def _parts(request: Any) -> list[Any]:
    """Return a request per message of a text: the first one has the reply reference, the last one embeds and files."""
    if units(request.content) <= _MAX_CONTENT or not request.overflow:
        return [request]
    texts = _texts(request)
    parts = [type(request)() for _ in texts]
    for index, (part, text) in enumerate(zip(parts, texts, strict=True)):
        part.CopyFrom(request)
        part.content = text
        part.nonce = request.nonce and f"{request.nonce}{index or ''}"
        _clear(part, ("message_reference",) if index else ())
        _clear(part, _CARRIERS if part is not parts[-1] else ())
    if request.overflow == OVERFLOW_FILE:
        parts[0].files.add(filename="message.txt", content=request.content.encode())
    return parts


def _clear(request: AnyMessage, names: Iterable[str]) -> None:
    for name in names:
        request.ClearField(name)


def _texts(request: Any) -> list[str]:
    text = request.content
    if request.overflow == OVERFLOW_SPLIT:
        return split(text, _MAX_CONTENT) or [""]
    return [truncate(text, _MAX_CONTENT) if request.overflow == OVERFLOW_TRUNCATE else ""]


def _post(world: FakeWorld, request: Any, channel_id: int, guild_id: int) -> Message:
    _check_text(request.content)
    _check_not_empty(request)
    message = _same_nonce(world, channel_id, request.nonce)
    if message is None:
        message = Message(id=world.new_id(), channel_id=channel_id, guild_id=guild_id, timestamp=now())
        copy_equal_fields(request, message)
        message.author.CopyFrom(world.bot)
        del message.embeds[:]
        message.embeds.extend([*([request.embed] if request.HasField("embed") else []), *request.embeds])
        message.attachments.extend(_attachment(world, file) for file in request.files)
        if request.message_reference.type == Message.Reference.FORWARD:
            message.message_snapshots.append(_snapshot(world, request.message_reference))
        elif request.HasField("message_reference"):
            message.type = Message.REPLY
        world.messages[message.id] = message
    return message


def _same_nonce(world: FakeWorld, channel_id: int, nonce: str) -> Message | None:
    same = (
        found for found in world.messages.values() if nonce and (found.channel_id, found.nonce) == (channel_id, nonce)
    )
    return next(same, None)


def _attachment(world: FakeWorld, file: Any) -> Message.Attachment:
    attachment_id = world.new_id()
    url = f"https://cdn.discordapp.com/attachments/{attachment_id}/{file.filename}"
    return Message.Attachment(
        id=attachment_id,
        filename=file.filename,
        title=file.title,
        description=file.description,
        size=len(file.content),
        url=url,
        flags=Message.Attachment.IS_SPOILER if file.spoiler else 0,
    )


def _change_attachment(attachment: Message.Attachment, kept: KeepAttachment) -> None:
    attachment.description = kept.description or attachment.description
    if kept.HasField("title"):
        attachment.title = kept.title
    if kept.HasField("is_spoiler"):
        spoiler = Message.Attachment.IS_SPOILER
        attachment.flags = attachment.flags | spoiler if kept.is_spoiler else attachment.flags & ~spoiler


def _snapshot(world: FakeWorld, reference: Message.Reference) -> Message:
    """Return the snapshot of a forwarded message, which has neither author nor channel."""
    original = world.messages.get(reference.message_id, Message())
    snapshot = Message(type=original.type, content=original.content, timestamp=original.timestamp)
    snapshot.embeds.extend(original.embeds)
    snapshot.attachments.extend(original.attachments)
    return snapshot


def _message(world: FakeWorld, request: Any) -> Message:
    message = world.messages.get(request.message_id)
    if message is None or message.channel_id != request.channel_id:
        raise HttpRefusalError(404, 10008, "Unknown Message")
    return message


def edit_message(world: FakeWorld, request: Any) -> AnyMessage:
    message = _message(world, request)
    _check_text(request.content)
    if request.attachments:
        kept = {attachment.id: attachment for attachment in request.attachments}
        staying = [attachment for attachment in message.attachments if attachment.id in kept]
        for attachment in staying:
            _change_attachment(attachment, kept[attachment.id])
        del message.attachments[:]
        message.attachments.extend(staying)
    change(message, request)
    message.attachments.extend(_attachment(world, file) for file in request.files)
    message.edited_timestamp = now()
    return MessageResponse(message=message)


def get_message(world: FakeWorld, request: Any) -> AnyMessage:
    return MessageResponse(message=_message(world, request))


def get_messages(world: FakeWorld, request: Any) -> AnyMessage:
    newest_first = sorted(world.messages.values(), key=lambda message: message.id, reverse=True)
    found = [
        message
        for message in newest_first
        if message.channel_id == request.channel_id
        and (not request.before or message.id < request.before)
        and message.id > request.after
    ]
    limit = request.limit or 50
    return MessagesResponse(messages=found[-limit:] if request.after else found[:limit])


def search_messages(world: FakeWorld, request: Any) -> AnyMessage:
    """Find messages by text, author and channel; a test can set another response with `FakeDiscordProxy.answer`."""
    found = [
        message
        for message in sorted(world.messages.values(), key=lambda message: message.id, reverse=True)
        if message.guild_id == request.guild_id
        and request.content.casefold() in message.content.casefold()
        and (not request.author_id or message.author.id in request.author_id)
        and (not request.channel_id or message.channel_id in request.channel_id)
    ]
    page = found[request.offset :][: request.limit or 25]
    return SearchMessagesResponse(messages=page, total_results=len(found))


def delete_message(world: FakeWorld, request: Any) -> AnyMessage:
    del world.messages[_message(world, request).id]
    return Empty()


def bulk_delete_messages(world: FakeWorld, request: Any) -> AnyMessage:
    for message_id in request.message_ids:
        world.messages.pop(message_id, None)
    return Empty()


def post_elsewhere(rpc: str, world: FakeWorld, request: Any) -> AnyMessage:
    _check_text(request.content)
    _check_not_empty(request)
    return echo(world, rpc, request)


HANDLERS: dict[str, Handler] = {
    "ExecuteWebhook": partial(post_elsewhere, "ExecuteWebhook"),
    "CreateForumPost": partial(post_elsewhere, "CreateForumPost"),
    "SendChannelMessage": send_channel_message,
    "SendDirectMessage": send_direct_message,
    "EditMessage": edit_message,
    "GetMessage": get_message,
    "GetMessages": get_messages,
    "SearchMessages": search_messages,
    "DeleteMessage": delete_message,
    "BulkDeleteMessages": bulk_delete_messages,
}
