"""Public API of the events: subscriptions with filter and cursor, and first responses to interactions.

    hub = EventHub(redis, blocking_redis, keys)
    async with hub.subscribe(Filter(check_types(["MESSAGE_CREATE"], intents)), cursor=Cursor.parse(text)) as items:
        async for item in items: ...

The stream of each shard holds events as Discord sent them, with an ordinal that makes losses visible.
"""

from discordproxy_gateway.events.cursor import BadCursorError, Cursor, Place, Position
from discordproxy_gateway.events.entry import StreamEntry
from discordproxy_gateway.events.errors import (
    CursorExpiredError,
    EventsError,
    EventsUnavailableError,
    SubscriberTooSlowError,
)
from discordproxy_gateway.events.filters import Filter, IntentOffError, UnknownEventError, check_types
from discordproxy_gateway.events.hub import EventHub, ItemKind, Subscription, SubscriptionItem
from discordproxy_gateway.events.interactions import Deferral, Interactions
from discordproxy_gateway.events.tail import BLOCK_MS

__all__ = [
    "BLOCK_MS",
    "BadCursorError",
    "Cursor",
    "CursorExpiredError",
    "Deferral",
    "EventHub",
    "EventsError",
    "EventsUnavailableError",
    "Filter",
    "IntentOffError",
    "Interactions",
    "ItemKind",
    "Place",
    "Position",
    "StreamEntry",
    "SubscriberTooSlowError",
    "Subscription",
    "SubscriptionItem",
    "UnknownEventError",
    "check_types",
]
