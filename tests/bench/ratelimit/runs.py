"""Runs scenarios with real worker processes in real time, or with brokers of one process in virtual time."""

import asyncio
import json
import os
import sys
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from bench.ratelimit.judge import JudgeClient, discord, ledger
from bench.ratelimit.scenarios import JITTER_S, RTT_S, Arrival, Row, Scenario, Sent, judge
from bench.ratelimit.worker import send
from discordproxy_ratelimit.broker import Limits
from fakes import virtual_time
from processes.end_with_parent import END_WITH_PARENT
from processes.fleet import fleet

TESTS = Path(__file__).resolve().parents[2]
LEAD_S = 0.5
"""Time between the start signal and the first message, so that every worker has read it."""
APART_S = 1.5
"""Time between the starts of runs. B sends one burst a second: whole seconds apart, two bursts would coincide."""


class Processes:
    """A judge and `workers` worker processes.

    Args:
        url: of the Valkey the workers share.
        folder: private, for the judge's socket.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self._url, self._judge = url, str(folder / "judge.sock")
        self._workers: list[asyncio.subprocess.Process] = []
        self._results: dict[str, asyncio.Queue[dict[str, Any]]] = {}

    @classmethod
    @asynccontextmanager
    async def started(cls, url: str, folder: Path, workers: int) -> AsyncIterator["Processes"]:
        """Start the processes; leaving the block ends them."""
        self = cls(url, folder)
        async with AsyncExitStack() as stack:
            court = await stack.enter_async_context(_process("judge", self._judge))
            await court.stdout.readline()
            for _ in range(workers):
                worker = await stack.enter_async_context(_process("worker"))
                self._workers.append(worker)
                stack.callback(asyncio.create_task(self._read(worker)).cancel)
            yield self

    async def _read(self, worker: asyncio.subprocess.Process) -> None:
        while line := await worker.stdout.readline():
            result = json.loads(line)
            self._results[result["run"]].put_nowait(result)

    async def run(self, scenario: Scenario, bucket: str, workers: int, *, later_s: float) -> Row:
        """Run one scenario; several may be under way at once, each with its own Discord, keys and brokers.

        They start `later_s` apart: the subject is a call's path through a broker, not the contention of runs.
        """
        run = f"bench-{uuid.uuid4().hex[:8]}"
        results = self._results[run] = asyncio.Queue()
        async with JudgeClient(self._judge, run) as discord_:
            await discord_.ask(open=_rules(scenario, bucket))
            self._prepare(run, scenario, workers)
            for _ in range(workers):
                assert (await results.get())["ready"]
            self._send(workers, {"run": run, "begin_at": asyncio.get_running_loop().time() + LEAD_S + later_s})
            done = [await results.get() for _ in range(workers)]
            arrivals = [Arrival(*arrival) for arrival in await discord_.ask(close=True)]
        sent = [Sent(*one) for result in done for one in result["sent"]]
        return judge(scenario, bucket, workers, arrivals, sent, sum(result["script_calls"] for result in done))

    def _prepare(self, run: str, scenario: Scenario, workers: int) -> None:
        messages = scenario.messages(workers)
        for number, process in enumerate(self._workers[:workers]):
            job = {
                "run": run,
                "number": number,
                "url": self._url,
                "judge": self._judge,
                "global_limit": scenario.global_limit,
                "messages": [message for message in messages if message.worker == number],
            }
            process.stdin.write(json.dumps(job).encode() + b"\n")

    def _send(self, workers: int, news: dict[str, Any]) -> None:
        for process in self._workers[:workers]:
            process.stdin.write(json.dumps(news).encode() + b"\n")


def _rules(scenario: Scenario, bucket: str) -> dict[str, Any]:
    return {
        "kind": bucket,
        "limit": scenario.limit,
        "window_s": scenario.window_s,
        "global_limit": scenario.global_limit,
        "rtt_s": RTT_S,
        "jitter_s": JITTER_S,
    }


@asynccontextmanager
async def _process(module: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *END_WITH_PARENT,
        sys.executable,
        "-m",
        f"bench.ratelimit.{module}",
        *arguments,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**24,
    )
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


async def real(
    url: str, folder: Path, scenarios: Sequence[Scenario], buckets: Sequence[str], workers: Sequence[int]
) -> list[Row]:
    """Run every combination; those with the same number of workers run at the same time."""
    rows: list[Row] = []
    async with Processes.started(url, folder, max(workers)) as processes:
        for number in workers:
            pairs = [(scenario, bucket) for scenario in scenarios for bucket in buckets]
            runs = [processes.run(*pair, number, later_s=APART_S * turn) for turn, pair in enumerate(pairs)]
            rows += await asyncio.gather(*runs)
    return rows


def virtual(url: str, scenario: Scenario, bucket: str, workers: int) -> Row:
    """Run one scenario in virtual time: exact and quick, but without the scheduling noise of a real machine."""
    clock = virtual_time.VirtualClock()

    async def story() -> Row:
        world = discord(**_rules(scenario, bucket))
        limits = Limits(global_limit=scenario.global_limit)
        begin_at = asyncio.get_running_loop().time() + LEAD_S
        async with fleet(url, world, workers, clock=clock, limits=limits) as fleet_:
            messages = scenario.messages(workers)
            sent = await asyncio.gather(*(send(fleet_, message.worker, message, begin_at) for message in messages))
            calls = fleet_.script_calls
        arrivals = [Arrival(*arrival) for arrival in ledger(world)]
        return judge(scenario, bucket, workers, arrivals, sent, calls)

    return virtual_time.run(story(), clock)
