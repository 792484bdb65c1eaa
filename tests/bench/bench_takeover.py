# ruff: noqa: T201 - a benchmark prints its result
"""Events through every way a leader can fail: 20,000 of them, two gateway workers, four subscribers.

    make bench-takeover          ARGS="events events-a-second"

In turn: kill -9, SIGTERM, SIGSTOP and SIGCONT, a reset connection, op 7, a resumable op 9. No event may be lost, or
doubled for a subscriber that deduplicates, and there is one IDENTIFY in total.
"""

import asyncio
import contextlib
import signal
import sys
import time
from collections import Counter
from functools import partial

from bench.events.chain import Chain, chain, findings

LEASE_S = 2.0
WITHIN_S = {"kill -9": LEASE_S + 0.5, "SIGTERM": 0.5}


class Workers:
    """The leader and its standby; a new standby replaces the one that ends."""

    def __init__(self, running: Chain, stack: contextlib.AsyncExitStack) -> None:
        self._running = running
        self._stack = stack
        self._workers = []

    async def start(self) -> None:
        """Start one more."""
        self._workers.append(await self._stack.enter_async_context(self._running.process("discordproxy_gateway")))

    async def connected(self) -> None:
        """Wait until a worker leads."""
        await self._running.discord.until(lambda: self._running.discord.live, within_s=60)

    async def gone(self) -> None:
        """Wait until no worker is connected."""
        await self._running.discord.until(lambda: not self._running.discord.live, within_s=60)

    async def killed(self) -> None:
        """Kill the leader, and start another worker once the standby leads."""
        await self._end(signal.SIGKILL)

    async def terminated(self) -> None:
        """Stop the leader in order."""
        await self._end(signal.SIGTERM)

    async def stopped(self) -> None:
        """Stop the leader for longer than its lease, then continue it: it must detect that it no longer leads."""
        leader = self._workers.pop(0)
        leader.signal(signal.SIGSTOP)
        resumes = self._running.discord.seen["resumes"]
        await self._running.discord.until(lambda: self._running.discord.seen["resumes"] > resumes, within_s=60)
        leader.signal(signal.SIGCONT)
        self._workers.append(leader)

    async def _end(self, number: int) -> None:
        leader = self._workers.pop(0)
        leader.signal(number)
        await self.gone()
        await self.connected()
        await self.start()


async def pour(running: Chain, total: int, per_s: int, sent: list[int]) -> None:
    """Emit at an even rate, whether or not a worker is connected."""
    begun = time.monotonic()
    while sent[0] < total:
        due = min(total, int((time.monotonic() - begun) * per_s))
        while sent[0] < due:
            sent[0] += 1
            await running.emit(sent[0], time.monotonic_ns(), "x" * 100)
        await asyncio.sleep(0.01)


async def endure(total: int, per_s: int, *names: str) -> tuple[dict[str, float], list[dict[str, float]], Counter[str]]:
    """Return the seconds to the RESUME after each fault, the subscribers' findings, and Discord's counters."""
    took: dict[str, float] = {}
    async with chain(DISCORDPROXY_GATEWAY_LEASE=str(LEASE_S)) as running, contextlib.AsyncExitStack() as stack:
        discord = running.discord
        workers = Workers(running, stack)
        await workers.start()
        await workers.connected()
        await workers.start()
        faults = {
            "kill -9": workers.killed,
            "SIGTERM": workers.terminated,
            "SIGSTOP, SIGCONT": workers.stopped,
            "reset": discord.abort,
            "op 7": discord.ask_reconnect,
            "op 9, resumable": partial(discord.invalidate, resumable=True),
        }
        names = names or tuple(faults)
        async with running.subscribers(4, total) as subscribers:
            sent = [0]
            pouring = asyncio.create_task(pour(running, total, per_s, sent))
            for number, name in enumerate(names, 1):
                await discord.until(lambda number=number: sent[0] > total * number // (len(names) + 1), within_s=300)
                resumes, at = discord.seen["resumes"], time.monotonic()
                inflicting = asyncio.create_task(faults[name]())
                await discord.until(lambda resumes=resumes: discord.seen["resumes"] > resumes, within_s=60)
                took[name] = time.monotonic() - at
                await inflicting
            await pouring
            return took, await findings(subscribers, within_s=120), discord.seen


async def main(total: int = 20_000, per_s: int = 600) -> int:
    """Run, print and return the exit status."""
    took, found, seen = await endure(total, per_s)
    for name, seconds in took.items():
        print(f"{name}: resumed after {seconds:.2f} s")
    print(f"{total} events, lease {LEASE_S:g} s, connections {seen['connections']}, IDENTIFY {seen['identifies']}")
    for each in found:
        print("  lost {lost}, doubled {doubled}, repeats recognized {repeats}, out of order {disorder}".format(**each))
    in_time = all(took[name] <= limit for name, limit in WITHIN_S.items())
    whole = not any(each["lost"] or each["doubled"] for each in found)
    return 0 if in_time and whole and seen["identifies"] == 1 else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*map(int, sys.argv[1:]))))
