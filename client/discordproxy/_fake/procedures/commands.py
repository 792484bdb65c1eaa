"""Responses of the in-memory Discord about application commands. Every caller is the application `default`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.json_format import ParseDict

from discordproxy._fake.world import ProxyRefusalError
from discordproxy.discord_api_pb2 import Command, CommandsResponse, SyncCommandsResponse

if TYPE_CHECKING:
    from google.protobuf.message import Message as AnyMessage

    from discordproxy._fake.objects import Handler
    from discordproxy._fake.world import FakeWorld

APP = "default"
_FIELDS = ("id", "guild_id", "version", "owner")


def sync_commands(world: FakeWorld, request: Any) -> AnyMessage:
    declared = {(command.type, command.name): command for command in _declared(request)}
    present = {(each.type, each.name): each for each in world.commands.values() if each.guild_id == request.guild_id}
    _require_free(declared, present, take_over=request.take_over)
    response = SyncCommandsResponse()
    changed = dict(world.commands)
    for key, command in declared.items():
        known = present.get(key)
        action = _action(command, known)
        version = _version(world, request, command, known) if action.endswith("ED") else command
        if action == "UNCHANGED":
            version = known or command
        changed[version.id] = version
        response.changes.add(action=SyncCommandsResponse.Change.Action.Value(action), command=version)
    for key, known in present.items():
        if known.owner == APP and key not in declared:
            del changed[known.id]
            response.changes.add(action=SyncCommandsResponse.Change.DELETED, command=_without_owner(known))
    response.others = sum(1 for key, known in present.items() if known.owner != APP and key not in declared)
    if not request.dry_run:
        world.commands = changed
    return response


def list_commands(world: FakeWorld, request: Any) -> AnyMessage:
    return CommandsResponse(commands=[each for each in world.commands.values() if each.guild_id == request.guild_id])


def release_commands(world: FakeWorld, request: Any) -> AnyMessage:
    response = CommandsResponse()
    for command in world.commands.values():
        is_owned = command.guild_id == request.guild_id and command.owner == (request.owner or APP)
        if is_owned and command.name in request.names:
            response.commands.add(id=command.id, type=command.type, name=command.name)
            command.owner = ""
    return response


def _declared(request: Any) -> list[Command]:
    if not request.commands_json:
        declared = [_copy(command) for command in request.commands]
    else:
        declared = [
            ParseDict(_typed(document), Command(), ignore_unknown_fields=True)
            for document in json.loads(request.commands_json)
        ]
    for command in declared:
        command.type = command.type or Command.CHAT_INPUT
    return declared


def _typed(document: dict[str, Any]) -> dict[str, Any]:
    """Return Discord's JSON in the form of the contract: the values of choices have types."""
    found = {key: value for key, value in document.items() if value is not None}
    if "value" in found:
        value = found.pop("value")
        kinds = {str: "string_value", int: "integer_value"}
        found[kinds.get(type(value), "number_value")] = value
    for key in ("options", "choices"):
        if key in found:
            found[key] = [_typed(each) for each in found[key]]
    return found


def _require_free(declared: dict[Any, Command], present: dict[Any, Command], *, take_over: bool) -> None:
    for key, command in declared.items():
        known = present.get(key)
        if known is None or known.owner == APP or (not known.owner and (take_over or _equal(command, known))):
            continue
        owner = f"belongs to the application {known.owner}" if known.owner else "exists, and no application owns it"
        text = f"/{command.name} {owner}.\nNothing was changed."
        raise ProxyRefusalError(grpc.StatusCode.ALREADY_EXISTS, "COMMAND_EXISTS", text)


def _action(command: Command, known: Command | None) -> str:
    if known is None:
        return "CREATED"
    if not _equal(command, known):
        return "UPDATED"
    return "UNCHANGED" if known.owner == APP else "ADOPTED"


def _version(world: FakeWorld, request: Any, command: Command, known: Command | None) -> Command:
    version = _copy(command)
    version.id = known.id if known else world.new_id()
    version.version = world.new_id()
    version.guild_id = request.guild_id
    version.owner = APP
    return version


def _equal(left: Command, right: Command) -> bool:
    return _content(left) == _content(right)


def _content(command: Command) -> Command:
    found = _copy(command)
    for name in _FIELDS:
        found.ClearField(name)  # type: ignore[arg-type]  # names of this message
    return found


def _without_owner(command: Command) -> Command:
    found = _copy(command)
    found.owner = ""
    return found


def _copy(command: Command) -> Command:
    found = Command()
    found.CopyFrom(command)
    return found


HANDLERS: dict[str, Handler] = {
    "SyncCommands": sync_commands,
    "ListCommands": list_commands,
    "ReleaseCommands": release_commands,
}
