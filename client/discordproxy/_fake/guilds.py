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


def get_guild(world: FakeWorld, request: Any) -> AnyMessage:
    return GuildResponse(guild=known(world.guilds, request.guild_id, 10004, "Unknown Guild"))


def list_guilds(world: FakeWorld, request: Any) -> AnyMessage:
    found = [world.guilds[guild_id] for guild_id in sorted(world.guilds) if guild_id > request.after]
    return GuildsResponse(guilds=found[: request.limit or 200])


def compute_permissions(world: FakeWorld, request: Any) -> AnyMessage:
    """Allow every member to send messages; a test can set another response with `FakeDiscordProxy.answer`."""
    known(world.guilds, request.guild_id, 10004, "Unknown Guild")
    if request.channel_id:
        known(world.channels, request.channel_id, 10003, "Unknown Channel")
    return ComputePermissionsResponse(can_send=True)


def get_guild_channels(world: FakeWorld, request: Any) -> AnyMessage:
    return GetGuildChannelsResponse(channels=in_guild(world.channels, request))


def get_channel(world: FakeWorld, request: Any) -> AnyMessage:
    return ChannelResponse(channel=known(world.channels, request.channel_id, 10003, "Unknown Channel"))


def create_channel(world: FakeWorld, request: Any) -> AnyMessage:
    channel = world.add_channel(guild_id=request.guild_id)
    copy_equal_fields(request, channel)
    return ChannelResponse(channel=channel)


def edit_channel(world: FakeWorld, request: Any) -> AnyMessage:
    channel = known(world.channels, request.channel_id, 10003, "Unknown Channel")
    change(channel, request)
    return ChannelResponse(channel=channel)


def delete_channel(world: FakeWorld, request: Any) -> AnyMessage:
    known(world.channels, request.channel_id, 10003, "Unknown Channel")
    return ChannelResponse(channel=world.channels.pop(request.channel_id))


def get_guild_roles(world: FakeWorld, request: Any) -> AnyMessage:
    return GetGuildRolesResponse(roles=in_guild(world.roles, request))


def create_role(world: FakeWorld, request: Any) -> AnyMessage:
    role = world.add_role(guild_id=request.guild_id)
    copy_equal_fields(request, role)
    return RoleResponse(role=role)


def edit_role(world: FakeWorld, request: Any) -> AnyMessage:
    role = known(world.roles, request.role_id, 10011, "Unknown Role")
    change(role, request)
    return RoleResponse(role=role)


def delete_role(world: FakeWorld, request: Any) -> AnyMessage:
    known(world.roles, request.role_id, 10011, "Unknown Role")
    del world.roles[request.role_id]
    return Empty()


def edit_guild(world: FakeWorld, request: Any) -> AnyMessage:
    guild = known(world.guilds, request.guild_id, 10004, "Unknown Guild")
    change(guild, request)
    return GuildResponse(guild=guild)


def leave_guild(world: FakeWorld, request: Any) -> AnyMessage:
    known(world.guilds, request.guild_id, 10004, "Unknown Guild")
    del world.guilds[request.guild_id]
    return Empty()


def edit_channel_positions(world: FakeWorld, request: Any) -> AnyMessage:
    for sent in request.channels:
        copy_equal_fields(sent, known(world.channels, sent.id, 10003, "Unknown Channel"))
    return Empty()


def get_role(world: FakeWorld, request: Any) -> AnyMessage:
    return RoleResponse(role=known(world.roles, request.role_id, 10011, "Unknown Role"))


def edit_role_positions(world: FakeWorld, request: Any) -> AnyMessage:
    for sent in request.roles:
        copy_equal_fields(sent, known(world.roles, sent.id, 10011, "Unknown Role"))
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
