# ruff: noqa: T201 - a benchmark prints its result
"""Cost of the gateway worker: memory, CPU per event, bytes of Redis per member. Run: `make bench-gateway`.

CPU is that of the gateway process and of Redis: in a flood, as after a RESUME, and at even paces, where a wake-up reads
a few events. The rounds of the paces are interleaved and their medians printed, so that two versions measured in turn
can be compared by ratio. A fake gateway and a private Valkey run on the same machine: the figures are an upper bound.
Nobody follows the events unless BENCH_FOLLOWERS is "events" or "interactions".
The default takes two minutes; BENCH_GUILDS=1000 BENCH_MEMBERS=200 takes twelve: member lists come at Discord's pace,
ninety guilds a minute.
"""

import asyncio
import os
import random
import statistics
import sys
import time
from pathlib import Path

import pytest

from bench.events.some_events import some_events
from discordproxy_gateway.cache import CacheReader, Keys, MemberReader
from discordproxy_ratelimit.redis import client as redis_client
from discordproxy_ratelimit.settings import world_of
from fakes.eventually import eventually
from fakes.gateway import TOKEN, FakeGateway

GUILDS = int(os.environ.get("BENCH_GUILDS", "40"))
MEMBERS = int(os.environ.get("BENCH_MEMBERS", "5000"))
EVENTS = int(os.environ.get("BENCH_EVENTS", "5000"))
FOLLOWERS = os.environ.get("BENCH_FOLLOWERS", "")
ROUNDS = 4
PACES = {0: EVENTS, 1000: 2000, 100: 400}
"""Events a second, 0 for a flood -> events of a round."""
CHUNK_TIMEOUT_S = 120 + GUILDS
CHUNK = random.Random(1)


def member(number: int) -> dict:
    avatar = f"{CHUNK.getrandbits(128):032x}" if CHUNK.random() < 0.7 else None
    user = {
        "id": str(175928847299117063 + number * 4194304 * 7),
        "username": f"user_{number}",
        "global_name": f"Display {number}" if CHUNK.random() < 0.7 else None,
        "discriminator": "0",
        "avatar": avatar,
        "public_flags": CHUNK.choice([0, 0, 64]),
    }
    return {
        "user": user,
        "nick": f"Nick {number}" if CHUNK.random() < 0.3 else None,
        "roles": [str((1 << 60) + CHUNK.randrange(50) * 4194304) for _ in range(CHUNK.randrange(5))],
        "joined_at": f"2021-05-{1 + number % 28:02}T12:34:56.{CHUNK.randrange(1, 1000)}000+00:00",
        "deaf": False,
        "mute": False,
        "flags": 0,
    }


def guild(number: int) -> dict:
    channels = [{"id": str(number * 1000 + n), "type": 0, "name": f"channel-{n}", "position": n} for n in range(20)]
    roles = [
        {"id": str(number * 1000 + 500 + n), "name": f"role {n}", "permissions": "1071698660929"} for n in range(20)
    ]
    return {
        "id": str(number << 22),
        "name": f"Guild {number}",
        "member_count": MEMBERS,
        "channels": channels,
        "roles": roles,
        "members": [],
    }


class Process:
    """Figures of a process from /proc."""

    def __init__(self, pid: int) -> None:
        self._folder = Path(f"/proc/{pid}")

    @property
    def rss_mib(self) -> float:
        line = next(x for x in (self._folder / "status").read_text().splitlines() if x.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    @property
    def cpu_s(self) -> float:
        threads = self._folder.glob("task/*/schedstat")
        return sum(int(each.read_text().split()[0]) for each in threads) / 1e9


async def bytes_of_lists(redis, keys: Keys, numbers: range) -> int:
    found = 0
    for number in numbers:
        generation = int(await redis.hget(keys.meta(number << 22), "gen"))
        for key in (keys.members(number << 22, generation), keys.member_index(number << 22, generation)):
            found += await redis.memory_usage(key, samples=0)
    return found


async def redis_cpu_s(redis) -> float:
    figures = await redis.info("cpu")
    return figures["used_cpu_user"] + figures["used_cpu_sys"]


async def emit(discord: FakeGateway, redis, keys: Keys, events: list, pace: int) -> None:
    """Send events at a pace, or as fast as they are read (0), and return once they are stored."""

    async def stored() -> int:
        return int(await redis.hget(keys.stream_meta(0, 1), "n") or 0)

    wanted, start = await stored() + len(events), time.monotonic()
    for number, (name, data) in enumerate(events):
        if pace and (ahead_s := start + number / pace - time.monotonic()) > 0:
            await asyncio.sleep(ahead_s)
        await discord.emit(name, data)

    async def applied() -> bool:
        return await stored() >= wanted

    await eventually(applied, within_s=60)


@pytest.mark.timeout(2 * CHUNK_TIMEOUT_S)
async def test_costs(valkey, key_prefix):
    redis = redis_client.connect(valkey, timeout_s=10)
    async with FakeGateway() as discord:
        keys = Keys(f"{key_prefix}:{world_of(discord.rest_url)}", "100000000000000001")
        reader = CacheReader(redis, keys)
        members = MemberReader(redis, keys, reader)
        numbers = range(1, GUILDS + 1)
        discord.guilds = {str(n << 22): guild(n) for n in numbers}
        everybody = [member(n) for n in range(MEMBERS)]
        discord.members = dict.fromkeys(discord.guilds, everybody)
        before = (await redis.info("memory"))["used_memory"]
        await redis.config_set("slowlog-log-slower-than", 5000)
        await redis.slowlog_reset()
        environment = {
            "PATH": os.environ["PATH"],
            "DISCORD_BOT_TOKEN": TOKEN,
            "DISCORDPROXY_DISCORD_URL": discord.rest_url,
            "DISCORDPROXY_REDIS_URL": valkey,
            "DISCORDPROXY_KEY_PREFIX": key_prefix,
            "DISCORDPROXY_INTENTS": "guilds,members,messages",
        }
        child = await asyncio.create_subprocess_exec(sys.executable, "-m", "discordproxy_gateway", env=environment)
        figures = Process(child.pid)
        try:
            await discord.until(lambda: discord.live)
            start = time.monotonic()

            async def complete() -> bool:
                rows = [await redis.hget(keys.meta(n << 22), "complete") for n in numbers]
                return all(row == b"1" for row in rows)

            await eventually(complete, within_s=CHUNK_TIMEOUT_S)
            after = (await redis.info("memory"))["used_memory"]
            total = GUILDS * MEMBERS
            print(
                f"\n{total} members in {GUILDS} guilds after {time.monotonic() - start:.0f} s (paced), {discord.seen}"
            )
            print(f"Redis: {await bytes_of_lists(redis, keys, numbers) / total:.0f} bytes a member in its list")
            print(f"Redis: {(after - before) / (1 << 20):.0f} MiB with all other caches")
            print(f"gateway: {figures.rss_mib:.0f} MiB RSS, {figures.cpu_s:.1f} s CPU so far")
            channels = [str((1 << 60) + n) for n in range(20)]
            events = some_events(EVENTS, str(1 << 22), channels, everybody)
            if FOLLOWERS:
                await redis.set(keys.followers(0, 1), 1)
            if FOLLOWERS == "interactions":
                await redis.set(keys.interaction_followers(0, 1), 1)
            costs: dict[int, list[float]] = {pace: [] for pace in PACES}
            redis_costs: dict[int, list[float]] = {pace: [] for pace in PACES}
            for _ in range(ROUNDS):
                for pace, number in PACES.items():
                    cpu, redis_cpu = figures.cpu_s, await redis_cpu_s(redis)
                    await emit(discord, redis, keys, events[:number], pace)
                    costs[pace].append((figures.cpu_s - cpu) / number * 1e6)
                    redis_costs[pace].append((await redis_cpu_s(redis) - redis_cpu) / number * 1e6)
            for pace, found in costs.items():
                kind = f"{pace} events/s" if pace else "flood"
                print(
                    f"{kind}: {statistics.median(found):.1f} us CPU an event, {min(found):.1f} to {max(found):.1f}, "
                    f"and {statistics.median(redis_costs[pace]):.1f} us of Redis"
                )
            print(f"gateway: {figures.rss_mib:.0f} MiB RSS")
            at = time.monotonic()
            listed = await members.members(1 << 22, limit=MEMBERS)
            print(f"{len(listed.value)} members listed in {(time.monotonic() - at) * 1000:.0f} ms")
            at = time.monotonic()
            for _ in range(200):
                await members.member(1 << 22, int(everybody[7]["user"]["id"]))
            slow = [entry["duration"] / 1000 for entry in await redis.slowlog_get(100)]
            print(f"calls that held Redis for more than 5 ms: {len(slow)}, the longest {max(slow, default=0):.1f} ms")
            print(f"one member: {(time.monotonic() - at) / 200 * 1e6:.0f} us")
        finally:
            child.terminate()
            await child.wait()
            await reader.aclose()
            await redis.aclose()


if __name__ == "__main__":
    sys.exit(pytest.main(["-q", "-s", "-p", "no:cacheprovider", __file__]))
