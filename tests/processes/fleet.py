"""Many brokers in one process, on one real Valkey and one fake Discord."""

import asyncio
import time
import uuid
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from prometheus_client import CollectorRegistry

from discordproxy_ratelimit.broker import Broker, Caller, Limits
from discordproxy_ratelimit.metrics import Decisions
from discordproxy_ratelimit.redis.client import connect
from discordproxy_ratelimit.route import Route
from fakes.virtual_time import VirtualClock, WatchedRedis
from strategies.discord_limits import FakeDiscord

REAL_LEASE_S = 60.0


def in_real_time(limits: Limits) -> Limits:
    """Return limits whose lease outlasts a machine that stands still for seconds, unless the test has chosen one."""
    return replace(limits, lease_s=REAL_LEASE_S) if limits.lease_s == Limits().lease_s else limits


class Fleet:
    """`workers` brokers in virtual time, or without a clock in real time.

    Fleets of several processes form one fleet if they share a prefix and their workers' names differ.
    """

    def __init__(
        self,
        url: str,
        discord: FakeDiscord,
        workers: int,
        *,
        clock: VirtualClock | None,
        limits: Limits | None = None,
        prefix: str = "",
        bot_id: str = "1",
        names: str = "w",
    ) -> None:
        self.discord, self.clock = discord, clock
        self.prefix, self.bot_id, self.names = prefix or f"sim-{uuid.uuid4().hex[:8]}", bot_id, names
        self.clients: list[Any] = []
        self.brokers: list[Broker] = []
        self.registries: list[CollectorRegistry] = []
        self.url, self.limits = url, limits or Limits()
        if clock is None:
            self.limits = in_real_time(self.limits)
        for _ in range(workers):
            self.add()

    def add(self) -> Broker:
        client: Any = connect(self.url, timeout_s=5.0)
        if self.clock:
            client = WatchedRedis(client, self.clock, self.url)
        self.clients.append(client)
        registry = CollectorRegistry()
        self.registries.append(registry)
        broker = Broker(
            client,
            prefix=self.prefix,
            bot_id=self.bot_id,
            limits=self.limits,
            decisions=Decisions(registry),
            clock=self.clock.us if self.clock else None,
            worker=f"{self.names}{len(self.brokers)}",
        )
        self.brokers.append(broker)
        return broker

    async def start(self) -> None:
        for broker in self.brokers:
            await broker.start()
            await broker.ready()

    async def aclose(self) -> None:
        for broker in self.brokers:
            await broker.close()

    @property
    def script_calls(self) -> int:
        calls = [registry.get_sample_value("discordproxy_script_calls_total") for registry in self.registries]
        return int(sum(number or 0 for number in calls))

    async def send(
        self,
        worker: int,
        route: Route,
        label: object = None,
        *,
        deadline_s: float | None = None,
        caller: Caller | None = None,
        max_wait_s: float | None = None,
        tries: int = 5,
    ) -> int:
        """Send as an API worker does: repeat a 429 from the head of the queue."""
        loop = asyncio.get_running_loop()
        deadline = None if deadline_s is None else loop.time() + deadline_s
        before = None
        for _ in range(tries):
            async with self.brokers[worker].acquire(
                route, deadline, caller or Caller(), max_wait_s=max_wait_s, retry_of=before
            ) as permit:
                permit.sent()
                answer = await self.discord.request(route, label)
                permit.complete(answer)
                if answer.status != 429:
                    return answer.status
                before = permit
        return 429


@asynccontextmanager
async def fleet(url: str, discord: FakeDiscord, workers: int, **options: Any) -> Any:
    built = Fleet(url, discord, workers, **options)
    await built.start()
    try:
        yield built
    finally:
        await built.aclose()


async def send_in_turn(
    fleet_: Fleet, calls: list[tuple[Route, object]], *, apart_s: float = 0.0, **options: object
) -> list[int]:
    """Submit calls over the workers in turn, `apart_s` seconds apart."""

    async def one(number: int, route: Route, label: object) -> int:
        await asyncio.sleep(number * apart_s)
        return await fleet_.send(number % len(fleet_.brokers), route, label, **options)

    return await asyncio.gather(*(one(number, *call) for number, call in enumerate(calls)))


def wall() -> float:
    return time.perf_counter()
