"""Calls about soundboards."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discordproxy._async.calls import AsyncCalls
from discordproxy._requests.checks import make
from discordproxy._requests.compose import patch, split_call
from discordproxy.discord_api_pb2 import (
    CreateGuildSoundboardSoundRequest,
    EditGuildSoundboardSoundRequest,
    GuildId,
    ListDefaultSoundboardSoundsRequest,
    SendSoundboardSoundRequest,
    SoundboardSoundId,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from discordproxy._requests.arguments import CallArguments
    from discordproxy._requests.settings import SoundChanges
    from discordproxy.discord_api_pb2 import SoundboardSound


class AsyncSoundboardCalls(AsyncCalls):
    """Calls about the sounds of guilds, and default sounds."""

    async def list_guild_soundboard_sounds(self, guild_id: int, **call: Unpack[CallArguments]) -> list[SoundboardSound]:
        """Return the sounds of a guild's soundboard."""
        request = make(GuildId, guild_id=guild_id)
        return list((await self._read(self.stub.ListGuildSoundboardSounds, request, **call)).sounds)

    async def get_guild_soundboard_sound(
        self, guild_id: int, sound_id: int, **call: Unpack[CallArguments]
    ) -> SoundboardSound:
        """Return a sound of a guild's soundboard."""
        request = make(SoundboardSoundId, guild_id=guild_id, sound_id=sound_id)
        return (await self._read(self.stub.GetGuildSoundboardSound, request, **call)).sound

    async def create_guild_soundboard_sound(
        self,
        guild_id: int,
        name: str,
        sound: str,
        *,
        volume: float | None = None,
        emoji_id: int | None = None,
        emoji_name: str | None = None,
        reason: str = "",
        **call: Unpack[CallArguments],
    ) -> SoundboardSound:
        """Create a sound in a guild's soundboard.

        Args:
            guild_id: The guild.
            name: 2 to 32 characters.
            sound: MP3 or OGG as a data URI, up to 512 KiB and 5.2 seconds.
            volume: 0 to 1. Default: 1.
            emoji_id: A custom emoji.
            emoji_name: A unicode emoji.
            reason: Reason for the audit log, up to 512 characters.
            call: `timeout`, `priority`, `max_wait`, `idempotency_key`: see CallArguments.
        """
        request = make(
            CreateGuildSoundboardSoundRequest,
            guild_id=guild_id,
            name=name,
            sound=sound,
            volume=volume,
            emoji_id=emoji_id,
            emoji_name=emoji_name,
            reason=reason,
        )
        return (await self._write(self.stub.CreateGuildSoundboardSound, request, **call)).sound

    async def edit_guild_soundboard_sound(
        self, guild_id: int, sound_id: int, **changes: Unpack[SoundChanges]
    ) -> SoundboardSound:
        """Edit a sound of a guild's soundboard. Omitted arguments keep their value; None resets it."""
        fields, call = split_call(changes)
        request = make(EditGuildSoundboardSoundRequest, guild_id=guild_id, sound_id=sound_id)
        patch(request, fields)
        return (await self._write(self.stub.EditGuildSoundboardSound, request, **call)).sound

    async def delete_guild_soundboard_sound(
        self, guild_id: int, sound_id: int, *, reason: str = "", **call: Unpack[CallArguments]
    ) -> None:
        """Delete a sound of a guild's soundboard."""
        request = make(SoundboardSoundId, guild_id=guild_id, sound_id=sound_id, reason=reason)
        await self._write(self.stub.DeleteGuildSoundboardSound, request, **call)

    async def list_default_soundboard_sounds(self, **call: Unpack[CallArguments]) -> list[SoundboardSound]:
        """Return Discord's default sounds."""
        request = make(ListDefaultSoundboardSoundsRequest)
        return list((await self._read(self.stub.ListDefaultSoundboardSounds, request, **call)).sounds)

    async def send_soundboard_sound(
        self, channel_id: int, sound_id: int, *, source_guild_id: int = 0, **call: Unpack[CallArguments]
    ) -> None:
        """Play a sound in the voice channel to which the bot is connected."""
        request = make(
            SendSoundboardSoundRequest, channel_id=channel_id, sound_id=sound_id, source_guild_id=source_guild_id
        )
        await self._write(self.stub.SendSoundboardSound, request, **call)
