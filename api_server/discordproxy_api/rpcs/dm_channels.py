"""The channel in which the bot talks to a user. Its id never changes, so all workers share what one has learned.

Discord blocks bots that open many new channels fast (documentation, resources/user, "Create DM", 2026-08): one worker
opens a channel once, however many messages wait for it.
"""

import asyncio
from weakref import WeakValueDictionary

import orjson
from grpc import StatusCode

from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.calls.retry import Repeat
from discordproxy_api.discord.request import RestRequest
from discordproxy_api.discord.rest import Rest
from discordproxy_ratelimit.errors import BrokerError
from discordproxy_ratelimit.route import route_of
from discordproxy_ratelimit.shared.claims import Claims

_TEMPLATE = "/users/@me/channels"
KEPT_S = 30 * 24 * 3600.0


class DmChannels:
    """Finds or opens DM channels.

    Args:
        notes: what all workers know.
    """

    def __init__(self, rest: Rest, notes: Claims, metrics: Metrics) -> None:
        self._rest = rest
        self._notes = notes
        self._metrics = metrics
        self._opening: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    async def find(self, user_id: int, call: Call, *, fresh: bool = False) -> tuple[int, bool]:
        """Return the channel's id, and whether it was known before; `fresh` asks Discord in any case.

        Raises:
            ApiError: Discord knows no such user, or could not be asked.
        """
        known = None if fresh else await self._known(user_id)
        if known is not None:
            self._metrics.dm_channels.labels("known").inc()
            return known, True
        lock = self._opening.setdefault(user_id, asyncio.Lock())
        async with lock:
            known = None if fresh else await self._known(user_id)
            if known is not None:
                return known, True
            self._metrics.dm_channels.labels("opened").inc()
            return await self._open(user_id, call), False

    async def _known(self, user_id: int) -> int | None:
        try:
            note = await self._notes.get(_key(user_id))
        except BrokerError:
            return None  # whether anything may be sent without Redis is decided where a permit is asked for
        return int(note) if note is not None and note.isdigit() else None

    async def _open(self, user_id: int, call: Call) -> int:
        request = RestRequest(
            method="POST",
            path=_TEMPLATE,
            route=route_of("POST", _TEMPLATE, {}),
            body=orjson.dumps({"recipient_id": str(user_id)}),
            repeat=Repeat.ALWAYS,  # Discord returns the channel that exists
            effect=False,
        )
        reply = await self._rest.send(request, call)
        try:
            channel_id = int(reply.document()["id"])
        except (ValueError, KeyError, TypeError):
            text = "Discord's answer names no channel for this user."
            raise errors.refusal(StatusCode.INTERNAL, "INTERNAL", text) from None
        await self._remember(user_id, channel_id)
        return channel_id

    async def _remember(self, user_id: int, channel_id: int) -> None:
        try:
            await self._notes.set(_key(user_id), str(channel_id).encode(), ttl_s=KEPT_S)
        except BrokerError:
            return  # the next message asks Discord again


def _key(user_id: int) -> str:
    return f"dm:{user_id}"
