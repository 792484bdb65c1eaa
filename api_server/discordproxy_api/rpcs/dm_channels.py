"""Ids of DM channels, one per user. They never change, so all workers share them in Redis.

Discord blocks bots that open many channels in a short time (documentation, resources/user, "Create DM", 2026-08).
Therefore a worker opens each channel once, independent of the number of waiting messages.
"""

import asyncio
from weakref import WeakValueDictionary

import orjson

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
        records: keeps the ids for all workers.
    """

    def __init__(self, rest: Rest, records: Claims, metrics: Metrics) -> None:
        self._rest = rest
        self._records = records
        self._metrics = metrics
        self._opening: WeakValueDictionary[int, asyncio.Lock] = WeakValueDictionary()

    async def find(self, user_id: int, call: Call, *, fresh: bool = False) -> tuple[int, bool]:
        """Return the channel's id, and whether it was known before; `fresh` queries Discord in any case.

        Raises:
            ApiError: the user does not exist, or the request to Discord failed.
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
            record = await self._records.get(_key(user_id))
        except BrokerError:
            return None  # the broker decides whether requests may be sent without Redis
        return int(record) if record is not None and record.isdigit() else None

    async def _open(self, user_id: int, call: Call) -> int:
        request = RestRequest(
            method="POST",
            path=_TEMPLATE,
            route=route_of("POST", _TEMPLATE, {}),
            body=orjson.dumps({"recipient_id": str(user_id)}),
            repeat=Repeat.ALWAYS,  # Discord returns the existing channel
            effect=False,
        )
        reply = await self._rest.send(request, call)
        try:
            channel_id = int(reply.document()["id"])
        except (ValueError, KeyError, TypeError):
            text = "Discord's response contains no channel for this user."
            raise errors.refusal("INTERNAL", "INTERNAL", text) from None
        await self._record(user_id, channel_id)
        return channel_id

    async def _record(self, user_id: int, channel_id: int) -> None:
        try:
            await self._records.set(_key(user_id), str(channel_id).encode(), ttl_s=KEPT_S)
        except BrokerError:
            return  # the next message queries Discord again


def _key(user_id: int) -> str:
    return f"dm:{user_id}"
