# ruff: noqa: T201 - a benchmark prints its result
"""What a call costs beside a bare gRPC echo, and beside other proxies, in interleaved rounds of one run.

    make bench-speed                           # about four minutes
    make bench-speed ARGS="--peers"            # installs discordproxy 1.5.1 and @discordjs/proxy first
    make bench-speed ARGS="--rounds 1 --seconds 0.5 --callers 64"

The server is `discordproxyserver` with default settings, one worker and its private Valkey; only the bot's global limit
is raised. Discord is a stand-in that answers at once and never limits; the gateway is the sandbox's. Each caller sends
to a channel of its own: over gRPC, through the REST port, or directly to the stand-in. Figures are medians over the
rounds, CPU time in microseconds per call: of the worker process, of Redis, and of all processes of the server.
`scripts` and `commands` are what Redis runs per call; `echoes` is the worker's CPU time in those of the echo of the
same round, and `added` the latency minus that of a direct request of the same round.
"""

import argparse
import asyncio
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.speed import figures, peers, procfs
from bench.speed.orders import Load
from bench.speed.programs import (
    ROOT,
    LoadGenerator,
    Server,
    Valkey,
    discord_proxy,
    helper,
    opened,
    profiled_worker,
    sandbox,
)
from fakes.ports import free_port

OUTPUT = ROOT / "build" / "bench-speed.json"
ECHO, SEND = "echo", "SendChannelMessage"
DIRECT, REST, POST = "direct", "REST port", "POST"
CHECK = "health check"
READS = ("GetGuild", "GetChannel", CHECK)
PACED_CALLERS = 16
GLOBAL_LIMIT = 1_000_000

Sample = dict[str, float]


@dataclass(frozen=True)
class Subject:
    """What is measured: one kind of call to one server."""

    name: str
    call: str
    port: int
    pid: int
    valkey: Valkey | None = None
    server: Server | None = None

    @property
    def pids(self) -> list[int]:
        """All processes that take part in a call, Redis included."""
        return self.server.pids if self.server else [self.pid]


async def echo_server(stack: AsyncExitStack, folder: Path) -> Subject:
    """Start the server that all others are compared with."""
    port = free_port()
    process = await stack.enter_async_context(helper("echo", port, cwd=folder))
    await opened(process, port)
    return Subject(ECHO, SEND, port, process.pid)


async def stand_in(stack: AsyncExitStack, folder: Path) -> Subject:
    """Start Discord."""
    sandbox_port, port = await stack.enter_async_context(sandbox(folder)), free_port()
    process = await stack.enter_async_context(helper("stand_in", port, sandbox_port, cwd=folder))
    await opened(process, port)
    return Subject(DIRECT, POST, port, process.pid)


async def our_server(stack: AsyncExitStack, discord_port: int, generator: LoadGenerator, log_level: str) -> Server:
    """Start Discord Proxy; returns once its caches hold the sandbox's guild."""
    settings = {
        "DISCORDPROXY_GLOBAL_LIMIT": str(GLOBAL_LIMIT),
        "DISCORDPROXY_LOG_LEVEL": log_level,
        "DISCORDPROXY_REST_PORT": str(free_port()),
    }
    server = await stack.enter_async_context(discord_proxy(discord_port, **settings))
    await opened(server.process, server.port)
    for name in READS:
        await generator.until_answered(name, server.port)
    await generator.until_answered(POST, server.rest_port)
    return server


async def other_proxies(
    stack: AsyncExitStack, discord_port: int, generator: LoadGenerator, folder: Path, which: str
) -> tuple[list[Subject], dict[str, str]]:
    """Start the peers that are wanted and installed; returns them, and why others are left out."""
    found, skipped = [], {}
    for peer in peers.PEERS if which != "none" else ():
        problem = peers.install(peer) if which == "install" else "" if peer.installed else "not installed, see --peers"
        if problem:
            skipped[peer.name] = problem
            print(f"SKIPPED: {peer.name}: {problem}", file=sys.stderr)
        else:
            port, pid = await stack.enter_async_context(peers.started(peer, discord_port, folder))
            await generator.until_answered(peer.call, port)
            found.append(Subject(peer.name, peer.call, port, pid))
    return found, skipped


async def measure(subject: Subject, generator: LoadGenerator, callers: int, seconds: float) -> Sample:
    """Return the figures of one round."""
    valkey, pids = subject.valkey, subject.pids
    counts = valkey.counts() if valkey else {}
    began = procfs.cpu_of(pids)
    outcome = await generator.run(Load(subject.call, subject.port, callers, seconds))
    calls = outcome.answered + outcome.failed
    ended = procfs.cpu_of(began)  # without processes that have ended meanwhile, such as one that read the version
    cpu_us = {pid: (after - began[pid]) / calls * 1e6 for pid, after in ended.items()}
    sample = {
        "calls_per_s": outcome.answered / outcome.seconds,
        "p50_ms": outcome.p50_ms,
        "p99_ms": outcome.p99_ms,
        "worker_us": cpu_us[subject.pid],
        "all_us": sum(cpu_us.values()),
        "answered": outcome.answered,
        "failed": outcome.failed,
    }
    if valkey:
        sample["redis_us"] = cpu_us[valkey.pid]
        sample |= {f"{name}_per_call": (after - counts[name]) / calls for name, after in valkey.counts().items()}
    if outcome.failed:
        print(f"FAILED: {outcome.failed} of {calls} calls of {subject.name}: {outcome.first_error}", file=sys.stderr)
    return sample


async def rounds(subjects: list[Subject], generator: LoadGenerator, options: argparse.Namespace) -> dict[str, Any]:
    """Measure all subjects in turn, as often as wanted; returns the samples by subject and number of callers."""
    samples: dict[str, Any] = {each.name: {str(callers): [] for callers in options.callers} for each in subjects}
    for callers in sorted(options.callers, reverse=True):  # first of all, buckets of all channels become known
        for subject in subjects:
            await measure(subject, generator, callers, options.seconds / 2)
    for _ in range(options.rounds):
        for callers in options.callers:
            for subject in subjects:
                sample = await measure(subject, generator, callers, options.seconds)
                samples[subject.name][str(callers)].append(sample)
    return samples


def summary(samples: dict[str, dict[str, list[Sample]]]) -> dict[str, Any]:
    """Return counts in sum, and medians with their spread of everything else.

    `echoes` is the ratio to the echo, `added_ms` the difference to a direct request.
    """
    found: dict[str, Any] = {}
    for name, by_callers in samples.items():
        for callers, taken in by_callers.items():
            for sample, echo, direct in zip(taken, samples[ECHO][callers], samples[DIRECT][callers], strict=True):
                sample["echoes"] = sample["worker_us"] / echo["worker_us"]
                sample["added_ms"] = sample["p50_ms"] - direct["p50_ms"]
            counts = {key: int(sum(sample[key] for sample in taken)) for key in ("answered", "failed")}
            spreads = {key: figures.spread([sample[key] for sample in taken]) for key in taken[0] if key not in counts}
            found.setdefault(name, {})[callers] = counts | spreads
    return found


async def paced(subjects: list[Subject], generator: LoadGenerator, options: argparse.Namespace) -> dict[str, Any]:
    """Return latencies at a constant rate of calls, and the ratio of each p99 to the health check's of its round."""
    found: dict[str, dict[str, list[float]]] = {
        each.name: {"p50_ms": [], "p99_ms": [], "checks": []} for each in subjects
    }
    failed = 0
    for _ in range(options.rounds):
        p99 = {}
        for subject in subjects:
            load = Load(subject.call, subject.port, PACED_CALLERS, options.seconds, rate=options.rate)
            outcome = await generator.run(load)
            failed += outcome.failed
            p99[subject.name] = outcome.p99_ms
            found[subject.name]["p50_ms"].append(outcome.p50_ms)
        for name, ms in p99.items():
            found[name]["p99_ms"].append(ms)
            found[name]["checks"].append(ms / p99[CHECK])
    spreads = {name: {key: figures.spread(values) for key, values in each.items()} for name, each in found.items()}
    return {"rate": options.rate, "failed": failed, "subjects": spreads}


async def functions_entered(server: Server, generator: LoadGenerator, options: argparse.Namespace) -> dict[str, Any]:
    """Return by call and number of callers how many Python functions the worker enters per sent message."""
    found: dict[str, Any] = {}
    async with profiled_worker(server) as worker:
        await generator.until_answered(CHECK, worker.port)
        await generator.until_answered(POST, worker.rest_port)
        for name, call, port in ((SEND, SEND, worker.port), (REST, POST, worker.rest_port)):
            for count in options.callers:
                load = Load(call, port, count, seconds=60.0, limit=options.profiled_calls)
                await generator.run(load)  # caches are filled
                await worker.entered()
                outcome = await generator.run(load)
                seen = await worker.entered()
                calls = outcome.answered + outcome.failed
                found.setdefault(name, {})[str(count)] = {
                    "calls": calls,
                    "failed": outcome.failed,
                    "entered_per_call": seen["entered"] / calls,
                    "different": seen["different"],
                }
    return found


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure everything; returns the content of the JSON file."""
    about = figures.machine()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dp-bench-")))
        generator = await stack.enter_async_context(LoadGenerator())
        direct = await stand_in(stack, folder)
        echo = await echo_server(stack, folder)
        server = await our_server(stack, direct.port, generator, options.log_level)
        worker, valkey = server.worker(), server.valkey()
        ours = [Subject(name, name, server.port, worker, valkey, server) for name in (SEND, *READS)]
        rest = Subject(REST, POST, server.rest_port, worker, valkey, server)
        others, skipped = await other_proxies(stack, direct.port, generator, folder, options.peers)
        samples = await rounds([echo, direct, *ours, rest, *others], generator, options)
        at_rate = await paced([each for each in ours if each.name != SEND], generator, options)
        functions = await functions_entered(server, generator, options)
    return {
        "machine": about,
        "settings": {name: getattr(options, name) for name in ("rounds", "seconds", "callers", "log_level")},
        "subjects": summary(samples),
        "paced": at_rate,
        "functions": functions,
        "skipped": skipped,
    }


COLUMNS = {
    "calls/s": ("calls_per_s", 0, True),
    "p50 ms": ("p50_ms", 2, False),
    "p99 ms": ("p99_ms", 2, False),
    "added ms": ("added_ms", 2, True),
    "worker us": ("worker_us", 0, True),
    "echoes": ("echoes", 2, True),
    "redis us": ("redis_us", 0, True),
    "all us": ("all_us", 0, False),
    "scripts": ("scripts_per_call", 2, False),
    "commands": ("commands_per_call", 1, False),
}
"""Head of the column: name of the figure, digits after the point, and whether the spread is shown."""


def table(result: dict[str, Any]) -> str:
    """Return the result as text: medians, and in brackets the lowest and the highest of the rounds."""
    head = ["per call", "callers", *COLUMNS]
    rows = [
        [name, callers, *(_cell(by_callers[callers].get(key), *how) for key, *how in COLUMNS.values())]
        for callers in map(str, result["settings"]["callers"])
        for name, by_callers in result["subjects"].items()
    ]
    functions = [
        f"Python functions entered per message, {name}, at {callers} callers: {found['entered_per_call']:.0f}"
        for name, by_callers in result["functions"].items()
        for callers, found in by_callers.items()
    ]
    latencies = [
        [name, *(figures.with_spread(each[key], 2) for key in ("p50_ms", "p99_ms", "checks"))]
        for name, each in result["paced"]["subjects"].items()
    ]
    at_rate = [f"at {result['paced']['rate']:.0f} calls/s", "p50 ms", "p99 ms", "p99 of a health check's"]
    return "\n".join([figures.table(head, rows), figures.table(at_rate, latencies), *functions])


def _cell(found: dict[str, float] | None, digits: int, spread: bool) -> str:  # noqa: FBT001 - a column of the table
    if found is None:
        return "-"
    return figures.with_spread(found, digits) if spread else f"{found['median']:.{digits}f}"


def failures(result: dict[str, Any]) -> int:
    """Return how many calls were not answered as they should be."""
    measured = [each for by_callers in result["subjects"].values() for each in by_callers.values()]
    profiled = [each for by_callers in result["functions"].values() for each in by_callers.values()]
    return sum(each["failed"] for each in (*measured, result["paced"], *profiled))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one measurement")
    parser.add_argument("--callers", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--rate", type=float, default=500.0, help="calls per second for the latency of reads")
    parser.add_argument("--log-level", default="INFO", help="of our server; INFO, its default, logs each call")
    parser.add_argument("--profiled-calls", type=int, default=512, help="calls whose functions are counted")
    parser.add_argument(
        "--peers",
        nargs="?",
        choices=("none", "installed", "install"),
        default="installed",
        const="install",
        help="which other proxies take part; `--peers` alone installs them into .peers/",
    )
    parser.add_argument("--output", type=Path, default=OUTPUT)
    return parser.parse_args()


def main() -> int:
    options = arguments()
    result = asyncio.run(run(options))
    figures.save(result, options.output)
    about = result["machine"]
    print(table(result))
    print(
        f"load of the machine {about['load_at_start']:.1f} before, {about['load_at_end']:.1f} after; {options.output}"
    )
    return 1 if failures(result) else 0


if __name__ == "__main__":
    sys.exit(main())
