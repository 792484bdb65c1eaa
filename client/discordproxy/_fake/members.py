"""Responses of the in-memory Discord about members and users."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from discordproxy._fake.objects import change, in_guild, known
from discordproxy.discord_api_pb2 import (
    Empty,
    GuildMemberResponse,
    GuildMembersResponse,
    SyncMemberRolesResponse,
    UserResponse,
)

if TYPE_CHECKING:
    from google.protobuf.message import Message as AnyMessage

    from discordproxy._fake.objects import Handler
    from discordproxy._fake.world import FakeWorld
    from discordproxy.discord_api_pb2 import GuildMember


def _member(world: FakeWorld, request: Any) -> GuildMember:
    return known(world.members, (request.guild_id, request.user_id), 10007, "Unknown Member")


def get_guild_member(world: FakeWorld, request: Any) -> AnyMessage:
    return GuildMemberResponse(member=_member(world, request))


def list_guild_members(world: FakeWorld, request: Any) -> AnyMessage:
    found = sorted(in_guild(world.members, request), key=lambda member: member.user.id)
    after = [member for member in found if member.user.id > request.after]
    wanted = [member for member in after if request.role_id in {0, *member.roles}]
    return GuildMembersResponse(members=wanted[: request.limit or 1])


def search_guild_members(world: FakeWorld, request: Any) -> AnyMessage:
    start = request.query.casefold()
    found = (
        member
        for member in in_guild(world.members, request)
        if any(name.casefold().startswith(start) for name in (member.user.username, member.nick))
    )
    return GuildMembersResponse(members=list(found)[: request.limit or 1])


def edit_guild_member(world: FakeWorld, request: Any) -> AnyMessage:
    member = _member(world, request)
    change(member, request)
    return GuildMemberResponse(member=member)


def edit_current_member(world: FakeWorld, request: Any) -> AnyMessage:
    member = world.add_member(request.guild_id, world.bot)
    change(member, request)
    return GuildMemberResponse(member=member)


def edit_current_user(world: FakeWorld, request: Any) -> AnyMessage:
    change(world.bot, request)
    return UserResponse(user=world.bot)


def kick_guild_member(world: FakeWorld, request: Any) -> AnyMessage:
    _member(world, request)
    del world.members[request.guild_id, request.user_id]
    return Empty()


def add_member_role(world: FakeWorld, request: Any) -> AnyMessage:
    roles = _member(world, request).roles
    roles.extend({request.role_id} - set(roles))
    return Empty()


def remove_member_role(world: FakeWorld, request: Any) -> AnyMessage:
    roles = _member(world, request).roles
    roles[:] = [role for role in roles if role != request.role_id]
    return Empty()


def sync_member_roles(world: FakeWorld, request: Any) -> AnyMessage:
    roles = _member(world, request).roles
    added = set(request.roles) - set(roles)
    removed = (set(roles) & set(request.managed)) - set(request.roles)
    roles[:] = [*(role for role in roles if role not in removed), *sorted(added)]
    return SyncMemberRolesResponse(added=sorted(added), removed=sorted(removed))


def get_user(world: FakeWorld, request: Any) -> AnyMessage:
    return UserResponse(user=known(world.users, request.user_id, 10013, "Unknown User"))


def get_current_user(world: FakeWorld, _request: Any) -> AnyMessage:
    return UserResponse(user=world.bot)


HANDLERS: dict[str, Handler] = {
    "GetGuildMember": get_guild_member,
    "ListGuildMembers": list_guild_members,
    "SearchGuildMembers": search_guild_members,
    "EditGuildMember": edit_guild_member,
    "EditCurrentMember": edit_current_member,
    "EditCurrentUser": edit_current_user,
    "KickGuildMember": kick_guild_member,
    "AddMemberRole": add_member_role,
    "RemoveMemberRole": remove_member_role,
    "SyncMemberRoles": sync_member_roles,
    "GetUser": get_user,
    "GetCurrentUser": get_current_user,
}
