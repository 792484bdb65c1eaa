"""Invites to channels."""

import secrets

from discordproxy_sandbox.errors import Json, discord_error, invalid_form
from discordproxy_sandbox.messages.validation import anything, boolean, failure, form, integer, items, one_of, snowflake
from discordproxy_sandbox.resources.exchange import ApiRequest, ApiRoute, Routes
from discordproxy_sandbox.world.snowflakes import iso
from discordproxy_sandbox.world.world import DM, Channel, World

_GUILD_KEYS = (
    "id",
    "name",
    "splash",
    "banner",
    "description",
    "icon",
    "features",
    "verification_level",
    "vanity_url_code",
    "nsfw_level",
    "nsfw",
    "premium_subscription_count",
)
_ROLE_KEYS = ("id", "name", "position", "color", "colors", "icon", "unicode_emoji")
_EVENT_KEYS = ("code", "created_at", "expires_at", "inviter", "max_age", "max_uses", "temporary", "uses")


def create(request: ApiRequest) -> Json:
    """Create an invite to a channel."""
    world, channel, body = request.world, request.world.channel(request["channel_id"]), request.body
    if channel.type == DM:
        raise discord_error(50003)
    max_age = body["max_age"] if body.get("max_age") is not None else 86_400
    in_guild = world.guild(channel.guild_id)
    guild = in_guild.data
    role_ids = [str(each) for each in body.get("role_ids") or ()]
    if unknown := [each for each in role_ids if each not in in_guild.roles]:
        raise invalid_form({"role_ids": failure("INVALID_ROLE", f"Unknown role {unknown[0]}")})
    invite: Json = {
        "type": 0,
        "code": secrets.token_urlsafe(6),
        "inviter": world.user(world.bot_id),
        "max_age": max_age,
        "created_at": world.now_iso(),
        "expires_at": iso(world.clock() + max_age) if max_age else None,
        "guild": {key: guild[key] for key in _GUILD_KEYS},
        "guild_id": channel.guild_id,
        "channel": {key: channel.data[key] for key in ("id", "type", "name")},
        "uses": 0,
        "max_uses": body.get("max_uses") or 0,
        "temporary": bool(body.get("temporary")),
        "flags": 0,
        "roles": [{key: in_guild.roles[each][key] for key in _ROLE_KEYS} for each in role_ids],
        **{key: body[key] for key in ("target_type",) if body.get(key) is not None},
    }
    if body.get("target_user_id"):
        invite["target_user"] = world.user(str(body["target_user_id"]))
    world.invites[invite["code"]] = invite
    _emit(world, "INVITE_CREATE", channel, {key: invite[key] for key in _EVENT_KEYS})
    return invite


def _emit(world: World, name: str, channel: Channel, about: Json) -> None:
    world.emit(name, {"channel_id": channel.id, "guild_id": channel.guild_id, **about}, channel.guild_id)


def get(request: ApiRequest) -> Json:
    """Return an invite."""
    try:
        return request.world.invites[request["code"]]
    except KeyError:
        raise discord_error(10006) from None


def delete(request: ApiRequest) -> Json:
    """Delete an invite; return it."""
    world, invite = request.world, get(request)
    del world.invites[invite["code"]]
    _emit(world, "INVITE_DELETE", world.channel(invite["channel"]["id"]), {"code": invite["code"]})
    return invite


def of_channel(request: ApiRequest) -> list[Json]:
    """Return the invites to a channel."""
    channel = request.world.channel(request["channel_id"])
    return [invite for invite in request.world.invites.values() if invite["channel"]["id"] == channel.id]


def of_guild(request: ApiRequest) -> list[Json]:
    """Return the invites to a guild."""
    guild = request.world.guild(request["guild_id"])
    return [invite for invite in request.world.invites.values() if invite["guild_id"] == guild.id]


_FORM = form(
    {
        "max_age": integer(0, 604_800),
        "max_uses": integer(0, 100),
        "temporary": boolean,
        "unique": boolean,
        "target_type": one_of((1, 2)),
        "target_user_id": snowflake,
        "target_application_id": snowflake,
        "role_ids": items(snowflake, 250),
        "validate": anything,
    }
)
ROUTES: Routes = {
    "POST /channels/{channel_id}/invites": ApiRoute(create, _FORM, files=True),
    "GET /channels/{channel_id}/invites": ApiRoute(of_channel),
    "GET /guilds/{guild_id}/invites": ApiRoute(of_guild),
    "GET /invites/{code}": ApiRoute(get, auth="optional"),
    "DELETE /invites/{code}": ApiRoute(delete),
}
