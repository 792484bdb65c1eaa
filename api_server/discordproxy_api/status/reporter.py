"""Tells the other workers about this one, once a second; and reads what all have told, for whoever asks."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping

import orjson

from discordproxy import __version__
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.gateway import GatewayReaders
from discordproxy_api.status.document import FORMAT, Document, document, queues, readable
from discordproxy_api.status.names import Names
from discordproxy_ratelimit.broker import Broker
from discordproxy_ratelimit.errors import BrokerError, BrokerUnavailableError

log = logging.getLogger(__name__)

EVERY_S = 1.0
AFTER_A_FAILURE_S = 60.0
FRESH_S = 0.8
"""A document is shown to everybody who asks within this time."""

MAX_LANES = 40
CREDENTIALS = ("bot", "ip")


class Reporter:
    """This worker's voice on the board.

    Args:
        brokers: by name of the bot; the first one's board is everybody's.
        metrics: whose tally is told.
        number: of this worker on its machine.
        state: returns `serving`, `draining` or what keeps it from serving.
    """

    def __init__(
        self, brokers: Mapping[str, Broker], metrics: Metrics, *, number: int, state: Callable[[], str]
    ) -> None:
        self._brokers, self._metrics, self._state = brokers, metrics, state
        self._broker = next(iter(brokers.values()))
        self._fixed = {
            "format": FORMAT,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "number": number,
            "version": __version__,
            "started_at": time.time(),
        }

    async def run(self) -> None:
        """Report until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)  # first, so that a new worker has looked whether it can serve
            try:
                await self.report()
            except Exception:
                log.exception("this worker's report failed; the others see an old one")
                await asyncio.sleep(AFTER_A_FAILURE_S)

    async def report(self) -> None:
        """Report once; what cannot be told now is told the next time."""
        if not self._broker.is_up:
            return
        counted = self._metrics.tally.take()
        try:
            await self._broker.circuit()  # keeps the gauges true while nothing is sent
            await self._broker.board.post(self._broker.worker, orjson.dumps(self._post()), counted)
        except BrokerError:
            self._metrics.tally.give_back(counted)

    async def leave(self) -> None:
        """Take this worker off the board."""
        try:
            await self._broker.board.post(self._broker.worker, b"", self._metrics.tally.take())
        except BrokerError:
            log.debug("the worker's post stays until it is void")

    def _post(self) -> Document:
        tally = self._metrics.tally
        return {
            **self._fixed,
            "state": self._state(),
            "in_progress": tally.in_progress,
            "waiting": sum(broker.waiting for broker in self._brokers.values()),
            "rss_mib": _resident_mib(),
            "lanes": [
                (bot, credential, lane.name, lane.bucket, lane.waiting, round(lane.oldest_s, 3))
                for bot, broker in self._brokers.items()
                for credential in CREDENTIALS
                for lane in broker.lanes(credential, most=MAX_LANES // len(self._brokers))
            ],
            "failures": [
                (*failure, seen.count, seen.at, seen.app, seen.request_id)
                for failure, seen in tally.failures(time.time())
            ],
        }


class StatusDocuments:
    """Puts the document together: one look at Redis serves everybody who asks at about the same time.

    Args:
        brokers: by name of the bot; the first one's board is everybody's.
        gateways: the doors to each bot's gateway worker.
    """

    def __init__(self, brokers: Mapping[str, Broker], gateways: Mapping[str, GatewayReaders]) -> None:
        self._brokers, self._gateways = brokers, gateways
        self._names = Names(gateways)
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
                self._document = await self._look()
                self._read_at = loop.time()
        return self._document

    async def _look(self) -> Document:
        notices = await self._broker.board.read()
        posts = [post for each in notices.posts.values() if (post := _read(each))]
        lanes = [lane for lane in queues(posts) if lane.bot in self._brokers]
        accounts = {
            (bot, credential): await broker.survey(
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
            raise BrokerUnavailableError("Redis does not answer") from error  # it is the same server, by another client
        names = await self._names.of((lane.bot, lane.lane.partition("|")[2]) for lane in lanes)
        return document(notices, posts, lanes, accounts, circuit, gateways, names)


def _read(post: bytes) -> Document | None:
    """Return a post of the board; None for one that is no document, which costs that worker its line only."""
    try:
        found = orjson.loads(post)
    except ValueError:
        return None
    return readable(found) if isinstance(found, dict) else None


def _resident_mib() -> float:
    """Return this process's memory, 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - read every second
            pages = int(file.read().split()[1])
    except OSError:
        return 0.0
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)
