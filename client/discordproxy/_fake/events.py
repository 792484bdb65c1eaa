"""Events that a test emits, and streams of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from discordproxy._fake.objects import from_json
from discordproxy.events_pb2 import Event
from discordproxy.interactions_pb2 import Interaction

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from discordproxy.events_pb2 import SubscribeEventsRequest


class EventLog:
    """The emitted events, in order. The cursor of an event is its number."""

    def __init__(self) -> None:
        self._events: list[Event] = []

    def add(self, kind: Event.Kind.ValueType, type_: str, data: dict[str, Any]) -> Event:
        """Append an event. The ids of guild and channel come from the data, as in Discord's JSON."""
        number = len(self._events) + 1
        event = Event(
            kind=kind,
            cursor=str(number),
            sequence=number,
            session="fake",
            type=type_,
            guild_id=int(data.get("guild_id") or 0),
            channel_id=int(data.get("channel_id") or 0),
            received_at="2026-01-01T00:00:00.000+00:00",
            json=json.dumps(data),
        )
        if type_ == "INTERACTION_CREATE":
            event.interaction.CopyFrom(_interaction(data))
        self._events.append(event)
        return event

    def stream(self, request: SubscribeEventsRequest, own_commands: Collection[str] = ()) -> Iterator[Event]:
        """Yield a heartbeat, then the events after the cursor; end after the last event.

        Args:
            request: The subscription.
            own_commands: Names of the commands that the application owns, for `mine`.
        """
        place = int(request.cursor or 0)
        yield Event(kind=Event.HEARTBEAT, cursor=str(place))
        while place < len(self._events):
            event = self._events[place]
            place += 1
            if event.kind == Event.GAP or (_passes(request, event) and _is_mine(request, event, own_commands)):
                yield event


def _interaction(data: dict[str, Any]) -> Interaction:
    made = from_json(Interaction, data)
    if made.HasField("member"):
        made.member.guild_id = made.guild_id
        if not made.HasField("user"):
            made.user.CopyFrom(made.member.user)
    return made


def _passes(request: SubscribeEventsRequest, event: Event) -> bool:
    return (
        (not request.types or event.type in request.types)
        and (not request.guild_ids or event.guild_id in request.guild_ids)
        and (not request.channel_ids or event.channel_id in request.channel_ids)
    )


def _is_mine(request: SubscribeEventsRequest, event: Event, own_commands: Collection[str]) -> bool:
    if not request.mine or event.type != "INTERACTION_CREATE":
        return True
    data = json.loads(event.json).get("data") or {}
    if "custom_id" in data:
        return str(data["custom_id"]).startswith(tuple(request.custom_id_prefixes))
    return data.get("name") in own_commands
