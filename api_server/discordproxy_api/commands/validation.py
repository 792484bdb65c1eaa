"""Validates declared commands before a request is sent, with Discord's limits. Pure.

Source: interactions/application-commands of Discord's documentation, August 2026.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from discordproxy_api.calls.field_errors import FieldErrors
from discordproxy_api.commands.documents import CHAT_INPUT, Document, key_of, objects

MAX_BY_TYPE: Mapping[int, int] = {1: 100, 2: 15, 3: 15, 4: 1}
"""Commands of each type in one scope."""

MAX_COMMANDS = sum(MAX_BY_TYPE.values())
MAX_CHARACTERS = 8_000
MAX_OPTIONS = MAX_CHOICES = 25
MAX_NAME, MAX_TEXT, MAX_VALUE = 32, 100, 6_000

SUB_COMMAND, SUB_COMMAND_GROUP = 1, 2
_OPTION_TYPES = range(1, 12)
_WITH_CHOICES = (3, 4, 10)
_INTEGER, _STRING = 4, 3
_MAX_INTEGER = 2**53
_ENTRY_POINT = 4
_MAX_DEPTH = 3
"""A command contains groups, a group subcommands, a subcommand options."""

_PUNCTUATION = frozenset("-_'")
_DEVANAGARI, _THAI = range(0x900, 0x980), range(0xE00, 0xE80)


def validate_commands(commands: Sequence[Document], path: str, *, in_guild: bool) -> None:
    """Raise InvalidRequestError with all errors, at most 25.

    Args:
        commands: objects in Discord's JSON.
        path: field of the request that contains them.
        in_guild: whether they are the commands of one guild.
    """
    problems = FieldErrors()
    seen: set[str] = set()
    for index, command in enumerate(commands):
        where = f"{path}[{index}]"
        if not isinstance(command, dict):
            problems.add(where, "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
            continue
        _check_command(command, where, problems, in_guild=in_guild)
        key = key_of(command)
        if key in seen:
            text = "Application command names must be unique"
            problems.add(f"{where}.name", "APPLICATION_COMMANDS_DUPLICATE_NAME", text)
        seen.add(key)
    if not problems.found:
        _check_counts(commands, path, problems)
    problems.raise_if_any()


def _check_counts(commands: Sequence[Document], path: str, problems: FieldErrors) -> None:
    for kind, count in counts(commands).items():
        if count > MAX_BY_TYPE[kind]:
            text = f"At most {MAX_BY_TYPE[kind]} commands of type {kind} are allowed; these are {count}."
            problems.add(path, "BASE_TYPE_MAX_LENGTH", text)


def counts(commands: Sequence[Mapping[str, Any]]) -> dict[int, int]:
    """Return the number of commands of each type."""
    found = dict.fromkeys(MAX_BY_TYPE, 0)
    for command in commands:
        kind = command.get("type") or CHAT_INPUT
        found[kind] = found.get(kind, 0) + 1
    return found


def _check_command(command: Document, path: str, problems: FieldErrors, *, in_guild: bool) -> None:
    kind = command.get("type") or CHAT_INPUT
    if type(kind) is not int or kind not in MAX_BY_TYPE:
        problems.add(f"{path}.type", "BASE_TYPE_CHOICES", "Value must be one of {1, 2, 3, 4}.")
        return
    if kind == CHAT_INPUT:
        _check_name(command, path, problems)
        _check_text(command.get("description"), f"{path}.description", problems)
        _check_options(command.get("options"), f"{path}.options", problems)
    else:
        _check_text(command.get("name"), f"{path}.name", problems, most=MAX_NAME)
        for key in ("description", "options"):
            if command.get(key) and not (kind == _ENTRY_POINT and key == "description"):
                problems.add(f"{path}.{key}", "FIELD_CONFLICT", "Only slash commands have it.")
    if kind == _ENTRY_POINT and in_guild:
        problems.add(f"{path}.type", "FIELD_CONFLICT", "An entry point is a command of all guilds.")
    _check_translations(command, path, problems, is_chat=kind == CHAT_INPUT)
    _check_permissions(command.get("default_member_permissions"), f"{path}.default_member_permissions", problems)
    _check_json(command, path, problems)
    if kind == CHAT_INPUT:
        _check_size(command, path, problems)


def _check_json(command: Document, path: str, problems: FieldErrors) -> None:
    try:
        orjson.dumps(command)
    except TypeError:
        problems.add(path, "JSON_INVALID", "Must not contain half a surrogate pair or a number of more than 64 bits.")


def _check_name(named: Document, path: str, problems: FieldErrors) -> None:
    name = named.get("name")
    _check_text(name, f"{path}.name", problems, most=MAX_NAME)
    if isinstance(name, str) and name and not is_name(name):
        text = "Must be lower case, and consist of letters, digits, '-', '_' and \"'\"."
        problems.add(f"{path}.name", "APPLICATION_COMMAND_INVALID_NAME", text)


def is_name(name: str) -> bool:
    """Return whether Discord accepts the characters of a slash command's or option's name."""
    return name == name.lower() and all(map(_is_name_character, name))


def _is_name_character(character: str) -> bool:
    category = unicodedata.category(character)
    number = ord(character)
    return character in _PUNCTUATION or category[0] in "LN" or number in _DEVANAGARI or number in _THAI


def _check_text(value: Any, path: str, problems: FieldErrors, *, most: int = MAX_TEXT) -> None:
    if value in (None, ""):
        problems.required(path)
    elif not isinstance(value, str):
        problems.add(path, "STRING_TYPE_CONVERT", "Could not interpret the value as string.")
    else:
        problems.length(path, len(value), 1, most)


def _check_options(options: Any, path: str, problems: FieldErrors, depth: int = 1) -> None:
    """Check the options of a command, group or subcommand; `depth` counts from the command."""
    if options in (None, []):
        return
    if not isinstance(options, list) or not all(isinstance(each, dict) for each in options):
        problems.add(path, "LIST_TYPE_CONVERT", "Must be a list of objects.")
        return
    problems.length(path, len(options), 0, MAX_OPTIONS)
    names: set[Any] = set()
    optional = False
    for index, option in enumerate(options[:MAX_OPTIONS]):
        where = f"{path}[{index}]"
        _check_option(option, where, problems, depth)
        if str(option.get("name")) in names:
            problems.add(f"{where}.name", "APPLICATION_COMMAND_OPTIONS_NAME_INVALID", "Option names must be unique.")
        names.add(str(option.get("name")))
        if option.get("required") and optional:
            text = "Required options must be placed before non-required options"
            problems.add(where, "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", text)
        optional = optional or not option.get("required")
    nested = [option.get("type") in (SUB_COMMAND, SUB_COMMAND_GROUP) for option in options]
    if any(nested) and not all(nested):
        text = "Sub-command and sub-command group option types are mutually exclusive to all other types"
        problems.add(path, "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", text)


def _check_option(option: Document, path: str, problems: FieldErrors, depth: int) -> None:
    kind = option.get("type")
    if type(kind) is not int or kind not in _OPTION_TYPES:
        problems.add(f"{path}.type", "BASE_TYPE_CHOICES", "Value must be one of {1, 2, ..., 11}.")
        return
    _check_name(option, path, problems)
    _check_text(option.get("description"), f"{path}.description", problems)
    _check_translations(option, path, problems, is_chat=True)
    if kind in {SUB_COMMAND, SUB_COMMAND_GROUP}:
        if depth + (kind == SUB_COMMAND_GROUP) >= _MAX_DEPTH:
            problems.add(f"{path}.type", "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", "Nested too deep.")
        else:
            _check_options(option.get("options"), f"{path}.options", problems, depth + 1)
    elif option.get("options"):
        problems.add(f"{path}.options", "FIELD_CONFLICT", "Only subcommands and their groups have options.")
    _check_choices(option, path, problems)


def _check_choices(option: Document, path: str, problems: FieldErrors) -> None:
    choices, kind = option.get("choices"), option.get("type")
    if choices in (None, []):
        return
    if kind not in _WITH_CHOICES or option.get("autocomplete"):
        text = "Only text and numbers without autocompletion have choices."
        problems.add(f"{path}.choices", "FIELD_CONFLICT", text)
        return
    if not isinstance(choices, list) or not all(isinstance(each, dict) for each in choices):
        problems.add(f"{path}.choices", "LIST_TYPE_CONVERT", "Must be a list of objects.")
        return
    problems.length(f"{path}.choices", len(choices), 0, MAX_CHOICES)
    for index, choice in enumerate(choices[:MAX_CHOICES]):
        where = f"{path}.choices[{index}]"
        _check_text(choice.get("name"), f"{where}.name", problems)
        _check_translations(choice, where, problems, is_chat=False, most=MAX_TEXT)
        if not _is_value(choice.get("value"), kind):
            problems.add(f"{where}.value", "BASE_TYPE_CHOICES", "Must be a value of the option's type.")


def _is_value(value: Any, kind: int) -> bool:
    if kind == _STRING:
        return isinstance(value, str) and len(value) <= MAX_VALUE
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -_MAX_INTEGER <= value <= _MAX_INTEGER and (kind != _INTEGER or float(value).is_integer())


def _check_translations(
    named: Document, path: str, problems: FieldErrors, *, is_chat: bool, most: int = MAX_NAME
) -> None:
    for key, limit in (("name_localizations", most), ("description_localizations", MAX_TEXT)):
        texts = named.get(key)
        if texts is None:
            continue
        if not isinstance(texts, dict):
            problems.add(f"{path}.{key}", "DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
            continue
        for locale, text in texts.items():
            if text is None:
                continue
            _check_text(text, f"{path}.{key}.{locale}", problems, most=limit)
            if key == "name_localizations" and is_chat and isinstance(text, str) and not is_name(text):
                reason = "Must be lower case, and consist of letters, digits, '-', '_' and \"'\"."
                problems.add(f"{path}.{key}.{locale}", "APPLICATION_COMMAND_INVALID_NAME", reason)


def _check_permissions(value: Any, path: str, problems: FieldErrors) -> None:
    is_number = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if value is not None and not is_number and not (isinstance(value, str) and value.isascii() and value.isdecimal()):
        problems.add(path, "NUMBER_TYPE_COERCE", "Value is not int.")


def _check_size(command: Document, path: str, problems: FieldErrors) -> None:
    if problems.found:
        return  # parts of wrong types cannot be measured
    size = characters(command)
    if size > MAX_CHARACTERS:
        text = f"The texts of this command have {size} characters; {MAX_CHARACTERS} are allowed."
        problems.add(path, "APPLICATION_COMMAND_TOO_LARGE", text)


def characters(command: Mapping[str, Any]) -> int:
    """Return the size of a command as Discord counts it: texts and values; the longest translation counts."""
    size = _max_length(command, "name") + _max_length(command, "description")
    size += sum(map(characters, objects(command.get("options"))))
    for choice in objects(command.get("choices")):
        value = choice.get("value")
        size += _max_length(choice, "name") + (len(value) if isinstance(value, str) else 0)
    return size


def _max_length(named: Mapping[str, Any], key: str) -> int:
    translations = (named.get(f"{key}_localizations") or {}).values()
    return max((len(text) for text in (named.get(key), *translations) if isinstance(text, str)), default=0)
