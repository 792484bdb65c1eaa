"""What a script call costs this process: through the link's pipeline, and through redis-py's client and pool.

Rounds of both ways alternate on one private server, and medians are compared, so that a busy machine disturbs both.
Only the ratio counts. Run it by its path; takes half a minute.
"""

import asyncio
import statistics
import sys
import time
from typing import Any

import uvloop

from discordproxy_ratelimit.redis.client import connect
from discordproxy_ratelimit.redis.link import RedisLink, Script
from discordproxy_ratelimit.server import embedded
from processes.redis_servers import Server, running

ROUNDS = 15
CALLS = {1: 1500, 64: 6400}
"""In a round, by the number of callers."""

KEYS = [f"{{dp:1}}:rl:{number}" for number in range(13)]
ARGUMENTS = ["", "worker", "run", "", 50, 10_000_000, "dp:in:", b"x" * 300]
"""As many and as long as those of a small call of the broker."""


class Cheap(Script):
    """Leaves the server little to do, so that the client is what is measured."""

    def __init__(self) -> None:
        super().__init__("app_rate")
        self.text = "return {{'granted', 1, ARGV[8]}, {}, '', 0, '', 0, 0}"
        self.sha = ""


async def call_in_turn(link: RedisLink, lua: Script, callers: int, calls: int) -> None:
    async def caller() -> None:
        for _ in range(calls // callers):
            await link.run(lua, KEYS, ARGUMENTS)

    await asyncio.gather(*(caller() for _ in range(callers)))


async def cpu_us(link: RedisLink, lua: Script, callers: int) -> float:
    began = time.process_time()
    await call_in_turn(link, lua, callers, CALLS[callers])
    return (time.process_time() - began) / CALLS[callers] * 1e6


async def functions(link: RedisLink, lua: Script, callers: int) -> float:
    """Return how many Python functions are entered or resumed in a call."""
    entered, calls = 0, callers * 20

    def count(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal entered
        entered += event == "call"

    sys.setprofile(count)
    try:
        await call_in_turn(link, lua, callers, calls)
    finally:
        sys.setprofile(None)
    return entered / calls


async def measure(url: str) -> None:
    lua = Cheap()
    client = connect(url)
    lua.sha = await client.script_load(lua.text)
    links = {"pipeline": RedisLink(connect(url)), "redis-py": RedisLink(client)}
    await links["pipeline"].until_up()  # the other one stays without a pipeline, so its calls go through the pool
    for callers in CALLS:
        costs: dict[str, list[float]] = {way: [] for way in links}
        for _ in range(ROUNDS):
            for way, link in links.items():
                costs[way].append(await cpu_us(link, lua, callers))
        medians = {way: statistics.median(each) for way, each in costs.items()}
        entered = {way: await functions(link, lua, callers) for way, link in links.items()}
        ratio = medians["redis-py"] / medians["pipeline"]
        costs_of = ", ".join(f"{way} {medians[way]:.0f} us, {entered[way]:.1f} functions" for way in links)
        sys.stdout.write(f"a call of {callers} callers: {costs_of}; redis-py costs {ratio:.1f} times as much\n")
    for link in links.values():
        await link.close()


def main() -> None:
    with running(Server(embedded.find_binary())) as server:
        uvloop.run(measure(server.url))


if __name__ == "__main__":
    main()
