"""Storage of objects and settings that have no rules of their own: they are kept as they were sent."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from discordproxy_sandbox.errors import Json, discord_error
from discordproxy_sandbox.resources.exchange import ApiRequest

_GUILD = "/guilds/{guild_id}"
_UNKNOWN: Mapping[str, int] = {
    "emojis": 10014,
    "stickers": 10060,
    "soundboard-sounds": 10097,
    "stage-instances": 10067,
    "rules": 0,
    "templates": 10057,
    "entitlements": 10029,
    "exceptions": 10070,
}
"""Collections that are stored: last segment of the path -> Discord's error code for an unknown object."""

_KEYS = {
    "exceptions": "event_exception_id",
    "soundboard-sounds": "sound_id",
    "stage-instances": "channel_id",
    "templates": "code",
}
"""Collection -> key of an object's id, if it is not `id`."""

_EVENTS: Mapping[str, str] = {
    "soundboard-sounds": "GUILD_SOUNDBOARD_SOUND",
    "stage-instances": "STAGE_INSTANCE",
    "rules": "AUTO_MODERATION_RULE",
}
"""Collection -> prefix of the events about its objects."""

_KEYWORDS: Json = {"keyword_filter": [], "regex_patterns": [], "allow_list": []}
_TRIGGER_METADATA: Mapping[int, Json] = {
    1: _KEYWORDS,
    4: {"presets": [], "allow_list": []},
    5: {"mention_total_limit": 0, "mention_raid_protection_enabled": False},
    6: _KEYWORDS,
}
"""Trigger type of an auto moderation rule -> its metadata with defaults."""

_SETTINGS = frozenset(
    {
        f"{_GUILD}/incident-actions",
        f"{_GUILD}/onboarding",
        f"{_GUILD}/welcome-screen",
        "/applications/{application_id}/role-connections/metadata",
    }
)


def _collection(request: ApiRequest) -> str:
    """Return the name of the collection in the path, "" if it is not stored."""
    segments = request.template.split("/")
    name = segments[-2] if segments[-1].startswith("{") else segments[-1]
    return name if name in _UNKNOWN else ""


def _objects(request: ApiRequest) -> dict[str, Json]:
    """Return the stored objects of the collection in the path."""
    name, path = _collection(request), request.path
    if request.template.startswith(_GUILD) and name in {"emojis", "stickers"}:
        guild = request.world.guild(request["guild_id"])
        return guild.emojis if name == "emojis" else guild.stickers
    if request.template.split("/")[-1].startswith("{"):
        path = path.rpartition("/")[0]
    return request.world.collections.setdefault(path, {})


def _own_id(request: ApiRequest) -> str:
    return request[request.template.rpartition("/")[2].strip("{}")]


def get(request: ApiRequest) -> Json | None:
    """Return the object in the path; None if it was never stored, an error if it was deleted."""
    if not _collection(request):
        return None
    if request.path in request.world.deleted:
        raise discord_error(_UNKNOWN[_collection(request)])
    return _objects(request).get(_own_id(request))


def list_(request: ApiRequest, nothing: Json | list[Json]) -> Any:
    """Return the objects of the collection in the path, or the settings, in the form of `nothing`."""
    if is_setting(request):
        return _setting(request, nothing)
    if not _collection(request):
        return nothing
    objects = list(_objects(request).values())
    if isinstance(nothing, list):
        return objects
    return nothing | {"items": objects} if "items" in nothing else nothing


def put(request: ApiRequest, made: Json) -> Json:
    """Store a new or changed object; return it."""
    name = _collection(request)
    if not name:
        return made
    objects = _objects(request)
    single = request.template.rpartition("/")[2].startswith("{")
    own_id = _own_id(request) if single else str(made[_KEYS.get(name, "id")])
    known = get(request) if single else None
    sent = {key: value for key, value in request.body.items() if key not in {"image", "sound", "file"}}
    changed = made if known is None else known | sent
    objects[own_id] = _with_metadata(changed) if name == "rules" else changed
    _emit(request, "UPDATE" if single else "CREATE", objects[own_id])
    return objects[own_id]


def _with_metadata(rule: Json) -> Json:
    """Return an auto moderation rule with all metadata of its trigger and of its actions."""
    empty = _TRIGGER_METADATA.get(rule["trigger_type"], {})
    actions = [{**action, "metadata": action.get("metadata") or {}} for action in rule["actions"] or ()]
    return rule | {"trigger_metadata": {**empty, **(rule["trigger_metadata"] or {})}, "actions": actions}


def delete(request: ApiRequest) -> Json:
    """Remove the object in the path; return it."""
    if not _collection(request):
        return {}
    gone = get(request) or {}
    _objects(request).pop(_own_id(request), None)
    if gone:
        request.world.deleted.add(request.path)
        _emit(request, "DELETE", gone)
    return gone


def _emit(request: ApiRequest, what: str, about: Json) -> None:
    name, world = _collection(request), request.world
    guild_id = request.params.get("guild_id") or about.get("guild_id", "")
    if name in _EVENTS:
        world.emit(f"{_EVENTS[name]}_{what}", {**about, "guild_id": guild_id}, guild_id)
    elif name in {"emojis", "stickers"} and "guild_id" in request.params:
        data: Json = {"guild_id": guild_id, name: list(_objects(request).values())}
        world.emit(f"GUILD_{name.upper()}_UPDATE", data, guild_id)


def is_setting(request: ApiRequest) -> bool:
    """Return whether the path is that of stored settings."""
    return request.template in _SETTINGS


def _setting(request: ApiRequest, nothing: Json | list[Json]) -> Any:
    found = request.world.documents.get(request.path, nothing)
    return nothing | found if isinstance(nothing, dict) else found


def set_setting(request: ApiRequest, nothing: Json | list[Json]) -> Any:
    """Store settings; return all of them. Keys that were not sent keep their value."""
    body = deepcopy(request.body)
    if isinstance(nothing, dict) and isinstance(body, dict):
        body = {**_setting(request, nothing), **{key: _completed(request, key, each) for key, each in body.items()}}
        body = {key: body[key] for key in nothing}
    request.world.documents[request.path] = body
    return body


def _completed(request: ApiRequest, key: str, value: Any) -> Any:
    """Return a setting as Discord returns it: with ids, and emojis as objects."""
    if key == "welcome_channels":
        return [{"emoji_id": None, "emoji_name": None, **each} for each in value or ()]
    if key == "prompts":
        return [_prompt(request, each) for each in value or ()]
    return [] if key.endswith("channel_ids") and value is None else value


def _prompt(request: ApiRequest, prompt: Json) -> Json:
    flags: Json = {"single_select": False, "required": False, "in_onboarding": True, "type": 0}
    return {**flags, **prompt, "options": [_option(request, each) for each in prompt["options"]]}


def _option(request: ApiRequest, option: Json) -> Json:
    emoji: Json = {
        "id": option.pop("emoji_id", None),
        "name": option.pop("emoji_name", None),
        "animated": bool(option.pop("emoji_animated", None)),
    }
    empty: Json = {"id": request.world.new_id(), "description": "", "role_ids": [], "channel_ids": []}
    return {**empty, **option, "emoji": emoji}
