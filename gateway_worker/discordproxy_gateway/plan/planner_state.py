"""Loads the planner's state from Redis, so that a successor continues where the stored events end."""

import logging
from collections.abc import Sequence
from typing import Any

import orjson
from redis.asyncio import Redis

from discordproxy_gateway.ids import id_of, number_of, text_of
from discordproxy_gateway.keys import Keys, Slot
from discordproxy_gateway.plan.event_planner import EventPlanner
from discordproxy_gateway.plan.guild_operations import user_of
from discordproxy_gateway.plan.member_operations import GuildState

log = logging.getLogger(__name__)

_FIELDS = ("gen", "mark", "count", "complete", "available")
_AT_A_TIME = 200


async def load_planner(redis: Redis, keys: Keys, slot: Slot, *, mark: str, members: bool, era: int = 1) -> EventPlanner:
    """Return a planner with the stored state.

    Args:
        redis: client.
        keys: of the bot.
        slot: whose guilds are loaded.
        mark: of the session that is resumed, "" when a new one will begin.
        members: whether member lists are kept.
        era: whose streams are written to.
    """
    stored: list[Any] = await redis.hkeys(keys.guilds)
    ids = sorted(filter(None, map(id_of, stored)))
    mine = [guild_id for guild_id in ids if slot.holds(int(guild_id))]
    guilds: dict[str, GuildState] = {}
    for start in range(0, len(mine), _AT_A_TIME):
        some = mine[start : start + _AT_A_TIME]
        async with redis.pipeline(transaction=False) as pipeline:
            for guild_id in some:
                pipeline.hmget(keys.meta(guild_id), _FIELDS)
            rows = await pipeline.execute()
        for guild_id, row in zip(some, rows, strict=True):
            guilds[guild_id] = _state_of(row, mark)
    waiting: set[Any] = await redis.smembers(keys.awaited(slot))
    user_id = _user_id_of(await redis.get(keys.user))
    awaited = [text_of(member) for member in waiting if id_of(member)]  # not those that were JOINED
    return EventPlanner(
        keys, slot, guilds=guilds, mark=mark, awaited=awaited, members=members, era=era, user_id=user_id
    )


def _user_id_of(stored: Any) -> str:
    """Return the id of the stored user, "" if there is none that can be read."""
    try:
        return user_of({"user": orjson.loads(stored)}) if stored else ""
    except orjson.JSONDecodeError:
        return ""


def _state_of(row: Sequence[Any], mark: str) -> GuildState:
    generation, stored_mark, count, complete, available = map(text_of, row)
    current = bool(mark) and stored_mark == mark
    return GuildState(
        generation=number_of(generation) or 0,
        current=current,
        available=available == "1",
        complete=current and complete == "1",
        size=number_of(count) or 0,
    )
