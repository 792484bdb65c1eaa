"""Bans of a guild."""

from discordproxy_sandbox.errors import DiscordError, Json, discord_error
from discordproxy_sandbox.messages.validation import form, integer, items, snowflake
from discordproxy_sandbox.resources.exchange import ApiRequest, ApiRoute, Routes
from discordproxy_sandbox.resources.guild.members import leave
from discordproxy_sandbox.world.world import Guild, World

_WEEK_S = 7 * 86_400


def list_(request: ApiRequest) -> list[Json]:
    """Return bans by user id."""
    guild = request.world.guild(request["guild_id"])
    limit = request.number("limit", 1000, 1, 1000)
    after, before = request.snowflake("after"), request.snowflake("before")
    ids = sorted(guild.bans, key=int)
    if before is not None:
        ids = [one for one in ids if int(one) < before][-limit:]
    elif after is not None:
        ids = [one for one in ids if int(one) > after]
    return [guild.bans[one] for one in ids[:limit]]


def get(request: ApiRequest) -> Json:
    """Return a ban."""
    found = request.world.guild(request["guild_id"]).bans.get(request["user_id"])
    if found is None:
        raise discord_error(10026)
    return found


def ban(world: World, guild: Guild, user_id: str, reason: str) -> None:
    """Ban a user, member or not."""
    user = world.user(user_id)
    leave(world, guild, user_id)
    guild.bans[user_id] = {"user": user, "reason": reason or None}
    world.emit("GUILD_BAN_ADD", {"guild_id": guild.id, "user": user}, guild.id)


def create(request: ApiRequest) -> None:
    """Ban the user in the path."""
    ban(request.world, request.world.guild(request["guild_id"]), request["user_id"], request.reason)


def delete(request: ApiRequest) -> None:
    """Lift a ban."""
    guild = request.world.guild(request["guild_id"])
    found = guild.bans.pop(request["user_id"], None)
    if found is None:
        raise discord_error(10026)
    request.world.emit("GUILD_BAN_REMOVE", {"guild_id": guild.id, "user": found["user"]}, guild.id)


def bulk(request: ApiRequest) -> Json:
    """Ban up to 200 users; those that do not exist fail."""
    world, guild = request.world, request.world.guild(request["guild_id"])
    asked = [str(one) for one in request.body["user_ids"]]
    banned = [one for one in asked if world.has_user(one)]
    if not banned:
        raise DiscordError(400, 500000, "Failed to ban users")
    for user_id in banned:
        ban(world, guild, user_id, request.reason)
    return {"banned_users": banned, "failed_users": [one for one in asked if one not in banned]}


_BANS = "/guilds/{guild_id}/bans"
_DELETION = {"delete_message_seconds": integer(0, _WEEK_S), "delete_message_days": integer(0, 7)}
_BULK = form({"user_ids": items(snowflake, 200, 1), **_DELETION}, required=("user_ids",))
ROUTES: Routes = {
    f"GET {_BANS}": ApiRoute(list_),
    f"GET {_BANS}/{{user_id}}": ApiRoute(get),
    f"PUT {_BANS}/{{user_id}}": ApiRoute(create, form(_DELETION)),
    f"DELETE {_BANS}/{{user_id}}": ApiRoute(delete),
    "POST /guilds/{guild_id}/bulk-ban": ApiRoute(bulk, _BULK),
}
