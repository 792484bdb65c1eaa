"""One worker process of the broker's benchmark: sends its share of each run.

Reads a line of JSON for each job from stdin and reports when its broker is connected, then reads a line with the start
time, and writes the result. Every job has a broker of its own, like a fresh API worker; jobs overlap.
"""

import asyncio
import json
import sys
from typing import Any

from bench.ratelimit.judge import JudgeClient
from bench.ratelimit.scenarios import Message, Sent, route_for
from discordproxy_ratelimit.broker import Limits
from discordproxy_ratelimit.errors import BrokerError
from discordproxy_ratelimit.route import Route
from processes.fleet import Fleet, fleet


async def send(workers: Fleet, worker: int, message: Message, begin_at: float) -> Sent:
    """Submit one message at its time, as an API worker does; status 0 means that the broker refused it."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(begin_at + message.at - loop.time())
    submitted_at = left_at = loop.time()
    place, before, status = 0, None, 429
    try:
        while status == 429:
            route = route_for(message.channel)
            async with workers.brokers[worker].acquire(route, retry_of=before) as permit:
                permit.sent()
                answer = await workers.discord.request(route, message.label)
                permit.complete(answer)
            before, left_at, place, status = permit, permit.sent_at, permit.seq, answer.status
    except BrokerError:
        status = 0
    return Sent(message.label, submitted_at, left_at, loop.time(), status, place)


async def warm_up(workers: Fleet) -> int:
    """Make the broker's first call, as a worker that is not fresh has done; return the number of script calls."""
    async with workers.brokers[0].acquire(Route("GET /gateway", "", exempt=True)):
        pass
    return workers.script_calls


async def do(job: dict[str, Any], begin_at: "asyncio.Future[float]") -> None:
    """Send the messages of a job and report their results."""
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
        report({"run": job["run"], "ready": True})
        at = await begin_at
        messages = [Message(*message) for message in job["messages"]]
        sent = await asyncio.gather(*(send(workers, 0, message, at) for message in messages))
        report({"run": job["run"], "sent": sent, "script_calls": workers.script_calls - before})


def report(news: dict[str, Any]) -> None:
    """Write a line to the parent process."""
    print(json.dumps(news), flush=True)  # noqa: T201 - stdout is the way back


async def main() -> None:
    """Take jobs until stdin ends."""
    reader = asyncio.StreamReader(limit=2**24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    begins: dict[str, asyncio.Future[float]] = {}
    async with asyncio.TaskGroup() as jobs:
        while line := await reader.readline():
            job = json.loads(line)
            if "begin_at" in job:
                begins.pop(job["run"]).set_result(job["begin_at"])
                continue
            begins[job["run"]] = asyncio.get_running_loop().create_future()
            jobs.create_task(do(job, begins[job["run"]]))


if __name__ == "__main__":
    asyncio.run(main())
