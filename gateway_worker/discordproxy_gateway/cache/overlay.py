"""Read-your-writes: what the proxy itself changed is shown for five seconds, until its event has come.

After a mutation the worker notes Discord's answer here. Readers of every worker merge it; the gateway worker ends it
when the event arrives. Nobody waits for the event: it may never come.
"""

from collections.abc import Mapping
from typing import Any

import orjson
from redis.asyncio import Redis

from discordproxy_gateway.keys import Keys
from discordproxy_gateway.scripts import source

LIFE_MS = 5_000

CHANNEL = "ch"
THREAD = "th"
ROLE = "ro"
EMOJI = "em"
STICKER = "st"
MEMBER = "m"
GUILD = "guild"
USER = "user"
"""The bot's own user, noted under guild 0."""
ROLES_OF = ":roles"
"""Ends the field of a member's changed roles, which stand beside the member itself."""


class Overlay:
    """Notes changes. Ids are Discord's, as text or number; objects are Discord's JSON."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self._redis = redis
        self._script = redis.register_script(source("overlay"))
        self._keys = keys

    async def put(self, kind: str, guild_id: int | str, object_id: int | str, value: dict[str, Any]) -> None:
        """Note that an object was created or changed into `value`."""
        if kind in {CHANNEL, THREAD}:  # a new one must be found by its id alone, too
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.hset(self._keys.overlay_channel_index, str(object_id), str(guild_id))
            pipeline.pexpire(self._keys.overlay_channel_index, LIFE_MS)
            await pipeline.execute()
        await self._note(kind, guild_id, object_id, value, "put")

    async def remove(self, kind: str, guild_id: int | str, object_id: int | str) -> None:
        """Note that an object was deleted."""
        await self._note(kind, guild_id, object_id, None, "put")

    async def change_role(self, guild_id: int | str, user_id: int | str, role_id: int | str, *, added: bool) -> None:
        """Note that one role of a member was added or removed: Discord answers such a call with nothing."""
        await self._note(MEMBER, guild_id, f"{user_id}{ROLES_OF}", {str(role_id): added}, "merge")

    async def _note(
        self, kind: str, guild_id: int | str, object_id: int | str, value: dict[str, Any] | None, mode: str
    ) -> None:
        key = self._keys.overlay(kind, guild_id)
        text = b"" if value is None else orjson.dumps(value)
        outdated = f"{object_id}{ROLES_OF}" if kind == MEMBER and mode == "put" else ""
        await self._script(keys=[key], args=[str(object_id), text, mode, LIFE_MS, outdated])


Changes = dict[str, dict[str, Any] | None]
"""Object id -> the object as it was written, None when deleted."""


def changes(rows: Mapping[bytes, bytes], now_ms: int) -> Changes:
    """Return what an overlay hash holds, leaving out what has run out. Pure."""
    found: Changes = {}
    for field, value in rows.items():
        _, written_ms, text = value.split(b":", 2)
        if now_ms - int(written_ms) < LIFE_MS:
            found[field.decode()] = orjson.loads(text) if text else None
    return found


def split_roles(changed: Changes) -> tuple[Changes, Changes]:
    """Return changes of members, and of their roles, by user id. Pure."""
    members = {field: value for field, value in changed.items() if not field.endswith(ROLES_OF)}
    roles = {field.removesuffix(ROLES_OF): value for field, value in changed.items() if field.endswith(ROLES_OF)}
    return members, roles


def merge(objects: dict[str, dict[str, Any]], changed: Changes) -> dict[str, dict[str, Any]]:
    """Return objects by id with changes on top. Pure."""
    merged: Changes = {**objects, **changed}
    return {object_id: value for object_id, value in merged.items() if value is not None}


def merge_roles(member: dict[str, Any], changed: dict[str, Any]) -> dict[str, Any]:
    """Return a member with roles added (true) and removed (false). Pure."""
    kept = [role for role in member["roles"] if changed.get(role, True)]
    new = [role for role, added in changed.items() if added and role not in kept]
    return {**member, "roles": kept + new}
