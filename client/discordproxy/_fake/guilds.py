"""Responses of the in-memory Discord about guilds, their channels and roles."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from discordproxy._fake.objects import change, copy_equal_fields, in_guild, known
from discordproxy.discord_api_pb2 import (
    ChannelResponse,
    ComputePermissionsResponse,
    Empty,
    GetGuildChannelsResponse,
    GetGuildRolesResponse,
    GuildResponse,
    GuildsResponse,
    RoleMemberCountsResponse,
    RoleResponse,
)

if TYPE_CHECKING:
    from google.protobuf.message import Message as AnyMessage

    from discordproxy._fake.objects import Handler
    from discordproxy._fake.world import FakeWorld
    from discordproxy.discord_api_pb2 import Channel, Guild, Role


def _guild(world: FakeWorld, request: Any) -> Guild:
    return known(world.guilds, request.guild_id, 10004, "Unknown Guild")


def _channel(world: FakeWorld, channel_id: int) -> Channel:
    return known(world.channels, channel_id, 10003, "Unknown Channel")


def _role(world: FakeWorld, role_id: int) -> Role:
    return known(world.roles, role_id, 10011, "Unknown Role")


def get_guild(world: FakeWorld, request: Any) -> AnyMessage:
    return GuildResponse(guild=_guild(world, request))


def list_guilds(world: FakeWorld, request: Any) -> AnyMessage:
    found = [world.guilds[guild_id] for guild_id in sorted(world.guilds) if guild_id > request.after]
    return GuildsResponse(guilds=found[: request.limit or 200])


def compute_permissions(world: FakeWorld, request: Any) -> AnyMessage:
    """Allow every member to send messages; a test can set another response with `FakeDiscordProxy.answer`."""
    _guild(world, request)
    if request.channel_id:
        _channel(world, request.channel_id)
    return ComputePermissionsResponse(can_send=True)


def get_guild_channels(world: FakeWorld, request: Any) -> AnyMessage:
    return GetGuildChannelsResponse(channels=in_guild(world.channels, request))


def get_channel(world: FakeWorld, request: Any) -> AnyMessage:
    return ChannelResponse(channel=_channel(world, request.channel_id))


def create_channel(world: FakeWorld, request: Any) -> AnyMessage:
    channel = world.add_channel(guild_id=request.guild_id)
    copy_equal_fields(request, channel)
    return ChannelResponse(channel=channel)


def edit_channel(world: FakeWorld, request: Any) -> AnyMessage:
    channel = _channel(world, request.channel_id)
    change(channel, request)
    return ChannelResponse(channel=channel)


def delete_channel(world: FakeWorld, request: Any) -> AnyMessage:
    _channel(world, request.channel_id)
    return ChannelResponse(channel=world.channels.pop(request.channel_id))


def get_guild_roles(world: FakeWorld, request: Any) -> AnyMessage:
    return GetGuildRolesResponse(roles=in_guild(world.roles, request))


def create_role(world: FakeWorld, request: Any) -> AnyMessage:
    role = world.add_role(guild_id=request.guild_id)
    copy_equal_fields(request, role)
    return RoleResponse(role=role)


def edit_role(world: FakeWorld, request: Any) -> AnyMessage:
    role = _role(world, request.role_id)
    change(role, request)
    return RoleResponse(role=role)


def delete_role(world: FakeWorld, request: Any) -> AnyMessage:
    _role(world, request.role_id)
    del world.roles[request.role_id]
    return Empty()


def edit_guild(world: FakeWorld, request: Any) -> AnyMessage:
    guild = _guild(world, request)
    change(guild, request)
    return GuildResponse(guild=guild)


def leave_guild(world: FakeWorld, request: Any) -> AnyMessage:
    _guild(world, request)
    del world.guilds[request.guild_id]
    return Empty()


def edit_channel_positions(world: FakeWorld, request: Any) -> AnyMessage:
    for sent in request.channels:
        copy_equal_fields(sent, _channel(world, sent.id))
    return Empty()


def get_role(world: FakeWorld, request: Any) -> AnyMessage:
    return RoleResponse(role=_role(world, request.role_id))


def edit_role_positions(world: FakeWorld, request: Any) -> AnyMessage:
    for sent in request.roles:
        copy_equal_fields(sent, _role(world, sent.id))
    return get_guild_roles(world, request)


def get_role_member_counts(world: FakeWorld, request: Any) -> AnyMessage:
    return RoleMemberCountsResponse(
        counts=Counter(role for member in in_guild(world.members, request) for role in member.roles)
    )


HANDLERS: dict[str, Handler] = {
    "EditGuild": edit_guild,
    "LeaveGuild": leave_guild,
    "EditChannelPositions": edit_channel_positions,
    "GetRole": get_role,
    "EditRolePositions": edit_role_positions,
    "GetRoleMemberCounts": get_role_member_counts,
    "GetGuildChannels": get_guild_channels,
    "GetChannel": get_channel,
    "CreateChannel": create_channel,
    "EditChannel": edit_channel,
    "DeleteChannel": delete_channel,
    "GetGuild": get_guild,
    "ListGuilds": list_guilds,
    "ComputePermissions": compute_permissions,
    "GetGuildRoles": get_guild_roles,
    "CreateRole": create_role,
    "EditRole": edit_role,
    "DeleteRole": delete_role,
}
