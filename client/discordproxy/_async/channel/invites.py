"""Calls about existing invites."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discordproxy._async.calls import AsyncCalls
from discordproxy._requests.checks import make
from discordproxy.discord_api_pb2 import ChannelId, GetInviteRequest, GuildId, InviteCode, SetInviteTargetUsersRequest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Unpack

    from discordproxy._requests.arguments import CallArguments
    from discordproxy.discord_api_pb2 import Invite, InviteTargetUsersJobResponse


class AsyncInviteCalls(AsyncCalls):
    """Calls about existing invites."""

    async def get_invite(
        self, code: str, *, with_counts: bool = False, guild_scheduled_event_id: int = 0, **call: Unpack[CallArguments]
    ) -> Invite:
        """Return an invite. `with_counts` fills the approximate counts."""
        request = make(
            GetInviteRequest, code=code, with_counts=with_counts, guild_scheduled_event_id=guild_scheduled_event_id
        )
        return (await self._read(self.stub.GetInvite, request, **call)).invite

    async def list_channel_invites(self, channel_id: int, **call: Unpack[CallArguments]) -> list[Invite]:
        """Return the invites to a channel."""
        request = make(ChannelId, channel_id=channel_id)
        return list((await self._read(self.stub.ListChannelInvites, request, **call)).invites)

    async def list_guild_invites(self, guild_id: int, **call: Unpack[CallArguments]) -> list[Invite]:
        """Return the invites to a guild."""
        request = make(GuildId, guild_id=guild_id)
        return list((await self._read(self.stub.ListGuildInvites, request, **call)).invites)

    async def get_invite_target_users(self, code: str, **call: Unpack[CallArguments]) -> list[int]:
        """Return the ids of the users for whom an invite is."""
        request = make(InviteCode, code=code)
        return list((await self._read(self.stub.GetInviteTargetUsers, request, **call)).user_ids)

    async def set_invite_target_users(self, code: str, user_ids: Iterable[int], **call: Unpack[CallArguments]) -> None:
        """Replace the users for whom an invite is. Discord processes them in the background."""
        request = make(SetInviteTargetUsersRequest, code=code, user_ids=user_ids)
        await self._write(self.stub.SetInviteTargetUsers, request, **call)

    async def get_invite_target_users_job(
        self, code: str, **call: Unpack[CallArguments]
    ) -> InviteTargetUsersJobResponse:
        """Return how far Discord has processed the target users of an invite."""
        request = make(InviteCode, code=code)
        return await self._read(self.stub.GetInviteTargetUsersJob, request, **call)
