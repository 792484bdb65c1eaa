"""Roles of a guild."""

from collections import Counter

from discordproxy_sandbox.errors import Json, discord_error
from discordproxy_sandbox.messages.validation import (
    anything,
    boolean,
    form,
    integer,
    items,
    permissions,
    snowflake,
    text,
)
from discordproxy_sandbox.resources.exchange import ApiRequest, ApiRoute, Routes
from discordproxy_sandbox.resources.guild.members import update
from discordproxy_sandbox.world.objects import DEFAULT_PERMISSIONS, make_role


def list_(request: ApiRequest) -> list[Json]:
    """Return the roles of a guild."""
    return list(request.world.guild(request["guild_id"]).roles.values())


def get(request: ApiRequest) -> Json:
    """Return a role."""
    return request.world.role(request["guild_id"], request["role_id"])


def create(request: ApiRequest) -> Json:
    """Create a role above @everyone."""
    world, guild = request.world, request.world.guild(request["guild_id"])
    role = make_role(world.new_id(), "new role", 1, DEFAULT_PERMISSIONS)
    guild.roles[role["id"]] = role
    _apply(role, request.body)
    world.emit("GUILD_ROLE_CREATE", {"guild_id": guild.id, "role": role}, guild.id)
    return role


def edit(request: ApiRequest) -> Json:
    """Change a role."""
    world, role = request.world, request.world.role(request["guild_id"], request["role_id"])
    _apply(role, request.body)
    world.emit("GUILD_ROLE_UPDATE", {"guild_id": request["guild_id"], "role": role}, request["guild_id"])
    return role


def _apply(role: Json, body: Json) -> None:
    for key, value in body.items():
        if key == "permissions":
            role[key] = str(value) if value is not None else role[key]
        elif key in ("icon", "unicode_emoji") or value is not None:
            role[key] = value
    if "color" in body:
        role["colors"]["primary_color"] = body["color"] or 0
    if body.get("colors"):
        role["color"] = body["colors"].get("primary_color") or 0


def move(request: ApiRequest) -> list[Json]:
    """Change the positions of roles."""
    for sent in request.body or ():
        role = request.world.role(request["guild_id"], str(sent["id"]))
        role["position"] = sent.get("position") or role["position"]
    return list_(request)


def delete(request: ApiRequest) -> None:
    """Delete a role and remove it from its members."""
    world, guild = request.world, request.world.guild(request["guild_id"])
    role = world.role(guild.id, request["role_id"])
    if role["id"] == guild.id:
        raise discord_error(50028)
    del guild.roles[role["id"]]
    for user_id in [one for one in guild.members.stored() if role["id"] in (guild.members.get(one) or {})["roles"]]:
        left = [one for one in (guild.members.get(user_id) or {})["roles"] if one != role["id"]]
        update(world, guild, user_id, {"roles": left})
    world.emit("GUILD_ROLE_DELETE", {"guild_id": guild.id, "role_id": role["id"]}, guild.id)


def counts(request: ApiRequest) -> Json:
    """Return the number of members of each role."""
    guild = request.world.guild(request["guild_id"])
    return Counter(role for one in guild.members.stored() for role in (guild.members.get(one) or {})["roles"])


_FORM = form(
    {
        "name": text(100),
        "permissions": permissions,
        "color": integer(0, 0xFFFFFF),
        "colors": anything,
        "hoist": boolean,
        "icon": text(),
        "unicode_emoji": text(100),
        "mentionable": boolean,
    }
)
_ROLES = "/guilds/{guild_id}/roles"
ROUTES: Routes = {
    f"GET {_ROLES}": ApiRoute(list_),
    f"POST {_ROLES}": ApiRoute(create, _FORM),
    f"PATCH {_ROLES}": ApiRoute(move, items(form({"id": snowflake, "position": integer(0)}))),
    f"GET {_ROLES}/member-counts": ApiRoute(counts),
    f"GET {_ROLES}/{{role_id}}": ApiRoute(get),
    f"PATCH {_ROLES}/{{role_id}}": ApiRoute(edit, _FORM),
    f"DELETE {_ROLES}/{{role_id}}": ApiRoute(delete),
}
