"""Calls about templates of guilds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discordproxy._async.calls import AsyncCalls
from discordproxy._requests.checks import make
from discordproxy._requests.compose import patch, split_call
from discordproxy.discord_api_pb2 import (
    CreateGuildTemplateRequest,
    EditGuildTemplateRequest,
    GetGuildTemplateRequest,
    GuildId,
    GuildTemplateCode,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from discordproxy._requests.arguments import CallArguments
    from discordproxy._requests.settings import TemplateChanges
    from discordproxy.discord_api_pb2 import GuildTemplate


class AsyncTemplateCalls(AsyncCalls):
    """Calls about templates of guilds."""

    async def get_guild_template(self, code: str, **call: Unpack[CallArguments]) -> GuildTemplate:
        """Return any template of a guild."""
        request = make(GetGuildTemplateRequest, code=code)
        return (await self._read(self.stub.GetGuildTemplate, request, **call)).template

    async def list_guild_templates(self, guild_id: int, **call: Unpack[CallArguments]) -> list[GuildTemplate]:
        """Return the templates of a guild."""
        request = make(GuildId, guild_id=guild_id)
        return list((await self._read(self.stub.ListGuildTemplates, request, **call)).templates)

    async def create_guild_template(
        self, guild_id: int, name: str, *, description: str | None = None, **call: Unpack[CallArguments]
    ) -> GuildTemplate:
        """Create a template of a guild."""
        request = make(CreateGuildTemplateRequest, guild_id=guild_id, name=name, description=description)
        return (await self._write(self.stub.CreateGuildTemplate, request, **call)).template

    async def sync_guild_template(self, guild_id: int, code: str, **call: Unpack[CallArguments]) -> GuildTemplate:
        """Update a template to the guild's current state."""
        request = make(GuildTemplateCode, guild_id=guild_id, code=code)
        return (await self._write(self.stub.SyncGuildTemplate, request, **call)).template

    async def edit_guild_template(self, guild_id: int, code: str, **changes: Unpack[TemplateChanges]) -> GuildTemplate:
        """Edit name and description of a template. Omitted arguments keep their value; None resets it."""
        fields, call = split_call(changes)
        request = make(EditGuildTemplateRequest, guild_id=guild_id, code=code)
        patch(request, fields)
        return (await self._write(self.stub.EditGuildTemplate, request, **call)).template

    async def delete_guild_template(self, guild_id: int, code: str, **call: Unpack[CallArguments]) -> GuildTemplate:
        """Delete a template; return it."""
        request = make(GuildTemplateCode, guild_id=guild_id, code=code)
        return (await self._write(self.stub.DeleteGuildTemplate, request, **call)).template
