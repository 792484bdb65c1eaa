# ruff: noqa: T201 - its findings are printed for the benchmark that started it
"""Applications that follow events: port, number, events to read, and "stopped" for one more that reads last."""

import asyncio
import json
import statistics
import sys
import time

from discordproxy.aio import AsyncDiscordClient


class Subscriber:
    """Follows messages until the last one; dedupes by session, shard and sequence as the documentation says."""

    def __init__(self, client: AsyncDiscordClient, total: int) -> None:
        self.events = client.events(types=["MESSAGE_CREATE"], on_gap="raise", start="earliest")
        self._total = total
        self._numbers: list[int] = []
        self._known: set[tuple[str, int, int]] = set()
        self._late_ms: list[float] = []
        self._repeats = 0

    async def follow(self) -> None:
        """Read to the end."""
        async for event in self.events:
            name = (event.session, event.shard, event.sequence)
            if name in self._known:
                self._repeats += 1
                continue
            self._known.add(name)
            data = json.loads(event.json)
            self._late_ms.append((time.monotonic_ns() - data["at_ns"]) / 1e6)
            self._numbers.append(int(data["id"]))
            if self._numbers[-1] == self._total:
                return

    def findings(self) -> dict[str, float]:
        """Figures, times in milliseconds."""
        late = statistics.quantiles(self._late_ms, n=1000)
        return {
            "lost": self._total - len(set(self._numbers)),
            "doubled": len(self._numbers) - len(set(self._numbers)),
            "repeats": self._repeats,
            "disorder": sum(after < before for before, after in zip(self._numbers, self._numbers[1:], strict=False)),
            "p50": late[499],
            "p99": late[989],
            "p999": late[998],
            "max": max(self._late_ms),
        }


async def main() -> None:
    """Subscribe, follow, print the findings."""
    port, count, total = map(int, sys.argv[1:4])
    async with AsyncDiscordClient(f"127.0.0.1:{port}", app="bench") as client:
        followers = [Subscriber(client, total) for _ in range(count)]
        stopped = Subscriber(client, total) if "stopped" in sys.argv else None
        for each in [*followers, *([stopped] if stopped else [])]:
            await each.events.__aenter__()
        print("subscribed", flush=True)
        await asyncio.gather(*(each.follow() for each in followers))
        found = [each.findings() for each in followers]
        if stopped:
            await stopped.follow()
            found.append(stopped.findings())
        print(json.dumps({"subscribers": found}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
