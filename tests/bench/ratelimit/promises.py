"""Delays that callers notice: a refusal, and an urgent call among a thousand others. Real time, one process."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bench.ratelimit.judge import discord
from bench.ratelimit.scenarios import JITTER_S, RTT_S, route_for
from discordproxy_ratelimit.broker import Caller, Limits
from discordproxy_ratelimit.errors import WaitRefusedError
from discordproxy_ratelimit.route import Route
from fakes.eventually import eventually
from processes.fleet import Fleet, fleet

URGENT = Caller("urgent", priority="high")
BULK = Caller("bulk")


@asynccontextmanager
async def world(url: str, workers: int, *, limit: int, window_s: float, global_limit: int) -> AsyncIterator[Fleet]:
    """Brokers in front of a Discord with leaky buckets, its latency as in the scenarios."""
    judged = discord("leaky", limit, window_s, global_limit, RTT_S, JITTER_S)
    async with fleet(url, judged, workers, clock=None, limits=Limits(global_limit=global_limit)) as built:
        yield built


@dataclass(frozen=True)
class Calls:
    """Script calls per request for calls that wait for one bucket, each caller asking again once answered."""

    workers: int
    callers: int
    script_calls_per_request: float


async def contended(url: str, workers: int, *, callers: int = 64, rounds: int = 5) -> Calls:
    """Let callers of several workers compete for one bucket that lets a third of them through at a time."""
    async with world(url, workers, limit=callers // 3, window_s=0.3, global_limit=10_000) as fleet_:
        route = Route("PATCH /bench", "channel_id=1")

        async def keep_sending(caller: int) -> None:
            for _ in range(rounds):
                await fleet_.send(caller % workers, route)

        await asyncio.gather(*(keep_sending(caller) for caller in range(callers)))
        return Calls(workers, callers, fleet_.script_calls / (callers * rounds))


@dataclass(frozen=True)
class Refusal:
    """Calls whose deadline cannot be met: time to the refusal, and requests that reached Discord nevertheless."""

    calls: int
    p50_ms: float
    p99_ms: float
    requests_sent: int


async def refusal(url: str, calls: int = 200) -> Refusal:
    """Refuse calls one after the other on a bucket that is empty for ten seconds."""
    async with world(url, 1, limit=1, window_s=10.0, global_limit=50) as fleet_:
        await fleet_.send(0, route_for(1))
        took = []
        for _ in range(calls):
            began = time.perf_counter()
            try:
                await fleet_.send(0, route_for(1), deadline_s=1.0)
            except WaitRefusedError:
                took.append(time.perf_counter() - began)
        took.sort()
        sent = len(fleet_.discord.arrivals) - 1
    return Refusal(len(took), 1e3 * took[len(took) // 2], 1e3 * took[len(took) * 99 // 100], sent)


@dataclass(frozen=True)
class Urgent:
    """Time to the permit of single high-priority calls while `queued` calls of another app wait for the global limit.

    `at_once_ms`: a call right after the others were queued; the rest come at any instant of a second.
    """

    queued: int
    at_once_ms: float
    calls: int
    p50_ms: float
    max_ms: float


async def urgent(url: str, *, queued: int = 1000, calls: int = 8) -> Urgent:
    """Send urgent calls while the others wait; each in a bucket of its own."""
    async with world(url, 2, limit=1000, window_s=1.0, global_limit=50) as fleet_:
        bulk = [asyncio.create_task(fleet_.send(n % 2, route_for(n % 200), caller=BULK)) for n in range(queued)]
        await eventually(lambda: sum(broker.waiting for broker in fleet_.brokers) >= queued * 0.9)
        at_once = await _permitted(fleet_, 0)
        took = []
        for number in range(calls):
            await asyncio.sleep(1.13)
            took.append(await _permitted(fleet_, number + 1))
        for call in bulk:
            call.cancel()
        await asyncio.gather(*bulk, return_exceptions=True)
    took.sort()
    return Urgent(queued, 1e3 * at_once, calls, 1e3 * took[len(took) // 2], 1e3 * took[-1])


async def _permitted(fleet_: Fleet, number: int) -> float:
    """Send one urgent call and return the seconds until it had its permit."""
    began = time.perf_counter()
    route = route_for(1000 + number)
    async with fleet_.brokers[number % 2].acquire(route, None, URGENT) as permit:
        took = time.perf_counter() - began
        permit.sent()
        permit.complete(await fleet_.discord.request(route, "urgent"))
    return took
