"""Guilds: themselves, their emojis, their scheduled events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discordproxy._async.calls import AsyncCalls
from discordproxy._requests.checks import make
from discordproxy._requests.compose import fill, patch, split_call
from discordproxy.discord_api_pb2 import (
    ComputePermissionsRequest,
    CreateScheduledEventRequest,
    EditScheduledEventRequest,
    GetGuildRequest,
    GetVoiceStatesRequest,
    GuildId,
    ListGuildsRequest,
    ScheduledEventId,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from typing_extensions import Unpack

    from discordproxy._requests.arguments import CallArguments, ScheduledEventChanges, ScheduledEventSettings
    from discordproxy.discord_api_pb2 import ComputePermissionsResponse, Emoji, Guild, ScheduledEvent, VoiceState

_GUILDS_PER_PAGE = 200
_GUILD_ONLY = 2


class AsyncGuildCalls(AsyncCalls):
    """Calls about guilds."""

    async def get_guild(
        self, guild_id: int, *, fresh: bool = False, with_counts: bool = False, **call: Unpack[CallArguments]
    ) -> Guild:
        """Return a guild.

        Args:
            guild_id: The guild.
            fresh: Ask Discord even if the proxy knows the guild.
            with_counts: Fill the approximate numbers of members.
            call: `timeout` and the like: see CallArguments.
        """
        request = make(GetGuildRequest, guild_id=guild_id, fresh=fresh, with_counts=with_counts or None)
        return (await self._read(self.stub.GetGuild, request, **call)).guild

    def list_guilds(
        self,
        *,
        limit: int | None = None,
        with_counts: bool = False,
        fresh: bool = False,
        **call: Unpack[CallArguments],
    ) -> AsyncIterator[Guild]:
        """Iterate over the guilds the bot is in, page by page; only some fields of them are filled.

        `permissions` is there only when Discord was asked: with `fresh` or `with_counts`.
        """

        async def page(size: int, after: int | None) -> Sequence[Guild]:
            request = make(ListGuildsRequest, after=after, limit=size, with_counts=with_counts or None, fresh=fresh)
            return (await self._read(self.stub.ListGuilds, request, **call)).guilds

        return self._pages(page, lambda guild: guild.id, _GUILDS_PER_PAGE, limit)

    async def get_guild_emojis(
        self, guild_id: int, *, fresh: bool = False, **call: Unpack[CallArguments]
    ) -> list[Emoji]:
        """Return the emojis of a guild."""
        request = make(GuildId, guild_id=guild_id, fresh=fresh)
        return list((await self._read(self.stub.GetGuildEmojis, request, **call)).emojis)

    async def get_voice_states(
        self, guild_id: int, *, channel_id: int = 0, **call: Unpack[CallArguments]
    ) -> list[VoiceState]:
        """Return who is in the voice channels of a guild, or in one of them.

        Only the gateway tells: the proxy needs a gateway worker with the intent voice_states.
        """
        request = make(GetVoiceStatesRequest, guild_id=guild_id, channel_id=channel_id)
        return list((await self._read(self.stub.GetVoiceStates, request, **call)).voice_states)

    async def compute_permissions(
        self,
        guild_id: int,
        *,
        channel_id: int = 0,
        user_id: int = 0,
        fresh: bool = False,
        **call: Unpack[CallArguments],
    ) -> ComputePermissionsResponse:
        """Return what a member may do, and what keeps the member from sending a message.

        Args:
            guild_id: The guild.
            channel_id: A channel or thread of it; 0 for the guild as a whole.
            user_id: The member; 0 for the bot.
            fresh: Ask Discord even if the proxy knows guild, channel and member.
            call: `timeout` and the like: see CallArguments.
        """
        request = make(
            ComputePermissionsRequest, guild_id=guild_id, channel_id=channel_id, user_id=user_id, fresh=fresh
        )
        return await self._read(self.stub.ComputePermissions, request, **call)

    async def list_scheduled_events(self, guild_id: int, **call: Unpack[CallArguments]) -> list[ScheduledEvent]:
        """Return the scheduled events of a guild."""
        request = make(GuildId, guild_id=guild_id)
        return list((await self._read(self.stub.ListScheduledEvents, request, **call)).scheduled_events)

    async def create_scheduled_event(
        self,
        guild_id: int,
        name: str,
        scheduled_start_time: str,
        entity_type: int,
        **settings: Unpack[ScheduledEventSettings],
    ) -> ScheduledEvent:
        """Schedule an event.

        Args:
            guild_id: The guild.
            name: Of the event.
            scheduled_start_time: ISO 8601.
            entity_type: Where it takes place: 1 = stage, 2 = voice channel, 3 = elsewhere.
            settings: `channel_id`, `entity_metadata`, `scheduled_end_time` ...: see ScheduledEventSettings.
        """
        fields, call = split_call(settings)
        fields.setdefault("privacy_level", _GUILD_ONLY)
        request = make(
            CreateScheduledEventRequest,
            guild_id=guild_id,
            name=name,
            scheduled_start_time=scheduled_start_time,
            entity_type=entity_type,
        )
        fill(request, fields)
        return (await self._write(self.stub.CreateScheduledEvent, request, **call)).scheduled_event

    async def edit_scheduled_event(
        self, guild_id: int, event_id: int, **changes: Unpack[ScheduledEventChanges]
    ) -> ScheduledEvent:
        """Edit, start or end a scheduled event. What is not given stays as it is; None resets it."""
        fields, call = split_call(changes)
        request = make(EditScheduledEventRequest, guild_id=guild_id, guild_scheduled_event_id=event_id)
        patch(request, fields)
        return (await self._write(self.stub.EditScheduledEvent, request, **call)).scheduled_event

    async def delete_scheduled_event(self, guild_id: int, event_id: int, **call: Unpack[CallArguments]) -> None:
        """Delete a scheduled event."""
        request = make(ScheduledEventId, guild_id=guild_id, guild_scheduled_event_id=event_id)
        await self._write(self.stub.DeleteScheduledEvent, request, **call)
