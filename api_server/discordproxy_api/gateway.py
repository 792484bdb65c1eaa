"""Readers of the gateway worker's events, interactions and caches in Redis, for one bot."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from discordproxy_gateway.cache import CacheReader, Keys
from discordproxy_gateway.events import BLOCK_MS, EventHub, Interactions
from discordproxy_ratelimit.redis.client import connect


@dataclass(frozen=True, slots=True)
class GatewayReaders:
    """Events, interactions and caches of one bot."""

    events: EventHub
    interactions: Interactions
    cache: CacheReader

    async def channel(self, channel_id: int) -> dict[str, Any] | None:
        """Return a channel from the cache, also a hidden one; None if it is not cached or Redis does not answer."""
        try:
            return (await self.cache.channel(channel_id, with_hidden=True)).value
        except Exception:  # noqa: BLE001 - Redis is unavailable or its data is unreadable: Discord is queried instead
            return None


@asynccontextmanager
async def gateway_behind(url: str, keys: Keys, *, heartbeat_s: float) -> AsyncIterator[GatewayReaders]:
    """Build the readers. Connections are opened at their first use.

    Args:
        url: URL of Redis.
        keys: names of the bot's keys.
        heartbeat_s: interval of heartbeats to subscribers without events.
    """
    async with AsyncExitStack() as stack:
        redis = connect(url)  # the broker has its own client
        stack.push_async_callback(redis.aclose)
        blocking = connect(url, timeout_s=BLOCK_MS / 1000 + 3)
        stack.push_async_callback(blocking.aclose)
        events = EventHub(redis, blocking, keys, heartbeat_s=heartbeat_s)
        stack.push_async_callback(events.close)
        cache = CacheReader(redis, keys)
        stack.push_async_callback(cache.aclose)
        yield GatewayReaders(events, Interactions(redis, keys), cache)
