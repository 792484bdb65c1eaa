"""A worker process that holds permits and queue places of one ordered lane until it is killed.

    python broker_process.py URL PREFIX CHANNEL LEASE_S PLACES

Prints `holding` once the first call has its permit (and counts as sent) and the others have their places, and `granted`
for each of those that gets a permit.
"""

import asyncio
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from discordproxy_ratelimit.broker import Limits  # noqa: E402 - after the path of `fakes`
from fakes.eventually import eventually  # noqa: E402 - same
from processes.fleet import fleet  # noqa: E402 - same
from strategies.discord_limits import FakeDiscord, message_in  # noqa: E402 - same


async def main(url: str, prefix: str, channel: str, lease_s: str, places: str) -> None:
    limits = Limits(lease_s=float(lease_s))
    never = asyncio.Event()
    async with fleet(url, FakeDiscord(), 1, clock=None, limits=limits, prefix=prefix, names="victim") as workers:
        broker, route = workers.brokers[0], message_in(channel)

        async def wait() -> None:
            async with broker.acquire(route):
                print("granted", flush=True)  # noqa: T201 - the test waits for it
                await never.wait()

        async with broker.acquire(route) as permit, asyncio.TaskGroup() as waiting:
            permit.sent()
            for _ in range(int(places)):
                waiting.create_task(wait())
            await eventually(lambda: workers.script_calls > 1 and broker.waiting == int(places))
            print("holding", flush=True)  # noqa: T201 - the test waits for it
            await never.wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
