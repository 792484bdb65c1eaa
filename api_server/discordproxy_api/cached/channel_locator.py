"""Locates channels for permission checks: from memory, the gateway's cache, or Discord."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus
from typing import Any

import orjson

from discordproxy_api.access.permission import ChannelLocation
from discordproxy_api.cached.single_flight import SingleFlight
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.retry import Repeat
from discordproxy_api.discord.request import RestRequest
from discordproxy_api.discord.rest import Rest
from discordproxy_api.rpcs.routed import document_of
from discordproxy_ratelimit.route import route_of

KEPT_S = 60.0
MAX_KEPT = 20_000

_TEMPLATE = "/channels/{channel_id}"
_UNKNOWN_TO_BOT = {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}

ReadCache = Callable[[int], Awaitable[dict[str, Any] | None]]
"""From a channel's id to its cached JSON, including `guild_id`; None if it is not cached."""


class ChannelLocator:
    """Returns the guild and the parent of channels, and remembers them for a minute.

    Args:
        rest: sends the requests for channels that are not cached.
        single_flight: combines concurrent requests for the same channel.
        read_cache: reads the gateway's cache.
    """

    def __init__(
        self,
        rest: Rest,
        single_flight: SingleFlight,
        read_cache: ReadCache,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rest = rest
        self._single_flight = single_flight
        self._read_cache = read_cache
        self._clock = clock
        self._kept: OrderedDict[int, tuple[float, ChannelLocation]] = OrderedDict()

    async def locate(self, channel_id: int, call: Call) -> ChannelLocation:
        """Return the location of a channel. Costs a request if the channel is not cached.

        Raises:
            ApiError: the request to Discord failed.
        """
        kept = self._kept.get(channel_id)
        if kept is not None and self._clock() - kept[0] < KEPT_S:
            return kept[1]
        channel = await self._read_cache(channel_id) or await self._request(channel_id, call)
        location = ChannelLocation(known=False) if channel is None else _location(channel)
        self._kept[channel_id] = self._clock(), location
        self._kept.move_to_end(channel_id)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return location

    async def _request(self, channel_id: int, call: Call) -> dict[str, Any] | None:
        name = f"location of {channel_id} {call.wait_limits}"
        try:
            body = await self._single_flight.share(name, partial(self._fetch, channel_id, call), fresh=False)
        except ApiError as error:
            if error.http_status in _UNKNOWN_TO_BOT and error.code:  # Discord's own, not that of a proxy on the way
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
        document_of(reply)  # an unreadable response is not shared
        return reply.body


def _location(channel: dict[str, Any]) -> ChannelLocation:
    return ChannelLocation(int(channel.get("guild_id") or 0), int(channel.get("parent_id") or 0))
