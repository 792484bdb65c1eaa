"""Calls about the moderation of guilds: audit log, pruning, incidents, requests to join."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discordproxy._async.calls import AsyncCalls
from discordproxy._requests.checks import make
from discordproxy._requests.compose import patch, split_call
from discordproxy.discord_api_pb2 import (
    GetAuditLogRequest,
    GetPruneCountRequest,
    ListJoinRequestsRequest,
    PruneGuildRequest,
    ReviewJoinRequestRequest,
    SetIncidentActionsRequest,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from typing_extensions import Unpack

    from discordproxy._requests.arguments import CallArguments
    from discordproxy._requests.settings import IncidentActions
    from discordproxy.discord_api_pb2 import AuditLogEntry, IncidentActionsResponse, JoinRequest

_ENTRIES_PER_PAGE = 100
_REQUESTS_PER_PAGE = 100


class AsyncModerationCalls(AsyncCalls):
    """Calls about the moderation of guilds."""

    def get_audit_log(
        self,
        guild_id: int,
        *,
        user_id: int = 0,
        target_id: int = 0,
        action_type: AuditLogEntry.ActionType.ValueType | None = None,
        limit: int | None = None,
        before: int | None = None,
        after: int | None = None,
        **call: Unpack[CallArguments],
    ) -> AsyncIterator[AuditLogEntry]:
        """Iterate over the audit log of a guild, page by page: newest first, or oldest first with `after`.

        `call("GetAuditLog", request)` returns the users, webhooks and other objects of a page, too.

        Args:
            guild_id: The guild.
            user_id: Only actions of this user; 0: of all users.
            target_id: Only actions on this object; 0: on all objects.
            action_type: Only actions of this kind, such as AuditLogEntry.MEMBER_KICK; None: of all kinds.
            limit: Maximum number of entries; None: all.
            before: Only entries before this id. `snowflake_at` returns the id of a time.
            after: Only entries after this id.
            call: `timeout` and the others of CallArguments, for each page.
        """

        async def page(size: int, last_id: int | None) -> Sequence[AuditLogEntry]:
            request = make(
                GetAuditLogRequest,
                guild_id=guild_id,
                user_id=user_id,
                target_id=target_id,
                action_type=action_type,
                before=(last_id or before) if after is None else before,
                after=None if after is None else last_id or after,
                limit=size,
            )
            entries = (await self._read(self.stub.GetAuditLog, request, **call)).audit_log_entries
            return sorted(entries, key=lambda entry: entry.id, reverse=after is None)

        return self._pages(page, lambda entry: entry.id, _ENTRIES_PER_PAGE, limit)

    async def get_prune_count(
        self,
        guild_id: int,
        *,
        days: int | None = None,
        include_roles: Iterable[int] = (),
        **call: Unpack[CallArguments],
    ) -> int:
        """Return how many members prune_guild would remove. See prune_guild."""
        request = make(GetPruneCountRequest, guild_id=guild_id, days=days, include_roles=include_roles)
        return (await self._read(self.stub.GetPruneCount, request, **call)).pruned

    async def prune_guild(
        self,
        guild_id: int,
        *,
        days: int | None = None,
        compute_prune_count: bool | None = None,
        include_roles: Iterable[int] = (),
        reason: str = "",
        **call: Unpack[CallArguments],
    ) -> int:
        """Remove members without activity; return their number, 0 without `compute_prune_count`.

        Args:
            guild_id: The guild.
            days: Days without activity, 1 to 30. Default: 7.
            compute_prune_count: Whether to count; False is recommended for large guilds. Default: True.
            include_roles: Roles whose members are removed, too. Default: only members without roles.
            reason: Reason for the audit log, up to 512 characters.
            call: `timeout`, `priority`, `max_wait`, `idempotency_key`: see CallArguments.
        """
        request = make(
            PruneGuildRequest,
            guild_id=guild_id,
            days=days,
            compute_prune_count=compute_prune_count,
            include_roles=include_roles,
            reason=reason,
        )
        return (await self._write(self.stub.PruneGuild, request, **call)).pruned

    async def set_incident_actions(self, guild_id: int, **actions: Unpack[IncidentActions]) -> IncidentActionsResponse:
        """Pause invites or direct messages between members for up to 24 hours. See IncidentActions."""
        fields, call = split_call(actions)
        request = make(SetIncidentActionsRequest, guild_id=guild_id)
        patch(request, fields)
        return await self._write(self.stub.SetIncidentActions, request, **call)

    def list_join_requests(
        self, guild_id: int, *, status: str = "", limit: int | None = None, **call: Unpack[CallArguments]
    ) -> AsyncIterator[JoinRequest]:
        """Iterate over the requests to join a guild, page by page. status: STARTED, SUBMITTED, REJECTED or APPROVED."""

        async def page(size: int, last_id: int | None) -> Sequence[JoinRequest]:
            request = make(ListJoinRequestsRequest, guild_id=guild_id, status=status, after=last_id, limit=size)
            return (await self._read(self.stub.ListJoinRequests, request, **call)).guild_join_requests

        return self._pages(page, lambda request: request.id, _REQUESTS_PER_PAGE, limit)

    async def review_join_request(
        self,
        guild_id: int,
        request_id: int,
        action: str,
        *,
        rejection_reason: str | None = None,
        **call: Unpack[CallArguments],
    ) -> JoinRequest:
        """Approve or reject a request to join a guild; `action` is "APPROVED" or "REJECTED"."""
        request = make(
            ReviewJoinRequestRequest,
            guild_id=guild_id,
            request_id=request_id,
            action=action,
            rejection_reason=rejection_reason,
        )
        return (await self._write(self.stub.ReviewJoinRequest, request, **call)).request
