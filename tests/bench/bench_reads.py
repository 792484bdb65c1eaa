# ruff: noqa: T201 - a benchmark prints its result
"""Cost of reads from the caches: latency at a steady rate, a large guild page by page, random writes and their reads.

    make bench-reads                     # all three, about two minutes
    make bench-reads ARGS="rate"         # or large, writes

Processes beside this one: a Valkey, a gateway worker, one API worker. The local Discord and the callers share this
process, so on a busy machine much of the latency is their wait for a CPU; health checks at the same rate, which use no
Redis, show how much. BENCH_PRECEDENCE=1 gives all of it precedence over other processes (root only).
"""

import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import uvloop
from grpc_health.v1 import health_pb2, health_pb2_grpc

from discordproxy import discord_api_pb2 as pb
from discordproxy.discord_api_pb2_grpc import DiscordApiStub
from discordproxy_ratelimit.redis.client import connect
from discordproxy_ratelimit.server import embedded
from discordproxy_sandbox.limits.book import LimitBook
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from discordproxy_sandbox.world.population import CHANNEL_ID, GUILD_ID, USER_ID, add_guilds
from fakes.eventually import eventually
from fakes.gateway import TOKEN
from fakes.ports import free_port
from processes.cluster import INTENTS, cluster
from processes.process import Process
from strategies.random_writes import Writer

RATE, FOR_S = int(os.environ.get("BENCH_RATE", "500")), int(os.environ.get("BENCH_SECONDS", "20"))
MEMBERS, WRITES = int(os.environ.get("BENCH_MEMBERS", "200000")), int(os.environ.get("BENCH_WRITES", "1000"))
PAGE, SLOW_US, TIMER_S = 1000, 5000, 0.002
TICKS = os.sysconf("SC_CLK_TCK")

Call = Callable[[], Awaitable[Any]]


@dataclass
class Whole:
    """A running proxy."""

    discord: Sandbox
    stub: DiscordApiStub
    health: Any
    redis: Any
    worker: int

    @property
    def cpu_s(self) -> float:
        """CPU time of the API worker so far."""
        fields = Path(f"/proc/{self.worker}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


async def start(stack: AsyncExitStack, members: int) -> Whole:
    """Start everything; returns once the caches are complete."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dp-bench-")))
    options = ("--port", "0", "--unixsocket", f"{folder}/valkey.sock", "--save", "", "--dir", str(folder))
    await stack.enter_async_context(Process(embedded.find_binary(), *options, env={}, cwd=folder))
    discord = await stack.enter_async_context(
        Sandbox(SandboxConfig(token=TOKEN, global_limit=None, limits=LimitBook(default=None)))
    )
    (large,) = add_guilds(discord.world, 1, members) if members else ("",)
    port = free_port()
    environment = {
        "DISCORD_BOT_TOKEN": TOKEN,
        "DISCORDPROXY_DISCORD_URL": discord.rest_url,
        "DISCORDPROXY_REDIS_URL": f"unix://{folder}/valkey.sock",
        "DISCORDPROXY_PORT": str(port),
        "DISCORDPROXY_INTENTS": ",".join(INTENTS),
    }
    redis = connect(environment["DISCORDPROXY_REDIS_URL"])
    stack.push_async_callback(redis.aclose)
    await eventually(lambda: Path(f"{folder}/valkey.sock").exists())
    await stack.enter_async_context(Process.module("discordproxy_gateway", env=environment, cwd=folder))
    worker = await stack.enter_async_context(Process.module("discordproxy_api", env=environment, cwd=folder))
    channel = await stack.enter_async_context(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
    await asyncio.wait_for(channel.channel_ready(), 30)
    whole = Whole(discord, DiscordApiStub(channel), health_pb2_grpc.HealthStub(channel), redis, worker.pid)
    for guild_id in filter(None, (GUILD_ID, large)):
        await eventually(lambda guild_id=guild_id: listed(whole.stub, int(guild_id)), within_s=120)
    return whole


async def listed(stub: DiscordApiStub, guild_id: int) -> bool:
    found = await stub.ListGuildMembers(pb.ListGuildMembersRequest(guild_id=guild_id))
    await asyncio.sleep(0.2)  # the waiting must not be the load
    return bool(found.freshness.source == pb.Freshness.CACHE)


async def at_rate(calls: list[Call]) -> list[float]:
    """Make calls at RATE for FOR_S; return the sorted ms from each call's due time to its answer.

    Timers of the event loop are up to two milliseconds late; only a longer delay counts.
    """
    took: list[float] = []

    async def one(call: Call, due: float) -> None:
        now = time.perf_counter()
        due = now if now - due < TIMER_S else due
        await call()
        took.append((time.perf_counter() - due) * 1000)

    began, running = time.perf_counter(), set()
    for number in range(RATE * FOR_S):
        due = began + number / RATE
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        task = asyncio.create_task(one(calls[number % len(calls)], due))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    return sorted(took)


def report(name: str, took: list[float], cpu_s: float) -> None:
    percentiles = " ".join(f"p{share} {took[int(len(took) * share / 100)]:.2f}" for share in (50, 90, 99))
    print(f"{name:28} {percentiles} max {took[-1]:.1f} ms; worker {cpu_s / len(took) * 1e6:.0f} us CPU a call")


async def rate() -> None:
    """Reads of all kinds at a steady rate."""
    async with AsyncExitStack() as stack:
        whole = await start(stack, 0)
        guild, stub = int(GUILD_ID), whole.stub
        kinds: dict[str, Call] = {
            "GetGuildMember": lambda: stub.GetGuildMember(pb.MemberId(guild_id=guild, user_id=int(USER_ID))),
            "GetChannel": lambda: stub.GetChannel(pb.ChannelId(channel_id=int(CHANNEL_ID))),
            "GetGuildRoles": lambda: stub.GetGuildRoles(pb.GuildId(guild_id=guild)),
            "GetGuildChannels": lambda: stub.GetGuildChannels(pb.GetGuildChannelsRequest(guild_id=guild)),
            "GetGuild": lambda: stub.GetGuild(pb.GetGuildRequest(guild_id=guild)),
        }
        print(f"{RATE} calls/s for {FOR_S} s to one worker, load of the machine {os.getloadavg()[0]:.1f}:")
        asked = len(whole.discord.ledger.records)
        health: list[Call] = [lambda: whole.health.Check(health_pb2.HealthCheckRequest())]
        for name, calls in (("health checks", health), ("cached reads, mixed", list(kinds.values()))):
            before = whole.cpu_s
            took = await at_rate(calls)
            report(name, took, whole.cpu_s - before)
        print(f"requests to Discord meanwhile: {len(whole.discord.ledger.records) - asked}")
        for name, call in kinds.items():
            took = []
            for _ in range(500):
                began = time.perf_counter()
                await call()
                took.append((time.perf_counter() - began) * 1000)
            print(f"{name:28} one at a time: median {statistics.median(took):.2f} ms")


async def large() -> None:
    """A guild of 200,000 members, page by page, while another caller looks up single members."""
    async with AsyncExitStack() as stack:
        began = time.perf_counter()
        whole = await start(stack, MEMBERS)
        print(f"{MEMBERS} members are in the cache {time.perf_counter() - began:.0f} s after the start")
        guild_id = max(int(each) for each in whole.discord.world.guilds)
        await whole.redis.config_set("slowlog-log-slower-than", SLOW_US)
        await whole.redis.config_set("latency-monitor-threshold", SLOW_US // 1000)
        await whole.redis.slowlog_reset()
        await whole.redis.config_resetstat()
        beside: list[float] = []
        other = asyncio.create_task(look_up(whole.stub, beside))
        began, after, found, sources = time.perf_counter(), 0, 0, set()
        while True:
            request = pb.ListGuildMembersRequest(guild_id=guild_id, after=after, limit=PAGE)
            page = await whole.stub.ListGuildMembers(request)
            sources.add(page.freshness.source)
            found += len(page.members)
            if len(page.members) < PAGE:
                break
            after = page.members[-1].user.id
        took = time.perf_counter() - began
        other.cancel()
        assert sources == {pb.Freshness.CACHE}
        print(f"{found} members in pages of {PAGE}: {took:.1f} s, {took / (found / PAGE) * 1000:.1f} ms a page")
        print(f"single members meanwhile: median {statistics.median(beside):.2f} ms, worst {max(beside):.1f} ms")
        for text in ("user", "zzz"):
            began = time.perf_counter()
            request = pb.SearchGuildMembersRequest(guild_id=guild_id, query=text, limit=PAGE)
            matches = len((await whole.stub.SearchGuildMembers(request)).members)
            print(f"search for {text!r}: {matches} members in {(time.perf_counter() - began) * 1000:.0f} ms")
        await held(whole)


async def held(whole: Whole) -> None:
    """Print how long commands blocked Redis: by its slow log, and on average."""
    slow = [entry["duration"] / 1000 for entry in await whole.redis.slowlog_get(128)]
    text = f"the longest {max(slow):.1f} ms" if slow else "none"
    print(f"commands that held Redis for more than {SLOW_US // 1000} ms: {len(slow)}, {text}")
    for name, figures in (await whole.redis.info("commandstats")).items():
        if name in {"cmdstat_evalsha", "cmdstat_hscan"}:
            command = name.removeprefix("cmdstat_")
            print(f"  {command}: {figures['calls']} calls, {figures['usec_per_call'] / 1000:.2f} ms each")


async def look_up(stub: DiscordApiStub, took: list[float]) -> None:
    while True:
        began = time.perf_counter()
        await stub.GetGuildMember(pb.MemberId(guild_id=int(GUILD_ID), user_id=int(USER_ID)))
        took.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(0.02)


async def writes() -> None:
    """Random writes, each followed by a read through another worker; all in this process but Valkey."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dp-bench-")))
        options = ("--port", "0", "--unixsocket", f"{folder}/valkey.sock", "--save", "", "--dir", str(folder))
        await stack.enter_async_context(Process(embedded.find_binary(), *options, env={}, cwd=folder))
        await eventually(lambda: Path(f"{folder}/valkey.sock").exists())
        whole = await stack.enter_async_context(cluster(f"unix://{folder}/valkey.sock", "bench"))
        await whole.start_gateway()
        await eventually(lambda: listed(whole.stubs[0], int(GUILD_ID)), within_s=60)
        writer, began = Writer(whole.stubs, seed=int(time.time())), time.perf_counter()
        for _ in range(WRITES):
            await writer.once()
        sources = {pb.Freshness.Source.Name(source): count for source, count in writer.sources.items()}
        took = time.perf_counter() - began
        print(
            f"{WRITES} random writes and their reads in {took:.0f} s: {len(writer.stale)} stale; reads from {sources}"
        )
        for name in writer.stale:
            print(f"  stale: {name}")


SCENARIOS = {"rate": rate, "large": large, "writes": writes}

if __name__ == "__main__":
    if os.environ.get("BENCH_PRECEDENCE"):  # children inherit it
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    for scenario in sys.argv[1:] or SCENARIOS:
        uvloop.run(SCENARIOS[scenario]())
