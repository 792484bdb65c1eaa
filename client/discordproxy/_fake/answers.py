"""How the small Discord in memory answers calls: one function per RPC, and a general one for the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from google.protobuf.message import Message as AnyMessage
from google.protobuf.message_factory import GetMessageClass

from discordproxy._fake.world import HttpRefusal, now
from discordproxy.discord_api_pb2 import (
    DESCRIPTOR,
    ApiResponse,
    ChannelResponse,
    Empty,
    GetGuildChannelsResponse,
    GetGuildRolesResponse,
    GuildMemberResponse,
    GuildMembersResponse,
    GuildResponse,
    Message,
    MessageResponse,
    MessagesResponse,
    RoleResponse,
    SyncMemberRolesResponse,
    UserResponse,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from discordproxy._fake.world import World
    from discordproxy.discord_api_pb2 import GuildMember

Known = TypeVar("Known", bound=AnyMessage)

_METHODS = DESCRIPTOR.services_by_name["DiscordApi"].methods_by_name
_LONGEST_TEXT = 2000


def respond(world: World, rpc: str, request: Any) -> AnyMessage:
    """Return the response of an RPC.

    Raises:
        HttpRefusal: Discord would refuse it.
    """
    handler = _HANDLERS.get(rpc)
    return handler(world, request) if handler else _echo(world, rpc, request)


def _echo(world: World, rpc: str, request: Any) -> AnyMessage:
    """Return an object with a new id and with what the request says about it."""
    response = GetMessageClass(_METHODS[rpc].output_type)()
    for field in response.DESCRIPTOR.fields:
        made = getattr(response, field.name)
        if field.name == "freshness" or not isinstance(made, AnyMessage):
            continue
        if "id" in made.DESCRIPTOR.fields_by_name:
            made.id = world.new_id()  # type: ignore[attr-defined]  # it has one, as just seen
        copy_equal_fields(request, made)
    return response


def copy_equal_fields(request: AnyMessage, found: Any) -> None:
    """Copy what is set in a request to the fields of an object that have the same name and type."""
    for field, value in request.ListFields():
        own = found.DESCRIPTOR.fields_by_name.get(field.name)
        if own is None or (own.type, own.message_type) != (field.type, field.message_type):
            continue
        if isinstance(value, AnyMessage):
            getattr(found, field.name).CopyFrom(value)
        elif isinstance(value, (str, bytes, int, float)):
            setattr(found, field.name, value)
        else:
            found.ClearField(field.name)
            getattr(found, field.name).extend(value)


def change(found: AnyMessage, request: Any) -> None:
    """Apply a request that edits an object."""
    for name in set(request.clear) & set(found.DESCRIPTOR.fields_by_name):
        found.ClearField(name)
    copy_equal_fields(request, found)


def _known(found: Mapping[Any, Known], key: object, code: int, text: str) -> Known:
    if key not in found:
        raise HttpRefusal(404, code, text)
    return found[key]


def _in_guild(found: Mapping[Any, Known], request: Any) -> list[Known]:
    return [one for one in found.values() if one.guild_id == request.guild_id]  # type: ignore[attr-defined]  # all have one


def _check_text(text: str) -> None:
    if len(text) > _LONGEST_TEXT:
        reason = f"Invalid Form Body\nIn content: Must be {_LONGEST_TEXT} or fewer in length."
        raise HttpRefusal(400, 50035, reason)


def send_channel_message(world: World, request: Any) -> AnyMessage:
    channel = world.channels.get(request.channel_id)
    return _send(world, request, request.channel_id, channel.guild_id if channel else 0)


def send_direct_message(world: World, request: Any) -> AnyMessage:
    return _send(world, request, world.direct_channel(request.user_id), 0)


def _send(world: World, request: Any, channel_id: int, guild_id: int) -> AnyMessage:
    _check_text(request.content)
    message = _same_nonce(world, channel_id, request.nonce)
    if message is None:
        message = Message(id=world.new_id(), channel_id=channel_id, guild_id=guild_id, timestamp=now())
        copy_equal_fields(request, message)
        message.author.CopyFrom(world.bot)
        del message.embeds[:]
        message.embeds.extend([*([request.embed] if request.HasField("embed") else []), *request.embeds])
        message.attachments.extend(_attachment(world, file) for file in request.files)
        if request.HasField("message_reference"):
            message.type = Message.REPLY
        world.messages[message.id] = message
    return MessageResponse(message=message)


def _same_nonce(world: World, channel_id: int, nonce: str) -> Message | None:
    same = (
        found for found in world.messages.values() if nonce and (found.channel_id, found.nonce) == (channel_id, nonce)
    )
    return next(same, None)


def _attachment(world: World, file: Any) -> Message.Attachment:
    attachment_id = world.new_id()
    url = f"https://cdn.discordapp.com/attachments/{attachment_id}/{file.filename}"
    return Message.Attachment(
        id=attachment_id, filename=file.filename, description=file.description, size=len(file.content), url=url
    )


def _message(world: World, request: Any) -> Message:
    message = world.messages.get(request.message_id)
    if message is None or message.channel_id != request.channel_id:
        raise HttpRefusal(404, 10008, "Unknown Message")
    return message


def edit_message(world: World, request: Any) -> AnyMessage:
    message = _message(world, request)
    _check_text(request.content)
    if request.attachments:
        kept = {attachment.id for attachment in request.attachments}
        staying = [attachment for attachment in message.attachments if attachment.id in kept]
        del message.attachments[:]
        message.attachments.extend(staying)
    change(message, request)
    message.attachments.extend(_attachment(world, file) for file in request.files)
    message.edited_timestamp = now()
    return MessageResponse(message=message)


def get_message(world: World, request: Any) -> AnyMessage:
    return MessageResponse(message=_message(world, request))


def get_messages(world: World, request: Any) -> AnyMessage:
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


def delete_message(world: World, request: Any) -> AnyMessage:
    del world.messages[_message(world, request).id]
    return Empty()


def bulk_delete_messages(world: World, request: Any) -> AnyMessage:
    for message_id in request.message_ids:
        world.messages.pop(message_id, None)
    return Empty()


def get_guild_channels(world: World, request: Any) -> AnyMessage:
    return GetGuildChannelsResponse(channels=_in_guild(world.channels, request))


def get_channel(world: World, request: Any) -> AnyMessage:
    return ChannelResponse(channel=_known(world.channels, request.channel_id, 10003, "Unknown Channel"))


def create_channel(world: World, request: Any) -> AnyMessage:
    channel = world.add_channel(guild_id=request.guild_id)
    copy_equal_fields(request, channel)
    return ChannelResponse(channel=channel)


def edit_channel(world: World, request: Any) -> AnyMessage:
    channel = _known(world.channels, request.channel_id, 10003, "Unknown Channel")
    change(channel, request)
    return ChannelResponse(channel=channel)


def delete_channel(world: World, request: Any) -> AnyMessage:
    _known(world.channels, request.channel_id, 10003, "Unknown Channel")
    return ChannelResponse(channel=world.channels.pop(request.channel_id))


def get_guild(world: World, request: Any) -> AnyMessage:
    return GuildResponse(guild=_known(world.guilds, request.guild_id, 10004, "Unknown Guild"))


def get_guild_roles(world: World, request: Any) -> AnyMessage:
    return GetGuildRolesResponse(roles=_in_guild(world.roles, request))


def create_role(world: World, request: Any) -> AnyMessage:
    role = world.add_role(guild_id=request.guild_id)
    copy_equal_fields(request, role)
    return RoleResponse(role=role)


def edit_role(world: World, request: Any) -> AnyMessage:
    role = _known(world.roles, request.role_id, 10011, "Unknown Role")
    change(role, request)
    return RoleResponse(role=role)


def delete_role(world: World, request: Any) -> AnyMessage:
    _known(world.roles, request.role_id, 10011, "Unknown Role")
    del world.roles[request.role_id]
    return Empty()


def _member(world: World, request: Any) -> GuildMember:
    return _known(world.members, (request.guild_id, request.user_id), 10007, "Unknown Member")


def get_guild_member(world: World, request: Any) -> AnyMessage:
    return GuildMemberResponse(member=_member(world, request))


def list_guild_members(world: World, request: Any) -> AnyMessage:
    found = sorted(_in_guild(world.members, request), key=lambda member: member.user.id)
    after = [member for member in found if member.user.id > request.after]
    return GuildMembersResponse(members=after[: request.limit or 1])


def edit_guild_member(world: World, request: Any) -> AnyMessage:
    member = _member(world, request)
    change(member, request)
    return GuildMemberResponse(member=member)


def kick_guild_member(world: World, request: Any) -> AnyMessage:
    _member(world, request)
    del world.members[request.guild_id, request.user_id]
    return Empty()


def add_member_role(world: World, request: Any) -> AnyMessage:
    roles = _member(world, request).roles
    roles.extend({request.role_id} - set(roles))
    return Empty()


def remove_member_role(world: World, request: Any) -> AnyMessage:
    roles = _member(world, request).roles
    roles[:] = [role for role in roles if role != request.role_id]
    return Empty()


def sync_member_roles(world: World, request: Any) -> AnyMessage:
    roles = _member(world, request).roles
    added = set(request.roles) - set(roles)
    removed = (set(roles) & set(request.managed)) - set(request.roles)
    roles[:] = [*(role for role in roles if role not in removed), *sorted(added)]
    return SyncMemberRolesResponse(added=sorted(added), removed=sorted(removed))


def get_user(world: World, request: Any) -> AnyMessage:
    return UserResponse(user=_known(world.users, request.user_id, 10013, "Unknown User"))


def get_current_user(world: World, _request: Any) -> AnyMessage:
    return UserResponse(user=world.bot)


def request_anything(_world: World, _request: Any) -> AnyMessage:
    return ApiResponse(status=200, body=b"{}", content_type="application/json")


_HANDLERS: dict[str, Callable[[World, Any], AnyMessage]] = {
    "SendChannelMessage": send_channel_message,
    "SendDirectMessage": send_direct_message,
    "EditMessage": edit_message,
    "GetMessage": get_message,
    "GetMessages": get_messages,
    "DeleteMessage": delete_message,
    "BulkDeleteMessages": bulk_delete_messages,
    "GetGuildChannels": get_guild_channels,
    "GetChannel": get_channel,
    "CreateChannel": create_channel,
    "EditChannel": edit_channel,
    "DeleteChannel": delete_channel,
    "GetGuild": get_guild,
    "GetGuildRoles": get_guild_roles,
    "CreateRole": create_role,
    "EditRole": edit_role,
    "DeleteRole": delete_role,
    "GetGuildMember": get_guild_member,
    "ListGuildMembers": list_guild_members,
    "EditGuildMember": edit_guild_member,
    "KickGuildMember": kick_guild_member,
    "AddMemberRole": add_member_role,
    "RemoveMemberRole": remove_member_role,
    "SyncMemberRoles": sync_member_roles,
    "GetUser": get_user,
    "GetCurrentUser": get_current_user,
    "Request": request_anything,
}
