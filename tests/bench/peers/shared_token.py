"""Several processes with one token in the scenarios A and B of the broker's benchmark: workers, peers, libraries."""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.libraries.caller import Answered
from bench.libraries.runs import job_of, limited_discord, serving, submitted
from bench.peers.catalogue import OURS, PROCESSES, Catalogue, Library, job
from bench.ratelimit.scenarios import A, B, Scenario
from bench.speed import figures, peers
from discordproxy_sandbox.ledger import Ledger

QUICK = Scenario("quick", channels=2, per_channel=10, best_s=1.0, window_s=1.0)
SCENARIOS = {each.name: each for each in (A, B, QUICK)}
COUNTS = ("avoidable_429", "lost", "doubled")

Callers = list[tuple[str, dict[str, Any]]]
"""Programs of `bench.libraries.runs.PROGRAMS`, each with its job."""


@dataclass(frozen=True)
class Contender:
    """What runs a scenario: `start`, of Discord's port, starts it and yields its callers."""

    name: str
    start: Callable[[int], AbstractAsyncContextManager[Callers]]


@dataclass(frozen=True)
class SharedTokenRun:
    """The outcome of one run.

    Attributes:
        avoidable_429: requests that Discord refused although its headers had shown the limit.
        lost: messages that Discord does not have at the end, whatever their callers got.
        doubled: messages that Discord has twice.
        percent_of_maximum: messages per second, in those of a perfect client; a lost message is not one.
    """

    avoidable_429: int
    lost: int
    doubled: int
    percent_of_maximum: float
    seconds: float


def contenders(found: Catalogue, workers: list[int], folder: Path) -> list[Contender]:
    """Return ours with each number of workers, and the peers with two processes."""
    return [
        *(Contender(_plural(OURS, "worker", number), _ours(number)) for number in workers),
        *(Contender(_plural(peer.name, "process", PROCESSES), _proxies(peer, folder)) for peer in found.proxies),
        *(Contender(_plural(each.title, "process", PROCESSES), _in_process(each)) for each in found.libraries),
    ]


def mixtures(found: Catalogue, folder: Path) -> list[Contender]:
    """Return those that share one token between different libraries: ours, @discordjs/proxy, and no proxy."""
    if not found.mixed:
        return []
    names = ", ".join(each.title.rpartition(" ")[0] for each in found.mixed)
    programs = [each.program for each in found.mixed]
    http = [peer for peer in found.proxies if peer.call == "POST"]
    return [
        Contender(f"{OURS}: {names} and gRPC", _mixed(programs)),
        *(Contender(f"{peer.name}: {names}", _through(peer, programs, folder)) for peer in http),
        Contender(f"no proxy: {names}", _direct(programs)),
    ]


def _plural(name: str, what: str, number: int) -> str:
    ending = "" if number == 1 else "es" if what.endswith("s") else "s"
    return f"{name}, {number} {what}{ending}"


def _ours(workers: int) -> Callable[[int], AbstractAsyncContextManager[Callers]]:
    @asynccontextmanager
    async def start(discord_port: int) -> AsyncIterator[Callers]:
        async with serving(discord_port, workers) as server:
            connections = {"connections": 2 * workers + 1}  # odd, so that the messages of one channel take all of them
            yield [("grpc", {**job_of(server, number), **connections}) for number in range(PROCESSES)]

    return start


def _mixed(programs: list[str]) -> Callable[[int], AbstractAsyncContextManager[Callers]]:
    @asynccontextmanager
    async def start(discord_port: int) -> AsyncIterator[Callers]:
        async with serving(discord_port, PROCESSES) as server:
            yield [(name, job_of(server, number)) for number, name in enumerate([*programs, "grpc"])]

    return start


def _proxies(peer: peers.Peer, folder: Path) -> Callable[[int], AbstractAsyncContextManager[Callers]]:
    program = "http" if peer.call == "POST" else "grpc"

    @asynccontextmanager
    async def start(discord_port: int) -> AsyncIterator[Callers]:
        async with AsyncExitStack() as stack:
            callers: Callers = []
            for _ in range(PROCESSES):
                port, _pid = await stack.enter_async_context(_limited(peer, discord_port, folder))
                callers.append((program, job(f"http://127.0.0.1:{port}/api") | {"grpc": f"127.0.0.1:{port}"}))
            yield callers

    return start


def _through(
    peer: peers.Peer, programs: list[str], folder: Path
) -> Callable[[int], AbstractAsyncContextManager[Callers]]:
    @asynccontextmanager
    async def start(discord_port: int) -> AsyncIterator[Callers]:
        async with _limited(peer, discord_port, folder) as (port, _):
            yield [(name, job(f"http://127.0.0.1:{port}/api") | {"own_limiter": False}) for name in programs]

    return start


def _limited(peer: peers.Peer, discord_port: int, folder: Path) -> AbstractAsyncContextManager[tuple[int, int]]:
    return peers.started(peer, discord_port, folder, global_limit=B.global_limit)


def _in_process(each: Library) -> Callable[[int], AbstractAsyncContextManager[Callers]]:
    return _direct([each.program] * PROCESSES)


def _direct(programs: list[str]) -> Callable[[int], AbstractAsyncContextManager[Callers]]:
    @asynccontextmanager
    async def start(discord_port: int) -> AsyncIterator[Callers]:
        yield [(name, job(f"http://127.0.0.1:{discord_port}/api")) for name in programs]

    return start


async def shared_token(running: list[Contender], options: argparse.Namespace) -> dict[str, Any]:
    """Run every contender, scenario and kind of bucket in turn, in each round.

    Returns by scenario, kind of bucket and contender: `messages` of one run, the `COUNTS` of all runs `in_sum`, and the
    fields of `SharedTokenRun` in medians with their spread.
    """
    taken: dict[tuple[str, str, str], list[SharedTokenRun]] = {}
    at_once = asyncio.Semaphore(options.at_once)

    async def one(scenario: Scenario, bucket: str, contender: Contender) -> None:
        async with at_once:
            row = await _run(scenario, bucket, contender, options.within)
        taken.setdefault((scenario.name, bucket, contender.name), []).append(row)
        print(f"{scenario.name} {bucket} {contender.name}: {row}", file=sys.stderr)  # noqa: T201 - progress

    for _ in range(options.rounds):
        for scenario in (SCENARIOS[name] for name in options.scenarios):
            for bucket in options.buckets:
                await asyncio.gather(*(one(scenario, bucket, contender) for contender in running))
    found: dict[str, Any] = {}
    for name in options.scenarios:
        for bucket in options.buckets:
            rows = {each.name: _summary(SCENARIOS[name], taken[name, bucket, each.name]) for each in running}
            found.setdefault(name, {})[bucket] = rows
    return found


async def _run(scenario: Scenario, bucket: str, contender: Contender, within_s: float) -> SharedTokenRun:
    async with limited_discord(scenario, bucket) as discord, contender.start(discord.port) as callers:
        sent = await submitted(discord, scenario, [(name, {**own, "within_s": within_s}) for name, own in callers])
        return judged(scenario, discord.ledger, [one for answered in sent for one in answered])


def judged(scenario: Scenario, ledger: Ledger, answered: list[Answered]) -> SharedTokenRun:
    """Compare what Discord has with what was submitted."""
    delivered = len(ledger.stored) - ledger.duplicate_contents
    seconds = max(one.answered_at for one in answered) - min(one.submitted_at for one in answered)
    return SharedTokenRun(
        avoidable_429=ledger.avoidable_429s,
        lost=len(answered) - delivered,
        doubled=ledger.duplicate_contents,
        percent_of_maximum=100 * scenario.best_s / seconds * delivered / len(answered),
        seconds=seconds,
    )


def _summary(scenario: Scenario, rows: list[SharedTokenRun]) -> dict[str, Any]:
    counts = {name: sum(getattr(row, name) for row in rows) for name in COUNTS}
    spreads = {name: figures.spread([getattr(row, name) for row in rows]) for name in asdict(rows[0])}
    return {"runs": len(rows), "messages": scenario.channels * scenario.per_channel, "in_sum": counts, **spreads}
