"""Makes the proxy's own writes visible to the next read through any worker.

A write is put into the caches' overlay before its caller gets the response. Shared responses of Discord are keyed by a
mark of the last write before their request, so that no reader gets a response older than a finished write.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine
from secrets import token_hex
from typing import Any
from weakref import WeakValueDictionary

import orjson

from discordproxy_api.cached.changes import EFFECTS, AcceptedRequest, Change, Overwrite, Put, changes_of
from discordproxy_api.discord.request import Reply, RestRequest
from discordproxy_gateway.cache import CACHE_ERRORS, CHANNEL, GUILD, CacheReader, Overlay, UncertainOverlayError
from discordproxy_ratelimit.errors import BrokerError
from discordproxy_ratelimit.route import template_of
from discordproxy_ratelimit.shared.claims import Claims

log = logging.getLogger("discordproxy_api.cached.own_writes")

MARKED_S = 10.0
"""Lifetime of a mark; longer than any response is shared."""

ANYTHING, GUILDS, SELF = "any", "guilds", "0"
"""Scopes besides ids: a write in an unknown guild, the list of guilds, the bot's own user."""


class OwnWrites:
    """Records recent writes in the overlay and as marks.

    Args:
        claims: keeps the marks.
        reader: reads cached channels.
        overlay: of the same caches.
    """

    def __init__(self, claims: Claims, reader: CacheReader, overlay: Overlay) -> None:
        self._claims = claims
        self._reader = reader
        self._overlay = overlay
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def record(self, request: RestRequest, reply: Reply, took_s: float) -> Coroutine[Any, Any, None] | None:
        """Return the work that records the changes of a request sent `took_s` seconds ago; None without changes."""
        name = request.route.name.partition("#")[0]
        if name not in EFFECTS or (request.authorization is not None and "@me" in name):
            return None  # with the caller's own authorization, "@me" is not the bot
        return self._record(name, request, reply, time.monotonic() - took_s)

    async def _record(self, name: str, request: RestRequest, reply: Reply, sent_at: float) -> None:
        """Record changes. Raises nothing, since the write has succeeded."""
        _, parameters = template_of(request.path)
        try:
            body = orjson.loads(request.body) if request.body else None
            changes = changes_of(name, AcceptedRequest(parameters, body, reply.document()))
        except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError):
            log.warning("%s: unexpected response; readers see the change with its gateway event", name)
            changes = []
        scopes = {parameters[key] for key in ("guild_id", "channel_id") if key in parameters}
        for change in changes:
            scopes |= await self._apply(change, sent_at)
        await asyncio.gather(*(self._mark(scope) for scope in scopes))

    async def marks(self, scope: str) -> str | None:
        """Return the marks of the last writes in a scope; None if Redis does not answer.

        Args:
            scope: id of the guild, channel or user; GUILDS or SELF.
        """
        try:
            marks = await asyncio.gather(self._claims.get(_key(scope)), self._claims.get(_key(ANYTHING)))
        except BrokerError:
            return None
        return "|".join(mark.decode() if mark else "" for mark in marks)

    async def _mark(self, scope: str) -> None:
        try:
            await self._claims.set(_key(scope), token_hex(8).encode(), ttl_s=MARKED_S)
        except BrokerError as error:
            log.warning("a write is not recorded, so later readers may share a read that began before it: %s", error)

    async def _apply(self, change: Change, sent_at: float) -> set[str]:
        """Apply a change to the overlay; return the scopes it affects."""
        try:
            return await self._put(change, sent_at)
        except CACHE_ERRORS as error:
            log.warning("a write is not visible to cached reads before its gateway event: %s", type(error).__name__)
            return {ANYTHING}

    async def _put(self, change: Change, sent_at: float) -> set[str]:
        if isinstance(change, Overwrite):
            return await self._set_overwrite(change, sent_at)
        took_s = time.monotonic() - sent_at
        if not isinstance(change, Put):
            await self._overlay.change_role(
                change.guild_id, change.user_id, change.role_id, added=change.added, took_s=took_s
            )
            return {change.guild_id}
        if change.value is None:
            await self._overlay.remove(change.kind, change.guild_id, change.object_id, took_s=took_s)
        else:
            await self._overlay.put(change.kind, change.guild_id, change.object_id, change.value, took_s=took_s)
        return {change.guild_id, change.object_id} | ({GUILDS} if change.kind == GUILD else set())

    async def _set_overwrite(self, change: Overwrite, sent_at: float) -> set[str]:
        """Derive the new channel from the cached one, since Discord's response is empty."""
        async with self._locks.setdefault(change.channel_id, asyncio.Lock()):
            try:
                channel = (await self._reader.channel(int(change.channel_id))).value
            except UncertainOverlayError:
                await self._overlay.put_uncertain_channel(change.channel_id)
                return {ANYTHING}
            if channel is None:
                return {ANYTHING}
            kept = [each for each in channel.get("permission_overwrites") or () if each["id"] != change.overwrite_id]
            overwrites = kept if change.value is None else [*kept, change.value]
            guild_id: str = channel["guild_id"]
            changed = {**channel, "permission_overwrites": overwrites}
            took_s = time.monotonic() - sent_at
            await self._overlay.put(CHANNEL, guild_id, change.channel_id, changed, took_s=took_s)
        return {guild_id}


def _key(scope: str) -> str:
    return f"wrote:{scope}"
