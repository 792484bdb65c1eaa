"""Declared application commands as arguments: messages, or Discord's JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from discordproxy._requests.checks import convert, to_json
from discordproxy.discord_api_pb2 import Command

if TYPE_CHECKING:
    from collections.abc import Iterable

    from discordproxy.discord_api_pb2 import SyncCommandsRequest


def declared_commands(request: SyncCommandsRequest, commands: Iterable[Command | Mapping[str, Any]] | str) -> None:
    """Add commands to a request.

    Raises:
        ValueError: they are neither messages nor JSON, or both.
    """
    if isinstance(commands, str):
        convert("commands", json.loads, commands)
        convert("commands", str.encode, commands)
        request.commands_json = commands
        return
    found = convert("commands", list, commands)
    if all(isinstance(command, Command) for command in found):
        request.commands.extend(found)
    elif all(isinstance(command, Mapping) for command in found):
        request.commands_json = to_json("commands", [dict(command) for command in found])
    else:
        raise ValueError("commands: must be Command messages or dicts in Discord's JSON, not both")
