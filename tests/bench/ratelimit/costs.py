"""Costs of the broker: script calls, acquires per second and their delay, CPU, memory of buckets. Real time."""

import asyncio
import itertools
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from discordproxy_ratelimit.broker import Broker, Limits
from discordproxy_ratelimit.headers import Answer
from discordproxy_ratelimit.metrics import Decisions
from discordproxy_ratelimit.redis.client import connect
from discordproxy_ratelimit.route import Route

PLENTY = 10**6
SETTLE_S = 2.0


@asynccontextmanager
async def broker(url: str, registry: CollectorRegistry | None = None, **limits: int) -> AsyncIterator[Broker]:
    """A broker with keys of its own, by default without an effective global limit."""
    built = Broker(
        connect(url, timeout_s=5.0),
        prefix=f"bench-{uuid.uuid4().hex[:8]}",
        bot_id="1",
        limits=Limits(**{"global_limit": PLENTY, "max_waiting": PLENTY, **limits}),
        decisions=Decisions(registry or CollectorRegistry()),
    )
    await built.start()
    await built.ready()
    try:
        yield built
    finally:
        await built.close()


@asynccontextmanager
async def server(url: str) -> AsyncIterator["Server"]:
    """Statistics of the Valkey."""
    client = connect(url, timeout_s=5.0)
    try:
        yield Server(client)
    finally:
        await client.aclose()


class Server:
    """Figures of the Valkey under test."""

    def __init__(self, client: object) -> None:
        self.client = client

    async def cpu_s(self) -> float:
        """CPU seconds it has used."""
        info = await self.client.info("cpu")
        return info["used_cpu_user"] + info["used_cpu_sys"]

    async def memory(self) -> int:
        """Bytes it holds in data and their overhead."""
        return (await self.client.info("memory"))["used_memory"]


def roomy_answer(number: int, *, after_s: float = 3600.0) -> Answer:
    """An answer of a fixed bucket that never fills."""
    return Answer(200, "bench", PLENTY, PLENTY - 1, 1_000 * number, after_s)


@dataclass(frozen=True)
class Speed:
    """Acquires of so many callers at once, each with a known bucket of its own."""

    callers: int
    acquires_per_s: float
    p50_ms: float
    p99_ms: float
    client_us: float
    server_us: float
    script_calls_per_request: float


async def speed(url: str, callers: int, *, for_s: float) -> Speed:
    """Let `callers` acquire and complete in a loop without sending."""
    waits: list[float] = []
    registry = CollectorRegistry()

    def script_calls() -> float:
        return registry.get_sample_value("discordproxy_script_calls_total")

    async with broker(url, registry) as broker_, server(url) as server_:
        await asyncio.gather(*(_acquire(broker_, caller) for caller in range(callers)))  # the buckets get known
        calls, cpu, client = script_calls(), await server_.cpu_s(), time.process_time()
        began = time.perf_counter()
        await asyncio.gather(*(_keep_acquiring(broker_, caller, began + for_s, waits) for caller in range(callers)))
        took, client = time.perf_counter() - began, time.process_time() - client
        cpu, calls = await server_.cpu_s() - cpu, script_calls() - calls
    waits.sort()
    count = len(waits)
    return Speed(
        callers,
        count / took,
        1e3 * waits[count // 2],
        1e3 * waits[count * 99 // 100],
        1e6 * client / count,
        1e6 * cpu / count,
        calls / count,
    )


async def _acquire(broker_: Broker, channel: int) -> float:
    asked_at = time.perf_counter()
    async with broker_.acquire(Route("POST /bench", f"channel_id={channel}")) as permit:
        waited = time.perf_counter() - asked_at
        permit.sent()
        permit.complete(roomy_answer(1))
    return waited


async def _keep_acquiring(broker_: Broker, channel: int, until: float, waits: list[float]) -> None:
    while time.perf_counter() < until:
        waits.append(await _acquire(broker_, channel))


@dataclass(frozen=True)
class Memory:
    """Memory of Valkey for so many known, idle buckets."""

    buckets: int
    bytes_per_bucket: float
    bytes_per_key: float
    bytes_per_added: float


async def memory(url: str, sizes: list[int], *, callers: int = 512) -> list[Memory]:
    """Make buckets known, one channel each, and measure at each of the (growing) sizes.

    `bytes_per_bucket` is the server's growth since it had none, per bucket; `bytes_per_key` is its report on single
    keys (name and value, without its tables); `bytes_per_added` is the growth since the previous size.
    """
    rows: list[Memory] = []
    async with broker(url) as broker_, server(url) as server_:
        await _acquire(broker_, 0)
        numbers = itertools.count(1)
        empty = last = await server_.memory()
        done = 0
        for size in sizes:
            await asyncio.gather(*(_make_known(broker_, numbers, size) for _ in range(callers)))
            numbers = itertools.count(size + 1)
            used = await _settled_memory(broker_, server_)
            keys = [key async for key in server_.client.scan_iter(match="*rl3:b:*", count=100)][:100]
            each = [await server_.client.memory_usage(key) for key in keys]
            rows.append(Memory(size, (used - empty) / size, sum(each) / len(each), (used - last) / (size - done)))
            done, last = size, used
    return rows


async def _make_known(broker_: Broker, numbers: "itertools.count[int]", most: int) -> None:
    while (number := next(numbers)) <= most:
        await _acquire(broker_, number)


async def _settled_memory(broker_: Broker, server_: Server) -> int:
    """Return the memory once the global slots of the last second are removed: they do not belong to a bucket."""
    await asyncio.sleep(SETTLE_S)
    await _acquire(broker_, 0)
    await asyncio.sleep(0.1)
    return await server_.memory()
