"""Polls: their end, and their voters."""

from itertools import islice

from discordproxy_sandbox.errors import Json, discord_error
from discordproxy_sandbox.messages.composing import as_event
from discordproxy_sandbox.resources.exchange import ApiRequest, ApiRoute, Routes
from discordproxy_sandbox.world.world import World


def _message(request: ApiRequest) -> Json:
    message = request.world.message(request["channel_id"], request["message_id"])
    if "poll" not in message:
        raise discord_error(10008)
    return message


def end(request: ApiRequest) -> Json:
    """End a poll of the bot at once."""
    world, message = request.world, _message(request)
    if message["author"]["id"] != world.bot_id:
        raise discord_error(50013)
    if message["poll"]["results"]["is_finalized"]:
        raise discord_error(520000)
    message["poll"]["expiry"] = world.now_iso()
    message["poll"]["results"]["is_finalized"] = True
    channel = world.channel(message["channel_id"])
    world.emit("MESSAGE_UPDATE", as_event(world, channel, message), channel.guild_id)
    return message


def voters(request: ApiRequest) -> Json:
    """Return the voters of an answer."""
    message, channel = _message(request), request.world.channel(request["channel_id"])
    limit, after = request.number("limit", 25, 1, 100), request.snowflake("after") or 0
    answer = int(request["answer_id"]) if request["answer_id"].isdigit() else 0
    ids = sorted(channel.votes.get(message["id"], {}).get(answer, ()), key=int)
    return {"users": [request.world.user(one) for one in islice((one for one in ids if int(one) > after), limit)]}


def vote(world: World, channel_id: str, message_id: str, answer_id: int, user_id: str) -> None:
    """Let a user vote."""
    channel, message = world.channel(channel_id), world.message(channel_id, message_id)
    votes = channel.votes.setdefault(message_id, {})
    votes.setdefault(answer_id, []).append(user_id)
    message["poll"]["results"]["answer_counts"] = [
        {"id": number, "count": len(users), "me_voted": world.bot_id in users} for number, users in votes.items()
    ]
    data: Json = {"user_id": user_id, "channel_id": channel_id, "message_id": message_id, "answer_id": answer_id}
    world.emit("MESSAGE_POLL_VOTE_ADD", data | {"guild_id": channel.guild_id}, channel.guild_id)


_POLL = "/channels/{channel_id}/polls/{message_id}"
ROUTES: Routes = {
    f"POST {_POLL}/expire": ApiRoute(end),
    f"GET {_POLL}/answers/{{answer_id}}": ApiRoute(voters),
}
