"""Application commands as Discord's JSON: identity, comparison independent of defaults, request bodies. Pure."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

import orjson

Document = dict[str, Any]
"""An application command, or a part of one."""

CHAT_INPUT = 1
TYPE_NAMES: Mapping[int, str] = {1: "/{}", 2: "user command {}", 3: "message command {}", 4: "entry point {}"}
_FINGERPRINT_LENGTH = 32

_ABOUT = frozenset(
    {"id", "application_id", "version", "guild_id", "name_localized", "description_localized", "default_permission"}
)
"""Keys that Discord adds to a command."""

_RESTRICTIONS = ("contexts", "default_member_permissions", "nsfw")
"""Keys that restrict the use of a command. A declaration that Discord does not keep must not pass for unchanged."""

_WHERE = ("contexts", "integration_types")
_COMPARED = frozenset(
    {
        *("type", "name", "name_localizations", "description", "description_localizations", "options", "nsfw"),
        *("default_member_permissions", "handler", *_WHERE),
    }
)
"""Keys that count in a comparison. Keys that are added to Discord's responses later must not cause updates."""

EVERY_CONTEXT = [0, 1, 2]
_GUILD_CONTEXT = [0]


def key_of(document: Mapping[str, Any]) -> str:
    """Return the identity of a command within its scope: type and name, without spaces at the ends."""
    return f"{document.get('type') or CHAT_INPUT}:{str(document.get('name')).strip()}"


def id_of(document: Mapping[str, Any]) -> str:
    """Return Discord's id of a listed command."""
    return str(document.get("id") or "")


def title(key: str) -> str:
    """Return a key as text for people, such as "/shop"."""
    kind, _, name = key.partition(":")
    return TYPE_NAMES.get(int(kind), "command {}").format(name)


def normalized(document: Mapping[str, Any], *, in_guild: bool) -> Document:
    """Return the meaning of a command: without defaults, Discord's own keys, and differences without effect."""
    found = _without_defaults({key: value for key, value in document.items() if key not in _ABOUT})
    found["type"] = document.get("type") or CHAT_INPUT
    _strip(found, "name", "description")
    if document.get("default_member_permissions") is not None:
        found["default_member_permissions"] = str(document["default_member_permissions"])
    in_direct_messages = found.pop("dm_permission", True)
    if in_guild:
        for key in _WHERE:
            found.pop(key, None)
    elif not in_direct_messages and "contexts" not in found:
        found["contexts"] = _GUILD_CONTEXT
    _sort(found, *_WHERE)
    if found.get("contexts") == EVERY_CONTEXT:
        del found["contexts"]
    if "options" in found:
        found["options"] = [_normalized_option(each) for each in objects(document["options"])]
    return found


def _normalized_option(option: Mapping[str, Any]) -> Document:
    found = _without_defaults(
        {key: value for key, value in option.items() if key not in {"name_localized", "description_localized"}}
    )
    found.pop("dm_permission", None)
    _strip(found, "name", "description")
    _sort(found, "channel_types")
    for key in ("min_value", "max_value", "min_length", "max_length"):
        if option.get(key) is not None:
            found[key] = _plain_number(option[key])
    if "options" in found:
        found["options"] = [_normalized_option(each) for each in objects(option["options"])]
    if "choices" in found:
        found["choices"] = [_normalized_choice(each) for each in objects(option["choices"])]
    return found


def _normalized_choice(choice: Mapping[str, Any]) -> Document:
    found = _without_defaults({key: value for key, value in choice.items() if key not in {"name_localized", "value"}})
    return {**found, "value": _plain_number(choice.get("value"))}


def _without_defaults(document: Document) -> Document:
    """Return the keys with an effect. A missing key, null, false, and an empty text or list are the same to Discord."""
    return {
        key: value
        for key, value in document.items()
        if not (value is None or value is False or value in ("", [], {})) or key == "dm_permission"
    }


def _strip(document: Document, *keys: str) -> None:
    """Remove spaces at the ends, as Discord does."""
    for key in keys:
        if isinstance(document.get(key), str):
            document[key] = document[key].strip()


def _sort(document: Document, *keys: str) -> None:
    for key in keys:
        if isinstance(document.get(key), list):
            document[key] = sorted(document[key], key=str)


def _plain_number(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def fingerprint(document: Mapping[str, Any], *, in_guild: bool) -> str:
    """Return a short text that is equal for commands with the same meaning."""
    content = orjson.dumps(normalized(document, in_guild=in_guild), option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(content).hexdigest()[:_FINGERPRINT_LENGTH]


def possible_declarations(listed: Mapping[str, Any], *, in_guild: bool) -> set[str]:
    """Return the fingerprints of declarations that a listed command can come from.

    Discord adds the bot's integration types, and may add keys that this module does not contain.
    """
    known = {key: value for key, value in listed.items() if key in _COMPARED or key == "dm_permission"}
    bare = {key: value for key, value in known.items() if key != "integration_types"}
    return {fingerprint(document, in_guild=in_guild) for document in (listed, known, bare)}


def equal(declared: Mapping[str, Any], listed: Mapping[str, Any], *, in_guild: bool) -> bool:
    """Return whether a listed command is as declared.

    Keys that neither the declaration nor this module contains do not count. Integration types count only if they are
    declared: the default is a setting of the bot.
    """
    wanted, present = normalized(declared, in_guild=in_guild), normalized(listed, in_guild=in_guild)
    keys = _COMPARED | wanted.keys()
    if "integration_types" not in wanted:
        keys -= {"integration_types"}
    return all(wanted.get(key) == present.get(key) for key in keys)


def is_as_restricted(declared: Mapping[str, Any], listed: Mapping[str, Any], *, in_guild: bool) -> bool:
    """Return whether a listed command has all declared restrictions."""
    wanted, present = normalized(declared, in_guild=in_guild), normalized(listed, in_guild=in_guild)
    return all(wanted[key] == present.get(key) for key in _RESTRICTIONS if key in wanted)


def creation_of(declared: Mapping[str, Any]) -> Document:
    """Return the body that creates a command, or a declared command in a list that replaces all commands."""
    return {key: value for key, value in declared.items() if key not in _ABOUT or key == "default_permission"}


def edit_of(declared: Mapping[str, Any], *, in_guild: bool) -> Document:
    """Return the body that changes a command to the declaration: Discord keeps keys that are missing."""
    reset: Document = {
        "name_localizations": None,
        "description_localizations": None,
        "options": [],
        "default_member_permissions": None,
        "nsfw": False,
    }
    if not in_guild and "dm_permission" not in declared:
        reset["contexts"] = None
    body = creation_of(declared)
    body.pop("type", None)
    return {**reset, **{key: value for key, value in body.items() if value is not None or key in reset}}


def unchanged_of(listed: Mapping[str, Any]) -> Document:
    """Return a listed command for a list that replaces all commands, so that it stays as it is."""
    kept = {key: value for key, value in listed.items() if key not in _ABOUT or key in {"id", "default_permission"}}
    if kept.get("contexts") is not None:
        kept.pop("dm_permission", None)  # Discord derives it from the contexts
    return kept


def map_choices(document: Document, convert: Callable[[Document], Document]) -> Document:
    """Return a command or option whose choices, at any depth, are converted."""
    found = dict(document)
    if isinstance(document.get("options"), list):
        found["options"] = [map_choices(each, convert) for each in objects(document["options"])]
    if isinstance(document.get("choices"), list):
        found["choices"] = [convert(each) for each in objects(document["choices"])]
    return found


def objects(values: Any) -> list[Document]:
    """Return the objects of a JSON list; none of another value."""
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []
