"""Forms of application commands with Discord's limits.

Source: interactions/application-commands of Discord's documentation, August 2026.
"""

import unicodedata
from typing import Any

from discordproxy_sandbox.errors import Json
from discordproxy_sandbox.messages.validation import (
    REQUIRED,
    Check,
    anything,
    boolean,
    every,
    failure,
    form,
    integer,
    items,
    one_of,
    permissions,
    text,
)

CHAT_INPUT = 1
SUB_COMMAND, SUB_COMMAND_GROUP = 1, 2
MAX_CHARACTERS = 8_000
_TYPES = (1, 2, 3, 4)
_LOCALES = frozenset(
    {
        *("id", "da", "de", "en-GB", "en-US", "es-ES", "es-419", "fr", "hr", "it", "lt", "hu", "nl", "no", "pl"),
        *("pt-BR", "ro", "fi", "sv-SE", "vi", "tr", "cs", "el", "bg", "ru", "uk", "hi", "th", "zh-CN", "ja", "zh-TW"),
        "ko",
    }
)
_MIXED_SCRIPTS = (range(0x900, 0x980), range(0xE00, 0xE80))


def _is_name(value: str) -> bool:
    def fits(character: str) -> bool:
        known = any(ord(character) in script for script in _MIXED_SCRIPTS)
        return character in "-_'" or known or unicodedata.category(character)[0] in "LN"

    return value == value.lower() and all(map(fits, value))


def chat_name(value: Any, _path: str, _unknown: list[str]) -> Json:
    """Check the characters of the name of a slash command or option."""
    return {} if _is_name(value) else failure("APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid")


def _translations(check: Check) -> Check:
    def check_all(value: Any, path: str, unknown: list[str]) -> Json:
        if not isinstance(value, dict):
            return failure("DICT_TYPE_CONVERT", "Only dictionaries may be used in a DictType")
        errors: Json = {}
        for locale, translation in value.items():
            if locale not in _LOCALES:
                errors[locale] = failure("ENUM_TYPE_COERCE", f'Value "{locale}" is not a valid enum value.')
            elif translation is not None and (wrong := check(translation, f"{path}.{locale}", unknown)):
                errors[locale] = wrong
        return errors

    return check_all


_NAME = every(text(32, 1), chat_name)
_CHOICE = form({"name": text(100, 1), "name_localizations": _translations(text(100, 1)), "value": anything}, ("name",))
_OPTION_FIELDS: dict[str, Check] = {
    "type": one_of(tuple(range(1, 12))),
    "name": _NAME,
    "name_localizations": _translations(_NAME),
    "description": text(100, 1),
    "description_localizations": _translations(text(100, 1)),
    "required": boolean,
    "choices": items(_CHOICE, 25),
    "channel_types": items(integer(0)),
    "min_value": anything,
    "max_value": anything,
    "min_length": integer(0, 6000),
    "max_length": integer(1, 6000),
    "autocomplete": boolean,
}


def _option(value: Any, path: str, unknown: list[str]) -> Json:
    return _OPTION(value, path, unknown)


def _consistent(value: Any, _path: str, _unknown: list[str]) -> Json:
    """Check that the options of a command fit together."""
    errors: Json = {}
    names: set[str] = set()
    optional = False
    for number, option in enumerate(value):
        if option["name"] in names:
            wrong = failure("APPLICATION_COMMAND_OPTIONS_NAME_INVALID", "Option names must be unique")
            errors[str(number)] = {"name": wrong}
        names.add(option["name"])
        if option.get("required") and optional:
            text_ = "Required options must be placed before non-required options"
            errors[str(number)] = failure("APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", text_)
        optional = optional or not option.get("required")
    nested = [option["type"] in {SUB_COMMAND, SUB_COMMAND_GROUP} for option in value]
    if any(nested) and not all(nested):
        text_ = "Sub-command and sub-command group option types are mutually exclusive to all other types"
        errors["0"] = {"type": failure("APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", text_)}
    return errors


_OPTIONS = every(items(_option, 25), _consistent)
_OPTION = form({**_OPTION_FIELDS, "options": _OPTIONS}, ("type", "name", "description"))

_FIELDS: dict[str, Check] = {
    "id": anything,
    "name": text(32, 1),
    "name_localizations": _translations(text(32, 1)),
    "description": text(100),
    "description_localizations": _translations(text(100, 1)),
    "options": _OPTIONS,
    "default_member_permissions": permissions,
    "dm_permission": boolean,
    "default_permission": boolean,
    "integration_types": items(integer(0, 1), 2, 1),
    "contexts": items(integer(0, 2), 3, 1),
    "type": one_of(_TYPES),
    "nsfw": boolean,
    "handler": integer(1, 2),
}
NEW_COMMAND = form(_FIELDS, required=("name",))
EDITED_COMMAND = form(_FIELDS)


def problems_of(command: Json) -> Json:
    """Return the errors of a complete command that concern several fields."""
    is_chat = command["type"] == CHAT_INPUT
    if is_chat and not command["description"]:
        return {"description": REQUIRED}
    if not is_chat and command["description"] and command["type"] in {2, 3}:
        text_ = "Context menu commands cannot have description"
        return {"description": failure("APPLICATION_COMMAND_CONTEXT_MENU_DESCRIPTION_DISALLOWED", text_)}
    if is_chat and not _is_name(command["name"]):
        return {"name": failure("APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid")}
    if characters(command) > MAX_CHARACTERS:
        return failure("APPLICATION_COMMAND_TOO_LARGE", f"Command exceeds maximum size ({MAX_CHARACTERS})")
    return {}


def characters(part: Json) -> int:
    """Return the size of a command or option: its texts, each with the longest translation."""
    size = sum(_text_length(part, key) for key in ("name", "description"))
    size += sum(map(characters, part.get("options") or ()))
    size += sum(map(characters, part.get("choices") or ()))
    value = part.get("value")
    return size + (len(value) if isinstance(value, str) else 0)


def _text_length(part: Json, key: str) -> int:
    translations = (part.get(f"{key}_localizations") or {}).values()
    return max((len(each) for each in (part.get(key), *translations) if each), default=0)


def without_translations(part: Json) -> Json:
    """Return a command, option or choice without translations at any depth."""
    found = {key: value for key, value in part.items() if not key.endswith("_localizations")}
    for key in ("options", "choices"):
        if isinstance(found.get(key), list):
            found[key] = [without_translations(each) for each in found[key]]
    return found
