"""Publishes the status and the counters of this worker every second, every two while it is idle."""

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping

import orjson

from discordproxy import __version__
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.status.document import FORMAT, Document
from discordproxy_ratelimit.broker import Broker
from discordproxy_ratelimit.errors import BrokerError

log = logging.getLogger(__name__)

EVERY_S = 1.0
CIRCUIT_EVERY = 5
"""Reports between two reads of the circuit, which keep its gauges current while nothing is sent."""

AFTER_A_FAILURE_S = 60.0
MAX_LANES = 40
CREDENTIALS = ("bot", "ip")


class Reporter:
    """Publishes in the registry.

    Args:
        brokers: by name of the bot; all workers publish in the registry of the first one.
        metrics: the counters to publish.
        number: number of this worker on its machine.
        state: returns `serving`, `draining` or `not serving`.
        rest: address of the REST port, "" without one.
        rest_open: returns whether it accepts connections.
    """

    def __init__(
        self,
        brokers: Mapping[str, Broker],
        metrics: Metrics,
        *,
        number: int,
        state: Callable[[], str],
        rest: str = "",
        rest_open: Callable[[], bool] = bool,
    ) -> None:
        self._brokers, self._metrics, self._state = brokers, metrics, state
        self._rest_open = rest_open
        self._broker = next(iter(brokers.values()))
        self._reports = 0
        self._state_published = ""
        self._may_skip = False
        self._fixed = {
            "format": FORMAT,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "number": number,
            "version": __version__,
            "started_at": time.time(),
            "rest": rest,
        }

    async def run(self) -> None:
        """Report until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)  # first, so that a new worker has probed its health
            try:
                await self.report()
            except Exception:
                log.exception("publishing this worker's status failed; the others see an old one")
                await asyncio.sleep(AFTER_A_FAILURE_S)

    async def report(self) -> None:
        """Publish once, unless nothing has happened. Counters that cannot be published are published the next time."""
        if not self._broker.is_up:
            return
        counted, may_skip, self._may_skip = self._metrics.recent_stats.collect(), self._may_skip, False
        if not counted and may_skip and not self._metrics.in_progress and self._state() == self._state_published:
            return
        try:
            if self._reports % CIRCUIT_EVERY == 0:
                await self._broker.circuit()
            self._reports += 1
            self._state_published = self._state()
            await self._broker.registry.publish(self._broker.worker, orjson.dumps(self._post()), counted)
            self._may_skip = True
        except BrokerError:
            self._metrics.recent_stats.restore(counted)

    async def withdraw(self) -> None:
        """Remove this worker from the registry."""
        try:
            await self._broker.registry.publish(self._broker.worker, b"", self._metrics.recent_stats.collect())
        except BrokerError:
            log.debug("the worker's status stays published until it expires")

    def _post(self) -> Document:
        return {
            **self._fixed,
            "state": self._state(),
            "rest_open": self._rest_open(),
            "in_progress": self._metrics.in_progress,
            "waiting": sum(broker.waiting for broker in self._brokers.values()),
            "rss_mib": _resident_mib(),
            "lanes": [
                (bot, credential, lane.name, lane.bucket, lane.waiting, round(lane.oldest_s, 3))
                for bot, broker in self._brokers.items()
                for credential in CREDENTIALS
                for lane in broker.lanes(credential, limit=MAX_LANES // len(self._brokers))
            ],
            "failures": [
                (*failure, seen.count, seen.at, seen.app, seen.request_id)
                for failure, seen in self._metrics.recent_stats.failures(time.time())
            ],
        }


def _resident_mib() -> float:
    """Return the resident memory of this process, 0 where /proc is missing."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - read every second
            pages = int(file.read().split()[1])
    except OSError:
        return 0.0
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)
