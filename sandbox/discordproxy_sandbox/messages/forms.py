"""Forms of create, edit and webhook messages with Discord's limits.

Sources: resources/message, components/reference, resources/poll of Discord's documentation, August 2026.
"""

from typing import Any

from discordproxy_sandbox.errors import Json
from discordproxy_sandbox.messages.validation import (
    Check,
    anything,
    boolean,
    every,
    failure,
    form,
    integer,
    items,
    one_of,
    snowflake,
    text,
    timestamp,
    url,
)

IS_COMPONENTS_V2 = 1 << 15
_EMBEDS_TEXT = 6000
_COMPONENTS = 40
_FIRST_V2_TYPE = 9
_LEGACY = ("content", "embeds", "poll", "sticker_ids", "shared_client_theme")
_COMPONENT_TYPES = (*range(1, 15), *range(17, 24))

_MEDIA = form({"url": url, "proxy_url": url, "height": integer(0), "width": integer(0)})
_EMBED = form(
    {
        "title": text(256, trimmed=True),
        "type": text(),
        "description": text(4096, trimmed=True),
        "url": url,
        "timestamp": timestamp,
        "color": integer(0, 0xFFFFFF),
        "flags": integer(0),
        "footer": form({"text": text(2048, trimmed=True), "icon_url": url, "proxy_icon_url": url}),
        "image": _MEDIA,
        "thumbnail": _MEDIA,
        "video": _MEDIA,
        "provider": form({"name": text(256), "url": url}),
        "author": form({"name": text(256, trimmed=True), "url": url, "icon_url": url, "proxy_icon_url": url}),
        "fields": items(
            form(
                {"name": text(256, trimmed=True), "value": text(1024, trimmed=True), "inline": boolean},
                required=("name", "value"),
            ),
            25,
        ),
    }
)


def _embeds_size(value: Any, _path: str, _unknown: list[str]) -> Json:
    if sum(map(embed_length, value)) > _EMBEDS_TEXT:
        return failure("MAX_EMBED_SIZE_EXCEEDED", f"Embed size exceeds maximum size of {_EMBEDS_TEXT}")
    return {}


def embed_length(embed: Json) -> int:
    """Return the length of an embed as Discord counts it: all text but URLs, trimmed."""
    texts = [embed.get("title"), embed.get("description")]
    texts += [(embed.get("footer") or {}).get("text"), (embed.get("author") or {}).get("name")]
    for item in embed.get("fields") or ():
        texts += [item.get("name"), item.get("value")]
    return sum(len(one.strip()) for one in texts if one)


def _component(value: Any, path: str, unknown: list[str]) -> Json:
    return _COMPONENT(value, path, unknown)


_EMOJI = form({"id": snowflake, "name": text(100), "animated": boolean})
_OPTION = form(
    {"label": text(100, 1), "value": text(100, 1), "description": text(100), "emoji": _EMOJI, "default": boolean},
    required=("label", "value"),
)
_COMPONENT_FIELDS: dict[str, Check] = {
    "type": one_of(_COMPONENT_TYPES),
    "id": integer(0, 2**31 - 1),
    "style": integer(1, 6),
    "label": text(80),
    "emoji": _EMOJI,
    "custom_id": text(100, 1),
    "sku_id": snowflake,
    "url": url,
    "disabled": boolean,
    "options": items(_OPTION, 25, 1),
    "channel_types": items(integer(0, 16)),
    "placeholder": text(150),
    "default_values": items(form({"id": snowflake, "type": one_of(("user", "role", "channel"))}), 25),
    "min_values": integer(0, 25),
    "max_values": integer(1, 25),
    "required": boolean,
    "min_length": integer(0, 4000),
    "max_length": integer(1, 4000),
    "value": text(4000),
    "content": text(4000, 1),
    "accessory": _component,
    "component": _component,
    "components": items(_component, _COMPONENTS),
    "media": form({"url": url}, required=("url",)),
    "items": items(form({"media": form({"url": url}), "description": text(1024), "spoiler": boolean}), 10, 1),
    "description": text(1024),
    "spoiler": boolean,
    "accent_color": integer(0, 0xFFFFFF),
    "file": form({"url": url}, required=("url",)),
    "name": text(),
    "size": integer(0),
    "divider": boolean,
    "spacing": integer(1, 2),
    "file_types": items(text(), 10),
    "default": boolean,
}
_COMPONENT = form(_COMPONENT_FIELDS, required=("type",))


def flatten(components: list[Json]) -> list[Json]:
    """Return components and their descendants, depth first."""
    found = []
    for component in components:
        inner = [*(component.get("components") or ())]
        inner += [component[key] for key in ("accessory", "component") if component.get(key)]
        found += [component, *flatten(inner)]
    return found


def _components_size(value: Any, _path: str, _unknown: list[str]) -> Json:
    if len(flatten(value)) > _COMPONENTS:
        return failure("BASE_TYPE_MAX_LENGTH", f"Must be {_COMPONENTS} or fewer in length.")
    return {}


def _layout(value: Json, _path: str, _unknown: list[str]) -> Json:
    """Check that components of version 2 come with their flag and without legacy fields."""
    flagged = bool((value.get("flags") or 0) & IS_COMPONENTS_V2)
    components = value.get("components") or []
    if not flagged:
        wrong = {
            str(n): {"type": failure("BASE_TYPE_CHOICES", "Value must be one of {1}.")}
            for n, component in enumerate(components)
            if component["type"] >= _FIRST_V2_TYPE or component["type"] != 1
        }
        return {"components": wrong} if wrong else {}
    key = "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2"
    message = "The field cannot be used when using MessageFlags.IS_COMPONENTS_V2"
    return {name: failure(key, message) for name in _LEGACY if value.get(name)}


def _nonce(value: Any, path: str, unknown: list[str]) -> Json:
    return snowflake(value, path, unknown) if isinstance(value, int) else text(25)(value, path, unknown)


def _hours(value: Any, path: str, unknown: list[str]) -> Json:
    """Check the duration of a poll in hours; discord.py sends 1.0, which Discord accepts."""
    whole = int(value) if isinstance(value, float) and value.is_integer() else value
    return integer(1, 768)(whole, path, unknown)


_MEDIUM = form({"text": text(300), "emoji": _EMOJI})
_POLL = form(
    {
        "question": _MEDIUM,
        "answers": items(form({"answer_id": integer(1), "poll_media": _MEDIUM}, required=("poll_media",)), 10, 1),
        "duration": _hours,
        "allow_multiselect": boolean,
        "layout_type": one_of((1,)),
    },
    required=("question", "answers"),
)
_ALLOWED_MENTIONS = form(
    {
        "parse": items(one_of(("roles", "users", "everyone"))),
        "roles": items(snowflake, 100),
        "users": items(snowflake, 100),
        "replied_user": boolean,
    }
)
_ATTACHMENT = form(
    {
        "id": snowflake,
        "filename": text(1024),
        "title": text(1024),
        "description": text(1024),
        "is_spoiler": boolean,
        "duration_secs": anything,
        "waveform": text(400),
        "is_remix": boolean,
    },
    required=("id",),
)
_COMMON: dict[str, Check] = {
    "content": text(2000),
    "embeds": every(items(_EMBED, 10), _embeds_size),
    "allowed_mentions": _ALLOWED_MENTIONS,
    "components": every(items(_component), _components_size),
    "attachments": items(_ATTACHMENT, 10),
    "flags": integer(0),
}
_REFERENCE = form(
    {
        "type": one_of((0, 1)),
        "message_id": snowflake,
        "channel_id": snowflake,
        "guild_id": snowflake,
        "fail_if_not_exists": boolean,
    },
    required=("message_id",),
)
_THEME = form(
    {
        "colors": items(text(6, 6), 5, 1),
        "gradient_angle": integer(0, 360),
        "base_mix": integer(0, 100),
        "base_theme": integer(0, 4),
    },
    required=("colors", "gradient_angle", "base_mix"),
)
_CREATED: dict[str, Check] = {**_COMMON, "tts": boolean, "poll": _POLL}

CREATE_MESSAGE = every(
    form(
        {
            **_CREATED,
            "nonce": _nonce,
            "enforce_nonce": boolean,
            "message_reference": _REFERENCE,
            "sticker_ids": items(snowflake, 3),
            "shared_client_theme": _THEME,
        }
    ),
    _layout,
)
FORUM_MESSAGE = every(form({**_COMMON, "sticker_ids": items(snowflake, 3), "shared_client_theme": _THEME}), _layout)
EDIT_MESSAGE = form({**_COMMON, "sticker_ids": items(snowflake, 3)})
EXECUTE_WEBHOOK = every(
    form(
        {
            **_CREATED,
            "username": text(80, 1),
            "avatar_url": url,
            "thread_name": text(100, 1),
            "applied_tags": items(snowflake, 5),
        }
    ),
    _layout,
)
EDIT_WEBHOOK_MESSAGE = form({**_COMMON, "poll": _POLL})

_CHOICE = form({"name": text(100, 1), "value": anything, "name_localizations": anything}, required=("name", "value"))
AUTOCOMPLETE = form({"choices": items(_CHOICE, 25)}, required=("choices",))
MODAL = form(
    {"title": text(45, 1), "custom_id": text(100, 1), "components": items(_component, 5, 1)},
    required=("title", "custom_id", "components"),
)
