# Generated from _async/guild/guilds.py by client/generate_sync.py; edit that file and run it again.
"""Calls about guilds, their emojis, voice states, permissions and scheduled events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discordproxy._requests.checks import make
from discordproxy._requests.compose import fill, patch, split_call
from discordproxy._sync.calls import Calls
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
    from collections.abc import Iterator, Sequence

    from typing_extensions import Unpack

    from discordproxy._requests.arguments import CallArguments, ScheduledEventChanges, ScheduledEventSettings
    from discordproxy.discord_api_pb2 import ComputePermissionsResponse, Emoji, Guild, ScheduledEvent, VoiceState

_GUILDS_PER_PAGE = 200
_GUILD_ONLY = 2


class GuildCalls(Calls):
    """Calls about guilds and scheduled events."""

    def get_guild(
        self, guild_id: int, *, fresh: bool = False, with_counts: bool = False, **call: Unpack[CallArguments]
    ) -> Guild:
        """Return a guild.

        Args:
            guild_id: The guild.
            fresh: Read from Discord instead of the proxy's cache.
            with_counts: Fill approximate_member_count and approximate_presence_count.
            call: `timeout`, `priority`, `max_wait`, `idempotency_key`: see CallArguments.
        """
        request = make(GetGuildRequest, guild_id=guild_id, fresh=fresh, with_counts=with_counts or None)
        return self._read(self.stub.GetGuild, request, **call).guild

    def list_guilds(
        self,
        *,
        limit: int | None = None,
        with_counts: bool = False,
        fresh: bool = False,
        **call: Unpack[CallArguments],
    ) -> Iterator[Guild]:
        """Iterate over the bot's guilds, page by page. Discord fills only some of their fields.

        `permissions` is set only with `fresh` or `with_counts`.
        """

        def page(size: int, after: int | None) -> Sequence[Guild]:
            request = make(ListGuildsRequest, after=after, limit=size, with_counts=with_counts or None, fresh=fresh)
            return self._read(self.stub.ListGuilds, request, **call).guilds

        return self._pages(page, lambda guild: guild.id, _GUILDS_PER_PAGE, limit)

    def get_guild_emojis(self, guild_id: int, *, fresh: bool = False, **call: Unpack[CallArguments]) -> list[Emoji]:
        """Return the custom emojis of a guild. `fresh` bypasses the proxy's cache."""
        request = make(GuildId, guild_id=guild_id, fresh=fresh)
        return list(self._read(self.stub.GetGuildEmojis, request, **call).emojis)

    def get_voice_states(
        self, guild_id: int, *, channel_id: int = 0, **call: Unpack[CallArguments]
    ) -> list[VoiceState]:
        """Return the voice states of a guild, or of one of its channels.

        The proxy needs a gateway worker with the intent voice_states: no endpoint of Discord lists voice states.
        """
        request = make(GetVoiceStatesRequest, guild_id=guild_id, channel_id=channel_id)
        return list(self._read(self.stub.GetVoiceStates, request, **call).voice_states)

    def compute_permissions(
        self,
        guild_id: int,
        *,
        channel_id: int = 0,
        user_id: int = 0,
        fresh: bool = False,
        **call: Unpack[CallArguments],
    ) -> ComputePermissionsResponse:
        """Return the permissions of a member, and the reasons why the member cannot send messages.

        Args:
            guild_id: The guild.
            channel_id: Channel or thread of the guild; 0: permissions in the guild.
            user_id: The member; 0: the bot.
            fresh: Read from Discord instead of the proxy's cache.
            call: `timeout`, `priority`, `max_wait`, `idempotency_key`: see CallArguments.
        """
        request = make(
            ComputePermissionsRequest, guild_id=guild_id, channel_id=channel_id, user_id=user_id, fresh=fresh
        )
        return self._read(self.stub.ComputePermissions, request, **call)

    def list_scheduled_events(self, guild_id: int, **call: Unpack[CallArguments]) -> list[ScheduledEvent]:
        """Return the scheduled events of a guild."""
        request = make(GuildId, guild_id=guild_id)
        return list(self._read(self.stub.ListScheduledEvents, request, **call).scheduled_events)

    def create_scheduled_event(
        self,
        guild_id: int,
        name: str,
        scheduled_start_time: str,
        entity_type: int,
        **settings: Unpack[ScheduledEventSettings],
    ) -> ScheduledEvent:
        """Create a scheduled event.

        Args:
            guild_id: The guild.
            name: 1 to 100 characters.
            scheduled_start_time: ISO 8601.
            entity_type: Place of the event: 1 = stage, 2 = voice channel, 3 = external.
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
        return self._write(self.stub.CreateScheduledEvent, request, **call).scheduled_event

    def edit_scheduled_event(
        self, guild_id: int, event_id: int, **changes: Unpack[ScheduledEventChanges]
    ) -> ScheduledEvent:
        """Edit, start or end a scheduled event. Omitted arguments keep their value; None resets it."""
        fields, call = split_call(changes)
        request = make(EditScheduledEventRequest, guild_id=guild_id, guild_scheduled_event_id=event_id)
        patch(request, fields)
        return self._write(self.stub.EditScheduledEvent, request, **call).scheduled_event

    def delete_scheduled_event(self, guild_id: int, event_id: int, **call: Unpack[CallArguments]) -> None:
        """Delete a scheduled event."""
        request = make(ScheduledEventId, guild_id=guild_id, guild_scheduled_event_id=event_id)
        self._write(self.stub.DeleteScheduledEvent, request, **call)
