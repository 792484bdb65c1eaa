"""Throughput and cost of the rate-limit broker.

    make bench-ratelimit         ARGS="[--quick | --full] [--scenarios] [--virtual] [--json FILE]"

Everything runs on a private Valkey. The scenarios' workers are processes in real time, with a fake Discord in a process
of its own whose latency is 30 +- 10 ms; `--virtual` runs them in one process in virtual time. Much longer round trips
indicate a busy machine: as root, `chrt -r 1` in front of the command gives the scenarios precedence. The exit status is
1 when a request got a 429, was lost or was doubled.
"""

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from bench.ratelimit import runs
from bench.ratelimit.costs import memory, speed
from bench.ratelimit.crowd import crowd
from bench.ratelimit.promises import contended, refusal, urgent
from bench.ratelimit.scenarios import SCENARIOS, Row
from discordproxy_ratelimit.server.embedded import PrivateServer, find_binary

BUCKETS = ("fixed", "leaky")
Section = tuple[str, str, Callable[[str], Coroutine[Any, Any, Sequence[Any]]]]


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="a subset in less than 40 s")
    size.add_argument("--full", action="store_true", help="also a million buckets")
    parser.add_argument("--scenarios", action="store_true", help="only the scenarios")
    parser.add_argument("--virtual", action="store_true", help="scenarios in virtual time")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures to this file")
    return parser.parse_args()


def costs(*, quick: bool, full: bool) -> list[Section]:
    """Return the sections behind the scenarios: name, heading, and the function that measures."""
    sizes = [1_000, 100_000, 1_000_000] if full else [1_000] if quick else [1_000, 100_000]
    callers = (1, 64) if quick else (1, 64, 512)

    async def script_calls(url: str) -> list[Any]:
        return [await contended(url, workers) for workers in ((4,) if quick else (1, 4))]

    async def speeds(url: str) -> list[Any]:
        return [await speed(url, number, for_s=1.0 if quick else 3.0) for number in callers]

    async def crowds(url: str) -> list[Any]:
        return [await crowd(url, 3_000, cancelled=2_700) if quick else await crowd(url)]

    return [
        ("script_calls", "Script calls when callers compete for one bucket", script_calls),
        ("speed", "Acquire and complete, as fast as it goes, a known bucket for each caller", speeds),
        ("refusal", "Calls whose deadline cannot be met", lambda url: _one(refusal(url))),
        (
            "urgent",
            "High-priority calls of another app while only the global limit binds",
            lambda url: _one(urgent(url, calls=2 if quick else 8)),
        ),
        ("crowd", "Calls that wait for one bucket; first and last are the first and last thousand grants", crowds),
        ("memory", "Known, idle buckets in Valkey", lambda url: memory(url, sizes)),
    ]


async def _one(measured: Coroutine[Any, Any, Any]) -> list[Any]:
    return [await measured]


class PrivateValkey:
    """A server for one section, so that sections do not meet in its memory."""

    async def __aenter__(self) -> tuple[str, Path]:
        self._folder = tempfile.TemporaryDirectory(prefix="dp-bench-")
        folder = Path(self._folder.name)
        self._server = PrivateServer(folder / "valkey", find_binary())
        self._server.lock()
        await self._server.start()
        return self._server.url, folder

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop()
        self._folder.cleanup()


def scenarios(options: argparse.Namespace) -> list[Row]:
    """Run A and B with fixed and leaky buckets for a growing number of workers."""
    workers = [2] if options.quick else [1, 2, 4, 8]
    worlds = list(SCENARIOS.values())
    if not options.virtual:

        async def in_processes() -> list[Row]:
            async with PrivateValkey() as (url, folder):
                return await runs.real(url, folder, worlds, BUCKETS, workers)

        return sorted(asyncio.run(in_processes()), key=lambda row: (row.scenario, row.bucket, row.workers))
    with asyncio.Runner() as runner:
        valkey = PrivateValkey()
        url, _ = runner.run(valkey.__aenter__())
        rows = [runs.virtual(url, world, bucket, n) for world in worlds for bucket in BUCKETS for n in workers]
        runner.run(valkey.__aexit__())
    return rows


async def measured(section: Section) -> Sequence[Any]:
    """Run one section on a fresh server."""
    async with PrivateValkey() as (url, _):
        return await section[2](url)


def show(heading: str, rows: Sequence[Any]) -> None:
    """Print one part of the table."""
    names = [field.name for field in fields(rows[0])]
    lines = [[name.replace("_", " ") for name in names]]
    lines += [[_figure(getattr(row, name)) for name in names] for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(names))]
    print(f"\n{heading}")  # noqa: T201 - a benchmark prints
    for line in lines:
        print("  " + "  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)))  # noqa: T201 - same


def _figure(value: Any) -> str:
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def main() -> int:
    """Measure and print; return 1 if a request got a 429, was lost or was doubled."""
    options = arguments()
    found: dict[str, Sequence[Any]] = {"scenarios": scenarios(options)}
    time = "virtual time" if options.virtual else f"real time, {os.cpu_count()} cores"
    show(f"Scenarios (A: 4 channels x 20 messages, B: 150 x 4 below 50 per second; {time})", found["scenarios"])
    for section in [] if options.scenarios else costs(quick=options.quick, full=options.full):
        found[section[0]] = asyncio.run(measured(section))
        show(section[1], found[section[0]])
    if options.json:
        machine = {"system": platform.platform(), "cores": os.cpu_count(), "python": platform.python_version()}
        document = {name: [asdict(row) for row in rows] for name, rows in found.items()}
        options.json.write_text(
            json.dumps({"machine": machine, "virtual": options.virtual, **document}, indent=1) + "\n"
        )
    return any(row.avoidable_429 or row.lost or row.doubled for row in found["scenarios"])


if __name__ == "__main__":
    sys.exit(main())
