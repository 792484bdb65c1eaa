"""Pinned messages, by the current routes and the legacy ones."""

from discordproxy_sandbox.errors import Json, discord_error
from discordproxy_sandbox.resources.channel.messages import with_reactions
from discordproxy_sandbox.resources.exchange import ApiRequest, ApiRoute, Routes
from discordproxy_sandbox.world.permissions import PIN_MESSAGES, bot_may
from discordproxy_sandbox.world.world import Channel

_MAX_PINS = 250


def _channel(request: ApiRequest) -> Channel:
    channel = request.world.channel(request["channel_id"])
    if not bot_may(request.world, channel, PIN_MESSAGES):
        raise discord_error(50013)
    return channel


def _emit(request: ApiRequest, channel: Channel) -> None:
    last = max(channel.pins.values(), default=None)
    channel.data["last_pin_timestamp"] = last
    data: Json = {"channel_id": channel.id, "last_pin_timestamp": last}
    if channel.guild_id:
        data["guild_id"] = channel.guild_id
    request.world.emit("CHANNEL_PINS_UPDATE", data, channel.guild_id)


def pin(request: ApiRequest) -> None:
    """Pin a message."""
    channel = _channel(request)
    message = request.world.message(channel.id, request["message_id"])
    if len(channel.pins) >= _MAX_PINS:
        raise discord_error(30003)
    message["pinned"] = True
    channel.pins.setdefault(message["id"], request.world.now_iso())
    _emit(request, channel)


def unpin(request: ApiRequest) -> None:
    """Unpin a message."""
    channel = _channel(request)
    message = request.world.message(channel.id, request["message_id"])
    message["pinned"] = False
    channel.pins.pop(message["id"], None)
    _emit(request, channel)


def list_(request: ApiRequest) -> Json:
    """Return pins, the latest first."""
    channel = request.world.channel(request["channel_id"])
    limit, before = request.number("limit", 50, 1, 50), request.query.get("before")
    pins = sorted(channel.pins.items(), key=lambda pin: pin[1], reverse=True)
    if before:
        pins = [pin for pin in pins if pin[1] < before.replace("Z", "+00:00")]
    found = [{"pinned_at": at, "message": with_reactions(request.world, channel.id, one)} for one, at in pins[:limit]]
    return {"items": found, "has_more": len(pins) > limit}


def list_plain(request: ApiRequest) -> list[Json]:
    """Return the pinned messages only."""
    channel = request.world.channel(request["channel_id"])
    return [with_reactions(request.world, channel.id, one) for one in list(channel.pins)[::-1][:50]]


_PINS = "/channels/{channel_id}/messages/pins"
_OLD = "/channels/{channel_id}/pins"
ROUTES: Routes = {
    f"GET {_PINS}": ApiRoute(list_),
    f"PUT {_PINS}/{{message_id}}": ApiRoute(pin),
    f"DELETE {_PINS}/{{message_id}}": ApiRoute(unpin),
    f"GET {_OLD}": ApiRoute(list_plain),
    f"PUT {_OLD}/{{message_id}}": ApiRoute(pin),
    f"DELETE {_OLD}/{{message_id}}": ApiRoute(unpin),
}
