"""One worker under attack beside an honest caller: measures memory, open files, and the caller's calls."""

import asyncio
import contextlib
import random
import resource
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import grpc

from discordproxy.discord_api_pb2 import SendChannelMessageRequest
from discordproxy.discord_api_pb2_grpc import DiscordApiStub
from discordproxy_sandbox.sandbox import Sandbox
from discordproxy_sandbox.world.population import add_guilds
from fakes.ports import free_port
from processes.process import Process

POST = "POST /channels/{channel_id}/messages"


@dataclass(frozen=True)
class Scale:
    """The amount of each attack. `patience_s`: how long an open connection is read from."""

    requests: int = 10_000
    oddities: int = 5
    huge: int = 10
    connections: int = 5_000
    slow: int = 100
    bombs: int = 20
    watchers: int = 50
    half_requests: int = 3_000
    bodies: int = 50
    quiet_s: float = 5.0
    patience_s: float = 1.0


@dataclass
class Phase:
    """Measurements of one attack.

    Attributes:
        took_s: duration of each call of the honest caller.
        worked_s: CPU time of the worker during each of those calls.
        failed: failed calls by status.
        growth_mib: permitted growth of the worker's memory.
        control: the same attack on another server.
    """

    name: str
    growth_mib: float = float("inf")
    took_s: list[float] = field(default_factory=list)
    worked_s: list[float] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)
    rss_mib: int = 0
    descriptors: int = 0
    notes: str = ""
    control: "Phase | None" = None


def percentile(seconds: list[float], share: float) -> float:
    """Return the percentile `share` in milliseconds."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000 if ordered else float("nan")


PENDING_MIB = 350
"""gRPC's memory for calls that the event loop has not read yet: 16 KiB for each of 20,000."""


UPLOADS_MIB = 300
"""The memory for large requests (96 MiB), four slow ones of 32 MiB, and what the allocator keeps."""


@dataclass(frozen=True)
class Attack:
    """One attack; `growth_mib` as in `Phase`, `port` is the one attacked: grpc, http or rest."""

    name: str
    kind: str
    count: int
    hold_s: float
    growth_mib: float = float("inf")
    port: str = "grpc"


@dataclass(frozen=True)
class Victim:
    """A worker and its Discord."""

    port: int
    http_port: int
    rest_port: int
    process: Process
    discord: Sandbox

    def port_of(self, attack: Attack) -> int:
        """Return the port that an attack is for; 0 if the worker has none."""
        return {"grpc": self.port, "http": self.http_port, "rest": self.rest_port}[attack.port]

    @property
    def rss_mib(self) -> int:
        """Memory in use."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) // 1024

    @property
    def worked_s(self) -> float:
        """CPU time of the event loop's thread."""
        return int(Path(f"/proc/{self.process.pid}/schedstat").read_text().split()[0]) / 1e9

    @property
    def descriptors(self) -> int:
        """Open files and connections."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


@contextlib.asynccontextmanager
async def victim(
    settings: Mapping[str, str], discord: Sandbox, folder: Path, *, files: int | None = None
) -> AsyncIterator[Victim]:
    """Run a worker with these settings for the length of the block. `files`: its limit of open files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    limit = {} if files is None else {"preexec_fn": partial(resource.setrlimit, resource.RLIMIT_NOFILE, (files, files))}
    try:
        async with Process.module("discordproxy_api", env=settings, cwd=folder, **limit) as process:
            await process.line("serves on", within_s=60)
            grpc_port, http_port, rest_port = (
                int(settings.get(f"DISCORDPROXY_{name}", 0)) for name in ("PORT", "HTTP_PORT", "REST_PORT")
            )
            yield Victim(grpc_port, http_port, rest_port, process, discord)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.asynccontextmanager
async def decoy(folder: Path) -> AsyncIterator[int]:
    """Run another server for the length of the block and yield its port."""
    port = free_port()
    environment = {"PYTHONPATH": str(Path(__file__).parents[1])}
    async with Process.module("hostile.decoy", str(port), env=environment, cwd=folder) as process:
        await process.line("serves", within_s=60)
        yield port


class Siege:
    """Attacks one after the other; `phases` holds the measurements.

    Args:
        decoy_port: port of a server that is attacked first, for comparison.
    """

    def __init__(self, worker: Victim, scale: Scale, *, seed: int, decoy_port: int = 0) -> None:
        self.phases: list[Phase] = []
        self._worker, self._scale, self._decoy_port = worker, scale, decoy_port
        self._rng = random.Random(seed)
        worker.discord.limits.set(POST, None)
        (guild,) = add_guilds(worker.discord.world, 1, channels=40)
        self._guild = int(guild)
        self._channels = [
            int(channel.id) for channel in worker.discord.world.channels.values() if channel.guild_id == guild
        ]
        self._phase = Phase("")

    async def run(self) -> None:
        """Lay siege."""
        honest = asyncio.create_task(self._honest())
        try:
            for name in ("warming up", "quiet"):
                self.phases.append(await self._during(name, self._quiet))
            for attack in filter(self._worker.port_of, self._attacks()):
                control = None
                if self._decoy_port:
                    control = await self._during("", partial(self._attack, self._decoy_port, attack))
                port = self._worker.port_of(attack)
                phase = await self._during(attack.name, partial(self._attack, port, attack))
                phase.control, phase.growth_mib = control, attack.growth_mib
                self.phases.append(phase)
            self.phases.append(await self._during("quiet again", self._quiet))
        finally:
            honest.cancel()
            await asyncio.gather(honest, return_exceptions=True)

    def _attacks(self) -> Iterator[Attack]:
        """Yield the attacks; those with a memory bound come first, before others grow the process."""
        scale, quiet_s = self._scale, self._scale.quiet_s
        bombs = f"{10 * scale.bombs} messages of 32 MiB in 31 KB"
        yield Attack(bombs, "bombs", scale.bombs, quiet_s, growth_mib=100)
        half = f"{scale.half_requests} halves of HTTP requests"
        yield Attack(half, "half_requests", scale.half_requests, quiet_s, growth_mib=100, port="http")
        yield from self._attacks_on_rest()
        for kind, name in (("watchers", "watch health"), ("deaf_watchers", "do so and read nothing")):
            yield Attack(
                f"{scale.watchers} x 2,000 calls {name}", kind, scale.watchers, quiet_s, growth_mib=PENDING_MIB
            )
        yield Attack(f"{scale.requests} fuzzed requests", "fuzz", scale.requests, 0)
        yield Attack("HTTP/2 oddities", "oddities", scale.oddities, scale.patience_s)
        yield Attack(f"{scale.huge} messages of 100 MiB", "huge", scale.huge, 0)
        yield Attack(f"{scale.slow} connections of slow writers", "slow_writers", scale.slow, quiet_s)
        yield Attack(f"{scale.slow} connections of slow readers", "slow_readers", scale.slow, quiet_s)
        yield Attack(f"{scale.connections} idle connections", "idle", scale.connections, quiet_s)

    def _attacks_on_rest(self) -> Iterator[Attack]:
        scale, quiet_s = self._scale, self._scale.quiet_s
        for kind, name, count in (
            ("half_requests", "halves of requests", scale.half_requests),
            ("half_bodies", "bodies of 31 MiB that stop", scale.bodies),
            ("half_chunks", "chunks that never end", scale.bodies),
            ("gzip_bodies", "bodies of 32 MiB in 31 KB", scale.bodies),
            ("huge_bodies", "bodies of 31 MiB", scale.bodies),
            ("unread_answers", "callers that read no answer", scale.bodies),
        ):
            yield Attack(f"REST: {count} {name}", kind, count, quiet_s, growth_mib=UPLOADS_MIB, port="rest")
        yield Attack("REST: hostile requests", "http_oddities", scale.oddities, scale.patience_s, port="rest")

    async def _during(self, name: str, attack: Callable[[], Awaitable[object]]) -> Phase:
        self._phase = phase = Phase(name)
        watching = asyncio.create_task(self._watch(phase))
        try:
            phase.notes = str(await attack() or "")
        finally:
            watching.cancel()
        return phase

    async def _watch(self, phase: Phase) -> None:
        while True:
            phase.rss_mib = max(phase.rss_mib, self._worker.rss_mib)
            phase.descriptors = max(phase.descriptors, self._worker.descriptors)
            await asyncio.sleep(0.1)

    async def _honest(self) -> None:
        """Send messages on connections of its own, a few at a time."""
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self._worker.port}", options) as channel:
            await asyncio.gather(*(self._caller(DiscordApiStub(channel), number) for number in range(4)))

    async def _caller(self, stub: DiscordApiStub, number: int) -> None:
        for turn in range(10**9):
            phase, began, worked_s = self._phase, time.perf_counter(), self._worker.worked_s
            channel = self._channels[(turn * 4 + number) % len(self._channels)]
            try:
                await stub.SendChannelMessage(SendChannelMessageRequest(channel_id=channel, content="x"), timeout=60)
                phase.took_s.append(time.perf_counter() - began)
                phase.worked_s.append(self._worker.worked_s - worked_s)
            except grpc.aio.AioRpcError as error:
                phase.failed[error.code().name] += 1
            await asyncio.sleep(0.02)

    async def _quiet(self) -> None:
        await asyncio.sleep(self._scale.quiet_s)

    async def _attack(self, port: int, attack: Attack) -> str:
        words = (attack.kind, port, attack.count, attack.hold_s, self._guild, self._rng.random())
        environment = {"PYTHONPATH": str(Path(__file__).parents[1])}
        attacker = Process.module("hostile.attack", *map(str, words), env=environment, cwd=Path.cwd())
        async with attacker as process:
            await process.ended(within_s=600)
        return process.lines[-1] if process.lines else "died"


def complaints(phases: list[Phase]) -> list[str]:
    """Return the violations: honest calls that failed, and memory bounds that were exceeded."""
    before, found = phases[0].rss_mib, []
    for phase in phases:
        bounded = phase.growth_mib < float("inf")
        if bounded and phase.failed:
            found.append(f"{phase.name}: good calls failed, {dict(phase.failed)}")
        if bounded and phase.rss_mib - before > phase.growth_mib:
            found.append(f"{phase.name}: {phase.rss_mib - before} MiB more, {phase.growth_mib} at most")
        before = max(before, phase.rss_mib)
    return found


def report(phases: list[Phase]) -> str:
    """Return the table as text."""
    columns = "".join(f"{name:>9}" for name in ("calls", "p50 ms", "p99 ms", "control", "worker", "RSS MiB", "files"))
    lines = [f"{'':36}{columns}  failed; notes"]
    for phase in phases:
        control = percentile(phase.control.took_s, 0.99) if phase.control else float("nan")
        figures = (percentile(phase.took_s, 0.5), percentile(phase.took_s, 0.99), control)
        lines.append(
            f"{phase.name:36}{len(phase.took_s):>9}"
            + "".join(f"{figure:>9.1f}" for figure in (*figures, percentile(phase.worked_s, 0.99)))
            + f"{phase.rss_mib:>9}{phase.descriptors:>9}  {dict(phase.failed) or ''} {phase.notes}"
        )
    return "\n".join(lines)
