"""Scheduled events of a guild."""

from discordproxy_sandbox.errors import Json, discord_error, invalid_form
from discordproxy_sandbox.messages.validation import (
    REQUIRED,
    anything,
    form,
    integer,
    items,
    one_of,
    snowflake,
    text,
    timestamp,
)
from discordproxy_sandbox.resources.exchange import ApiRequest, ApiRoute, Routes
from discordproxy_sandbox.world.world import Guild

_EXTERNAL = 3


def _event(request: ApiRequest) -> tuple[Guild, Json]:
    guild = request.world.guild(request["guild_id"])
    found = guild.scheduled_events.get(request["guild_scheduled_event_id"])
    if found is None:
        raise discord_error(10070)
    return guild, found


def list_(request: ApiRequest) -> list[Json]:
    """Return the events of a guild."""
    events = request.world.guild(request["guild_id"]).scheduled_events.values()
    counted: Json = {"user_count": 0} if request.flag("with_user_count") else {}
    return [event | counted for event in events]


def get(request: ApiRequest) -> Json:
    """Return an event."""
    return _event(request)[1]


def create(request: ApiRequest) -> Json:
    """Create an event: an external one requires a location and an end, the others a channel."""
    world, guild, body = request.world, request.world.guild(request["guild_id"]), request.body
    needed = ("scheduled_end_time", "entity_metadata") if body["entity_type"] == _EXTERNAL else ("channel_id",)
    if missing := {key: REQUIRED for key in needed if body.get(key) is None}:
        raise invalid_form(missing)
    event: Json = {
        "id": world.new_id(),
        "guild_id": guild.id,
        "description": None,
        "channel_id": None,
        "creator_id": world.bot_id,
        "creator": world.user(world.bot_id),
        "image": None,
        "scheduled_end_time": None,
        "status": 1,
        "entity_id": None,
        "recurrence_rule": None,
        "guild_scheduled_event_exceptions": [],
        "entity_metadata": None,
    }
    event |= _written(body)
    guild.scheduled_events[event["id"]] = event
    world.emit("GUILD_SCHEDULED_EVENT_CREATE", event, guild.id)
    return event


def _written(body: Json) -> Json:
    written = {key: value for key, value in body.items() if key != "image"}
    if written.get("channel_id") is not None:
        written["channel_id"] = str(written["channel_id"])
    if written.get("recurrence_rule"):
        written["recurrence_rule"] = _EVERY_TIME | written["recurrence_rule"]
    return written


def edit(request: ApiRequest) -> Json:
    """Change an event."""
    guild, event = _event(request)
    event |= _written(request.body)
    request.world.emit("GUILD_SCHEDULED_EVENT_UPDATE", event, guild.id)
    return event


def delete(request: ApiRequest) -> None:
    """Delete an event."""
    guild, event = _event(request)
    del guild.scheduled_events[event["id"]]
    request.world.emit("GUILD_SCHEDULED_EVENT_DELETE", event, guild.id)


def users(request: ApiRequest) -> list[Json]:
    """Return the users interested in an event: none."""
    _event(request)
    return []


_EVERY_TIME = {
    "interval": 1,
    **dict.fromkeys(("end", "by_weekday", "by_n_weekday", "by_month", "by_month_day", "by_year_day", "count")),
}
"""What Discord adds to a recurrence rule."""
_WEEKDAY = integer(0, 6)
_RECURRENCE = form(
    {
        "start": timestamp,
        "end": timestamp,
        "frequency": integer(0, 3),
        "interval": integer(1),
        "by_weekday": items(_WEEKDAY, 7),
        "by_n_weekday": items(form({"n": integer(1, 5), "day": _WEEKDAY}, required=("n", "day")), 7),
        "by_month": items(integer(1, 12), 12),
        "by_month_day": items(integer(-1, 31), 33),
        "by_year_day": items(integer(-1, 365), 367),
        "count": integer(1),
    },
    required=("start", "frequency"),
)
_CREATE = {
    "name": text(100, 1),
    "description": text(1000),
    "image": anything,
    "scheduled_start_time": timestamp,
    "scheduled_end_time": timestamp,
    "privacy_level": one_of((2,)),
    "entity_type": one_of((1, 2, 3)),
    "channel_id": snowflake,
    "entity_metadata": form({"location": text(100)}),
    "recurrence_rule": _RECURRENCE,
}
_NEEDED = ("name", "scheduled_start_time", "privacy_level", "entity_type")
_EVENTS = "/guilds/{guild_id}/scheduled-events"
_EVENT = f"{_EVENTS}/{{guild_scheduled_event_id}}"
ROUTES: Routes = {
    f"GET {_EVENTS}": ApiRoute(list_),
    f"POST {_EVENTS}": ApiRoute(create, form(_CREATE, required=_NEEDED)),
    f"GET {_EVENT}": ApiRoute(get),
    f"PATCH {_EVENT}": ApiRoute(edit, form({**_CREATE, "status": integer(1, 4)})),
    f"DELETE {_EVENT}": ApiRoute(delete),
    f"GET {_EVENT}/users": ApiRoute(users),
}
