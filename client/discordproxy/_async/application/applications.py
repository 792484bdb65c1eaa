"""Calls about the bot's application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discordproxy._async.calls import AsyncCalls
from discordproxy._requests.checks import make
from discordproxy._requests.compose import patch, split_call
from discordproxy.discord_api_pb2 import (
    ApplicationId,
    CommandPermissionsId,
    EditCurrentApplicationRequest,
    GetCurrentApplicationRequest,
    ListCommandPermissionsRequest,
    SetRoleConnectionMetadataRequest,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Unpack

    from discordproxy._requests.arguments import CallArguments
    from discordproxy._requests.settings import ApplicationChanges
    from discordproxy.discord_api_pb2 import Application, CommandPermissions, RoleConnectionMetadata


class AsyncApplicationCalls(AsyncCalls):
    """Calls about the bot's application, its linked roles and the permissions of its commands."""

    async def get_current_application(self, **call: Unpack[CallArguments]) -> Application:
        """Return the bot's application."""
        request = make(GetCurrentApplicationRequest)
        return (await self._read(self.stub.GetCurrentApplication, request, **call)).application

    async def edit_current_application(self, **changes: Unpack[ApplicationChanges]) -> Application:
        """Edit the bot's application. Omitted arguments keep their value; None resets it. See ApplicationChanges."""
        fields, call = split_call(changes)
        request = make(EditCurrentApplicationRequest)
        patch(request, fields)
        return (await self._write(self.stub.EditCurrentApplication, request, **call)).application

    async def get_role_connection_metadata(
        self, application_id: int, **call: Unpack[CallArguments]
    ) -> list[RoleConnectionMetadata]:
        """Return the metadata of the application's linked roles."""
        request = make(ApplicationId, application_id=application_id)
        return list((await self._read(self.stub.GetRoleConnectionMetadata, request, **call)).metadata)

    async def set_role_connection_metadata(
        self, application_id: int, metadata: Iterable[RoleConnectionMetadata], **call: Unpack[CallArguments]
    ) -> list[RoleConnectionMetadata]:
        """Replace the metadata of the application's linked roles, up to 5 properties."""
        request = make(SetRoleConnectionMetadataRequest, application_id=application_id, metadata=metadata)
        return list((await self._write(self.stub.SetRoleConnectionMetadata, request, **call)).metadata)

    async def get_command_permissions(
        self, application_id: int, guild_id: int, command_id: int, **call: Unpack[CallArguments]
    ) -> CommandPermissions:
        """Return the permissions of a command in a guild. Status 404: it has none of its own."""
        request = make(CommandPermissionsId, application_id=application_id, guild_id=guild_id, command_id=command_id)
        return (await self._read(self.stub.GetCommandPermissions, request, **call)).permissions

    async def list_command_permissions(
        self, application_id: int, guild_id: int, **call: Unpack[CallArguments]
    ) -> list[CommandPermissions]:
        """Return the permissions of all commands of the application in a guild."""
        request = make(ListCommandPermissionsRequest, application_id=application_id, guild_id=guild_id)
        return list((await self._read(self.stub.ListCommandPermissions, request, **call)).permissions)
