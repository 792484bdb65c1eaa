# Generated from _async/guild/roles.py by client/generate_sync.py; edit that file and run it again.
"""Calls about roles and bans of a guild."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discordproxy._requests.checks import convert, make
from discordproxy._requests.compose import fill, patch, split_call
from discordproxy._sync.calls import Calls
from discordproxy.discord_api_pb2 import (
    BulkBanRequest,
    CreateBanRequest,
    CreateRoleRequest,
    EditRolePositionsRequest,
    EditRoleRequest,
    GuildId,
    ListBansRequest,
    MemberId,
    RoleId,
    RolePosition,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from typing_extensions import Unpack

    from discordproxy._requests.arguments import CallArguments, RoleSettings
    from discordproxy.discord_api_pb2 import Ban, BulkBanResponse, Role

_BANS_PER_PAGE = 1000


class RoleCalls(Calls):
    """Calls about roles and bans."""

    def get_guild_roles(self, guild_id: int, *, fresh: bool = False, **call: Unpack[CallArguments]) -> list[Role]:
        """Return the roles of a guild. `fresh` bypasses the proxy's cache."""
        request = make(GuildId, guild_id=guild_id, fresh=fresh)
        return list(self._read(self.stub.GetGuildRoles, request, **call).roles)

    def create_role(self, guild_id: int, **settings: Unpack[RoleSettings]) -> Role:
        """Create a role: `name`, `permissions`, `color`, `hoist`, `mentionable` ...: see RoleSettings."""
        fields, call = split_call(settings)
        request = make(CreateRoleRequest, guild_id=guild_id)
        fill(request, fields)
        return self._write(self.stub.CreateRole, request, **call).role

    def edit_role(self, guild_id: int, role_id: int, **changes: Unpack[RoleSettings]) -> Role:
        """Edit a role. Omitted arguments keep their value; None resets it. See RoleSettings."""
        fields, call = split_call(changes)
        request = make(EditRoleRequest, guild_id=guild_id, role_id=role_id)
        patch(request, fields)
        return self._write(self.stub.EditRole, request, **call).role

    def delete_role(self, guild_id: int, role_id: int, *, reason: str = "", **call: Unpack[CallArguments]) -> None:
        """Delete a role."""
        request = make(RoleId, guild_id=guild_id, role_id=role_id, reason=reason)
        self._write(self.stub.DeleteRole, request, **call)

    def list_bans(self, guild_id: int, *, limit: int | None = None, **call: Unpack[CallArguments]) -> Iterator[Ban]:
        """Iterate over the bans of a guild in the order of user ids, page by page."""

        def page(size: int, after: int | None) -> Sequence[Ban]:
            request = make(ListBansRequest, guild_id=guild_id, after=after, limit=size)
            return self._read(self.stub.ListBans, request, **call).bans

        return self._pages(page, lambda ban: ban.user.id, _BANS_PER_PAGE, limit)

    def get_ban(self, guild_id: int, user_id: int, **call: Unpack[CallArguments]) -> Ban:
        """Return the ban of a user.

        Raises:
            DiscordProxyHttpError: status 404 and code 10026: the user is not banned.
        """
        return self._read(self.stub.GetBan, make(MemberId, guild_id=guild_id, user_id=user_id), **call).ban

    def create_ban(
        self,
        guild_id: int,
        user_id: int,
        *,
        delete_message_seconds: int | None = None,
        reason: str = "",
        **call: Unpack[CallArguments],
    ) -> None:
        """Ban a user and delete the user's messages of the last `delete_message_seconds` (up to 604800, 7 days)."""
        request = make(
            CreateBanRequest,
            guild_id=guild_id,
            user_id=user_id,
            delete_message_seconds=delete_message_seconds,
            reason=reason,
        )
        self._write(self.stub.CreateBan, request, **call)

    def delete_ban(self, guild_id: int, user_id: int, *, reason: str = "", **call: Unpack[CallArguments]) -> None:
        """Remove the ban of a user."""
        request = make(MemberId, guild_id=guild_id, user_id=user_id, reason=reason)
        self._write(self.stub.DeleteBan, request, **call)

    def bulk_ban(
        self,
        guild_id: int,
        user_ids: Iterable[int],
        *,
        delete_message_seconds: int | None = None,
        reason: str = "",
        **call: Unpack[CallArguments],
    ) -> BulkBanResponse:
        """Ban up to 200 users; return the ids of the banned users and of those that could not be banned."""
        request = make(
            BulkBanRequest,
            guild_id=guild_id,
            user_ids=user_ids,
            delete_message_seconds=delete_message_seconds,
            reason=reason,
        )
        return self._write(self.stub.BulkBan, request, **call)

    def get_role(self, guild_id: int, role_id: int, **call: Unpack[CallArguments]) -> Role:
        """Return a role."""
        request = make(RoleId, guild_id=guild_id, role_id=role_id)
        return self._read(self.stub.GetRole, request, **call).role

    def get_role_member_counts(self, guild_id: int, **call: Unpack[CallArguments]) -> dict[int, int]:
        """Return the number of members by role id. Roles without members, and @everyone, are missing."""
        return dict(self._read(self.stub.GetRoleMemberCounts, make(GuildId, guild_id=guild_id), **call).counts)

    def edit_role_positions(
        self, guild_id: int, roles: Mapping[int, int], *, reason: str = "", **call: Unpack[CallArguments]
    ) -> list[Role]:
        """Change the positions of roles, given by role id; return all roles. Higher roles are above."""
        positions = convert("roles", _role_positions, roles)
        request = make(EditRolePositionsRequest, guild_id=guild_id, roles=positions, reason=reason)
        return list(self._write(self.stub.EditRolePositions, request, **call).roles)


def _role_positions(roles: Mapping[int, int]) -> list[RolePosition]:
    return [make(RolePosition, id=role_id, position=position) for role_id, position in roles.items()]
