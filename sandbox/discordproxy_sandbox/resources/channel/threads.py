"""Threads and forum posts."""

from discordproxy_sandbox.errors import Json, discord_error, invalid_form
from discordproxy_sandbox.messages.forms import FORUM_MESSAGE
from discordproxy_sandbox.messages.validation import REQUIRED, boolean, form, integer, items, one_of, snowflake, text
from discordproxy_sandbox.resources.channel.messages import store
from discordproxy_sandbox.resources.exchange import ApiAnswer, ApiRequest, ApiRoute, Routes
from discordproxy_sandbox.world.objects import make_thread
from discordproxy_sandbox.world.visibility import bot_sees
from discordproxy_sandbox.world.world import ANNOUNCEMENT, FORUMS, THREADS, Channel, Guild, World

_ANNOUNCEMENT_THREAD, _PUBLIC_THREAD, _PRIVATE_THREAD = THREADS
_PARENTS = (0, ANNOUNCEMENT, *FORUMS)


def open_thread(world: World, parent: Channel, body: Json, kind: int, thread_id: str = "") -> Channel:
    """Add a thread to a channel and emit the event."""
    if parent.type not in _PARENTS:
        raise discord_error(50024)
    thread = make_thread(thread_id or world.new_id(), parent, body["name"], world.bot_id, world.now_iso(), kind)
    thread.data["rate_limit_per_user"] = body.get("rate_limit_per_user") or 0
    thread.data["applied_tags"] = [str(tag) for tag in body.get("applied_tags") or ()]
    if duration := body.get("auto_archive_duration"):
        thread.data["thread_metadata"]["auto_archive_duration"] = duration
    world.add_channel(thread)
    world.emit("THREAD_CREATE", {**thread.data, "newly_created": True}, thread.guild_id)
    return thread


def _with_member(world: World, thread: Channel) -> Json:
    return thread.data | {"member": thread.thread_members[world.bot_id]}


def create(request: ApiRequest) -> ApiAnswer:
    """Create a thread, or a post with its first message in a forum."""
    world, parent, body = request.world, request.world.channel(request["channel_id"]), request.body
    if parent.type not in FORUMS:
        # Discord's default is a private thread, "for now".
        thread = open_thread(world, parent, body, body.get("type") or _PRIVATE_THREAD)
        return ApiAnswer(201, _with_member(world, thread))
    if not body.get("message"):
        raise invalid_form({"message": REQUIRED})
    thread = open_thread(world, parent, body, _PUBLIC_THREAD)
    try:
        author = world.user(world.bot_id)
        message = store(world, request.ledger, thread, author, body["message"], request.uploads)
    except Exception:
        world.remove_channel(thread)
        raise
    return ApiAnswer(201, _with_member(world, thread) | {"message": message})


def create_from_message(request: ApiRequest) -> ApiAnswer:
    """Create the thread of a message; it has the message's id."""
    world, parent = request.world, request.world.channel(request["channel_id"])
    message = world.message(parent.id, request["message_id"])
    if message["id"] in world.channels:
        raise discord_error(160004)
    kind = _ANNOUNCEMENT_THREAD if parent.type == ANNOUNCEMENT else _PUBLIC_THREAD
    thread = open_thread(world, parent, request.body, kind, message["id"])
    message["flags"] |= 1 << 5
    message["thread"] = thread.data
    return ApiAnswer(201, _with_member(world, thread))


def active(request: ApiRequest) -> Json:
    """Return the active threads of a guild that the bot can see."""
    found = request.world.guild(request["guild_id"]).active_threads()
    return _listing(request.world, [thread for thread in found if bot_sees(request.world, thread)])


def _listing(world: World, threads: list[Channel]) -> Json:
    joined = [thread.thread_members[world.bot_id] for thread in threads if world.bot_id in thread.thread_members]
    newest = sorted(threads, key=lambda thread: int(thread.id), reverse=True)
    return {"threads": [thread.data for thread in newest], "members": joined, "has_more": False}


def archived(request: ApiRequest) -> Json:
    """Return the archived threads of a channel."""
    channel = request.world.channel(request["channel_id"])
    private = request.template.endswith("private")
    below = [
        thread
        for thread in _guild(request.world, channel).channels.values()
        if thread.type in THREADS
        and thread.data["parent_id"] == channel.id
        and thread.data["thread_metadata"]["archived"]
        and (thread.type == _PRIVATE_THREAD) == private
    ]
    return _listing(request.world, below)


def _guild(world: World, channel: Channel) -> Guild:
    return world.guild(channel.guild_id)


def _thread(request: ApiRequest) -> Channel:
    thread = request.world.channel(request["channel_id"])
    if thread.type not in THREADS:
        raise discord_error(50024)
    return thread


def members(request: ApiRequest) -> list[Json]:
    """Return the members of a thread: all, or with `with_member` a page by id."""
    thread = _thread(request)
    if not request.flag("with_member"):
        return list(thread.thread_members.values())
    limit, after = request.number("limit", 100, 1, 100), request.snowflake("after") or 0
    ids = [one for one in sorted(thread.thread_members, key=int) if int(one) > after]
    return [_in_guild(request, thread, one) for one in ids[:limit]]


def member(request: ApiRequest) -> Json:
    """Return a member of a thread."""
    found = _thread(request).thread_members.get(request["user_id"])
    if found is None:
        raise discord_error(10007)
    return _in_guild(request, _thread(request), request["user_id"]) if request.flag("with_member") else found


def _in_guild(request: ApiRequest, thread: Channel, user_id: str) -> Json:
    return thread.thread_members[user_id] | {"member": request.world.member(thread.guild_id, user_id)}


def join(request: ApiRequest) -> None:
    """Add the bot, or the user in the path, to a thread."""
    thread, user_id = _thread(request), request.params.get("user_id", request.world.bot_id)
    request.world.member(thread.guild_id, user_id)
    joined: Json = {"id": thread.id, "user_id": user_id, "join_timestamp": request.world.now_iso(), "flags": 0}
    thread.thread_members[user_id] = joined
    _count(request.world, thread, {"added_members": [joined]})


def leave(request: ApiRequest) -> None:
    """Remove the bot, or the user in the path, from a thread."""
    thread, user_id = _thread(request), request.params.get("user_id", request.world.bot_id)
    thread.thread_members.pop(user_id, None)
    _count(request.world, thread, {"removed_member_ids": [user_id]})


def _count(world: World, thread: Channel, change: Json) -> None:
    thread.data["member_count"] = len(thread.thread_members)
    data: Json = {"id": thread.id, "guild_id": thread.guild_id, "member_count": thread.data["member_count"]}
    world.emit("THREAD_MEMBERS_UPDATE", data | change, thread.guild_id)


_FROM_MESSAGE = {
    "name": text(100, 1),
    "auto_archive_duration": one_of((60, 1440, 4320, 10080)),
    "rate_limit_per_user": integer(0, 21600),
}
_CREATE = {
    **_FROM_MESSAGE,
    "type": one_of(THREADS),
    "invitable": boolean,
    "message": FORUM_MESSAGE,
    "applied_tags": items(snowflake, 5),
}
_CHANNEL = "/channels/{channel_id}"
ROUTES: Routes = {
    f"POST {_CHANNEL}/threads": ApiRoute(create, form(_CREATE, required=("name",)), files=True),
    f"POST {_CHANNEL}/messages/{{message_id}}/threads": ApiRoute(
        create_from_message, form(_FROM_MESSAGE, required=("name",))
    ),
    "GET /guilds/{guild_id}/threads/active": ApiRoute(active),
    f"GET {_CHANNEL}/threads/archived/public": ApiRoute(archived),
    f"GET {_CHANNEL}/threads/archived/private": ApiRoute(archived),
    f"GET {_CHANNEL}/users/@me/threads/archived/private": ApiRoute(archived),
    f"GET {_CHANNEL}/thread-members": ApiRoute(members),
    f"GET {_CHANNEL}/thread-members/{{user_id}}": ApiRoute(member),
    f"PUT {_CHANNEL}/thread-members/{{user_id}}": ApiRoute(join),
    f"PUT {_CHANNEL}/thread-members/@me": ApiRoute(join),
    f"DELETE {_CHANNEL}/thread-members/{{user_id}}": ApiRoute(leave),
    f"DELETE {_CHANNEL}/thread-members/@me": ApiRoute(leave),
}
