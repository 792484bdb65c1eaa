"""Calls about the settings of guilds: onboarding, welcome screen, widget, integrations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discordproxy._async.calls import AsyncCalls
from discordproxy._requests.checks import make
from discordproxy._requests.compose import patch, split_call
from discordproxy.discord_api_pb2 import (
    EditGuildRequest,
    EditWelcomeScreenRequest,
    EditWidgetSettingsRequest,
    GuildId,
    IntegrationId,
    SetOnboardingRequest,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from discordproxy._requests.arguments import CallArguments
    from discordproxy._requests.settings import GuildChanges, OnboardingChanges, WelcomeScreenChanges, WidgetChanges
    from discordproxy.discord_api_pb2 import (
        Guild,
        Integration,
        OnboardingResponse,
        VanityUrlResponse,
        WelcomeScreenResponse,
        WidgetResponse,
        WidgetSettingsResponse,
    )


class AsyncGuildSettingsCalls(AsyncCalls):
    """Calls about the settings of guilds."""

    async def edit_guild(self, guild_id: int, **changes: Unpack[GuildChanges]) -> Guild:
        """Edit a guild. Omitted arguments keep their value; None resets it. See GuildChanges."""
        fields, call = split_call(changes)
        request = make(EditGuildRequest, guild_id=guild_id)
        patch(request, fields)
        return (await self._write(self.stub.EditGuild, request, **call)).guild

    async def get_guild_preview(self, guild_id: int, **call: Unpack[CallArguments]) -> Guild:
        """Return the public preview of a guild, in which only some fields are filled."""
        request = make(GuildId, guild_id=guild_id)
        return (await self._read(self.stub.GetGuildPreview, request, **call)).guild

    async def get_onboarding(self, guild_id: int, **call: Unpack[CallArguments]) -> OnboardingResponse:
        """Return the onboarding of a guild."""
        request = make(GuildId, guild_id=guild_id)
        return await self._read(self.stub.GetOnboarding, request, **call)

    async def set_onboarding(self, guild_id: int, **changes: Unpack[OnboardingChanges]) -> OnboardingResponse:
        """Set the onboarding of a guild. Omitted arguments keep their value; lists replace. See OnboardingChanges."""
        fields, call = split_call(changes)
        request = make(SetOnboardingRequest, guild_id=guild_id)
        patch(request, fields)
        return await self._write(self.stub.SetOnboarding, request, **call)

    async def get_welcome_screen(self, guild_id: int, **call: Unpack[CallArguments]) -> WelcomeScreenResponse:
        """Return the welcome screen of a guild."""
        request = make(GuildId, guild_id=guild_id)
        return await self._read(self.stub.GetWelcomeScreen, request, **call)

    async def edit_welcome_screen(
        self, guild_id: int, **changes: Unpack[WelcomeScreenChanges]
    ) -> WelcomeScreenResponse:
        """Edit the welcome screen of a guild. Omitted arguments keep their value; None resets it."""
        fields, call = split_call(changes)
        request = make(EditWelcomeScreenRequest, guild_id=guild_id)
        patch(request, fields)
        return await self._write(self.stub.EditWelcomeScreen, request, **call)

    async def get_widget_settings(self, guild_id: int, **call: Unpack[CallArguments]) -> WidgetSettingsResponse:
        """Return the settings of a guild's widget."""
        request = make(GuildId, guild_id=guild_id)
        return await self._read(self.stub.GetWidgetSettings, request, **call)

    async def edit_widget_settings(self, guild_id: int, **changes: Unpack[WidgetChanges]) -> WidgetSettingsResponse:
        """Edit the settings of a guild's widget. Omitted arguments keep their value; None resets it."""
        fields, call = split_call(changes)
        request = make(EditWidgetSettingsRequest, guild_id=guild_id)
        patch(request, fields)
        return await self._write(self.stub.EditWidgetSettings, request, **call)

    async def get_widget(self, guild_id: int, **call: Unpack[CallArguments]) -> WidgetResponse:
        """Return the widget of a guild, if it is enabled."""
        request = make(GuildId, guild_id=guild_id)
        return await self._read(self.stub.GetWidget, request, **call)

    async def get_vanity_url(self, guild_id: int, **call: Unpack[CallArguments]) -> VanityUrlResponse:
        """Return the vanity URL of a guild: the `code` of its invite, and `uses`."""
        request = make(GuildId, guild_id=guild_id)
        return await self._read(self.stub.GetVanityUrl, request, **call)

    async def list_integrations(self, guild_id: int, **call: Unpack[CallArguments]) -> list[Integration]:
        """Return the integrations of a guild."""
        request = make(GuildId, guild_id=guild_id)
        return list((await self._read(self.stub.ListIntegrations, request, **call)).integrations)

    async def delete_integration(
        self, guild_id: int, integration_id: int, *, reason: str = "", **call: Unpack[CallArguments]
    ) -> None:
        """Delete an integration; a bot is removed from the guild, too."""
        request = make(IntegrationId, guild_id=guild_id, integration_id=integration_id, reason=reason)
        await self._write(self.stub.DeleteIntegration, request, **call)
