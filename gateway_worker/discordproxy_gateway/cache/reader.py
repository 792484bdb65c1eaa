"""Reads guilds and their parts from the cache, in one round trip unless documented otherwise.

An answer has a freshness, and the caller decides whether it suffices. Every read merges the overlay, so the next read
shows a change that was made through the proxy.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import orjson
from redis.asyncio import Redis

from discordproxy_gateway.cache import overlay
from discordproxy_gateway.cache.commands import Commands
from discordproxy_gateway.cache.connection import ReadConnection
from discordproxy_gateway.cache.freshness import CachedAnswer, Freshness
from discordproxy_gateway.cache.reply import CacheReply, StateKeys
from discordproxy_gateway.cache.stored_state import META_FIELDS, SHARD_FIELDS, Meta, ShardFreshness
from discordproxy_gateway.cache.versions import VersionChecks
from discordproxy_gateway.hidden_channels import is_hidden
from discordproxy_gateway.ids import MAX_SHARDS, id_of, number_of
from discordproxy_gateway.keys import (
    CHANNEL,
    EMOJI,
    GUILD,
    ROLE,
    STICKER,
    THREAD,
    USER,
    VOICE_STATE,
    Keys,
    Slot,
    shard_of,
)
from discordproxy_gateway.store.server_time import milliseconds, request_time

Object = dict[str, Any]
Add = Callable[[Commands], None]

MAX_CHANNEL_GUILDS = 10_000
"""Maximum number of channels whose guilds are remembered; new threads keep coming."""


_LISTS = {"roles": ROLE, "emojis": EMOJI, "stickers": STICKER}
"""Lists in a guild object that are stored apart, with their kinds."""


class CacheReader:
    """Reads everything except members; see `MemberReader`.

    Attributes:
        freshness_of: returns the present freshness of an earlier answer by its version, see `VersionChecks`.
    """

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self.keys = keys
        self.redis = redis
        self._connection = ReadConnection(redis)
        self.freshness_of = VersionChecks(self._connection, keys).freshness_of
        self._shard_count = 1
        self._guild_of_channel: dict[int, int] = {}  # as last seen; a wrong guess costs one more round trip

    @property
    def shard_count(self) -> int:
        """Number of shards as of the last read."""
        return self._shard_count

    async def aclose(self) -> None:
        """Close the connection; the client stays open."""
        await self._connection.aclose()

    async def user(self) -> CachedAnswer[Object]:
        """Return the bot's own user."""
        found = await self.find(0, lambda commands: commands.get(self.keys.user), (USER,))
        if found.shard is None or found.rows[0] is None:
            return CachedAnswer()
        stored = orjson.loads(found.rows[0])
        changed = overlay.require_certain(found.changes(USER).get(stored["id"])) or {}
        return CachedAnswer({**stored, **changed}, found.shard.freshness(complete=True))

    async def guild(self, guild_id: int) -> CachedAnswer[Object]:
        """Return a guild with roles, emojis and stickers, as Discord's GET /guilds/{guild_id} does without counts."""

        def add(commands: Commands) -> None:
            commands.hget(self.keys.guilds, str(guild_id))
            for kind in _LISTS.values():
                commands.hgetall(self.keys.part(kind, guild_id))

        found = await self.find(guild_id, add, (GUILD, *_LISTS.values()))
        stored, *lists = found.rows
        if found.freshness is None or stored is None:
            return CachedAnswer(None, found.freshness)
        guild = _changed_guild(stored, found.changes(GUILD), guild_id)
        if guild is None:
            return CachedAnswer(None, found.freshness)
        for (name, kind), objects in zip(_LISTS.items(), lists, strict=True):
            guild[name] = _listed(objects, found.changes(kind))
        return found.answer(guild, found.freshness)

    async def guilds(
        self, *, after: int | None = None, before: int | None = None, limit: int = 200
    ) -> CachedAnswer[list[Object]]:
        """Return guilds of the bot in the order of their ids, without roles, emojis and stickers. Two round trips.

        Complete only if every shard is connected and all guilds that it announced have been received.
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
            pipeline.hgetall(self.keys.overlay(GUILD, each))
        rows, *changes = await pipeline.execute()
        guilds = (
            _changed_guild(row, overlay.changes(changed, found.now_ms), each)
            for each, row, changed in zip(wanted, rows, changes, strict=True)
            if row
        )
        return CachedAnswer([guild for guild in guilds if guild is not None], freshness)

    async def channels(self, guild_id: int) -> CachedAnswer[list[Object]]:
        """Return the channels of a guild that the bot can see, without threads."""
        return await self._part(CHANNEL, guild_id)

    async def threads(self, guild_id: int) -> CachedAnswer[list[Object]]:
        """Return the active threads of a guild that the bot can see."""
        return await self._part(THREAD, guild_id)

    async def roles(self, guild_id: int) -> CachedAnswer[list[Object]]:
        """Return the roles of a guild."""
        return await self._part(ROLE, guild_id)

    async def emojis(self, guild_id: int) -> CachedAnswer[list[Object]]:
        """Return the emojis of a guild."""
        return await self._part(EMOJI, guild_id)

    async def voice_states(self, guild_id: int) -> CachedAnswer[list[Object]]:
        """Return the voice states of a guild. They require the intent voice_states, which the caller checks."""
        found = await self.find(guild_id, lambda commands: commands.hgetall(self.keys.part(VOICE_STATE, guild_id)))
        if found.freshness is None:
            return CachedAnswer()
        return CachedAnswer([orjson.loads(value) for value in found.rows[0].values()], found.freshness)

    async def channel(self, channel_id: int, *, with_hidden: bool = False) -> CachedAnswer[Object]:
        """Return a channel or active thread of a guild. Two round trips the first time, then one.

        Absence is never certain: direct messages and archived threads are not in the cache.

        Args:
            channel_id: the channel.
            with_hidden: return a channel that the bot cannot see, too; only its id, type, position, guild and parent
                are right.
        """
        field = str(channel_id)
        found = await self._find_channel(channel_id, field)
        if found is None or found.shard is None:
            return CachedAnswer()
        for kind in (CHANNEL, THREAD):
            changed = found.changes(kind)
            if field in changed:
                return CachedAnswer(overlay.require_certain(changed[field]), found.shard.freshness(complete=True))
        stored = found.rows[2] or found.rows[3]
        if stored is None or found.freshness is None:
            return CachedAnswer()
        channel = orjson.loads(stored)
        if is_hidden(channel) and not with_hidden:
            return CachedAnswer()  # Discord's answer is an error
        return found.answer(channel, found.freshness)

    async def _find_channel(self, channel_id: int, field: str) -> CacheReply | None:
        """Look up a channel in its last known guild; None if it is in no guild."""
        guild_id = self._guild_of_channel.get(channel_id, 0)
        while True:
            add = partial(self._add_channel, guild_id, field)
            found = await self.find(guild_id, add, (CHANNEL, THREAD))
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
        for kind in (CHANNEL, THREAD):
            commands.hget(self.keys.part(kind, guild_id), field)

    async def find(self, guild_id: int, add: Add, kinds: Sequence[str] = ()) -> CacheReply:
        """Run commands in one atomic step, and read the freshness of their data and its overlays.

        Args:
            guild_id: the guild, 0 for none.
            add: adds the commands.
            kinds: of the overlays.
        """
        overlays = tuple(self.keys.overlay(kind, guild_id) for kind in kinds)
        meta_key = self.keys.meta(guild_id)
        while True:
            shard_count = self._shard_count
            status_key = self.keys.status(Slot(shard_of(guild_id, shard_count), shard_count))
            commands = Commands()
            commands.get(self.keys.shard_count)
            commands.hmget(status_key, SHARD_FIELDS)
            commands.hmget(meta_key, META_FIELDS)
            for key in overlays:
                commands.hgetall(key)
            add(commands)
            now_ms, (stored_count, status, meta_row, *rows) = await self._connection.run(commands)
            self._shard_count = number_of(stored_count, maximum=MAX_SHARDS) or 1
            if self._shard_count == shard_count:
                shard = ShardFreshness.of(status, now_ms)
                return CacheReply(
                    shard=shard,
                    meta=Meta.of(meta_row, shard) if shard else None,
                    meta_row=meta_row,
                    rows=rows[len(overlays) :],
                    overlays=dict(zip(kinds, rows, strict=False)),
                    now_ms=now_ms,
                    keys=StateKeys(stored_count, status_key, meta_key, overlays),
                )

    async def _part(self, kind: str, guild_id: int) -> CachedAnswer[list[Object]]:
        part = self.keys.part(kind, guild_id)
        found = await self.find(guild_id, lambda commands: commands.hgetall(part), (kind,))
        if found.freshness is None:
            return CachedAnswer()
        listed = _listed(found.rows[0], found.changes(kind))
        return found.answer([each for each in listed if not is_hidden(each)], found.freshness)

    async def _freshness_of_all(self) -> Freshness | None:
        """Return the freshness of the oldest shard; complete if no announced guild is missing."""
        slots = [Slot(shard_id, self._shard_count) for shard_id in range(self._shard_count)]
        pipeline = self.redis.pipeline(transaction=False)
        request_time(pipeline, self.keys)
        for slot in slots:
            pipeline.hmget(self.keys.status(slot), SHARD_FIELDS)
            pipeline.scard(self.keys.awaited(slot))
        time, *rows = await pipeline.execute()
        shards = [ShardFreshness.of(row, milliseconds(time)) for row in rows[::2]]
        known = [shard for shard in shards if shard is not None]
        if not known:
            return None
        complete = len(known) == len(slots) and not any(rows[1::2])
        return min(known, key=lambda shard: shard.as_of_ms).freshness(complete=complete)


def _changed_guild(row: bytes, changes: overlay.Changes, guild_id: int) -> Object | None:
    """Return a stored guild with its changes applied; None if the bot has just left it."""
    changed = overlay.require_certain(changes.get(str(guild_id), {}))
    return None if changed is None else {**orjson.loads(row), **changed}


def _listed(objects: Mapping[bytes, bytes], changes: overlay.Changes) -> list[Object]:
    """Return stored objects with their changes applied, in the order of their ids."""
    stored = {str(number_of(field)): orjson.loads(value) for field, value in objects.items() if id_of(field)}
    merged = overlay.merge(stored, changes)
    return [merged[each] for each in sorted(merged, key=int)]
