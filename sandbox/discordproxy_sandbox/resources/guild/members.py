"""Guild members and their roles."""

from itertools import islice

from discordproxy_sandbox.errors import DiscordError, Json, discord_error
from discordproxy_sandbox.messages.validation import boolean, form, integer, items, snowflake, text, timestamp
from discordproxy_sandbox.resources.exchange import ApiAnswer, ApiRequest, ApiRoute, Routes
from discordproxy_sandbox.world.objects import make_member
from discordproxy_sandbox.world.permissions import bot_may_assign
from discordproxy_sandbox.world.voice import set_voice_state
from discordproxy_sandbox.world.world import Guild, World

_LISTS_MEMBERS = 1 << 14 | 1 << 15
"""Flags of applications with the privileged intent for members, in at least, or in less than 100 guilds."""

_VOICE = ("mute", "deaf")
"""Fields that GUILD_MEMBER_UPDATE does not have (discord-api-docs#7125); VOICE_STATE_UPDATE reports them."""


def update(world: World, guild: Guild, user_id: str, changes: Json) -> Json:
    """Change a member and emit the event; return it with its user."""
    member = dict(guild.members.get(user_id) or {}) | changes
    guild.members.put(user_id, member)
    full = world.member(guild.id, user_id)
    event = {key: value for key, value in full.items() if key not in _VOICE}
    world.emit("GUILD_MEMBER_UPDATE", event | {"guild_id": guild.id}, guild.id)
    return full


def join(world: World, guild_id: str, user_id: str, roles: list[str] | None = None) -> Json:
    """Add a user to a guild and emit the event; return the member with its user."""
    guild = world.guild(guild_id)
    guild.members.put(user_id, make_member(roles or ()) | {"joined_at": world.now_iso()})
    full = world.member(guild.id, user_id)
    world.emit("GUILD_MEMBER_ADD", full | {"guild_id": guild.id}, guild.id)
    return full


def leave(world: World, guild: Guild, user_id: str) -> None:
    """Remove a member from a guild and emit the event."""
    if guild.members.remove(user_id):
        guild.voice_states.pop(user_id, None)
        world.emit("GUILD_MEMBER_REMOVE", {"guild_id": guild.id, "user": world.user(user_id)}, guild.id)


def list_(request: ApiRequest) -> list[Json]:
    """Return members by id; requires the privileged intent."""
    if not request.world.application_flags & _LISTS_MEMBERS:
        raise discord_error(50001)
    guild = request.world.guild(request["guild_id"])
    limit, after = request.number("limit", 1, 1, 1000), request.snowflake("after") or 0
    return [request.world.member(guild.id, one) for one in islice(guild.members.after(str(after)), limit)]


def search(request: ApiRequest) -> list[Json]:
    """Return the members whose name or nickname starts with the query."""
    world, guild = request.world, request.world.guild(request["guild_id"])
    limit, prefix = request.number("limit", 1, 1, 1000), request.query.get("query", "").lower()
    return [world.member(guild.id, one) for one in islice(world.members_named(guild, prefix), limit)]


def get(request: ApiRequest) -> Json:
    """Return a member."""
    return request.world.member(request["guild_id"], request["user_id"])


def add(request: ApiRequest) -> ApiAnswer:
    """Add a user by an OAuth2 token; 204 if already a member."""
    world, guild, body = request.world, request.world.guild(request["guild_id"]), request.body
    user_id = world.user(request["user_id"])["id"]
    if user_id in guild.members:
        return ApiAnswer(204)
    roles = [str(one) for one in body.get("roles") or ()]
    _require_assignable(world, guild, roles, [])
    join(world, guild.id, user_id, roles)
    changes = {key: body[key] for key in ("nick", "mute", "deaf") if body.get(key) is not None}
    return ApiAnswer(201, update(world, guild, user_id, changes))


def edit(request: ApiRequest) -> Json:
    """Change a member: nickname, roles, time-out, voice."""
    world, guild = request.world, request.world.guild(request["guild_id"])
    user_id = request.params.get("user_id", world.bot_id)
    world.member(guild.id, user_id)
    changes = dict(request.body)
    if "roles" in changes:
        changes["roles"] = list(dict.fromkeys(str(one) for one in changes["roles"] or ()))
        _require_assignable(world, guild, changes["roles"], world.member(guild.id, user_id)["roles"])
    voice = {key: changes.pop(key) for key in ("channel_id", *_VOICE) if key in changes}
    if voice.get("channel_id") is not None:
        world.channel(str(voice["channel_id"]))
    if voice and user_id not in guild.voice_states:
        raise DiscordError(400, 40032, "Target user is not connected to voice.")
    full = update(world, guild, user_id, changes | {key: bool(voice[key]) for key in _VOICE if key in voice})
    if voice:
        place = {"channel_id": voice["channel_id"] and str(voice["channel_id"])} if "channel_id" in voice else {}
        set_voice_state(world, guild.id, guild.voice_states[user_id] | place, user_id)
    return full


def _require_assignable(world: World, guild: Guild, roles: list[str], present: list[str]) -> None:
    """Raise Discord's error if the bot must not give a member these roles instead of the present ones."""
    for role_id in roles:
        world.role(guild.id, role_id)
    for role_id in (set(roles) ^ set(present)) & guild.roles.keys():
        role = guild.roles[role_id]
        if role_id == guild.id or role["managed"]:
            raise discord_error(50028)
        if not bot_may_assign(world, guild, role):
            raise discord_error(50013)


def kick(request: ApiRequest) -> None:
    """Remove a member."""
    world, guild = request.world, request.world.guild(request["guild_id"])
    world.member(guild.id, request["user_id"])
    leave(world, guild, request["user_id"])


def add_role(request: ApiRequest) -> None:
    """Give a member a role."""
    _change_role(request, present=True)


def remove_role(request: ApiRequest) -> None:
    """Remove a role from a member."""
    _change_role(request, present=False)


def _change_role(request: ApiRequest, *, present: bool) -> None:
    world, guild = request.world, request.world.guild(request["guild_id"])
    roles = list(world.member(guild.id, request["user_id"])["roles"])
    role_id = world.role(guild.id, request["role_id"])["id"]
    if (role_id in roles) == present:
        _require_assignable(world, guild, [role_id], [])
        return
    changed = [*roles, role_id] if present else [one for one in roles if one != role_id]
    _require_assignable(world, guild, changed, roles)
    update(world, guild, request["user_id"], {"roles": changed})


_EDIT = {
    "nick": text(32),
    "roles": items(snowflake, 1521),
    "mute": boolean,
    "deaf": boolean,
    "channel_id": snowflake,
    "communication_disabled_until": timestamp,
    "flags": integer(0),
}
_ADD = {key: _EDIT[key] for key in ("nick", "roles", "mute", "deaf")} | {
    "access_token": text(10240),
    "flags": integer(0),
}
_ME = form({"nick": text(32), "avatar": text(), "banner": text(), "bio": text(190)})
_MEMBERS = "/guilds/{guild_id}/members"
_MEMBER = f"{_MEMBERS}/{{user_id}}"
ROUTES: Routes = {
    f"GET {_MEMBERS}": ApiRoute(list_),
    f"GET {_MEMBERS}/search": ApiRoute(search),
    f"PATCH {_MEMBERS}/@me": ApiRoute(edit, _ME),
    f"GET {_MEMBER}": ApiRoute(get),
    f"PUT {_MEMBER}": ApiRoute(add, form(_ADD, required=("access_token",))),
    f"PATCH {_MEMBER}": ApiRoute(edit, form(_EDIT)),
    f"DELETE {_MEMBER}": ApiRoute(kick),
    f"PUT {_MEMBER}/roles/{{role_id}}": ApiRoute(add_role),
    f"DELETE {_MEMBER}/roles/{{role_id}}": ApiRoute(remove_role),
}
