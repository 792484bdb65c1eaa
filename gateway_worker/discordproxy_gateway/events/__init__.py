"""The door to the events: subscribe with a filter and a cursor; answer interactions once.

    hub = EventHub(redis, blocking_redis, keys)
    async with hub.subscribe(Filter(check_types(["MESSAGE_CREATE"], intents)), cursor=Cursor.parse(text)) as items:
        async for item in items: ...

The stream of each shard holds events as Discord sent them, with an ordinal that makes losses visible.
"""

from discordproxy_gateway.events.cursor import BadCursor, Cursor, Position
from discordproxy_gateway.events.entry import Entry
from discordproxy_gateway.events.filters import Filter, IntentOff, UnknownEvent, check_types
from discordproxy_gateway.events.hub import EventHub, Item, Kind, Subscription
from discordproxy_gateway.events.interactions import APPLICATION, DEFERRED, Interactions
from discordproxy_gateway.events.tail import (
    BLOCK_MS,
    CursorExpired,
    EventsError,
    EventsUnavailable,
    SubscriberTooSlow,
)

__all__ = [
    "APPLICATION",
    "BLOCK_MS",
    "DEFERRED",
    "BadCursor",
    "Cursor",
    "CursorExpired",
    "Entry",
    "EventHub",
    "EventsError",
    "EventsUnavailable",
    "Filter",
    "IntentOff",
    "Interactions",
    "Item",
    "Kind",
    "Position",
    "SubscriberTooSlow",
    "Subscription",
    "UnknownEvent",
    "check_types",
]
