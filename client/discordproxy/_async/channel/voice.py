"""Calls about voice states, voice regions and stages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discordproxy._async.calls import AsyncCalls
from discordproxy._requests.checks import make
from discordproxy._requests.compose import patch, split_call
from discordproxy.discord_api_pb2 import (
    ChannelId,
    CreateStageInstanceRequest,
    EditCurrentVoiceStateRequest,
    EditStageInstanceRequest,
    EditVoiceStateRequest,
    GuildId,
    ListVoiceRegionsRequest,
    MemberId,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from discordproxy._requests.arguments import CallArguments
    from discordproxy._requests.settings import VoiceStateChanges
    from discordproxy.discord_api_pb2 import StageInstance, VoiceRegion, VoiceState


class AsyncVoiceCalls(AsyncCalls):
    """Calls about voice states, voice regions and stages."""

    async def create_stage_instance(
        self,
        channel_id: int,
        topic: str,
        *,
        privacy_level: int | None = None,
        send_start_notification: bool | None = None,
        guild_scheduled_event_id: int | None = None,
        reason: str = "",
        **call: Unpack[CallArguments],
    ) -> StageInstance:
        """Start a stage in a stage channel.

        Args:
            channel_id: The stage channel.
            topic: 1 to 120 characters.
            privacy_level: 2 = guild only (default).
            send_start_notification: Whether to notify @everyone.
            guild_scheduled_event_id: The scheduled event that starts.
            reason: Reason for the audit log, up to 512 characters.
            call: `timeout`, `priority`, `max_wait`, `idempotency_key`: see CallArguments.
        """
        request = make(
            CreateStageInstanceRequest,
            channel_id=channel_id,
            topic=topic,
            privacy_level=privacy_level,
            send_start_notification=send_start_notification,
            guild_scheduled_event_id=guild_scheduled_event_id,
            reason=reason,
        )
        return (await self._write(self.stub.CreateStageInstance, request, **call)).stage_instance

    async def get_stage_instance(self, channel_id: int, **call: Unpack[CallArguments]) -> StageInstance:
        """Return the stage of a stage channel. Status 404: it is not live."""
        request = make(ChannelId, channel_id=channel_id)
        return (await self._read(self.stub.GetStageInstance, request, **call)).stage_instance

    async def edit_stage_instance(
        self,
        channel_id: int,
        *,
        topic: str | None = None,
        privacy_level: int | None = None,
        reason: str = "",
        **call: Unpack[CallArguments],
    ) -> StageInstance:
        """Edit the stage of a stage channel. Arguments that are None keep their value."""
        request = make(
            EditStageInstanceRequest, channel_id=channel_id, topic=topic, privacy_level=privacy_level, reason=reason
        )
        return (await self._write(self.stub.EditStageInstance, request, **call)).stage_instance

    async def delete_stage_instance(self, channel_id: int, *, reason: str = "", **call: Unpack[CallArguments]) -> None:
        """End the stage of a stage channel."""
        request = make(ChannelId, channel_id=channel_id, reason=reason)
        await self._write(self.stub.DeleteStageInstance, request, **call)

    async def get_voice_state(self, guild_id: int, user_id: int, **call: Unpack[CallArguments]) -> VoiceState:
        """Return the voice state of a user. Status 404: the user is not in a voice channel."""
        request = make(MemberId, guild_id=guild_id, user_id=user_id)
        return (await self._read(self.stub.GetVoiceState, request, **call)).voice_state

    async def get_current_voice_state(self, guild_id: int, **call: Unpack[CallArguments]) -> VoiceState:
        """Return the bot's voice state."""
        request = make(GuildId, guild_id=guild_id)
        return (await self._read(self.stub.GetCurrentVoiceState, request, **call)).voice_state

    async def edit_voice_state(
        self,
        guild_id: int,
        user_id: int,
        *,
        channel_id: int | None = None,
        suppress: bool | None = None,
        **call: Unpack[CallArguments],
    ) -> None:
        """Move a user between the speakers and the audience (`suppress`) of a stage."""
        request = make(
            EditVoiceStateRequest, guild_id=guild_id, user_id=user_id, channel_id=channel_id, suppress=suppress
        )
        await self._write(self.stub.EditVoiceState, request, **call)

    async def edit_current_voice_state(self, guild_id: int, **changes: Unpack[VoiceStateChanges]) -> None:
        """Move the bot between the speakers and the audience of a stage, or request to speak. See VoiceStateChanges."""
        fields, call = split_call(changes)
        request = make(EditCurrentVoiceStateRequest, guild_id=guild_id)
        patch(request, fields)
        await self._write(self.stub.EditCurrentVoiceState, request, **call)

    async def list_voice_regions(self, **call: Unpack[CallArguments]) -> list[VoiceRegion]:
        """Return Discord's voice regions."""
        request = make(ListVoiceRegionsRequest)
        return list((await self._read(self.stub.ListVoiceRegions, request, **call)).regions)

    async def list_guild_voice_regions(self, guild_id: int, **call: Unpack[CallArguments]) -> list[VoiceRegion]:
        """Return the voice regions of a guild, which include those for VIPs."""
        request = make(GuildId, guild_id=guild_id)
        return list((await self._read(self.stub.ListGuildVoiceRegions, request, **call)).regions)
