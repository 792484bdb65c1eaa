"""The doors to what the gateway worker of one bot keeps in Redis, as far as an API worker uses it."""

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
        """Return a channel as the cache has it, None if it does not, or Redis is away."""
        try:
            return (await self.cache.channel(channel_id)).value
        except Exception:  # noqa: BLE001 - Redis is away, or what it holds cannot be read: Discord knows, too
            return None


@asynccontextmanager
async def gateway_behind(url: str, keys: Keys, *, heartbeat_s: float) -> AsyncIterator[GatewayReaders]:
    """Build the doors; nothing is opened before it is used.

    Args:
        url: of Redis.
        keys: of the bot.
        heartbeat_s: how often a subscriber without events hears of it.
    """
    async with AsyncExitStack() as stack:
        redis = connect(url)  # the broker has a client of its own
        stack.push_async_callback(redis.aclose)
        blocking = connect(url, timeout_s=BLOCK_MS / 1000 + 3)
        stack.push_async_callback(blocking.aclose)
        events = EventHub(redis, blocking, keys, heartbeat_s=heartbeat_s)
        stack.push_async_callback(events.close)
        yield GatewayReaders(events, Interactions(redis, keys), CacheReader(redis, keys))
