"""Messages: create, read, edit, delete, crosspost."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import islice

from discordproxy_sandbox.errors import Json, discord_error
from discordproxy_sandbox.ledger import Ledger, Stored
from discordproxy_sandbox.messages.composing import as_event, compose, count_in, digest_of, is_empty, write
from discordproxy_sandbox.messages.forms import CREATE_MESSAGE, EDIT_MESSAGE
from discordproxy_sandbox.messages.uploads import Upload
from discordproxy_sandbox.messages.validation import form, items, snowflake
from discordproxy_sandbox.resources.exchange import ApiRequest, ApiRoute, Routes
from discordproxy_sandbox.world.snowflakes import created_at
from discordproxy_sandbox.world.world import ANNOUNCEMENT, DM, TEXTUAL, Channel, World

_NONCE_WINDOW_S = 300.0
_CROSSPOSTED = 1
_TWO_WEEKS_S = 14 * 86_400.0


def store(
    world: World, ledger: Ledger, channel: Channel, author: Json, body: Json, uploads: Sequence[Upload] = ()
) -> Json:
    """Store a new message, record it in the ledger and emit the event; return it."""
    if channel.type not in TEXTUAL:
        raise discord_error(50008)
    if is_empty(body, uploads):
        raise discord_error(50006)
    message = compose(world, channel, author, body, uploads)
    count_in(channel, message)
    nonce = body.get("nonce")
    ledger.stored.append(Stored(channel.id, message["id"], digest_of(message), str(nonce or "")))
    answer = message | ({"nonce": nonce} if nonce is not None else {})
    world.emit("MESSAGE_CREATE", as_event(world, channel, answer), channel.guild_id)
    return answer


def create(request: ApiRequest) -> Json:
    """Create a message; an enforced nonce that was used in the last five minutes returns the first message."""
    world, channel, body = request.world, request.world.channel(request["channel_id"]), request.body
    if channel.type == DM and (refusal := world.refusal(channel.data["recipients"][0]["id"])):
        raise refusal
    key = (world.bot_id, str(body.get("nonce") or ""))
    if key[1] and body.get("enforce_nonce"):
        used_at, message_id = channel.nonces.get(key, (0.0, ""))
        if request.now - used_at < _NONCE_WINDOW_S:
            request.ledger.nonce_repeats += 1
            # For a deleted message, Discord returns Unknown Message on purpose.
            return {**world.message(channel.id, message_id), "nonce": body["nonce"]}
    message = store(world, request.ledger, channel, world.user(world.bot_id), body, request.uploads)
    if key[1]:
        channel.nonces[key] = (request.now, message["id"])
    return message


def get(request: ApiRequest) -> Json:
    """Return a message."""
    return with_reactions(request.world, request["channel_id"], request["message_id"])


def with_reactions(world: World, channel_id: str, message_id: str) -> Json:
    """Return a message with the counts of its reactions."""
    message = world.message(channel_id, message_id)
    reactions = world.channel(channel_id).reactions.get(message_id)
    if not reactions:
        return message
    counted = [
        {
            "emoji": emoji_of(key),
            "count": len(users),
            "count_details": {"burst": 0, "normal": len(users)},
            "burst_colors": [],
            "me_burst": False,
            "burst_me": False,
            "me": world.bot_id in users,
            "burst_count": 0,
        }
        for key, users in reactions.items()
    ]
    return {**message, "reactions": counted}


def emoji_of(key: str) -> Json:
    """Return the emoji object of a reaction's path segment: an emoji, or name:id."""
    name, _, emoji_id = key.partition(":")
    return {"id": emoji_id or None, "name": name}


def list_(request: ApiRequest) -> list[Json]:
    """Return messages, newest first."""
    channel = request.world.channel(request["channel_id"])
    limit = request.number("limit", 50, 1, 100)
    after, before, around = (request.snowflake(name) for name in ("after", "before", "around"))
    ids = list(channel.messages)
    if after is not None:
        picked = list(islice((one for one in ids if int(one) > after), limit))[::-1]
    elif around is not None:
        middle = bisect_left(ids, around, key=int)
        picked = ids[max(0, middle - limit // 2) :][:limit][::-1]
    else:
        picked = list(islice((one for one in reversed(ids) if before is None or int(one) < before), limit))
    return [with_reactions(request.world, channel.id, one) for one in picked]


def edit(request: ApiRequest) -> Json:
    """Edit a message of the bot; of another author's message only the flags may be changed."""
    world, channel = request.world, request.world.channel(request["channel_id"])
    message = world.message(channel.id, request["message_id"])
    if message["author"]["id"] != world.bot_id and set(request.body) - {"flags"}:
        raise discord_error(50005)
    return edit_in(world, channel, message, request.body, request.uploads)


def edit_in(world: World, channel: Channel, message: Json, body: Json, uploads: Sequence[Upload]) -> Json:
    """Change a stored message and emit the event; return it."""
    left = {key: body.get(key, message[key]) for key in ("content", "embeds", "components", "attachments")}
    if is_empty(left, uploads) and "sticker_items" not in message and "poll" not in message:
        raise discord_error(50006)
    before = message["edited_timestamp"]
    message["edited_timestamp"] = world.now_iso()
    try:
        write(world, channel, message, body, uploads)
    except Exception:
        message["edited_timestamp"] = before
        raise
    world.emit("MESSAGE_UPDATE", as_event(world, channel, message), channel.guild_id)
    return message


def delete(request: ApiRequest) -> None:
    """Delete a message."""
    channel = request.world.channel(request["channel_id"])
    request.world.message(channel.id, request["message_id"])
    forget(channel, request["message_id"])
    data: Json = {"id": request["message_id"], "channel_id": channel.id} | _guild(channel)
    request.world.emit("MESSAGE_DELETE", data, channel.guild_id)


def forget(channel: Channel, message_id: str) -> None:
    """Remove a message with its pin, files, reactions and votes from its channel."""
    for part in (channel.messages, channel.pins, channel.files, channel.reactions, channel.votes):
        part.pop(message_id, None)


def bulk_delete(request: ApiRequest) -> None:
    """Delete 2 to 100 messages, none older than two weeks."""
    channel = request.world.channel(request["channel_id"])
    ids = [str(one) for one in request.body["messages"]]
    if not 2 <= len(ids) <= 100 or len(set(ids)) != len(ids):  # noqa: PLR2004 - the documented bounds
        raise discord_error(50016)
    if any(request.now - created_at(one) > _TWO_WEEKS_S for one in ids):
        raise discord_error(50034)
    for one in ids:
        forget(channel, one)
    data: Json = {"ids": ids, "channel_id": channel.id} | _guild(channel)
    request.world.emit("MESSAGE_DELETE_BULK", data, channel.guild_id)


def crosspost(request: ApiRequest) -> Json:
    """Publish a message of an announcement channel."""
    channel = request.world.channel(request["channel_id"])
    message = request.world.message(channel.id, request["message_id"])
    if channel.type != ANNOUNCEMENT:
        raise discord_error(50024)
    if message["flags"] & _CROSSPOSTED:
        raise discord_error(40033)
    message["flags"] |= _CROSSPOSTED
    request.world.emit("MESSAGE_UPDATE", as_event(request.world, channel, message), channel.guild_id)
    return message


def type_(request: ApiRequest) -> None:
    """Show that the bot is typing."""
    world, channel = request.world, request.world.channel(request["channel_id"])
    data: Json = {"channel_id": channel.id, "user_id": world.bot_id, "timestamp": int(request.now)} | _guild(channel)
    world.emit("TYPING_START", data, channel.guild_id)


def _guild(channel: Channel) -> Json:
    return {"guild_id": channel.guild_id} if channel.guild_id else {}


_MESSAGES = "/channels/{channel_id}/messages"
_MESSAGE = f"{_MESSAGES}/{{message_id}}"
ROUTES: Routes = {
    f"GET {_MESSAGES}": ApiRoute(list_),
    f"POST {_MESSAGES}": ApiRoute(create, CREATE_MESSAGE, files=True),
    f"GET {_MESSAGE}": ApiRoute(get),
    f"PATCH {_MESSAGE}": ApiRoute(edit, EDIT_MESSAGE, files=True),
    f"DELETE {_MESSAGE}": ApiRoute(delete),
    f"POST {_MESSAGES}/bulk-delete": ApiRoute(
        bulk_delete, form({"messages": items(snowflake)}, required=("messages",))
    ),
    f"POST {_MESSAGE}/crosspost": ApiRoute(crosspost),
    "POST /channels/{channel_id}/typing": ApiRoute(type_),
}
