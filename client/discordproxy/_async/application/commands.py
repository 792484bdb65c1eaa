"""Calls about application commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discordproxy._async.calls import AsyncCalls
from discordproxy._requests.checks import items, make
from discordproxy._requests.commands import declared_commands
from discordproxy.discord_api_pb2 import ListCommandsRequest, ReleaseCommandsRequest, SyncCommandsRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from typing_extensions import Unpack

    from discordproxy._requests.arguments import CallArguments
    from discordproxy.discord_api_pb2 import Command, SyncCommandsResponse


class AsyncCommandCalls(AsyncCalls):
    """Calls about application commands. Each application owns its commands among those of the bot."""

    async def sync_commands(
        self,
        commands: Iterable[Command | Mapping[str, Any]] | str,
        *,
        guild_id: int = 0,
        dry_run: bool = False,
        take_over: bool = False,
        **call: Unpack[CallArguments],
    ) -> SyncCommandsResponse:
        """Make the commands of this application in one scope exactly these. Call it at every start.

        Commands that are as declared cost no change, and commands of other applications stay as they are. Calls at the
        same time run one after another.

        Args:
            commands: All commands of this application: `Command` messages, or dicts or a text in Discord's JSON, such
                as those of discord.py's `tree.to_dict` or discord.js' `toJSON`.
            guild_id: The commands of this guild; 0: those of all guilds.
            dry_run: Return the changes without making them.
            take_over: Also replace commands that no application owns; never those of another application.

        Returns:
            `changes`, each with `action` and `command`, and the number of `others`.

        Raises:
            DiscordProxyGrpcError: ALREADY_EXISTS: another application owns a name, or none owns a command with another
                content. FAILED_PRECONDITION: more commands than Discord allows. Nothing was changed.
            DiscordProxyException: a change failed; the text names those before it. A further call continues.
            ValueError: an argument is invalid.
        """
        request = make(SyncCommandsRequest, guild_id=guild_id, dry_run=dry_run, take_over=take_over)
        declared_commands(request, commands)
        return await self._write(self.stub.SyncCommands, request, **call)

    async def list_commands(self, *, guild_id: int = 0, **call: Unpack[CallArguments]) -> list[Command]:
        """Return the commands of all applications in one scope; `owner` is the application, "" for none."""
        request = make(ListCommandsRequest, guild_id=guild_id)
        return list((await self._read(self.stub.ListCommands, request, **call)).commands)

    async def release_commands(
        self, names: Iterable[str], *, guild_id: int = 0, owner: str = "", **call: Unpack[CallArguments]
    ) -> list[Command]:
        """End the ownership of commands, which stay at Discord, so that another application can take them over.

        Args:
            names: Names of the commands.
            guild_id: Commands of this guild; 0: those of all guilds.
            owner: Release those of another application; this requires a key without limits. "": of this one.

        Returns:
            The released commands: id, type and name.
        """
        request = make(ReleaseCommandsRequest, names=items("names", names), guild_id=guild_id, owner=owner)
        return list((await self._write(self.stub.ReleaseCommands, request, **call)).commands)
