"""Webhooks: their management by the bot, and their use by token."""

import secrets

from discordproxy_sandbox.errors import Json, discord_error, invalid_form
from discordproxy_sandbox.messages.forms import EDIT_WEBHOOK_MESSAGE, EXECUTE_WEBHOOK
from discordproxy_sandbox.messages.validation import anything, failure, form, snowflake, text
from discordproxy_sandbox.resources.application import interactions
from discordproxy_sandbox.resources.channel.messages import edit_in, forget, store
from discordproxy_sandbox.resources.channel.threads import open_thread
from discordproxy_sandbox.resources.exchange import ApiRequest, ApiRoute, Routes
from discordproxy_sandbox.world.world import ANNOUNCEMENT, FORUMS, TEXTUAL, Channel, World

_MAX_WEBHOOKS = 15
_BANNED_NAMES = ("clyde", "discord")
_PUBLIC_THREAD = 11


def create(request: ApiRequest) -> Json:
    """Create a webhook of a channel."""
    world, channel, name = request.world, request.world.channel(request["channel_id"]), request.body["name"]
    if channel.type not in (*TEXTUAL, *FORUMS) or not channel.guild_id:
        raise discord_error(50024)
    if any(banned in name.lower() for banned in _BANNED_NAMES):
        raise invalid_form(
            {"name": failure("USERNAME_INVALID_CONTAINS", 'Username cannot contain "discord" or "clyde"')}
        )
    if len(_of_channel(world, channel.id)) >= _MAX_WEBHOOKS:
        raise discord_error(30007)
    webhook_id, token = world.new_id(), secrets.token_urlsafe(48)
    webhook: Json = {
        "application_id": world.bot_id,
        "avatar": None,
        "channel_id": channel.id,
        "guild_id": channel.guild_id,
        "id": webhook_id,
        "name": name,
        "type": 1,
        "user": world.user(world.bot_id),
        "token": token,
        "url": f"https://discord.com/api/webhooks/{webhook_id}/{token}",
    }
    world.webhooks[webhook_id] = webhook
    _emit(world, webhook)
    return webhook


def follow(request: ApiRequest) -> Json:
    """Let a channel follow an announcement channel: it gets a webhook."""
    world, source = request.world, request.world.channel(request["channel_id"])
    if source.type != ANNOUNCEMENT:
        raise discord_error(50024)
    target = world.channel(str(request.body["webhook_channel_id"]))
    guild = world.guild(source.guild_id).data
    webhook: Json = {
        "application_id": None,
        "avatar": None,
        "channel_id": target.id,
        "guild_id": target.guild_id,
        "id": world.new_id(),
        "name": f"{guild['name']} #{source.data['name']}",
        "type": 2,
        "user": world.user(world.bot_id),
        "source_guild": {key: guild[key] for key in ("id", "name", "icon")},
        "source_channel": {key: source.data[key] for key in ("id", "name")},
    }
    world.webhooks[webhook["id"]] = webhook
    _emit(world, webhook)
    return {"channel_id": source.id, "webhook_id": webhook["id"]}


def _emit(world: World, webhook: Json) -> None:
    data = {key: webhook[key] for key in ("guild_id", "channel_id")}
    world.emit("WEBHOOKS_UPDATE", data, webhook["guild_id"])


def _of_channel(world: World, channel_id: str) -> list[Json]:
    return [webhook for webhook in world.webhooks.values() if webhook["channel_id"] == channel_id]


def of_channel(request: ApiRequest) -> list[Json]:
    """Return the webhooks of a channel."""
    return _of_channel(request.world, request.world.channel(request["channel_id"]).id)


def of_guild(request: ApiRequest) -> list[Json]:
    """Return the webhooks of a guild."""
    guild = request.world.guild(request["guild_id"])
    return [webhook for webhook in request.world.webhooks.values() if webhook["guild_id"] == guild.id]


def _webhook(request: ApiRequest) -> Json:
    return request.world.webhook(request["webhook_id"], request.params.get("webhook_token"))


def get(request: ApiRequest) -> Json:
    """Return a webhook; by token, without its creator."""
    webhook = _webhook(request)
    return {key: value for key, value in webhook.items() if key != "user" or "webhook_token" not in request.params}


def edit(request: ApiRequest) -> Json:
    """Change a webhook."""
    webhook = _webhook(request)
    webhook |= {key: value for key, value in request.body.items() if key in ("name", "channel_id")}
    _emit(request.world, webhook)
    return get(request)


def delete(request: ApiRequest) -> None:
    """Delete a webhook."""
    webhook = _webhook(request)
    del request.world.webhooks[webhook["id"]]
    _emit(request.world, webhook)


def execute(request: ApiRequest) -> Json | None:
    """Send a message as a webhook, or as the follow-up of an interaction; 204 without `wait`."""
    world, body = request.world, request.body
    if interaction := interactions.find(world, request["webhook_id"], request["webhook_token"]):
        message = interactions.follow_up(request, interaction)
    else:
        webhook = _webhook(request)
        channel = _target(request, webhook)
        author: Json = {
            "id": webhook["id"],
            "username": body.get("username") or webhook["name"],
            "avatar": None,
            "discriminator": "0000",
            "public_flags": 0,
            "flags": 0,
            "bot": True,
            "global_name": None,
            "primary_guild": None,
        }
        message = store(world, request.ledger, channel, author, body, request.uploads)
        message["webhook_id"] = channel.messages[message["id"]]["webhook_id"] = webhook["id"]
    return message if request.flag("wait") or interaction else None


def _target(request: ApiRequest, webhook: Json) -> Channel:
    world, channel = request.world, request.world.channel(webhook["channel_id"])
    if thread_id := request.query.get("thread_id"):
        return world.channel(thread_id)
    if channel.type in FORUMS:
        if not request.body.get("thread_name"):
            message = "Webhooks posted to forum channels must have a thread_name or thread_id"
            raise invalid_form({"thread_name": failure("WEBHOOK_THREAD_NAME_REQUIRED", message)})
        return open_thread(world, channel, {**request.body, "name": request.body["thread_name"]}, _PUBLIC_THREAD)
    return channel


def _message(request: ApiRequest) -> tuple[Channel, Json]:
    world = request.world
    if interaction := interactions.find(world, request["webhook_id"], request["webhook_token"]):
        message_id = request.params.get("message_id") or interaction["response_id"]
        channel = world.channel(interaction["channel_id"])
    else:
        webhook = _webhook(request)
        channel = world.channel(request.query.get("thread_id") or webhook["channel_id"])
        message_id = request.params.get("message_id", "")
    message = world.message(channel.id, message_id)
    if message.get("webhook_id", request["webhook_id"]) != request["webhook_id"]:
        raise discord_error(10008)
    return channel, message


def get_message(request: ApiRequest) -> Json:
    """Return a message of a webhook or interaction."""
    return _message(request)[1]


def edit_message(request: ApiRequest) -> Json:
    """Edit a message of a webhook or interaction; a deferred one is complete then."""
    channel, message = _message(request)
    message["flags"] &= ~interactions.LOADING
    return edit_in(request.world, channel, message, request.body, request.uploads)


def delete_message(request: ApiRequest) -> None:
    """Delete a message of a webhook or interaction."""
    channel, message = _message(request)
    forget(channel, message["id"])
    data: Json = {"id": message["id"], "channel_id": channel.id, "guild_id": channel.guild_id}
    request.world.emit("MESSAGE_DELETE", data, channel.guild_id)


_NAMED = {"name": text(80, 1), "avatar": anything}
_EDIT = form({**_NAMED, "channel_id": snowflake})
_HOOK = "/webhooks/{webhook_id}"
_TOKEN = f"{_HOOK}/{{webhook_token}}"
_ANY = (f"{_TOKEN}/messages/{{message_id}}", f"{_TOKEN}/messages/@original")
_FOLLOWER = form({"webhook_channel_id": snowflake}, required=("webhook_channel_id",))
ROUTES: Routes = {
    "POST /channels/{channel_id}/followers": ApiRoute(follow, _FOLLOWER),
    "POST /channels/{channel_id}/webhooks": ApiRoute(create, form(_NAMED, required=("name",))),
    "GET /channels/{channel_id}/webhooks": ApiRoute(of_channel),
    "GET /guilds/{guild_id}/webhooks": ApiRoute(of_guild),
    f"GET {_HOOK}": ApiRoute(get),
    f"PATCH {_HOOK}": ApiRoute(edit, _EDIT),
    f"DELETE {_HOOK}": ApiRoute(delete),
    f"GET {_TOKEN}": ApiRoute(get, auth="path"),
    f"PATCH {_TOKEN}": ApiRoute(edit, _EDIT, auth="path"),
    f"DELETE {_TOKEN}": ApiRoute(delete, auth="path"),
    f"POST {_TOKEN}": ApiRoute(execute, EXECUTE_WEBHOOK, files=True, auth="path"),
    **{f"GET {path}": ApiRoute(get_message, auth="path") for path in _ANY},
    **{f"PATCH {path}": ApiRoute(edit_message, EDIT_WEBHOOK_MESSAGE, files=True, auth="path") for path in _ANY},
    **{f"DELETE {path}": ApiRoute(delete_message, auth="path") for path in _ANY},
}
