# ruff: noqa: T201 - a benchmark prints its result
"""Delay of events to subscribers: 1,000 events a second, four subscribers, and a fifth that reads afterwards.

    make bench-events            ARGS="seconds events-a-second subscribers"

Measured from the fake gateway's send to the application's read, with the server's processes between them; the fake
gateway and the subscribers use the same cores, so the figures are an upper bound. On a busy machine, root can give it
precedence:  PYTHONPATH=tests chrt -r 1 .venv/bin/python tests/bench/bench_events.py 10
"""

import asyncio
import sys
import time

from bench.events.chain import Chain, chain, cpu_s, findings, waited_s
from processes.process import Process

TICK_S = 0.01
TARGET_MS = 20.0


async def pour(running: Chain, total: int, per_s: int) -> None:
    """Emit at an even rate; delayed events follow at once."""
    begun = time.monotonic()
    sent = 0
    while sent < total:
        due = min(total, int((time.monotonic() - begun) * per_s))
        while sent < due:
            sent += 1
            await running.emit(sent, time.monotonic_ns(), "x" * 300)
        await asyncio.sleep(TICK_S)


def figures(gateway: Process, api: Process) -> list[float]:
    """Return the CPU seconds of the gateway worker and of the API worker, and the latter's wait for a core (s)."""
    return [cpu_s(gateway), cpu_s(api), waited_s(api)]


async def measure(total: int, per_s: int, count: int) -> tuple[list[dict[str, float]], list[float]]:
    """Return the findings of each subscriber, those of the stopped one last, and the growth of `figures`."""
    async with chain() as running, running.process("discordproxy_gateway") as gateway:
        await running.discord.until(lambda: running.discord.live, within_s=60)
        async with running.subscribers(count, total, "stopped") as subscribers:
            before = figures(gateway, running.api)
            await pour(running, total, per_s)
            found = await findings(subscribers, within_s=120)
            used = [now - then for now, then in zip(figures(gateway, running.api), before, strict=True)]
    return found, used


async def main(seconds: int = 20, per_s: int = 1000, count: int = 4) -> int:
    """Measure, and return the exit status."""
    total = seconds * per_s
    (*found, stopped), used = await measure(total, per_s, count)
    print(f"{total} events at {per_s}/s to {count} subscribers, and one that read only afterwards")
    for each in found:
        print("  late by p50 {p50:.1f}, p99 {p99:.1f}, p99.9 {p999:.1f}, max {max:.1f} ms; lost {lost}".format(**each))
    print("  the stopped one: lost {lost}, doubled {doubled}".format(**stopped))
    print(f"  CPU: gateway worker {used[0] / total * 1e6:.0f} us an event, API worker {used[1] / total * 1e6:.0f} us")
    print(f"  the API worker was ready to run, but others had the cores, for {used[2]:.1f} s")
    good = all(not each["lost"] and not each["doubled"] for each in (*found, stopped))
    return 0 if good and max(each["p99"] for each in found) <= TARGET_MS else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*map(int, sys.argv[1:]))))
