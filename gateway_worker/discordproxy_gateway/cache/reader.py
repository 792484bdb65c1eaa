"""Reads guilds and their parts from the cache, in one round trip unless documented otherwise.

Independent of REST: an answer has its freshness, and the caller decides whether it suffices. Every read merges the
overlay, so a change made through the proxy is seen by the next read.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
from redis.asyncio import Redis

from discordproxy_gateway.cache import overlay
from discordproxy_gateway.cache.commands import CommandRunner, Commands
from discordproxy_gateway.cache.freshness import (
    META_FIELDS,
    SHARD_FIELDS,
    CachedAnswer,
    Freshness,
    Meta,
    ShardFreshness,
)
from discordproxy_gateway.ids import MAX_SHARDS, id_of, number_of, text_of
from discordproxy_gateway.keys import Keys, Slot, shard_of
from discordproxy_gateway.store.server_time import milliseconds, request_time

Object = dict[str, Any]
Add = Callable[[Commands], None]

MAX_CHANNEL_GUILDS = 10_000
"""Maximum number of channels whose guilds are remembered; new threads keep coming."""


@dataclass(frozen=True, slots=True)
class CacheReply:
    """A reply: freshness of shard and guild, and the rows of the added commands."""

    shard: ShardFreshness | None
    meta: Meta | None
    rows: Sequence[Any]
    now_ms: int

    @property
    def freshness(self) -> Freshness | None:
        """Freshness of what GUILD_CREATE brings; None when it has not come in this session."""
        if self.shard is None or self.meta is None or not self.meta.current:
            return None
        return self.shard.freshness(complete=self.meta.out_at_ms is None, not_after_ms=self.meta.out_at_ms)


class CacheReader:
    """Everything but members; see `MemberReader` for those."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self.keys = keys
        self.redis = redis
        self._runner = CommandRunner(redis)
        self._shard_count = 1
        self._guild_of_channel: dict[int, int] = {}  # as last seen; a wrong guess costs one more round trip

    @property
    def shard_count(self) -> int:
        """Number of shards as of the last read."""
        return self._shard_count

    async def user(self) -> CachedAnswer[Object]:
        """The bot's own user."""

        def add(commands: Commands) -> None:
            commands.get(self.keys.user)
            commands.hgetall(self.keys.overlay(overlay.USER, 0))

        found = await self.find(0, add)
        if found.shard is None or found.rows[0] is None:
            return CachedAnswer()
        stored = orjson.loads(found.rows[0])
        changed = overlay.require_certain(overlay.changes(found.rows[1], found.now_ms).get(stored["id"])) or {}
        return CachedAnswer({**stored, **changed}, found.shard.freshness(complete=True))

    async def guild(self, guild_id: int) -> CachedAnswer[Object]:
        """A guild with roles, emojis and stickers, as Discord's GET /guilds/{guild_id} shows it without counts."""

        def add(commands: Commands) -> None:
            commands.hget(self.keys.guilds, str(guild_id))
            commands.hgetall(self.keys.overlay(overlay.GUILD, guild_id))
            for kind in (overlay.ROLE, overlay.EMOJI, overlay.STICKER):
                commands.hgetall(self.keys.part(kind, guild_id))
                commands.hgetall(self.keys.overlay(kind, guild_id))

        found = await self.find(guild_id, add)
        if found.freshness is None or found.rows[0] is None:
            return CachedAnswer(None, found.freshness)
        guild = _changed_guild(found.rows[0], found.rows[1], guild_id, found.now_ms)
        if guild is None:
            return CachedAnswer(None, found.freshness)
        for place, name in ((2, "roles"), (4, "emojis"), (6, "stickers")):
            guild[name] = _listed(found, place)
        return CachedAnswer(guild, found.freshness)

    async def guilds(
        self, *, after: int | None = None, before: int | None = None, limit: int = 200
    ) -> CachedAnswer[list[Object]]:
        """Guilds of the bot in the order of their ids, without roles, emojis and stickers. Two round trips.

        Complete only when every shard is up and all guilds it announced have come.
        """
        found = await self.find(0, lambda commands: commands.hkeys(self.keys.guilds))
        freshness = await self._freshness_of_all()
        ids = sorted(guild_id for guild_id in map(number_of, found.rows[0]) if guild_id)
        wanted = [each for each in ids if (after is None or each > after) and (before is None or each < before)]
        wanted = wanted[:limit] if before is None or after is not None else wanted[-limit:]
        if not wanted:
            return CachedAnswer([], freshness)
        pipeline = self.redis.pipeline(transaction=False)
        pipeline.hmget(self.keys.guilds, [str(each) for each in wanted])
        for each in wanted:
            pipeline.hgetall(self.keys.overlay(overlay.GUILD, each))
        rows, *changes = await pipeline.execute()
        guilds = (
            _changed_guild(row, changed, each, found.now_ms)
            for each, row, changed in zip(wanted, rows, changes, strict=True)
            if row
        )
        return CachedAnswer([guild for guild in guilds if guild is not None], freshness)

    async def channels(self, guild_id: int) -> CachedAnswer[list[Object]]:
        """Channels of a guild, threads not among them."""
        return await self._part(overlay.CHANNEL, guild_id)

    async def threads(self, guild_id: int) -> CachedAnswer[list[Object]]:
        """Active threads of a guild that the bot can see."""
        return await self._part(overlay.THREAD, guild_id)

    async def roles(self, guild_id: int) -> CachedAnswer[list[Object]]:
        """Roles of a guild."""
        return await self._part(overlay.ROLE, guild_id)

    async def emojis(self, guild_id: int) -> CachedAnswer[list[Object]]:
        """Emojis of a guild."""
        return await self._part(overlay.EMOJI, guild_id)

    async def voice_states(self, guild_id: int) -> CachedAnswer[list[Object]]:
        """Who is in a voice channel; needs the intent voice_states, which the caller checks."""
        found = await self.find(guild_id, lambda commands: commands.hgetall(self.keys.part("vs", guild_id)))
        if found.freshness is None:
            return CachedAnswer()
        return CachedAnswer([orjson.loads(value) for value in found.rows[0].values()], found.freshness)

    async def channel(self, channel_id: int) -> CachedAnswer[Object]:
        """A channel or active thread of a guild. Two round trips the first time, then one.

        Never complete: direct messages and archived threads are not in the cache, so only Discord can answer "no".
        """
        field = str(channel_id)
        found = await self._find_channel(channel_id, field)
        if found is None or found.shard is None:
            return CachedAnswer()
        for place in (2, 4):
            changed = overlay.changes(found.rows[place + 1], found.now_ms)
            if field in changed:
                return CachedAnswer(overlay.require_certain(changed[field]), found.shard.freshness(complete=True))
        stored = found.rows[2] or found.rows[4]
        if stored is None or found.freshness is None:
            return CachedAnswer()
        return CachedAnswer(orjson.loads(stored), found.freshness)

    async def _find_channel(self, channel_id: int, field: str) -> CacheReply | None:
        """Look a channel up in the guild where it was the last time; None if it is in no guild now."""
        guild_id = self._guild_of_channel.get(channel_id, 0)
        while True:
            found = await self.find(guild_id, partial(self._add_channel, guild_id, field))
            home = number_of(found.rows[0]) or number_of(found.rows[1])
            if not home:
                return None
            if home == guild_id:
                return found
            if len(self._guild_of_channel) >= MAX_CHANNEL_GUILDS:
                self._guild_of_channel.clear()
            guild_id = self._guild_of_channel[channel_id] = home

    def _add_channel(self, guild_id: int, field: str, commands: Commands) -> None:
        commands.hget(self.keys.channel_index, field)
        commands.hget(self.keys.overlay_channel_index, field)
        for kind in (overlay.CHANNEL, overlay.THREAD):
            commands.hget(self.keys.part(kind, guild_id), field)
            commands.hgetall(self.keys.overlay(kind, guild_id))

    async def find(self, guild_id: int, add: Add) -> CacheReply:
        """Run the commands that `add` adds in one atomic step, and read the freshness of their data."""
        while True:
            shard_count = self._shard_count
            slot = Slot(shard_of(guild_id, shard_count), shard_count)
            commands = Commands()
            commands.get(self.keys.shard_count)
            commands.hmget(self.keys.status(slot), SHARD_FIELDS)
            commands.hmget(self.keys.meta(guild_id), META_FIELDS)
            add(commands)
            now_ms, (stored_count, status, meta, *rows) = await self._runner.run(commands)
            self._shard_count = number_of(stored_count, maximum=MAX_SHARDS) or 1
            if self._shard_count == shard_count:
                shard = _shard(status, now_ms)
                return CacheReply(shard, Meta.of(meta, shard) if shard else None, rows, now_ms)

    async def _part(self, kind: str, guild_id: int) -> CachedAnswer[list[Object]]:
        def add(commands: Commands) -> None:
            commands.hgetall(self.keys.part(kind, guild_id))
            commands.hgetall(self.keys.overlay(kind, guild_id))

        found = await self.find(guild_id, add)
        return CachedAnswer(_listed(found, 0), found.freshness) if found.freshness else CachedAnswer()

    async def _freshness_of_all(self) -> Freshness | None:
        """Return the freshness of the oldest shard, complete if nothing that was announced is missing."""
        slots = [Slot(shard_id, self._shard_count) for shard_id in range(self._shard_count)]
        pipeline = self.redis.pipeline(transaction=False)
        request_time(pipeline, self.keys)
        for slot in slots:
            pipeline.hmget(self.keys.status(slot), SHARD_FIELDS)
            pipeline.scard(self.keys.awaited(slot))
        time, *rows = await pipeline.execute()
        shards = [_shard(row, milliseconds(time)) for row in rows[::2]]
        known = [shard for shard in shards if shard is not None]
        if not known:
            return None
        complete = len(known) == len(slots) and not any(rows[1::2])
        return min(known, key=lambda shard: shard.as_of_ms).freshness(complete=complete)


def _shard(row: Sequence[Any], now_ms: int) -> ShardFreshness | None:
    as_of, mark, since = map(text_of, row)
    as_of_ms = number_of(as_of)
    return ShardFreshness(now_ms, as_of_ms, mark, since) if as_of_ms else None


def _changed_guild(row: bytes, changes: Any, guild_id: int, now_ms: int) -> Object | None:
    """Return a stored guild with its overlay on top; None when the bot has just left it."""
    changed = overlay.require_certain(overlay.changes(changes, now_ms).get(str(guild_id), {}))
    return None if changed is None else {**orjson.loads(row), **changed}


def _listed(found: CacheReply, place: int) -> list[Object]:
    """Return objects of the hash at `place` with the overlay behind it, in the order of their ids."""
    stored = {str(number_of(field)): orjson.loads(value) for field, value in found.rows[place].items() if id_of(field)}
    merged = overlay.merge(stored, overlay.changes(found.rows[place + 1], found.now_ms))
    return [merged[each] for each in sorted(merged, key=int)]
