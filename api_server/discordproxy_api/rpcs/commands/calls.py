"""RPCs about application commands: synchronization, list, release."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import orjson
from google.protobuf.message import Message

from discordproxy.commands_pb2 import CommandsResponse, SyncCommandsResponse
from discordproxy_api.access.permission import denied
from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.field_errors import InvalidRequestError
from discordproxy_api.calls.retry import Repeat
from discordproxy_api.commands.discord_commands import CommandScope, DiscordCommands
from discordproxy_api.commands.documents import Document, title
from discordproxy_api.commands.messages import command_document, message_of
from discordproxy_api.commands.owner_tables import OwnerTables, commands_changed
from discordproxy_api.commands.planning import Action
from discordproxy_api.commands.synchronization import CommandSync, Declaration
from discordproxy_api.commands.validation import validate_commands
from discordproxy_api.contract.contract import Rpc
from discordproxy_api.rpcs.ordering import order_of_commands
from discordproxy_api.rpcs.procedure import Job
from discordproxy_api.rpcs.routed import check


class SyncCommands:
    """Makes the commands of an application exactly those that it declares."""

    def __init__(self, rpc: Rpc, sync: CommandSync, commands: DiscordCommands) -> None:
        self.rpc = rpc
        self._sync = sync
        self._commands = commands

    def job(self, request: Any, call: Call) -> Job:
        """Return the job for a request message; raises ApiError if it is invalid."""
        check(self.rpc, request)
        path, declared = _declared(request)
        check_commands(declared, path, call, in_guild=bool(request.guild_id))
        declaration = Declaration(
            call.app,
            CommandScope("", request.guild_id),
            declared,
            path,
            dry_run=request.dry_run,
            take_over=request.take_over,
        )
        return Job(
            partial(self._run, declaration, call),
            Repeat.ALWAYS,
            effect=not request.dry_run,
            order=order_of_commands(request.guild_id),
        )

    async def _run(self, declaration: Declaration, call: Call) -> Message:
        application_id = await self._commands.application_id(call)
        declaration.scope = declaration.scope._replace(application_id=application_id)
        result = await self._sync.run(declaration, call)
        response = SyncCommandsResponse(others=result.others)
        for action, document in result.changes:
            owner = "" if action is Action.DELETED else declaration.app
            response.changes.add(action=action.value, command=message_of(document, owner))
        return response


class ListCommands:
    """Returns the commands of all applications with their owners."""

    def __init__(self, rpc: Rpc, commands: DiscordCommands, owners: OwnerTables) -> None:
        self.rpc = rpc
        self._commands = commands
        self._owners = owners

    def job(self, request: Any, call: Call) -> Job:
        """Return the job for a request message; raises ApiError if it is invalid."""
        check(self.rpc, request)
        return Job(partial(self._run, request.guild_id, call), Repeat.ALWAYS, effect=False)

    async def _run(self, guild_id: int, call: Call) -> Message:
        scope = CommandScope(await self._commands.application_id(call), guild_id)
        listed = await self._commands.read_list(scope, call)
        table = await self._owners.read(guild_id)
        present = [command for command in listed if not table.is_gone(command)]
        return CommandsResponse(commands=[message_of(command, table.app_of(command)) for command in present])


class ReleaseCommands:
    """Ends the ownership of commands."""

    def __init__(self, rpc: Rpc, owners: OwnerTables) -> None:
        self.rpc = rpc
        self._owners = owners

    def job(self, request: Any, call: Call) -> Job:
        """Return the job for a request message; raises ApiError if it is invalid."""
        check(self.rpc, request)
        owner = request.owner or call.app
        scopes = call.principal.scopes
        if owner != call.app and not (scopes.unlimited and scopes.commands is None):
            raise denied(call.principal, "may not release commands of other applications; its key has limits")
        return Job(
            partial(self._run, request.guild_id, frozenset(request.names), owner),
            Repeat.ALWAYS,
            order=order_of_commands(request.guild_id),
        )

    async def _run(self, guild_id: int, names: frozenset[str], owner: str) -> Message:
        table = await self._owners.read(guild_id)
        released = {
            key: record
            for key, record in table.owners.items()
            if record.app == owner and key.partition(":")[2] in names
        }
        if not await self._owners.change(guild_id, [table.written(key, None) for key in released]):
            raise commands_changed()
        response = CommandsResponse()
        for key, record in released.items():
            kind, _, name = key.partition(":")
            response.commands.append(message_of({"id": record.id, "type": int(kind), "name": name}))
        return response


def check_commands(declared: Sequence[Document], path: str, call: Call, *, in_guild: bool) -> None:
    """Raise ApiError if declared commands are invalid, or the caller may not have them."""
    try:
        validate_commands(declared, path, in_guild=in_guild)
        orjson.dumps(declared)
    except InvalidRequestError as invalid:
        raise errors.invalid_request(invalid.fields) from None
    except orjson.JSONEncodeError:
        raise errors.invalid_field(path, "TOO_DEEP", "Nested too deep.") from None
    for document in declared:
        if not call.principal.scopes.allows_command(document["name"]):
            name = title(f"{document.get('type') or 1}:{document['name']}")
            raise denied(call.principal, f"may not have the command {name}; add its name to the key's commands")


def _declared(request: Any) -> tuple[str, list[Document]]:
    """Return the declared commands, and the field of the request that contains them."""
    if not request.commands_json:
        return "commands", [command_document(command) for command in request.commands]
    path = "commands_json"
    if request.commands:
        raise errors.invalid_field(path, "FIELD_CONFLICT", "Give commands or commands_json, not both.")
    try:
        declared = orjson.loads(request.commands_json)
    except orjson.JSONDecodeError:
        raise errors.invalid_field(path, "JSON_INVALID", "Must be valid JSON.") from None
    if not isinstance(declared, list):
        raise errors.invalid_field(path, "LIST_TYPE_CONVERT", "Must be a JSON array of commands.")
    return path, declared
