"""Ten thousand calls that wait for one bucket: the cost of a grant in long and short queues, and of cancellations."""

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path

from bench.ratelimit.costs import Server, broker, server
from discordproxy_ratelimit.broker import Broker
from discordproxy_ratelimit.headers import Answer
from discordproxy_ratelimit.route import Route
from fakes.eventually import eventually

IN_FLIGHT = 50
CROWDED = Route("POST /crowded", "channel_id=1")
STILL = Answer(200, "crowded", IN_FLIGHT, IN_FLIGHT - 1, 1_000, 1.0)
"""Always the same window, not used at all: only calls in flight delay the others."""


class Turnstile:
    """Admits a number of callers and signals when they have passed."""

    def __init__(self) -> None:
        self.passed, self._most = 0, 0
        self._changed = asyncio.Condition()

    async def go(self) -> None:
        """Wait for admission."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.passed < self._most)
            self.passed += 1
            self._changed.notify_all()

    async def open_for(self, most: int) -> None:
        """Admit callers up to the `most`-th, and wait until they have passed."""
        async with self._changed:
            self._most = most
            self._changed.notify_all()
            await self._changed.wait_for(lambda: self.passed >= most)


@dataclass(frozen=True)
class Crowd:
    """Figures of `waiters` calls on one bucket; `first` and `last` are the first and the last thousand grants."""

    waiters: int
    place_us: float
    first_us: float
    last_us: float
    first_server_us: float
    last_server_us: float
    server_bytes_per_waiter: float
    client_bytes_per_waiter: float
    cancelled: int
    cancelled_s: float


async def crowd(url: str, waiters: int = 10_000, *, cancelled: int = 9_000) -> Crowd:
    """Queue `waiters` calls and serve them all; queue them again and cancel most."""
    async with broker(url) as broker_, server(url) as server_:
        gate = Turnstile()
        before, resident = await server_.memory(), _resident()
        began = time.perf_counter()
        calls = await _queue(broker_, gate, waiters)
        placed = time.perf_counter() - began
        server_bytes, client_bytes = await server_.memory() - before, _resident() - resident
        first = await _serve(gate, server_, 1_000)
        await gate.open_for(waiters - 1_000)
        last = await _serve(gate, server_, waiters)
        await asyncio.gather(*calls)
        took = await _cancel(broker_, server_, waiters, cancelled)
    return Crowd(
        waiters,
        1e6 * placed / waiters,
        *(1e6 * figure for figure in (first[0], last[0], first[1], last[1])),
        server_bytes / waiters,
        client_bytes / waiters,
        cancelled,
        took,
    )


async def _call(broker_: Broker, gate: Turnstile) -> None:
    async with broker_.acquire(CROWDED) as permit:
        await gate.go()
        permit.sent()
        permit.complete(STILL)


async def _queue(broker_: Broker, gate: Turnstile, waiters: int) -> list["asyncio.Task[None]"]:
    """Start the calls and wait until each is queued."""
    async with broker_.acquire(CROWDED) as permit:  # the first answer contains the limit
        permit.sent()
        permit.complete(STILL)
    calls = [asyncio.create_task(_call(broker_, gate)) for _ in range(waiters)]
    account = broker_._accounts["bot"]
    await eventually(lambda: sum(waiter.placed for waiter in account._lanes) >= waiters - IN_FLIGHT, within_s=60)
    return calls


async def _serve(gate: Turnstile, server_: Server, up_to: int) -> tuple[float, float]:
    """Open the gate up to a count; return seconds and the server's CPU seconds per grant."""
    cpu, began, before = await server_.cpu_s(), time.perf_counter(), gate.passed
    await gate.open_for(up_to)
    took = time.perf_counter() - began
    return took / (up_to - before), (await server_.cpu_s() - cpu) / (up_to - before)


async def _cancel(broker_: Broker, server_: Server, waiters: int, cancelled: int) -> float:
    """Return the seconds until the server has removed the cancelled calls from the queue."""
    gate = Turnstile()
    calls = await _queue(broker_, gate, waiters)
    (queue,) = [key async for key in server_.client.scan_iter(match=f"*q:{CROWDED.lane}", count=10_000)]
    began = time.perf_counter()
    for call in calls[-cancelled:]:
        call.cancel()
    left = waiters - cancelled - IN_FLIGHT

    async def is_free() -> bool:
        return await server_.client.zcard(queue) <= left

    await eventually(is_free, within_s=60)
    took = time.perf_counter() - began
    await gate.open_for(waiters - cancelled)
    await asyncio.gather(*calls, return_exceptions=True)
    return took


def _resident() -> int:
    """Bytes of memory this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
