"""Runs a scenario with unchanged Discord libraries: a server, a local Discord, and a process for each caller."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.libraries.caller import Answered
from bench.ratelimit.scenarios import JITTER_S, RTT_S, Scenario
from bench.speed.orders import Load, Outcome
from bench.speed.peers import FOLDER, Peer
from bench.speed.programs import TESTS, Server, discord_proxy, opened
from discordproxy_sandbox.ledger import Ledger
from discordproxy_sandbox.limits.book import LimitBook, RouteLimit
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from discordproxy_sandbox.world.objects import make_channel
from fakes.eventually import eventually
from fakes.ports import free_port, free_ports
from processes.end_with_parent import END_WITH_PARENT

HERE = Path(__file__).parent
SEND = "POST /channels/{channel_id}/messages"
GUILD, FIRST_CHANNEL = 300000000000000001, 500000000000001000
WORKERS = 2
LEAD_S = 0.5
"""Time between the start signal and the first message, so that every caller has read it."""

_NPM = "npm install --silent --no-audit --no-fund --no-package-lock --ignore-scripts --prefix {folder}"
DISCORDJS = Peer(
    "discordjs",
    "",
    FOLDER / "discordjs-rest-2.6.3",
    (f"{_NPM} @discordjs/rest@2.6.3",),
    f"node {HERE}/use_discordjs.cjs",
)
HIKARI = Peer(
    "hikari",
    "",
    FOLDER / "hikari-2.7.0",
    ("{python} -m venv {folder}", "{folder}/bin/pip install --quiet --disable-pip-version-check hikari==2.7.0"),
    "{folder}/bin/python -m bench.libraries.use_hikari",
)
INSTALLED = {each.name: each for each in (DISCORDJS, HIKARI)}
"""Libraries that are installed into `.peers/`; discord.py belongs to the tests' environment."""

PROGRAMS = {
    **{name: each.command(each.program) for name, each in INSTALLED.items()},
    "discord.py": [sys.executable, "-m", "bench.libraries.use_discord_py"],
    "grpc": [sys.executable, "-m", "bench.libraries.use_grpc"],
    "http": [sys.executable, "-m", "bench.libraries.use_http"],
}


@dataclass(frozen=True)
class LibraryRow:
    """One line of the table.

    Attributes:
        raised: calls that ended in an exception of their library.
        out_of_order: messages that arrived behind a later one of the same caller and channel.
        best_percent: share of the throughput of a perfect client, see `Scenario.best_s`.
    """

    scenario: str
    bucket: str
    callers: str
    messages: int
    raised: int
    avoidable_429: int
    lost: int
    doubled: int
    out_of_order: int
    seconds: float
    best_percent: float


class Caller:
    """One process with a library."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name, self.pid, self._process = name, process.pid, process

    async def ready(self, job: dict[str, Any]) -> None:
        """Hand over the messages; return once the library is connected.

        A job has the base URL of the libraries, `api`, or the address of a REST port, `rest`.
        """
        own = {"api": f"{job['rest']}/wait=240/app={job['app']}/api"} if "rest" in job else {}
        self._write(own | job)
        assert await self._read() == "ready"

    async def send(self, begin_at: float) -> list[Answered]:
        """Start at a time of the monotonic clock; return the outcome of each message."""
        self._write(begin_at)
        found = await self._read()
        return [
            Answered(label, submitted, answered, int(message), error)
            for label, submitted, answered, message, error in found
        ]

    async def run(self, load: Load) -> Outcome:
        """Send the messages of a load; only of Python callers."""
        self._write(asdict(load))
        return Outcome(**await self._read())

    def _write(self, news: Any) -> None:
        self._process.stdin.write(json.dumps(news).encode() + b"\n")

    async def _read(self) -> Any:
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} has ended with status {await self._process.wait()}")
        return json.loads(line)


@asynccontextmanager
async def library(name: str) -> AsyncIterator[Caller]:
    process = await asyncio.create_subprocess_exec(
        *END_WITH_PARENT,
        *PROGRAMS[name],
        env={**os.environ, "PYTHONPATH": str(TESTS), "NODE_PATH": str(DISCORDJS.folder / "node_modules")},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**24,
    )
    try:
        yield Caller(name, process)
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)  # `process.kill()` may take its status from asyncio's watcher
        await process.wait()


@asynccontextmanager
async def limited_discord(scenario: Scenario, bucket: str) -> AsyncIterator[Sandbox]:
    """Run a Discord with the limits of a scenario; nothing else is limited."""
    limit = RouteLimit(limit=scenario.limit, window_s=scenario.window_s, kind=bucket)
    limits = LimitBook(routes={SEND: limit}, global_limit=scenario.global_limit)
    async with Sandbox(SandboxConfig(latency_s=RTT_S, jitter_s=JITTER_S, limits=limits)) as discord:
        for number in range(scenario.channels):
            discord.world.add_channel(make_channel(str(FIRST_CHANNEL + number), str(GUILD), f"load-{number}", 0, 0))
        yield discord


async def run(scenario: Scenario, bucket: str, callers: Sequence[str]) -> LibraryRow:
    """Run one scenario with one server; messages go to the callers in turn, those of one channel, too."""
    async with AsyncExitStack() as stack:
        discord = await stack.enter_async_context(limited_discord(scenario, bucket))
        server = await stack.enter_async_context(serving(discord.port, WORKERS))
        jobs = [job_of(server, number) for number in range(len(callers))]
        sent = await submitted(discord, scenario, list(zip(callers, jobs, strict=True)))
    return _row(scenario, bucket, callers, discord.ledger, sent)


@asynccontextmanager
async def serving(discord_port: int, workers: int) -> AsyncIterator[Server]:
    """Run a server with a REST port; yields once all workers serve."""
    pages = free_ports(workers)
    settings = {
        "DISCORDPROXY_REST_PORT": str(free_port()),
        "DISCORDPROXY_WORKERS": str(workers),
        "DISCORDPROXY_HTTP_PORT": str(pages[0]),
    }
    async with discord_proxy(discord_port, **settings) as server:
        for port in (server.port, server.rest_port, *pages):
            await opened(server.process, port)
        yield server


def job_of(server: Server, number: int) -> dict[str, Any]:
    """Return the job of the caller with this number, of any program."""
    return {
        "grpc": f"127.0.0.1:{server.port}",
        "rest": f"http://127.0.0.1:{server.rest_port}",
        "token": server.environment["DISCORD_BOT_TOKEN"],
        "app": f"caller{number}",
    }


async def submitted(
    discord: Sandbox, scenario: Scenario, callers: Sequence[tuple[str, dict[str, Any]]]
) -> list[list[Answered]]:
    """Submit the messages of a scenario by callers, each a name of `PROGRAMS` and a job; return their outcomes."""
    async with AsyncExitStack() as stack:
        programs = [await stack.enter_async_context(library(name)) for name, _ in callers]
        messages = scenario.messages(len(callers))
        for number, (caller, (_, job)) in enumerate(zip(programs, callers, strict=True)):
            own = [
                (each.label, str(FIRST_CHANNEL + each.channel), each.at) for each in messages if each.worker == number
            ]
            await caller.ready({**job, "messages": own})
        await _settled(discord)
        begin_at = time.monotonic() + LEAD_S
        sent = await asyncio.gather(*(caller.send(begin_at) for caller in programs))
    for (name, _), answered in zip(callers, sent, strict=True):
        errors = [one.error for one in answered if one.error]
        if errors:
            print(f"RAISED: {name}: {len(errors)} times, first {errors[0].splitlines()[0][:160]}", file=sys.stderr)  # noqa: T201 - a benchmark prints
    return sent


async def _settled(discord: Sandbox) -> None:
    """Wait until the logins of server and libraries no longer count towards the global limit, then forget them."""
    quiet_s, started = 1.5, asyncio.get_running_loop().time()
    await eventually(
        lambda: (
            asyncio.get_running_loop().time() - started > quiet_s
            and discord.clock() - max((each.arrived_at for each in discord.ledger.records), default=0.0) > quiet_s
        )
    )
    discord.ledger.clear()


def _row(
    scenario: Scenario, bucket: str, callers: Sequence[str], ledger: Ledger, sent: Sequence[Sequence[Answered]]
) -> LibraryRow:
    every = [one for answered in sent for one in answered]
    stored = {int(each.message_id) for each in ledger.stored}
    channels = {message.label: message.channel for message in scenario.messages(len(callers))}
    seconds = max(one.answered_at for one in every) - min(one.submitted_at for one in every)
    return LibraryRow(
        scenario=scenario.name,
        bucket=bucket,
        callers=" ".join(callers),
        messages=len(every),
        raised=sum(bool(one.error) for one in every),
        avoidable_429=ledger.avoidable_429s,
        lost=sum(one.message_id not in stored for one in every if not one.error),
        doubled=ledger.duplicate_contents,
        out_of_order=sum(_out_of_order(ledger, channels, answered) for answered in sent),
        seconds=seconds,
        best_percent=100 * scenario.best_s / seconds,
    )


def _out_of_order(ledger: Ledger, channels: dict[int, int], answered: Iterable[Answered]) -> int:
    """Count a caller's messages that arrived behind one that it submitted later to the same channel."""
    by_channel: defaultdict[int, dict[int, int]] = defaultdict(dict)
    for one in answered:
        by_channel[channels[one.label]][one.message_id] = one.label
    found = 0
    for channel, labels in by_channel.items():
        newest = -1
        for message in map(int, ledger.order(FIRST_CHANNEL + channel)):
            if message in labels:
                found += labels[message] < newest
                newest = max(newest, labels[message])
    return found
