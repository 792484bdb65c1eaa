"""Translates commands between the contract's messages and Discord's JSON. Pure."""

from typing import Any

from discordproxy.commands_pb2 import Command
from discordproxy_api.commands.documents import Document, map_choices
from discordproxy_api.contract.translate import message_reader, message_writer

_to_json, _from_json = message_writer(Command.DESCRIPTOR), message_reader(Command.DESCRIPTOR)
_VALUES = ("string_value", "integer_value", "number_value")


def command_document(command: Any) -> Document:
    """Return a message as Discord's JSON."""
    return _with_plain_bounds(map_choices(_to_json(command), _choice_to_discord))


def message_of(document: Document, owner: str = "") -> Command:
    """Return Discord's JSON as a message. Unknown keys and values of the wrong type are omitted."""
    command: Command = _from_json(map_choices(document, _choice_from_discord))
    command.owner = owner
    return command


def _choice_to_discord(choice: Document) -> Document:
    return {"value" if key in _VALUES else key: value for key, value in choice.items()}


def _choice_from_discord(choice: Document) -> Document:
    value = choice.get("value")
    if isinstance(value, str):
        kind = "string_value"
    elif isinstance(value, int):
        kind = "integer_value"
    else:
        kind = "number_value"
    return {key: each for key, each in choice.items() if key != "value"} | {kind: value}


def _with_plain_bounds(document: Document) -> Document:
    """Return a command or option whose bounds are integers where they can be: Discord rejects 5.0."""
    found = dict(document)
    for key in ("min_value", "max_value"):
        value = found.get(key)
        if isinstance(value, float) and value.is_integer():
            found[key] = int(value)
    if "options" in found:
        found["options"] = [_with_plain_bounds(option) for option in found["options"]]
    return found
