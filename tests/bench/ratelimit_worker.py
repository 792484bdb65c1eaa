"""One worker of the broker's benchmark: a process that sends its share of each run it is told of.

Reads a job a line from stdin (JSON) and writes the result of each to stdout. Every job gets a broker of its own, as if
this were a fresh API worker; jobs overlap.
"""

import asyncio
import json
import sys
from typing import Any

import bench_path  # noqa: F401 - makes `fakes` importable
from ratelimit_judge import JudgeClient
from ratelimit_scenarios import Message, Sent, route_for

from discordproxy_ratelimit.broker import Limits
from discordproxy_ratelimit.errors import BrokerError
from discordproxy_ratelimit.route import Route
from fakes.fleet import Fleet, fleet


async def send(workers: Fleet, worker: int, message: Message, begin_at: float) -> Sent:
    """Submit one message when its time has come; status 0 means the broker refused it."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(begin_at + message.at - loop.time())
    submitted_at = loop.time()
    try:
        status = await workers.send(worker, route_for(message.channel), message.label)
    except BrokerError:
        status = 0
    return Sent(message.label, submitted_at, loop.time(), status)


async def warm_up(workers: Fleet) -> int:
    """Let the broker make its first call, as in a worker that is up for a while; return the script calls it took."""
    async with workers.brokers[0].acquire(Route("GET /gateway", "", exempt=True)):
        pass
    return workers.script_calls


async def do(job: dict[str, Any]) -> dict[str, Any]:
    """Send the messages of a job and return what became of them."""
    async with (
        JudgeClient(job["judge"], job["run"]) as discord,
        fleet(
            job["url"],
            discord,
            1,
            clock=None,
            limits=Limits(global_limit=job["global_limit"]),
            prefix=job["run"],
            names=f"w{job['number']}-",
        ) as workers,
    ):
        before = await warm_up(workers)
        messages = [Message(*message) for message in job["messages"]]
        sent = await asyncio.gather(*(send(workers, 0, message, job["begin_at"]) for message in messages))
        return {"run": job["run"], "sent": sent, "script_calls": workers.script_calls - before}


async def report(job: dict[str, Any]) -> None:
    """Do a job and write its result."""
    print(json.dumps(await do(job)), flush=True)  # noqa: T201 - the result goes to whoever started this process


async def main() -> None:
    """Take jobs until stdin ends."""
    reader = asyncio.StreamReader(limit=2**24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with asyncio.TaskGroup() as jobs:
        while line := await reader.readline():
            jobs.create_task(report(json.loads(line)))


if __name__ == "__main__":
    asyncio.run(main())
