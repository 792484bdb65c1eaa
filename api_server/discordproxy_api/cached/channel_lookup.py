"""Where a channel lies, for permission checks: the gateway's cache knows most, Discord is asked for the rest."""

from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import Any

import orjson

from discordproxy_api.cached.single_flight import SingleFlight
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.retry import Repeat
from discordproxy_api.discord.request import RestRequest
from discordproxy_api.discord.rest import Rest
from discordproxy_api.rpcs.routed import document_of
from discordproxy_ratelimit.route import route_of

_TEMPLATE = "/channels/{channel_id}"
_NOT_FOR_US = {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}

Cached = Callable[[int], Awaitable[dict[str, Any] | None]]
"""From a channel's id to what the cache holds of it, with its `guild_id`; None when it is not there."""


class ChannelLookup:
    """Finds channels; see `access.whereabouts.Find`.

    Args:
        flights: ask Discord once for all calls that want to know the same.
    """

    def __init__(self, rest: Rest, flights: SingleFlight, cached: Cached) -> None:
        self._rest = rest
        self._flights = flights
        self._cached = cached

    async def find(self, channel_id: int, call: Call) -> dict[str, Any] | None:
        """Return a channel, None if there is none for the bot. Costs a request where the cache does not know it.

        Raises:
            ApiError: Discord could not be asked.
        """
        known = await self._cached(channel_id)
        return known or await self._ask(channel_id, call)

    async def _ask(self, channel_id: int, call: Call) -> dict[str, Any] | None:
        name = f"whereabouts of {channel_id} {call.patience}"
        try:
            body = await self._flights.share(name, partial(self._fetch, channel_id, call), fresh=False)
        except ApiError as error:
            if error.http_status in _NOT_FOR_US:
                return None
            raise
        document = orjson.loads(body) if body else None
        return document if isinstance(document, dict) else None

    async def _fetch(self, channel_id: int, call: Call) -> bytes:
        request = RestRequest(
            method="GET",
            path=f"/channels/{channel_id}",
            route=route_of("GET", _TEMPLATE, {"channel_id": str(channel_id)}),
            repeat=Repeat.ALWAYS,
            effect=False,
        )
        reply = await self._rest.send(request, call)
        document_of(reply)  # nobody is to share what cannot be read
        return reply.body
