"""Read-your-writes: shows the proxy's own changes until their events arrive, for at most five seconds.

After a mutation the API worker stores Discord's response here. Readers of every worker merge it. The gateway worker
removes it with the event, behind the events of the changes before it (`lua/pending.lua`). The event may never arrive.
Therefore a change that the caches already show is not stored, and of two concurrent writes neither is shown: the read
goes to Discord.
"""

import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson
from redis.asyncio import Redis

from discordproxy_gateway.cache import member_codec
from discordproxy_gateway.ids import number_of, text_of
from discordproxy_gateway.keys import CHANNEL, GUILD, MEMBER, THREAD, USER, Keys
from discordproxy_gateway.store.scripts import source

LIFE_MS = 5_000
_MAX_CHECKS = 4

ROLES_OF = ":roles"
"""Suffix of the field with a member's changed roles, which is separate from the member's own field."""


IsShown = Callable[[], Awaitable[bool]]


class Overlay:
    """Stores changes. Ids are Discord's, as text or number; objects are Discord's JSON."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._script = redis.register_script(source("overlay"))
        self._keys = keys

    async def put(
        self, kind: str, guild_id: int | str, object_id: int | str, value: dict[str, Any], *, took_s: float = 0.0
    ) -> None:
        """Store that an object was created or changed into `value`, by a request that left `took_s` ago."""
        sent_at = time.monotonic() - took_s
        if kind in {CHANNEL, THREAD}:  # readers find a new one by its id alone
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.hset(self._keys.overlay_channel_index, str(object_id), str(guild_id))
            pipeline.pexpire(self._keys.overlay_channel_index, LIFE_MS)
            await pipeline.execute()

        async def is_shown() -> bool:
            return _agree(kind, value, await self._stored(kind, guild_id, object_id))

        await self._store(kind, guild_id, str(object_id), orjson.dumps(value), sent_at=sent_at, is_shown=is_shown)

    async def remove(self, kind: str, guild_id: int | str, object_id: int | str, *, took_s: float = 0.0) -> None:
        """Store that an object was deleted."""
        sent_at = time.monotonic() - took_s

        async def is_shown() -> bool:
            return await self._stored(kind, guild_id, object_id) is None

        await self._store(kind, guild_id, str(object_id), b"", sent_at=sent_at, is_shown=is_shown)

    async def put_uncertain_channel(self, channel_id: int | str) -> None:
        """Store that a channel was changed into an unknown state; reads query Discord until the entry expires."""
        sent_at = time.monotonic()
        for index in (self._keys.channel_index, self._keys.overlay_channel_index):
            guild_id: Any = await self._redis.hget(index, str(channel_id))
            if guild_id:
                await self._store(CHANNEL, text_of(guild_id), str(channel_id), b"?", sent_at=sent_at, is_shown=_never)
                return

    async def change_role(
        self, guild_id: int | str, user_id: int | str, role_id: int | str, *, added: bool, took_s: float = 0.0
    ) -> None:
        """Store that a role of a member was added or removed; Discord's response to such a call is empty."""
        sent_at = time.monotonic() - took_s

        async def is_shown() -> bool:
            member = await self._stored(MEMBER, guild_id, user_id)
            return (str(role_id) in member["roles"]) == added if member else False

        field, text = f"{user_id}{ROLES_OF}", orjson.dumps({str(role_id): added})
        await self._store(MEMBER, guild_id, field, text, sent_at=sent_at, is_shown=is_shown)

    async def _store(
        self,
        kind: str,
        guild_id: int | str,
        field: str,
        text: bytes,
        *,
        sent_at: float,
        is_shown: IsShown,
    ) -> None:
        """Store a change by a request that left at `sent_at`; `is_shown` checks whether the caches already show it.

        If an event of an earlier change comes between check and write, the check is repeated.
        """
        overlay, merge = self._keys.overlay(kind, guild_id), field.endswith(ROLES_OF)
        beside = (field.removesuffix(ROLES_OF) if merge else field + ROLES_OF) if kind == MEMBER else ""
        words: list[str | bytes | float] = [field, text, "merge" if merge else "put", LIFE_MS, beside]
        for checks_left in reversed(range(_MAX_CHECKS)):
            before: Any = await self._redis.hmget(overlay, [field, beside])
            # The last check is ignored: then the change is stored until its event arrives.
            shown = await is_shown() and checks_left > 0
            took_ms = (time.monotonic() - sent_at) * 1000
            if await self._script(
                keys=[overlay], args=[*words, took_ms, int(shown), *(each or b"" for each in before)]
            ):
                return

    async def _stored(self, kind: str, guild_id: int | str, object_id: int | str) -> dict[str, Any] | None:
        """Return a cached object without its overlay; an empty one if it cannot be read."""
        try:
            return await self._read(kind, guild_id, object_id)
        except (ValueError, TypeError, LookupError, OverflowError):
            return {}

    async def _read(self, kind: str, guild_id: int | str, object_id: int | str) -> dict[str, Any] | None:
        value: Any
        if kind == MEMBER:
            generation: Any = await self._redis.hget(self._keys.meta(guild_id), "gen")
            members = self._keys.members(guild_id, number_of(generation) or 0)
            value = await self._redis.hget(members, member_codec.id_field(object_id))
            return member_codec.unpack(int(object_id), value) if value else None
        if kind == USER:
            value = await self._redis.get(self._keys.user)
        else:
            key = self._keys.guilds if kind == GUILD else self._keys.part(kind, guild_id)
            value = await self._redis.hget(key, str(object_id))
        return orjson.loads(value) if value else None


async def _never() -> bool:
    return False


def _agree(kind: str, written: dict[str, Any], stored: dict[str, Any] | None) -> bool:
    """Return whether the caches already show a written object; False if that is uncertain. Pure."""
    if stored is None:
        return False
    if kind == MEMBER:
        with contextlib.suppress(LookupError, TypeError, ValueError, AttributeError, OverflowError):
            written = member_codec.unpack(int(written["user"]["id"]), member_codec.pack(written))
    return all(stored.get(name) == value for name, value in written.items() if value or name in stored)


class UncertainOverlayError(ValueError):
    """Two writes of the proxy were concurrent; which one took effect last is unknown."""


UNCERTAIN: dict[str, Any] = {}
"""Marks an object of unknown state; compare by identity."""

Changes = dict[str, dict[str, Any] | None]
"""Object id -> the object as it was written, None when deleted, UNCERTAIN."""


def changes(rows: Mapping[bytes, bytes], now_ms: int) -> Changes:
    """Return the unexpired changes of an overlay hash. Pure."""
    found: Changes = {}
    for field, value in rows.items():
        pending, written_ms, text = value.partition(b"\n")[0].split(b":", 2)
        if pending != b"0" and abs(now_ms - int(written_ms)) < LIFE_MS:
            found[field.decode()] = UNCERTAIN if text == b"?" else orjson.loads(text) if text else None
    return found


def require_certain(changed: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a change; raises UncertainOverlayError if its state is unknown. Pure."""
    if changed is UNCERTAIN:
        raise UncertainOverlayError
    return changed


def split_roles(changed: Changes) -> tuple[Changes, Changes]:
    """Return changes of members, and of their roles, by user id. Pure."""
    members = {field: value for field, value in changed.items() if not field.endswith(ROLES_OF)}
    roles = {field.removesuffix(ROLES_OF): value for field, value in changed.items() if field.endswith(ROLES_OF)}
    return members, roles


def merge(objects: dict[str, dict[str, Any]], changed: Changes) -> dict[str, dict[str, Any]]:
    """Return objects by id with changes on top; raises UncertainOverlayError if one is uncertain. Pure."""
    merged: Changes = {**objects, **{object_id: require_certain(value) for object_id, value in changed.items()}}
    return {object_id: value for object_id, value in merged.items() if value is not None}


def merge_roles(member: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
    """Return a member with roles added (true) and removed (false); raises UncertainOverlayError. Pure."""
    require_certain(changed)
    kept = [role for role in member["roles"] if changed.get(role, True)]
    new = [role for role, added in changed.items() if added and role not in kept]
    return {**member, "roles": kept + new}
