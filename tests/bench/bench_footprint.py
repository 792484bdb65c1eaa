# ruff: noqa: T201 - a benchmark prints its result
"""What a server takes while it has nothing to do: memory, processor time, and the time until it answers.

    make bench-footprint                       # about two minutes
    make bench-footprint ARGS="--rounds 1 --settle 0 --seconds 1"

`discordproxyserver` with default settings: one worker and the private Valkey, connected to the gateway of a local
Discord that is not counted. Each round starts a new server. RSS counts shared pages in each process, PSS shares them.
"""

import argparse
import asyncio
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.speed import figures, procfs
from bench.speed.programs import ROOT, LoadGenerator, Server, discord_proxy, is_valkey, opened, sandbox

OUTPUT = ROOT / "build" / "bench-footprint.json"
WORKER, SUPERVISOR, VALKEY = "API worker", "supervisor", "valkey"


@dataclass(frozen=True)
class Round:
    """Figures of one server: memory in MB, idle CPU in percent of one core, seconds since the start."""

    rss_mb: dict[str, float]
    pss_mb: dict[str, float]
    idle_cpu_percent: dict[str, float]
    port_open_s: float
    serving_s: float


def roles(server: Server) -> dict[str, int]:
    """Return the processes of a server by what they do."""
    known = {server.process.pid: SUPERVISOR, server.worker(): WORKER}
    found: dict[str, int] = {}
    for pid in server.pids:
        role = known.get(pid) or (VALKEY if is_valkey(pid) else _module(pid))
        found[role if role not in found else f"{role} ({pid})"] = pid
    return found


def _module(pid: int) -> str:
    """Return the name of the module that a process runs, or else that of its command."""
    words = procfs.command(pid)
    return words[words.index("-m") + 1] if "-m" in words[:-1] else procfs.command_name(pid)


async def one_round(discord_port: int, options: argparse.Namespace) -> Round:
    """Start a server, wait until it has settled, and look at it for a while."""
    async with LoadGenerator() as generator, AsyncExitStack() as stack:
        await generator.ready()
        began = time.perf_counter()
        server = await stack.enter_async_context(discord_proxy(discord_port))
        await opened(server.process, server.port)
        port_open_s = time.perf_counter() - began
        await generator.until_answered("health check", server.port)
        serving_s = time.perf_counter() - began
        await generator.until_answered("GetGuild", server.port)  # the gateway is connected
        started = stack.pop_all()
    async with started:  # without the load generator, which has libraries in common with the server
        await asyncio.sleep(options.settle)
        processes = roles(server)
        cpu, began = {role: procfs.cpu_s(pid) for role, pid in processes.items()}, time.perf_counter()
        await asyncio.sleep(options.seconds)
        seconds = time.perf_counter() - began
        idle = {role: (procfs.cpu_s(pid) - cpu[role]) / seconds * 100 for role, pid in processes.items()}
        memory = {role: procfs.memory_mb(pid) for role, pid in processes.items()}
    rss, pss = ({role: each[kind] for role, each in memory.items()} for kind in ("rss", "pss"))
    return Round(rss, pss, idle, port_open_s, serving_s)


def summary(rounds: list[Round]) -> dict[str, Any]:
    """Return medians with their spread: of each process that all rounds had, of their sum, and of the start."""
    names = [role for role in rounds[0].rss_mb if all(role in each.rss_mb for each in rounds)]
    processes: dict[str, Any] = {role: {} for role in names}
    in_sum: dict[str, Any] = {}
    for key in ("rss_mb", "pss_mb", "idle_cpu_percent"):
        for role in names:
            processes[role][key] = figures.spread([getattr(each, key)[role] for each in rounds])
        in_sum[key] = figures.spread([sum(getattr(each, key).values()) for each in rounds])
    start = {key: figures.spread([getattr(each, key) for each in rounds]) for key in ("port_open_s", "serving_s")}
    return {"processes": processes, "sum": in_sum, "start": start}


async def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure everything; returns the content of the JSON file."""
    about = figures.machine()
    rounds = []
    with tempfile.TemporaryDirectory(prefix="dp-bench-") as folder:
        for _ in range(options.rounds):
            async with sandbox(Path(folder)) as discord_port:
                rounds.append(await one_round(discord_port, options))
    settings = {name: getattr(options, name) for name in ("rounds", "settle", "seconds")}
    return {"machine": about, "settings": settings, **summary(rounds)}


def table(result: dict[str, Any]) -> str:
    """Return the result as text: medians, and in brackets the lowest and the highest of the rounds."""
    columns = {"RSS MB": ("rss_mb", 1), "PSS MB": ("pss_mb", 1), "idle CPU %": ("idle_cpu_percent", 2)}
    rows = [
        [name, *(figures.with_spread(found[key], digits) for key, digits in columns.values())]
        for name, found in (*result["processes"].items(), ("sum", result["sum"]))
    ]
    start = {name: figures.with_spread(found, 2) for name, found in result["start"].items()}
    times = f"seconds from the start until the port is open: {start['port_open_s']}, SERVING: {start['serving_s']}"
    return "\n".join([figures.table(["process", *columns], rows), times])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--settle", type=float, default=10.0, help="seconds from the first answer until the measurement"
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="for how long CPU time is counted")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    return parser.parse_args()


def main() -> None:
    options = arguments()
    result = asyncio.run(run(options))
    figures.save(result, options.output)
    print(table(result))
    print(figures.circumstances(result, options.output))


if __name__ == "__main__":
    main()
