"""Public API of the caches, which the gateway worker updates and every process reads.

    keys = Keys(prefix, bot_id)
    reader = CacheReader(redis, keys)
    answer = await reader.guild(guild_id)
    if answer.usable(max_age_s=60): ...

Kept in Redis per guild: the guild object, channels, active threads, roles, emojis, stickers and voice states as
Discord's JSON, members packed; see `keys` for the layout. Written by the gateway worker only, through its fence.
"""

from redis.exceptions import RedisError

from discordproxy_gateway.cache.freshness import CachedAnswer, Freshness, Version
from discordproxy_gateway.cache.member_reader import MemberReader
from discordproxy_gateway.cache.overlay import Overlay, UncertainOverlayError
from discordproxy_gateway.cache.reader import CacheReader
from discordproxy_gateway.cache.state import GatewayState, ShardState, read_state
from discordproxy_gateway.keys import CHANNEL, EMOJI, GUILD, MEMBER, ROLE, STICKER, THREAD, USER, Keys, Slot

CACHE_ERRORS: tuple[type[Exception], ...] = (RedisError, OSError, ValueError, TypeError, LookupError, AttributeError)
"""Errors of reads and overlay writes when Redis does not answer or holds another release's data."""

__all__ = [
    "CACHE_ERRORS",
    "CHANNEL",
    "EMOJI",
    "GUILD",
    "MEMBER",
    "ROLE",
    "STICKER",
    "THREAD",
    "USER",
    "CacheReader",
    "CachedAnswer",
    "Freshness",
    "GatewayState",
    "Keys",
    "MemberReader",
    "Overlay",
    "ShardState",
    "Slot",
    "UncertainOverlayError",
    "Version",
    "read_state",
]
