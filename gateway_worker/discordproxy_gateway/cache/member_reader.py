"""Reads members: one, a page, a search."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from redis.asyncio import Redis

from discordproxy_gateway.cache import member_codec, overlay
from discordproxy_gateway.cache.commands import Commands
from discordproxy_gateway.cache.freshness import CachedAnswer, Freshness
from discordproxy_gateway.cache.reader import CacheReader, Object
from discordproxy_gateway.cache.reply import CacheReply
from discordproxy_gateway.cache.stored_state import MEMBER_FIELDS
from discordproxy_gateway.ids import text_of
from discordproxy_gateway.keys import MEMBER, ROLE, Keys, Slot, shard_of

PAGE = 1000
_SLICE, _LEAVES_PER_SLICE = 250, 5
"""Members per call, and the number of leaves that hold at least as many. Keeps Redis and this process responsive."""
_SCAN = 500
_WANTED_LIFE_S = 3600


class MemberReader:
    """Returns members as Discord's JSON, user included, without deleted roles."""

    def __init__(self, redis: Redis, keys: Keys, reader: CacheReader) -> None:
        self._redis = redis
        self._keys = keys
        self._reader = reader
        self._generations: dict[int, int] = {}  # last seen; a wrong guess costs one more round trip

    async def member(self, guild_id: int, user_id: int) -> CachedAnswer[Object]:
        """Return one member. It may come from an incomplete list: all members in it belong to this session."""
        field = member_codec.id_field(user_id)
        generation = self._generations.get(guild_id, 1)
        while True:
            found = await self._find(guild_id, generation, [field])
            current = found.meta.generation if found.meta else generation
            if current == generation:
                break
            generation = self._generations[guild_id] = current
        members = self._shown(found, [field], _values(found))
        patched = str(user_id) in _changes(found)[0]
        if patched and found.shard is not None:
            return CachedAnswer(members[0] if members else None, found.shard.freshness(complete=True))
        return found.answer(members[0] if members else None, found.members_freshness, MEMBER_FIELDS)

    async def members(
        self, guild_id: int, *, after: int = 0, limit: int = PAGE, role_id: int | None = None
    ) -> CachedAnswer[list[Object]]:
        """Return a page of members in the order of their ids, as Discord does; two round trips per 250 members.

        Args:
            guild_id: the guild.
            after: only greater user ids.
            limit: at most so many.
            role_id: only members with this role; the list is read on until the page is full.
        """
        wanted: list[Object] = []
        freshness: Freshness | None = None
        async for page, found in self._pages(guild_id, after):
            freshness = found.members_freshness
            wanted += [member for member in page if role_id is None or str(role_id) in member["roles"]]
            if freshness is None or len(wanted) >= limit:
                break
        return CachedAnswer(wanted[:limit], freshness)

    async def search(self, guild_id: int, query: str, limit: int) -> CachedAnswer[list[Object]]:
        """Return members whose user name, display name or nickname begins with `query`, ignoring case.

        The list is read in slices that keep Redis responsive. An incomplete list is not an answer.
        """
        found = await self._find(guild_id, self._generations.get(guild_id, 1), [])
        freshness = found.members_freshness
        if found.meta is None or freshness is None or not freshness.complete:
            return CachedAnswer(None, freshness)
        start = query.casefold()
        fields: list[bytes] = []
        cursor, key = 0, self._keys.members(guild_id, found.meta.generation)
        while True:
            reply: Any = await self._redis.hscan(key, cursor, count=_SCAN)
            cursor, rows = reply
            fields += [field for field, value in rows.items() if _has_name_with(value, start)]
            if not cursor or len(fields) >= limit:
                break
        fields = sorted(set(fields))[:limit]
        found = await self._find(guild_id, found.meta.generation, fields)
        return CachedAnswer(self._shown(found, fields, _values(found)) if fields else [], found.members_freshness)

    async def request_list(self, guild_id: int) -> None:
        """Request that the gateway worker fetches the member list of this guild before others."""
        found = await self._find(guild_id, 1, [])
        slot = Slot(shard_of(guild_id, self._reader.shard_count), self._reader.shard_count)
        key = self._keys.wanted_members(slot)
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.zadd(key, {str(guild_id): found.now_ms}, nx=True)
        pipeline.expire(key, _WANTED_LIFE_S)
        await pipeline.execute()

    async def _pages(self, guild_id: int, after: int) -> AsyncIterator[tuple[list[Object], CacheReply]]:
        """Yield the members after `after`, page by page, all of the generation that was current at the start."""
        found = await self._find(guild_id, 1, [])
        generation = found.meta.generation if found.meta else 0
        while True:
            fields, last = await self._ids_after(guild_id, generation, after)
            found = await self._find(guild_id, generation, fields)
            yield self._shown(found, fields, _values(found) if fields else [], between=(after, last)), found
            if last is None:
                return
            after = last

    async def _ids_after(self, guild_id: int, generation: int, after: int) -> tuple[list[bytes], int | None]:
        """Return the next ids in order, and the id to continue after; None at the end of the list."""
        index, field = self._keys.member_index(guild_id, generation), member_codec.id_field(after)
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.zrevrangebylex(index, b"[" + field + b"\xff", "-", start=0, num=1)
        pipeline.zrangebylex(index, b"(" + field + b"\xff", "+", start=0, num=_LEAVES_PER_SLICE)
        home, following = await pipeline.execute()
        leaves = [*home, *following]
        ids = sorted(leaf[at : at + 8] for leaf in leaves for at in range(8, len(leaf), 8))
        wanted = [each for each in ids if each > field]
        page = wanted[:_SLICE]
        if len(page) < len(wanted):
            return page, member_codec.user_id_of(page[-1])
        if len(following) < _LEAVES_PER_SLICE:
            return page, None
        return page, member_codec.user_id_of(page[-1]) if page else _upper_bound(leaves[-1])

    async def _find(self, guild_id: int, generation: int, fields: Sequence[bytes]) -> CacheReply:
        def add(commands: Commands) -> None:
            commands.hkeys(self._keys.part(ROLE, guild_id))
            if fields:
                commands.hmget(self._keys.members(guild_id, generation), fields)

        return await self._reader.find(guild_id, add, (MEMBER, ROLE))

    def _shown(
        self, found: CacheReply, fields: Sequence[bytes], values: Sequence[bytes | None], *, between: Any = None
    ) -> list[Object]:
        """Return the members of `fields`, changed by the overlay, in order.

        Args:
            found: the reply with the overlays.
            fields: the members that were read.
            values: their packed values, None for members that do not exist.
            between: a range of ids; members of the overlay in it are added.
        """
        stored = {
            str(member_codec.user_id_of(f)): member_codec.unpack(member_codec.user_id_of(f), v)
            for f, v in zip(fields, values, strict=True)
            if v
        }
        changed, changed_roles = _changes(found)
        requested = {str(member_codec.user_id_of(field)) for field in fields}
        merged = overlay.merge(
            stored, {each: v for each, v in changed.items() if each in requested or _is_between(each, between)}
        )
        roles = _roles(found)
        for user_id, patch in changed_roles.items():
            if user_id in merged and patch is not None:
                merged[user_id] = overlay.merge_roles(merged[user_id], patch)
        return [_without_deleted(merged[each], roles) for each in sorted(merged, key=int)]


def _changes(found: CacheReply) -> tuple[overlay.Changes, overlay.Changes]:
    return overlay.split_roles(found.changes(MEMBER))


def _values(found: CacheReply) -> Sequence[bytes | None]:
    """Return the packed members that were read."""
    values: Sequence[bytes | None] = found.rows[1]
    return values


def _roles(found: CacheReply) -> set[str]:
    """Return the ids of the guild's roles, including the proxy's own latest changes."""
    roles = {text_of(role) for role in found.rows[0]}
    for role_id, role in found.changes(ROLE).items():  # UNCERTAIN: it exists
        (roles.discard if role is None else roles.add)(role_id)
    return roles


def _has_name_with(value: bytes, start: str) -> bool:
    return any(name.casefold().startswith(start) for name in member_codec.names(value))


def _is_between(user_id: str, between: tuple[int, int | None] | None) -> bool:
    return between is not None and between[0] < int(user_id) and (between[1] is None or int(user_id) <= between[1])


def _upper_bound(leaf: bytes) -> int:
    return member_codec.user_id_of(leaf[:8])


def _without_deleted(member: Object, roles: set[str]) -> Object:
    """Remove roles that the guild no longer has: Discord sends no member events when a role is deleted."""
    return {**member, "roles": [role for role in member["roles"] if role in roles]} if roles else member
