"""Calls about roles and bans of a guild."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import grpc

from discordproxy._async.calls import AsyncCalls
from discordproxy._grpc.attempts import require_time
from discordproxy._requests.checks import choice, convert, items, make, seconds
from discordproxy._requests.compose import fill, patch, split_call
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
    SyncGuildRolesRequest,
)
from discordproxy.exceptions import DiscordProxyException, to_discord_proxy_exception

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
    from types import TracebackType
    from typing import Any, Literal

    from typing_extensions import Self, Unpack

    from discordproxy._requests.arguments import CallArguments, RoleSettings, Seconds
    from discordproxy.discord_api_pb2 import (
        Ban,
        BulkBanResponse,
        Role,
        RoleSyncPlan,
        RoleSyncReport,
        SyncGuildRolesProgress,
    )
    from discordproxy.discord_api_pb2_grpc import DiscordApiAsyncStub

_BANS_PER_PAGE = 1000


class AsyncRoleSync:
    """The progress of `sync_guild_roles`, as an iterator. The first iteration starts the synchronization.

    Attributes:
        plan: What will change; None until the iterator has returned it.
        report: What was changed. If the synchronization ends early, the iterator returns the report before it raises.
    """

    plan: RoleSyncPlan | None = None
    report: RoleSyncReport | None = None

    def __init__(self, calls: AsyncRoleCalls, request: SyncGuildRolesRequest, timeout: float | None) -> None:
        self._calls = calls
        self._request = request
        self._timeout = timeout
        self._call: Any = None
        self._items: AsyncIterator[SyncGuildRolesProgress] | None = None
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SyncGuildRolesProgress:
        """Return the next step: the plan, counts about every two seconds, at last the report.

        Raises:
            DiscordProxyException: the request was refused, or the synchronization ended early. A second one does what
                is left. `retry_after` of the error is the time until then, if it is known.
        """
        if self._closed:
            raise StopAsyncIteration
        try:
            step = await anext(self._open())
        except grpc.RpcError as ex:
            if self._closed:
                raise StopAsyncIteration from None
            self._closed = True
            error = to_discord_proxy_exception(ex)
            if not isinstance(error, DiscordProxyException):
                raise
            self._calls._add_hint(error)  # noqa: SLF001 -- the iterator and its client belong together
            raise error from ex
        if step.HasField("plan"):
            self.plan = step.plan
        if step.HasField("report"):
            self.report = step.report
        return step

    async def result(self) -> RoleSyncReport:
        """Wait for the end of the synchronization; return its report.

        Raises:
            DiscordProxyException: as for an iteration.
        """
        async for _step in self:
            pass
        if self.report is None:
            raise ValueError("the synchronization was closed before its end")
        return self.report

    def close(self) -> None:
        """End the synchronization. Requests that were sent to Discord take effect, no further one is sent."""
        self._closed = True
        if self._call is not None:
            self._call.cancel()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> AsyncIterator[SyncGuildRolesProgress]:
        if self._items is None:
            self._call, self._items = self._calls._start_sync(self._request, self._timeout)  # noqa: SLF001 -- as above
        return self._items


class AsyncRoleCalls(AsyncCalls):
    """Calls about roles and bans."""

    @property
    def _stream_stub(self) -> DiscordApiAsyncStub:
        """The stub of the separate connection for streams, whose pings detect a lost peer."""
        raise NotImplementedError

    async def get_guild_roles(self, guild_id: int, *, fresh: bool = False, **call: Unpack[CallArguments]) -> list[Role]:
        """Return the roles of a guild. `fresh` bypasses the proxy's cache."""
        request = make(GuildId, guild_id=guild_id, fresh=fresh)
        return list((await self._read(self.stub.GetGuildRoles, request, **call)).roles)

    async def create_role(self, guild_id: int, **settings: Unpack[RoleSettings]) -> Role:
        """Create a role: `name`, `permissions`, `color`, `hoist`, `mentionable` ...: see RoleSettings."""
        fields, call = split_call(settings)
        request = make(CreateRoleRequest, guild_id=guild_id)
        fill(request, fields)
        return (await self._write(self.stub.CreateRole, request, **call)).role

    async def edit_role(self, guild_id: int, role_id: int, **changes: Unpack[RoleSettings]) -> Role:
        """Edit a role. Omitted arguments keep their value; None resets it. See RoleSettings."""
        fields, call = split_call(changes)
        request = make(EditRoleRequest, guild_id=guild_id, role_id=role_id)
        patch(request, fields)
        return (await self._write(self.stub.EditRole, request, **call)).role

    async def delete_role(
        self, guild_id: int, role_id: int, *, reason: str = "", **call: Unpack[CallArguments]
    ) -> None:
        """Delete a role."""
        request = make(RoleId, guild_id=guild_id, role_id=role_id, reason=reason)
        await self._write(self.stub.DeleteRole, request, **call)

    def sync_guild_roles(
        self,
        guild_id: int,
        roles: Mapping[int, Iterable[int]],
        *,
        mode: Literal["exact", "add_only"] = "exact",
        dry_run: bool = False,
        max_removals: int | None = None,
        fresh: bool = False,
        reason: str = "",
        timeout: Seconds | None = None,
    ) -> AsyncRoleSync:
        """Give roles of a guild to exactly the listed users, by one request for each member who has the wrong roles.

        Other roles of the members stay. Users who are not in the guild, and roles that the bot cannot assign, are
        reported. The requests have low priority. If the synchronization ends early, a second one does what is left.

        Args:
            guild_id: The guild.
            roles: The ids of the users who shall have a role, by id of the role.
            mode: "exact" removes a role from members who are not listed; "add_only" removes nothing.
            dry_run: End after the plan, without a change.
            max_removals: Refuse a plan with more removals, before the first change. None: 5, and one for every ten
                times that a member has one of these roles now.
            fresh: Read members and roles from Discord instead of the proxy's cache.
            reason: Reason for the audit log, up to 512 characters.
            timeout: Seconds until the synchronization ends; None or 0: when it is finished.

        Returns:
            An iterator over the progress: `async for step in sync: ...`; `await sync.result()` returns the report.

        Raises:
            ValueError: an argument is invalid.
        """
        members = [
            make(SyncGuildRolesRequest.RoleMembers, role_id=role_id, user_ids=items(f"roles[{role_id}]", user_ids))
            for role_id, user_ids in convert("roles", dict, roles).items()
        ]
        request = make(
            SyncGuildRolesRequest,
            guild_id=guild_id,
            roles=members,
            mode=choice("mode", SyncGuildRolesRequest.Mode, mode),
            dry_run=dry_run,
            max_removals=max_removals,
            fresh=fresh,
            reason=reason,
        )
        return AsyncRoleSync(self, request, seconds("timeout", timeout) or None)

    def _start_sync(
        self, request: SyncGuildRolesRequest, timeout: float | None
    ) -> tuple[Any, AsyncIterator[SyncGuildRolesProgress]]:
        require_time(timeout)
        metadata = (*self._metadata, ("x-request-id", os.urandom(8).hex()))
        with self._gate:
            call = self._stream_stub.SyncGuildRoles(request, timeout=timeout, metadata=metadata)
        return call, self._messages(call)

    def list_bans(
        self, guild_id: int, *, limit: int | None = None, **call: Unpack[CallArguments]
    ) -> AsyncIterator[Ban]:
        """Iterate over the bans of a guild in the order of user ids, page by page."""

        async def page(size: int, after: int | None) -> Sequence[Ban]:
            request = make(ListBansRequest, guild_id=guild_id, after=after, limit=size)
            return (await self._read(self.stub.ListBans, request, **call)).bans

        return self._pages(page, lambda ban: ban.user.id, _BANS_PER_PAGE, limit)

    async def get_ban(self, guild_id: int, user_id: int, **call: Unpack[CallArguments]) -> Ban:
        """Return the ban of a user.

        Raises:
            DiscordProxyHttpError: status 404 and code 10026: the user is not banned.
        """
        return (await self._read(self.stub.GetBan, make(MemberId, guild_id=guild_id, user_id=user_id), **call)).ban

    async def create_ban(
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
        await self._write(self.stub.CreateBan, request, **call)

    async def delete_ban(self, guild_id: int, user_id: int, *, reason: str = "", **call: Unpack[CallArguments]) -> None:
        """Remove the ban of a user."""
        request = make(MemberId, guild_id=guild_id, user_id=user_id, reason=reason)
        await self._write(self.stub.DeleteBan, request, **call)

    async def bulk_ban(
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
        return await self._write(self.stub.BulkBan, request, **call)

    async def get_role(self, guild_id: int, role_id: int, **call: Unpack[CallArguments]) -> Role:
        """Return a role."""
        request = make(RoleId, guild_id=guild_id, role_id=role_id)
        return (await self._read(self.stub.GetRole, request, **call)).role

    async def get_role_member_counts(self, guild_id: int, **call: Unpack[CallArguments]) -> dict[int, int]:
        """Return the number of members by role id. Roles without members, and @everyone, are missing."""
        return dict((await self._read(self.stub.GetRoleMemberCounts, make(GuildId, guild_id=guild_id), **call)).counts)

    async def edit_role_positions(
        self, guild_id: int, roles: Mapping[int, int], *, reason: str = "", **call: Unpack[CallArguments]
    ) -> list[Role]:
        """Change the positions of roles, given by role id; return all roles. Higher roles are above."""
        positions = convert("roles", _role_positions, roles)
        request = make(EditRolePositionsRequest, guild_id=guild_id, roles=positions, reason=reason)
        return list((await self._write(self.stub.EditRolePositions, request, **call)).roles)


def _role_positions(roles: Mapping[int, int]) -> list[RolePosition]:
    return [make(RolePosition, id=role_id, position=position) for role_id, position in roles.items()]
