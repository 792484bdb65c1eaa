"""Calls about members of guilds, and users."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discordproxy._async.calls import AsyncCalls
from discordproxy._requests.checks import make
from discordproxy._requests.compose import patch, split_call
from discordproxy.discord_api_pb2 import (
    AddGuildMemberRequest,
    EditCurrentMemberRequest,
    EditCurrentUserRequest,
    EditGuildMemberRequest,
    GetCurrentUserRequest,
    GetUserRequest,
    GuildId,
    ListGuildMembersRequest,
    MemberId,
    MemberRoleRequest,
    SearchGuildMembersRequest,
    SyncMemberRolesRequest,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from typing_extensions import Unpack

    from discordproxy._requests.arguments import CallArguments, MemberChanges
    from discordproxy._requests.settings import CurrentMemberChanges, UserChanges
    from discordproxy.discord_api_pb2 import GuildMember, SyncMemberRolesResponse, User

_MEMBERS_PER_PAGE = 1000


class AsyncMemberCalls(AsyncCalls):
    """Calls about members and users."""

    async def get_user(self, user_id: int, *, fresh: bool = False, **call: Unpack[CallArguments]) -> User:
        """Return a user. `fresh` has no effect, because users are always read from Discord."""
        return (await self._read(self.stub.GetUser, make(GetUserRequest, user_id=user_id, fresh=fresh), **call)).user

    async def get_current_user(self, *, fresh: bool = False, **call: Unpack[CallArguments]) -> User:
        """Return the bot's user. `fresh` bypasses the proxy's cache."""
        return (await self._read(self.stub.GetCurrentUser, make(GetCurrentUserRequest, fresh=fresh), **call)).user

    async def get_guild_member(
        self, guild_id: int, user_id: int, *, fresh: bool = False, **call: Unpack[CallArguments]
    ) -> GuildMember:
        """Return a member of a guild. `fresh` bypasses the proxy's cache.

        Raises:
            DiscordProxyHttpError: status 404 and code 10007: the user is not a member.
        """
        request = make(MemberId, guild_id=guild_id, user_id=user_id, fresh=fresh)
        return (await self._read(self.stub.GetGuildMember, request, **call)).member

    def list_guild_members(
        self,
        guild_id: int,
        *,
        limit: int | None = None,
        role_id: int = 0,
        fresh: bool = False,
        **call: Unpack[CallArguments],
    ) -> AsyncIterator[GuildMember]:
        """Iterate over the members of a guild in the order of their ids, page by page.

        Args:
            guild_id: The guild.
            limit: Maximum number of members; None: all.
            role_id: Only members with this role; 0: all members.
            fresh: Read from Discord instead of the proxy's cache.
            call: `timeout` and the others of CallArguments, for each page.
        """

        async def page(size: int, after: int | None) -> Sequence[GuildMember]:
            request = make(
                ListGuildMembersRequest, guild_id=guild_id, after=after, limit=size, role_id=role_id, fresh=fresh
            )
            return (await self._read(self.stub.ListGuildMembers, request, **call)).members

        return self._pages(page, lambda member: member.user.id, _MEMBERS_PER_PAGE, limit)

    async def search_guild_members(
        self,
        guild_id: int,
        query: str,
        *,
        limit: int | None = None,
        fresh: bool = False,
        **call: Unpack[CallArguments],
    ) -> list[GuildMember]:
        """Return members whose user name or nickname starts with `query`, up to `limit` (1 to 1000, default 1)."""
        request = make(SearchGuildMembersRequest, guild_id=guild_id, query=query, limit=limit, fresh=fresh)
        return list((await self._read(self.stub.SearchGuildMembers, request, **call)).members)

    async def add_guild_member(
        self,
        guild_id: int,
        user_id: int,
        access_token: str,
        *,
        nick: str | None = None,
        roles: Iterable[int] = (),
        mute: bool | None = None,
        deaf: bool | None = None,
        **call: Unpack[CallArguments],
    ) -> GuildMember:
        """Add a user to a guild, with the user's OAuth2 access token for the scope guilds.join.

        The result is empty if the user is already a member.
        """
        request = make(
            AddGuildMemberRequest,
            guild_id=guild_id,
            user_id=user_id,
            access_token=access_token,
            nick=nick,
            roles=roles,
            mute=mute,
            deaf=deaf,
        )
        return (await self._write(self.stub.AddGuildMember, request, **call)).member

    async def edit_guild_member(self, guild_id: int, user_id: int, **changes: Unpack[MemberChanges]) -> GuildMember:
        """Edit a member. Omitted arguments keep their value; None resets it: `nick=None` removes the nickname."""
        request = make(EditGuildMemberRequest, guild_id=guild_id, user_id=user_id)
        fields, call = split_call(changes)
        patch(request, fields)
        return (await self._write(self.stub.EditGuildMember, request, **call)).member

    async def kick_guild_member(
        self, guild_id: int, user_id: int, *, reason: str = "", **call: Unpack[CallArguments]
    ) -> None:
        """Remove a member from a guild. The user can join again with an invite."""
        request = make(MemberId, guild_id=guild_id, user_id=user_id, reason=reason)
        await self._write(self.stub.KickGuildMember, request, **call)

    async def add_member_role(
        self, guild_id: int, user_id: int, role_id: int, *, reason: str = "", **call: Unpack[CallArguments]
    ) -> None:
        """Add a role to a member."""
        request = make(MemberRoleRequest, guild_id=guild_id, user_id=user_id, role_id=role_id, reason=reason)
        await self._write(self.stub.AddMemberRole, request, **call)

    async def remove_member_role(
        self, guild_id: int, user_id: int, role_id: int, *, reason: str = "", **call: Unpack[CallArguments]
    ) -> None:
        """Remove a role from a member."""
        request = make(MemberRoleRequest, guild_id=guild_id, user_id=user_id, role_id=role_id, reason=reason)
        await self._write(self.stub.RemoveMemberRole, request, **call)

    async def sync_member_roles(
        self,
        guild_id: int,
        user_id: int,
        *,
        roles: Iterable[int],
        managed: Iterable[int],
        reason: str = "",
        **call: Unpack[CallArguments],
    ) -> SyncMemberRolesResponse:
        """Set the member's roles among `managed` to exactly `roles`, with at most one edit.

        Args:
            guild_id: The guild.
            user_id: The member.
            roles: The roles that the member shall have; all of them must be in `managed`.
            managed: The roles that the application manages. Other roles stay.
            reason: Reason for the audit log, up to 512 characters.
            call: `timeout`, `priority`, `max_wait`, `idempotency_key`: see CallArguments.

        Returns:
            The ids of the roles that were `added` and `removed`.
        """
        request = make(
            SyncMemberRolesRequest, guild_id=guild_id, user_id=user_id, roles=roles, managed=managed, reason=reason
        )
        return await self._write(self.stub.SyncMemberRoles, request, **call)

    async def edit_current_member(self, guild_id: int, **changes: Unpack[CurrentMemberChanges]) -> GuildMember:
        """Edit the bot's own profile in a guild. Omitted arguments keep their value; None resets it."""
        fields, call = split_call(changes)
        request = make(EditCurrentMemberRequest, guild_id=guild_id)
        patch(request, fields)
        return (await self._write(self.stub.EditCurrentMember, request, **call)).member

    async def edit_current_user(self, username: str, **changes: Unpack[UserChanges]) -> User:
        """Edit the bot's user. `username` is required, even if it stays the same. See UserChanges."""
        fields, call = split_call(changes)
        request = make(EditCurrentUserRequest, username=username)
        patch(request, fields)
        return (await self._write(self.stub.EditCurrentUser, request, **call)).user

    async def leave_guild(self, guild_id: int, **call: Unpack[CallArguments]) -> None:
        """Remove the bot from a guild."""
        request = make(GuildId, guild_id=guild_id)
        await self._write(self.stub.LeaveGuild, request, **call)
