"""Defaults of objects that the sandbox does not store; libraries rely on every documented key."""

from collections.abc import Callable

from discordproxy_sandbox.errors import Json
from discordproxy_sandbox.resources.exchange import ApiRequest


def _emoji(request: ApiRequest) -> Json:
    flags: Json = {"require_colons": True, "managed": False, "animated": False, "available": True}
    return flags | {"name": "emoji", "roles": [], "user": request.world.user(request.world.bot_id)}


def _sticker(request: ApiRequest) -> Json:
    about: Json = {"name": "sticker", "tags": "", "type": 2, "format_type": 1, "description": None, "available": True}
    return about | {"guild_id": next(iter(request.world.guilds), request.world.bot_id)}


def _sticker_pack(_request: ApiRequest) -> Json:
    return {"sku_id": "1", "name": "pack", "description": None, "stickers": []}


def _sound(_request: ApiRequest) -> Json:
    return {"name": "sound", "volume": 1.0, "emoji_id": None, "emoji_name": None, "available": True}


def _stage(request: ApiRequest) -> Json:
    channel = request.world.channel(request.params.get("channel_id") or str(request.body.get("channel_id")))
    about: Json = {"guild_id": channel.guild_id, "channel_id": channel.id, "topic": "topic", "privacy_level": 2}
    return about | {"discoverable_disabled": True, "guild_scheduled_event_id": None}


def _rule(request: ApiRequest) -> Json:
    about: Json = {"name": "rule", "creator_id": request.world.bot_id, "event_type": 1, "trigger_type": 3}
    return about | {"trigger_metadata": {}, "actions": [], "enabled": False, "exempt_roles": [], "exempt_channels": []}


def _join_request(request: ApiRequest) -> Json:
    sent = request.body if isinstance(request.body, dict) else {}
    status: Json = {"application_status": sent.get("action", "SUBMITTED"), "rejection_reason": None}
    now = request.world.now_iso()
    return {"created_at": now, "reviewed_at": now if sent else None, "user_id": request.world.bot_id, **status}


def _entitlement(request: ApiRequest) -> Json:
    sent = request.body if isinstance(request.body, dict) else {}
    owner: Json = {"user_id": str(sent.get("owner_id") or request.world.bot_id), "type": 8, "deleted": False}
    about: Json = {"sku_id": str(sent.get("sku_id") or 1), "application_id": request.world.bot_id}
    return about | owner | {"starts_at": None, "ends_at": None}


def _exception(request: ApiRequest) -> Json:
    times: Json = {"scheduled_start_time": None, "scheduled_end_time": None, "is_canceled": False}
    return {"event_id": request["guild_scheduled_event_id"], **times}


def _subscription(request: ApiRequest) -> Json:
    now = request.world.now_iso()
    about: Json = {"user_id": request.world.bot_id, "sku_ids": [request["sku_id"]], "entitlement_ids": []}
    period: Json = {"current_period_start": now, "current_period_end": now, "status": 0, "canceled_at": None}
    return about | period | {"renewal_sku_ids": None}


_SNAPSHOT = (
    "name",
    "description",
    "region",
    "verification_level",
    "default_message_notifications",
    "explicit_content_filter",
    "preferred_locale",
    "afk_timeout",
    "afk_channel_id",
    "system_channel_id",
    "system_channel_flags",
)


def _template(request: ApiRequest) -> Json:
    world, now = request.world, request.world.now_iso()
    guild = (
        world.guild(request.params["guild_id"]) if "guild_id" in request.params else next(iter(world.guilds.values()))
    )
    snapshot: Json = {key: guild.data[key] for key in _SNAPSHOT} | {"icon_hash": None, "roles": [], "channels": []}
    who: Json = {"creator_id": world.bot_id, "creator": world.user(world.bot_id)}
    when: Json = {"created_at": now, "updated_at": now, "source_guild_id": guild.id, "is_dirty": None}
    about: Json = {"code": f"t{world.new_id()}", "name": "template", "description": None, "usage_count": 0}
    return about | who | when | {"serialized_source_guild": snapshot}


_MAKERS: dict[str, tuple[str, Callable[[ApiRequest], Json]]] = {
    "emojis": ("id", _emoji),
    "stickers": ("id", _sticker),
    "soundboard-sounds": ("sound_id", _sound),
    "stage-instances": ("id", _stage),
    "rules": ("id", _rule),
    "templates": ("code", _template),
    "requests": ("id", _join_request),
    "sticker-packs": ("id", _sticker_pack),
    "entitlements": ("id", _entitlement),
    "exceptions": ("event_exception_id", _exception),
    "subscriptions": ("id", _subscription),
}
"""Collection in the path -> key of an object's id, and its defaults."""


_NOT_RETURNED = frozenset(
    {
        "action",
        "image",
        "sound",
        "file",
        "owner_id",
        "owner_type",
        "original_scheduled_start_time",
        "send_start_notification",
    }
)


def filled(request: ApiRequest, sent: Json) -> Json:
    """Return an object as Discord does: `sent`, the ids of the path, and defaults for the missing keys."""
    segments = request.template.strip("/").split("/")
    single = segments[-1].startswith("{")
    collection = segments[-2] if single else segments[-1]
    path = {name: value for name, value in request.params.items() if name != "code"}
    if collection not in _MAKERS:
        own = request[segments[-1].strip("{}")] if single else request.world.new_id()
        return {"id": own, **path, **sent}
    key, make = _MAKERS[collection]
    known = request.params.get(segments[-1].strip("{}")) if single and collection != "stage-instances" else None
    own_guild = "guild_id" in path and collection not in {"emojis", "templates", "exceptions"}
    of_guild = {"guild_id": path["guild_id"]} if own_guild else {}
    own_id = {key: known or request.world.new_id()} if key != "code" or known else {}
    given = {name: value for name, value in sent.items() if name not in _NOT_RETURNED}
    return {**make(request), **of_guild, **own_id, **given}
