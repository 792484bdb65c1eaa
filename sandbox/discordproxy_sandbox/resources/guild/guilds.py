"""Guilds and their channel lists."""

from discordproxy_sandbox.errors import Json
from discordproxy_sandbox.messages.validation import anything, boolean, form, integer, items, snowflake, text
from discordproxy_sandbox.resources.exchange import ApiRequest, ApiRoute, Routes
from discordproxy_sandbox.world.visibility import bot_sees


def get(request: ApiRequest) -> Json:
    """Return a guild."""
    guild = request.world.guild(request["guild_id"])
    answer = guild.as_json()
    if request.flag("with_counts"):
        answer |= {"approximate_member_count": len(guild.members), "approximate_presence_count": 1}
    return answer


def preview(request: ApiRequest) -> Json:
    """Return the public preview of a guild."""
    guild = request.world.guild(request["guild_id"])
    whole = guild.as_json()
    counts = {"approximate_member_count": len(guild.members), "approximate_presence_count": 1}
    return {key: whole.get(key) for key in _PREVIEW} | counts


def widget(request: ApiRequest) -> Json:
    """Return the widget of a guild; nobody is online."""
    guild = request.world.guild(request["guild_id"])
    about = {"id": guild.id, "name": guild.data["name"], "instant_invite": None}
    return about | {"channels": [], "members": [], "presence_count": 0}


def edit(request: ApiRequest) -> Json:
    """Change a guild."""
    guild = request.world.guild(request["guild_id"])
    guild.data.update({key: value for key, value in request.body.items() if key in guild.data})
    request.world.emit("GUILD_UPDATE", guild.as_json(), guild.id)
    return guild.as_json()


def widget_settings(request: ApiRequest) -> Json:
    """Return the settings of a guild's widget."""
    data = request.world.guild(request["guild_id"]).data
    return {"enabled": data["widget_enabled"], "channel_id": data["widget_channel_id"]}


def edit_widget_settings(request: ApiRequest) -> Json:
    """Change the settings of a guild's widget."""
    data = request.world.guild(request["guild_id"]).data
    data.update({f"widget_{key}": value for key, value in request.body.items()})
    return widget_settings(request)


def move_channels(request: ApiRequest) -> None:
    """Change the positions and categories of channels."""
    for sent in request.body or ():
        channel = request.world.channel(str(sent["id"]))
        changes = {key: sent[key] for key in ("position", "parent_id") if sent.get(key) is not None}
        channel.data.update(changes)
        request.world.emit("CHANNEL_UPDATE", channel.data, channel.guild_id)


def channels(request: ApiRequest) -> list[Json]:
    """Return the channels of a guild that the bot can see, threads excluded."""
    found = request.world.guild(request["guild_id"]).plain_channels()
    return [channel.data for channel in found if bot_sees(request.world, channel)]


def emojis(request: ApiRequest) -> list[Json]:
    """Return the emojis of a guild."""
    return list(request.world.guild(request["guild_id"]).emojis.values())


_GUILD = "/guilds/{guild_id}"
_PICTURES = ("icon", "home_header", "splash", "discovery_splash")
_PREVIEW = ("id", "name", "description", *_PICTURES, "features", "emojis", "stickers")
_ID_OR_NULL = (
    "afk_channel_id",
    "system_channel_id",
    "rules_channel_id",
    "public_updates_channel_id",
    "safety_alerts_channel_id",
)
_FORM = form(
    {
        "name": text(100, 2),
        "description": text(300),
        "verification_level": integer(0, 4),
        "default_message_notifications": integer(0, 1),
        "explicit_content_filter": integer(0, 2),
        "afk_timeout": integer(0, 3600),
        "system_channel_flags": integer(0),
        "preferred_locale": text(),
        "region": text(),
        "features": anything,
        "icon": anything,
        "banner": anything,
        "splash": anything,
        "home_header": anything,
        "discovery_splash": anything,
        "premium_progress_bar_enabled": anything,
        **dict.fromkeys(_ID_OR_NULL, anything),
    }
)
_MOVED = {"id": snowflake, "position": integer(0), "parent_id": snowflake, "lock_permissions": boolean}
ROUTES: Routes = {
    f"GET {_GUILD}": ApiRoute(get),
    f"PATCH {_GUILD}": ApiRoute(edit, _FORM),
    f"GET {_GUILD}/channels": ApiRoute(channels),
    f"PATCH {_GUILD}/channels": ApiRoute(move_channels, items(form(_MOVED))),
    f"GET {_GUILD}/widget": ApiRoute(widget_settings),
    f"PATCH {_GUILD}/widget": ApiRoute(edit_widget_settings, form({"enabled": boolean, "channel_id": snowflake})),
    f"GET {_GUILD}/emojis": ApiRoute(emojis),
    f"GET {_GUILD}/preview": ApiRoute(preview),
    f"GET {_GUILD}/widget.json": ApiRoute(widget, auth="optional"),
}
