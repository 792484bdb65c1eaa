"""Reads the status of all workers, limits and gateways from Redis, once for concurrent callers."""

import asyncio
from collections.abc import Mapping

import orjson

from discordproxy_api.gateway import GatewayReaders
from discordproxy_api.status.display_names import DisplayNames
from discordproxy_api.status.document import Document, document, queues, readable
from discordproxy_api.status.reporter import CREDENTIALS
from discordproxy_ratelimit.broker import Broker
from discordproxy_ratelimit.errors import BrokerUnavailableError

FRESH_S = 0.8
"""A document is returned to all callers within this time."""


class StatusReader:
    """Builds the status document.

    Args:
        brokers: by name of the bot; all workers publish in the registry of the first one.
        gateways: by name of the bot.
    """

    def __init__(self, brokers: Mapping[str, Broker], gateways: Mapping[str, GatewayReaders]) -> None:
        self._brokers, self._gateways = brokers, gateways
        self._names = DisplayNames(gateways)
        self._broker = next(iter(brokers.values()))
        self._lock = asyncio.Lock()
        self._document: Document = {}
        self._read_at = float("-inf")

    async def read(self) -> Document:
        """Return the document.

        Raises:
            BrokerError: Redis does not answer.
        """
        loop = asyncio.get_running_loop()
        async with self._lock:
            if loop.time() - self._read_at > FRESH_S:
                self._document = await self._read()
                self._read_at = loop.time()
        return self._document

    async def _read(self) -> Document:
        notices = await self._broker.registry.snapshot()
        posts = [post for each in notices.documents.values() if (post := _parsed(each))]
        lanes = [lane for lane in queues(posts) if lane.bot in self._brokers]
        accounts = {
            (bot, credential): await broker.inspect(
                dict.fromkeys(lane.bucket for lane in lanes if (lane.bot, lane.credential) == (bot, credential)),
                credential,
            )
            for bot, broker in self._brokers.items()
            for credential in CREDENTIALS
        }
        circuit = await self._broker.circuit()
        try:
            gateways = {bot: await gateway.events.state() for bot, gateway in self._gateways.items()}
        except Exception as error:
            raise BrokerUnavailableError("Redis does not answer") from error  # the same server, by another client
        names = await self._names.of((lane.bot, lane.lane.partition("|")[2]) for lane in lanes)
        return document(notices, posts, lanes, accounts, circuit, gateways, names)


def _parsed(post: bytes) -> Document | None:
    """Return a worker's published status; None if it is not JSON, which omits only that worker."""
    try:
        found = orjson.loads(post)
    except ValueError:
        return None
    return readable(found) if isinstance(found, dict) else None
