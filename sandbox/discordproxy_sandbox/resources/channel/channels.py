"""Channels and their permission overwrites."""

from discordproxy_sandbox.errors import Json, discord_error
from discordproxy_sandbox.messages.validation import (
    anything,
    boolean,
    form,
    integer,
    items,
    one_of,
    permissions,
    snowflake,
    text,
)
from discordproxy_sandbox.resources.exchange import ApiAnswer, ApiRequest, ApiRoute, Routes
from discordproxy_sandbox.world.objects import make_channel
from discordproxy_sandbox.world.world import DM, THREADS, Channel, World

_KINDS = (0, 2, 4, 5, 13, 14, 15, 16)
_ARCHIVE_MINUTES = (60, 1440, 4320, 10080)
_METADATA = ("archived", "locked", "auto_archive_duration", "invitable")


def get(request: ApiRequest) -> Json:
    """Return a channel or thread."""
    return request.world.channel(request["channel_id"]).data


def create(request: ApiRequest) -> ApiAnswer:
    """Create a channel in a guild."""
    world, guild = request.world, request.world.guild(request["guild_id"])
    body = request.body
    position = body["position"] if body.get("position") is not None else len(guild.plain_channels())
    channel = make_channel(world.new_id(), guild.id, body["name"], body.get("type") or 0, position)
    _apply(world, channel, {key: value for key, value in body.items() if key not in ("name", "type", "position")})
    world.add_channel(channel)
    world.emit("CHANNEL_CREATE", channel.data, guild.id)
    return ApiAnswer(201, channel.data)


def _apply(world: World, channel: Channel, body: Json) -> None:
    if (parent := body.get("parent_id")) is not None:
        world.channel(str(parent))
    for key, value in body.items():
        if key in _METADATA:
            channel.data["thread_metadata"][key] = value
        elif key == "permission_overwrites":
            channel.data[key] = [_overwrite(str(one["id"]), one) for one in value or ()]
        elif key == "available_tags":
            channel.data[key] = [_tag(world, tag) for tag in value or ()]
        elif key == "parent_id":
            channel.data[key] = None if value is None else str(value)
        else:
            channel.data[key] = value


def _tag(world: World, sent: Json) -> Json:
    defaults: Json = {"id": world.new_id(), "moderated": False, "emoji_id": None, "emoji_name": None}
    return defaults | {key: value for key, value in sent.items() if value is not None}


def _overwrite(overwrite_id: str, sent: Json) -> Json:
    allow, deny = (str(sent.get(key) or "0") for key in ("allow", "deny"))
    return {"id": overwrite_id, "type": int(sent.get("type") or 0), "allow": allow, "deny": deny}


def edit(request: ApiRequest) -> Json:
    """Change a channel or thread."""
    world, channel = request.world, request.world.channel(request["channel_id"])
    if channel.type == DM:
        raise discord_error(50003)
    thread = channel.type in THREADS
    _apply(world, channel, {k: v for k, v in request.body.items() if thread or k not in _METADATA})
    if thread and "archived" in request.body:
        channel.data["thread_metadata"]["archive_timestamp"] = world.now_iso()
    world.emit("THREAD_UPDATE" if thread else "CHANNEL_UPDATE", channel.data, channel.guild_id)
    return channel.data


def delete(request: ApiRequest) -> Json:
    """Delete a channel or thread, or close a DM; return it."""
    world, channel = request.world, request.world.channel(request["channel_id"])
    if channel.type == DM:
        return channel.data
    world.remove_channel(channel)
    if channel.type in THREADS:
        data = {key: channel.data[key] for key in ("id", "guild_id", "parent_id", "type")}
        world.emit("THREAD_DELETE", data, channel.guild_id)
    else:
        world.emit("CHANNEL_DELETE", channel.data, channel.guild_id)
    return channel.data


def set_permissions(request: ApiRequest) -> None:
    """Set the overwrite of a role or member."""
    channel = request.world.channel(request["channel_id"])
    if channel.type == DM:
        raise discord_error(50003)
    guild, overwrite_id = request.world.guild(channel.guild_id), request["overwrite_id"]
    if overwrite_id not in guild.roles and overwrite_id not in guild.members:
        raise discord_error(10009)
    others = [one for one in channel.data["permission_overwrites"] if one["id"] != overwrite_id]
    channel.data["permission_overwrites"] = [*others, _overwrite(overwrite_id, request.body)]
    request.world.emit("CHANNEL_UPDATE", channel.data, channel.guild_id)


def delete_permissions(request: ApiRequest) -> None:
    """Remove the overwrite of a role or member."""
    channel = request.world.channel(request["channel_id"])
    overwrites = channel.data.get("permission_overwrites", [])
    left = [one for one in overwrites if one["id"] != request["overwrite_id"]]
    if len(left) == len(overwrites):
        raise discord_error(10009)
    channel.data["permission_overwrites"] = left
    request.world.emit("CHANNEL_UPDATE", channel.data, channel.guild_id)


_OVERWRITE = {"id": snowflake, "type": one_of((0, 1)), "allow": permissions, "deny": permissions}
_TAG = form(
    {"id": snowflake, "name": text(50), "moderated": boolean, "emoji_id": snowflake, "emoji_name": text(100)},
    required=("name",),
)
_FIELDS = {
    "type": one_of(_KINDS),
    "name": text(100, 1),
    "position": integer(0),
    "topic": text(4096),
    "nsfw": boolean,
    "rate_limit_per_user": integer(0, 21600),
    "bitrate": integer(8000),
    "user_limit": integer(0),
    "permission_overwrites": items(form(_OVERWRITE, required=("id",)), 1000),
    "parent_id": snowflake,
    "rtc_region": text(),
    "video_quality_mode": one_of((1, 2)),
    "default_auto_archive_duration": one_of(_ARCHIVE_MINUTES),
    "default_reaction_emoji": anything,
    "default_thread_rate_limit_per_user": integer(0, 21600),
    "available_tags": items(_TAG, 20),
    "default_sort_order": integer(0, 1),
    "default_forum_layout": integer(0, 2),
    "default_tag_setting": one_of(("match_all", "match_some")),
}
_EDIT = {
    **_FIELDS,
    "flags": integer(0),
    "icon": anything,
    "archived": boolean,
    "locked": boolean,
    "invitable": boolean,
    "auto_archive_duration": one_of(_ARCHIVE_MINUTES),
    "applied_tags": items(snowflake, 5),
}
_PERMISSIONS = form({key: _OVERWRITE[key] for key in ("type", "allow", "deny")})
_CHANNEL = "/channels/{channel_id}"
ROUTES: Routes = {
    "POST /guilds/{guild_id}/channels": ApiRoute(create, form(_FIELDS, required=("name",))),
    f"GET {_CHANNEL}": ApiRoute(get),
    f"PATCH {_CHANNEL}": ApiRoute(edit, form(_EDIT)),
    f"DELETE {_CHANNEL}": ApiRoute(delete),
    f"PUT {_CHANNEL}/permissions/{{overwrite_id}}": ApiRoute(set_permissions, _PERMISSIONS),
    f"DELETE {_CHANNEL}/permissions/{{overwrite_id}}": ApiRoute(delete_permissions),
}
