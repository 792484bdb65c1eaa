"""Reactions and their users."""

from itertools import islice

from discordproxy_sandbox.errors import Json, discord_error
from discordproxy_sandbox.resources.channel.messages import emoji_of
from discordproxy_sandbox.resources.exchange import ApiRequest, ApiRoute, Routes
from discordproxy_sandbox.world.world import Channel


def _reactions(request: ApiRequest) -> tuple[Channel, dict[str, list[str]]]:
    channel = request.world.channel(request["channel_id"])
    request.world.message(channel.id, request["message_id"])
    return channel, channel.reactions.setdefault(request["message_id"], {})


def _emoji(request: ApiRequest) -> str:
    """Return the path's emoji, which must be a character or name:id."""
    key = request["emoji_name"]
    _, _, emoji_id = key.partition(":")
    if (key.isascii() and not emoji_id.isdigit()) or not key:
        raise discord_error(10014)
    return key


def _emit(request: ApiRequest, name: str, channel: Channel, more: Json) -> None:
    data: Json = {"channel_id": channel.id, "message_id": request["message_id"]} | more
    if channel.guild_id:
        data["guild_id"] = channel.guild_id
    request.world.emit(name, data, channel.guild_id)


def add(request: ApiRequest) -> None:
    """React as the bot."""
    channel, reactions = _reactions(request)
    emoji, bot_id = _emoji(request), request.world.bot_id
    users = reactions.setdefault(emoji, [])
    if bot_id not in users:
        users.append(bot_id)
        more: Json = {"user_id": bot_id, "emoji": emoji_of(emoji), "burst": False, "type": 0}
        _emit(request, "MESSAGE_REACTION_ADD", channel, more)


def remove(request: ApiRequest) -> None:
    """Remove a reaction of the bot, or of the user in the path."""
    channel, reactions = _reactions(request)
    emoji, user_id = _emoji(request), request.params.get("user_id", request.world.bot_id)
    users = reactions.get(emoji, [])
    if user_id in users:
        users.remove(user_id)
        more: Json = {"user_id": user_id, "emoji": emoji_of(emoji), "burst": False, "type": 0}
        _emit(request, "MESSAGE_REACTION_REMOVE", channel, more)
    if not users:
        reactions.pop(emoji, None)


def users_of(request: ApiRequest) -> list[Json]:
    """Return the users who reacted with an emoji."""
    _, reactions = _reactions(request)
    limit, after = request.number("limit", 25, 1, 100), request.snowflake("after") or 0
    ids = sorted(reactions.get(_emoji(request), ()), key=int)
    return [request.world.user(one) for one in islice((one for one in ids if int(one) > after), limit)]


def clear(request: ApiRequest) -> None:
    """Remove all reactions."""
    channel, reactions = _reactions(request)
    reactions.clear()
    _emit(request, "MESSAGE_REACTION_REMOVE_ALL", channel, {})


def clear_emoji(request: ApiRequest) -> None:
    """Remove all reactions with one emoji."""
    channel, reactions = _reactions(request)
    emoji = _emoji(request)
    reactions.pop(emoji, None)
    _emit(request, "MESSAGE_REACTION_REMOVE_EMOJI", channel, {"emoji": emoji_of(emoji)})


_ALL = "/channels/{channel_id}/messages/{message_id}/reactions"
_ONE = f"{_ALL}/{{emoji_name}}"
ROUTES: Routes = {
    f"PUT {_ONE}/@me": ApiRoute(add),
    f"DELETE {_ONE}/@me": ApiRoute(remove),
    f"DELETE {_ONE}/{{user_id}}": ApiRoute(remove),
    f"GET {_ONE}": ApiRoute(users_of),
    f"DELETE {_ONE}": ApiRoute(clear_emoji),
    f"DELETE {_ALL}": ApiRoute(clear),
}
