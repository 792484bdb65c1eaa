"""Discord's own routes of application commands, for keys that limit an application to commands of its own.

A library replaces the whole list at its start. For such a key this is a synchronization: the library sees and changes
only the commands of its application.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import Any

import orjson

from discordproxy_api.access.permission import denied
from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.commands.discord_commands import UNKNOWN_COMMAND, CommandScope
from discordproxy_api.commands.documents import Document, key_of, title
from discordproxy_api.commands.owner_tables import OwnerTables
from discordproxy_api.commands.ownership import Ownership
from discordproxy_api.commands.planning import Action
from discordproxy_api.commands.synchronization import CommandSync, Declaration, Synchronized
from discordproxy_api.discord.request import Reply, RestRequest
from discordproxy_api.discord.rest import Rest
from discordproxy_api.rpcs.commands.calls import check_commands
from discordproxy_api.rpcs.ordering import list_of_commands
from discordproxy_api.rpcs.route_policy import RequestLine
from discordproxy_api.rpcs.routed import document_of
from discordproxy_ratelimit.shared.tables import RecordChange

log = logging.getLogger("discordproxy_api.commands")

_LIST = "commands"
"""Field of errors about a list."""

_JSON = {"Content-Type": "application/json"}
_WITHOUT_BODY = ("GET", "DELETE")
_OF_LISTS = ("GET", "PUT", "POST")


class OwnCommands:
    """Serves the routes.

    Args:
        rest: sends the requests about one command.
    """

    def __init__(self, sync: CommandSync, owners: OwnerTables, rest: Rest) -> None:
        self._sync = sync
        self._owners = owners
        self._rest = rest

    def serves(self, line: RequestLine, call: Call) -> bool:
        """Return whether a request is about commands, and its application is limited to its own."""
        return call.principal.scopes.commands is not None and bool(list_of_commands(line.template))

    def sender(
        self, request: RestRequest, line: RequestLine, document: Any, call: Call, *, take_over: bool = False
    ) -> Callable[[], Awaitable[Reply]] | None:
        """Return a function that serves a request; None if it has its own authorization.

        Args:
            request: as it would be sent to Discord, one that this object serves.
            line: its method and path.
            document: its JSON, None without a body.
            call: for whom.
            take_over: also replace commands that no application owns.

        Raises:
            ApiError: the commands are invalid, or the key does not allow their names.
        """
        if request.authorization is not None:
            return None  # Discord checks the permissions of another authorization
        if "command_id" not in line.parameters and line.method not in _OF_LISTS:
            return None  # Discord refuses it
        scope = CommandScope(line.parameters.get("application_id", "@me"), _guild_id(line))
        if "command_id" in line.parameters:
            return self._of_one(request, scope, line.parameters["command_id"], document, call)
        if line.method == "GET":
            return partial(self._list, request, scope, call)
        replaces = line.method == "PUT"
        declared = document if replaces else [document]
        if not isinstance(declared, list):
            raise errors.invalid_field(_LIST, "LIST_TYPE_CONVERT", "Must be a JSON array of commands.")
        check_commands(declared, _LIST, call, in_guild=bool(scope.guild_id))
        declaration = Declaration(call.app, scope, declared, _LIST, take_over=take_over, deletes=replaces)
        return partial(self._replace if replaces else self._create, declaration, call)

    async def _replace(self, declaration: Declaration, call: Call) -> Reply:
        result = await self._sync.run(declaration, call)
        return _reply([document for action, document in result.changes if action is not Action.DELETED])

    async def _create(self, declaration: Declaration, call: Call) -> Reply:
        result: Synchronized = await self._sync.run(declaration, call)
        ((action, document),) = result.changes
        return _reply(document, HTTPStatus.CREATED if action is Action.CREATED else HTTPStatus.OK)

    async def _list(self, request: RestRequest, scope: CommandScope, call: Call) -> Reply:
        listed = document_of(await self._rest.send(replace(request, effect=False), call))
        if not isinstance(listed, list):
            raise errors.unexpected_answer()
        table = await self._owners.read(scope.guild_id)
        return _reply([command for command in listed if table.app_of(command) == call.app])

    def _of_one(
        self, request: RestRequest, scope: CommandScope, command_id: str, document: Any, call: Call
    ) -> Callable[[], Awaitable[Reply]]:
        if request.method not in _WITHOUT_BODY:
            if not isinstance(document, dict):
                raise errors.invalid_field("", "DICT_TYPE_CONVERT", "Must be a JSON object.")
            name = document.get("name")
            if name is not None and not call.principal.scopes.allows_command(str(name)):
                raise denied(call.principal, f"may not have the command {name}; add its name to the key's commands")
            request = replace(request, body=orjson.dumps(document), content_type="application/json")
            return partial(self._send_one, request, scope, command_id, call, name=name)
        return partial(self._send_one, replace(request, effect=request.method != "GET"), scope, command_id, call)

    async def _send_one(
        self, request: RestRequest, scope: CommandScope, command_id: str, call: Call, *, name: Any = None
    ) -> Reply:
        """Send a request about a command, if the application owns it, and record the change."""
        table = await self._owners.read(scope.guild_id)
        key = next((key for key, owner in table.owners.items() if (owner.app, owner.id) == (call.app, command_id)), "")
        if not key:
            raise _unknown()
        renamed = key if name is None else key_of({"type": int(key.partition(":")[0]), "name": name})
        owner = table.owners.get(renamed)
        if owner is not None and owner.app != call.app:
            raise _taken(renamed, owner.app)
        reply = await self._rest.send(request, call)
        if request.method == "GET":
            return reply
        if request.method == "DELETE":
            now = self._rest.clock.now_ms() / 1000
            changes = [table.written(key, None), table.deleted(command_id, now)]
        else:
            changes = self._edited(key, document_of(reply), table, call)
        try:
            await self._owners.change(scope.guild_id, changes)
        except ApiError as error:  # the next change of the list finds the command by its id
            log.warning("The owner of a command could not be recorded: %s", error)
        return reply

    def _edited(self, key: str, version: Document, table: Ownership, call: Call) -> list[RecordChange]:
        record = table.record_of(call.app, version, version, self._rest.clock.now_ms() / 1000)
        renamed = [] if key_of(version) == key else [table.written(key, None)]
        return [*renamed, table.written(key_of(version), record)]


def _taken(key: str, owner: str) -> ApiError:
    text = f"{title(key)} belongs to the application {owner}.\nNothing was changed."
    return errors.refusal("ALREADY_EXISTS", "COMMAND_EXISTS", text)


def _unknown() -> ApiError:
    text = "Unknown application command: it does not exist, or belongs to another application."
    error = errors.refusal("NOT_FOUND", "COMMAND_NOT_OWNED", text)
    error.http_status, error.code = HTTPStatus.NOT_FOUND, UNKNOWN_COMMAND
    return error


def _reply(document: Any, status: int = HTTPStatus.OK) -> Reply:
    return Reply(int(status), _JSON, orjson.dumps(document))


def _guild_id(line: RequestLine) -> int:
    """Return the guild of a path, 0 for a path without one."""
    text = line.parameters.get("guild_id")
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit() and int(text)):
        raise errors.invalid_field("guild_id", "NUMBER_TYPE_COERCE", "Value is not snowflake.")
    return int(text)
