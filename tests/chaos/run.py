"""A whole server under random faults; afterwards every answer is compared with Discord's state. `make chaos` runs it.

    make chaos                   ARGS="[--seconds 300] [--seed 1] [--json build/chaos.json]"

discordproxyserver with two workers and its private Redis sends to the sandbox, while processes are killed or frozen and
the sandbox injects faults. At the end each answer is compared with the sandbox's messages. Exit status 1: an answer was
untrue, or the server did not recover or end cleanly.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chaos.disturbances import Disturbances
from chaos.senders import Senders, Targets
from chaos.verdict import Verdict, judge, table
from discordproxy.aio import AsyncDiscordClient
from discordproxy.exceptions import DiscordProxyException
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from discordproxy_sandbox.world.population import add_guilds
from fakes.ports import free_port
from processes.deployment import COMMANDS, TOKEN, USER, left_running
from processes.process import Process

CALLERS = 24
RECOVERED_WITHIN_S = 120.0
PAUSE_S = (0.2, 1.2)


@dataclass(frozen=True)
class Result:
    """The result of a run.

    Attributes:
        recovered_s: seconds from the last disturbance to the first message that was sent.
        left: processes that outlived the server.
        internal: answers with reason INTERNAL.
        rate_limited: avoidable 429s.
        lines: tracebacks in the server's output.
    """

    seed: int
    seconds: float
    ways: list[dict[str, Any]]
    verdict: Verdict
    reasons: dict[str, int]
    disturbances: dict[str, int]
    restarts: int
    recovered_s: float
    exit_status: int
    left: list[str]
    internal: int
    rate_limited: int
    lines: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether the run found no error."""
        return bool(self.verdict) and not self.left and self.exit_status == 0 and not self.internal


class Site:
    """The server under a process manager that restarts it, as systemd does."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self._environment, self._folder = environment, folder
        self._ending = False
        self.server: Process | None = None
        self.restarts = -1
        self.lines: list[str] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the server running for the length of the block."""
        task = asyncio.create_task(self._keep_running())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _keep_running(self) -> None:
        command = (str(COMMANDS / "discordproxyserver"), "--workers", "2", "--log-console-level", "WARN")
        while not self._ending:
            async with Process(*command, env=self._environment, cwd=self._folder) as self.server:
                self.restarts += 1
                try:
                    await self.server.ended(within_s=float("inf"))
                finally:
                    self.lines += self.server.lines
            await asyncio.sleep(0.3)  # as systemd does before it starts something again

    async def stop(self) -> int:
        """End the server as an operator does and return its exit status."""
        assert self.server is not None, "it is running"
        self._ending = True
        self.server.signal(signal.SIGTERM)
        return await self.server.ended(within_s=60)


async def recovered(address: str, channel: int) -> float:
    """Return the seconds until a message is sent."""
    began = time.monotonic()
    client = AsyncDiscordClient(address, retries=0)
    while time.monotonic() - began < RECOVERED_WITHIN_S:
        with contextlib.suppress(DiscordProxyException):
            await client.create_channel_message(channel, f"recovered {time.monotonic()}", timeout=10)
            return time.monotonic() - began
        await asyncio.sleep(0.2)
    raise AssertionError(f"no message went through within {RECOVERED_WITHIN_S:.0f} s of the last disturbance")


async def chaos(seconds: float, seed: int, folder: Path, *, only: Collection[str] = ()) -> Result:
    """Disturb a server for `seconds` and return the result; `folder` is empty and its path short."""
    async with Sandbox(SandboxConfig(token=TOKEN, latency_s=0.03, jitter_s=0.02, seed=seed)) as discord:
        add_guilds(discord.world, 1, channels=8)
        channels = [int(channel["id"]) for channel in _text_channels(discord)]
        address = f"127.0.0.1:{free_port()}"
        site = Site(_environment(folder, discord.rest_url, address), folder)
        async with site.running():
            await recovered(address, channels[0])
            webhooks = await _webhooks(address, channels[:4])
            senders = Senders(address, Targets(channels, (USER,), webhooks), seed=seed)
            disturbances = Disturbances(folder, discord.faults, seed=seed, only=only)
            sending = asyncio.create_task(senders.run(CALLERS))
            disturbing = asyncio.create_task(disturbances.run(pause_s=PAUSE_S))
            await asyncio.wait({sending, disturbing}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            disturbing.cancel()
            await asyncio.gather(disturbing, return_exceptions=True)
            recovered_s = await recovered(address, channels[-1])
            senders.stopping.set()
            await sending
            status = await site.stop()
        stored = _stored(discord)
        return Result(
            seed=seed,
            seconds=seconds,
            ways=table(senders.sends, stored),
            verdict=judge(senders.sends, stored),
            reasons=dict(Counter(reason for send in senders.sends for reason in send.reasons).most_common()),
            disturbances=dict(disturbances.done.most_common()),
            restarts=site.restarts,
            recovered_s=round(recovered_s, 1),
            exit_status=status,
            left=await _left(folder),
            internal=sum(send.internal for send in senders.sends),
            rate_limited=discord.ledger.avoidable_429s,
            lines=tuple(line for line in site.lines if "Traceback" in line),
        )


def _text_channels(discord: Sandbox) -> list[Any]:
    return [channel.data for channel in discord.world.channels.values() if channel.type == 0]


async def _webhooks(address: str, channels: Sequence[int]) -> list[tuple[int, str]]:
    client = AsyncDiscordClient(address, timeout=30)
    made = [await client.create_webhook(channel, "chaos") for channel in channels]
    return [(webhook.id, webhook.token) for webhook in made]


def _stored(discord: Sandbox) -> Counter[str]:
    """Return how often each text is in a channel."""
    return Counter(
        message["content"] for channel in discord.world.channels.values() for message in channel.messages.values()
    )


def _environment(folder: Path, discord_url: str, address: str) -> dict[str, str]:
    return {
        "DISCORD_BOT_TOKEN": TOKEN,
        "DISCORDPROXY_DISCORD_URL": discord_url,
        "DISCORDPROXY_PORT": address.rpartition(":")[2],
        "DISCORDPROXY_DRAIN_TIMEOUT": "10",
        "XDG_RUNTIME_DIR": str(folder),
        "HOME": str(folder),
    }


async def _left(folder: Path) -> list[str]:
    """Return the processes that outlive their server."""
    for _ in range(50):
        if not left_running(str(folder)):
            return []
        await asyncio.sleep(0.2)
    return left_running(str(folder))


def report(result: Result) -> str:
    """Return the tables as text."""
    columns = list(result.ways[0])
    lines = [f"{'way':26}" + "".join(f"{column:>10}" for column in columns[1:])]
    lines += [f"{row['way']:26}" + "".join(f"{row[column]:>10}" for column in columns[1:]) for row in result.ways]
    lines += [f"disturbed {sum(result.disturbances.values())} times: {_listed(result.disturbances)}"]
    lines += [f"attempts failed: {_listed(result.reasons)}"]
    lines += [f"server started again {result.restarts} times, recovered in {result.recovered_s} s"]
    lines += [f"exit status {result.exit_status}, processes left {len(result.left)}"]
    lines += [f"avoidable 429s {result.rate_limited}, inner failures {result.internal}"]
    verdict = result.verdict
    lines += [f"lost {len(verdict.lost)}, doubled {len(verdict.doubled)}, untrue {len(verdict.untrue)}"]
    lines += [f"  {kind}: {', '.join(texts)}" for kind, texts in asdict(verdict).items() if texts]
    return "\n".join([*lines, *result.lines])


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "never"


def main() -> int:
    """Run, print, write JSON; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=float(os.environ.get("CHAOS_SECONDS", "300")))
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="repeats a choice of disturbances")
    parser.add_argument("--json", type=Path, help="file for the result")
    options = parser.parse_args()
    print(f"seed {options.seed}, {options.seconds:g} s", flush=True)  # noqa: T201 - for a person
    with tempfile.TemporaryDirectory(prefix="dp-chaos-") as folder:
        result = asyncio.run(chaos(options.seconds, options.seed, Path(folder)))
    print(report(result))  # noqa: T201 - for a person
    if options.json:
        options.json.write_text(json.dumps({**asdict(result), "good": result.good}, indent=1))
    return 0 if result.good else 1


if __name__ == "__main__":
    sys.exit(main())
