"""Users and DM channels."""

from discordproxy_sandbox.errors import Json, discord_error, invalid_form
from discordproxy_sandbox.messages.validation import anything, failure, form, items, snowflake, text
from discordproxy_sandbox.resources.exchange import ApiRequest, ApiRoute, Routes
from discordproxy_sandbox.world.objects import EVERYTHING, make_dm
from discordproxy_sandbox.world.world import Channel, Guild, World


def get_me(request: ApiRequest) -> Json:
    """Return the bot's user with its private fields."""
    user = request.world.user(request.world.bot_id)
    return {"mfa_enabled": True, "locale": "en-US", "premium_type": 0, "email": None, "verified": True, **user}


def edit_me(request: ApiRequest) -> Json:
    """Change the bot's user."""
    world = request.world
    world.user(world.bot_id).update({k: v for k, v in request.body.items() if k in ("username", "avatar", "banner")})
    world.emit("USER_UPDATE", get_me(request))
    return get_me(request)


def get(request: ApiRequest) -> Json:
    """Return a user."""
    return request.world.user(request["user_id"])


def guilds(request: ApiRequest) -> list[Json]:
    """Return the bot's guilds, by id."""
    limit = request.number("limit", 200, 1, 200)
    after, before = request.snowflake("after"), request.snowflake("before")
    ids = sorted(request.world.guilds, key=int)
    if after is not None:
        ids = [one for one in ids if int(one) > after]
    if before is not None:
        ids = [one for one in ids if int(one) < before][-limit:]
    counts = request.flag("with_counts")
    return [_summary(request.world, request.world.guilds[one], counts=counts) for one in ids[:limit]]


def _summary(world: World, guild: Guild, *, counts: bool) -> Json:
    data = {key: guild.data[key] for key in ("id", "name", "icon", "banner", "features")}
    summary: Json = {**data, "owner": guild.data["owner_id"] == world.bot_id, "permissions": EVERYTHING}
    if counts:
        summary |= {"approximate_member_count": len(guild.members), "approximate_presence_count": 1}
    return summary


def open_dm(request: ApiRequest) -> Json:
    """Return the DM channel with a user; open it if necessary."""
    world = request.world
    recipient = request.body.get("recipient_id")
    if recipient is None:
        wrong = failure("CHANNEL_RECIPIENT_REQUIRED", "At least one channel recipient is required.")
        raise invalid_form(wrong)
    user = world.user(str(recipient))
    if user["id"] == world.bot_id:
        raise discord_error(50033)
    return dm_with(world, user).data


def dm_with(world: World, user: Json) -> Channel:
    """Return the one DM channel of a user; its id never changes."""
    if known := world.dms.get(user["id"]):
        return known
    if world.new_dms and not world.new_dms.hit(world.clock()).allowed:
        raise discord_error(40003)
    channel = make_dm(world.new_id(), user)
    world.add_channel(channel)
    world.dms[user["id"]] = channel
    return channel


def leave_guild(request: ApiRequest) -> None:
    """Remove the bot from a guild."""
    request.world.remove_guild(request["guild_id"])


_USER = form({"username": text(32, 2), "avatar": anything, "banner": anything})
ROUTES: Routes = {
    "GET /users/@me": ApiRoute(get_me, auth="any"),
    "PATCH /users/@me": ApiRoute(edit_me, _USER),
    "GET /users/{user_id}": ApiRoute(get),
    "GET /users/@me/guilds": ApiRoute(guilds, auth="any"),
    "DELETE /users/@me/guilds/{guild_id}": ApiRoute(leave_guild),
    "POST /users/@me/channels": ApiRoute(
        open_dm, form({"recipient_id": snowflake, "access_tokens": items(text()), "nicks": anything})
    ),
}
