# ruff: noqa: T201 - a benchmark prints its result
"""Unchanged Discord libraries and a gRPC client share the buckets of one bot.

    make bench-libraries                       # two minutes; installs @discordjs/rest into .peers/ first
    make bench-libraries ARGS="--callers discordjs discord.py hikari grpc"

By default two processes with @discordjs/rest, one with discord.py and one with a gRPC stub send through one server with
two workers, in the scenarios A and B of `make bench-ratelimit`, with fixed and leaky buckets. Only the base URL of the
libraries is changed, and timeout and own limiter of @discordjs/rest as docs/rest-port.md recommends. The sandbox stands
in for Discord, with a latency of 30 +- 10 ms. Messages of one channel go one after another, so each window of A ends
with a round trip per message. The exit status is 1 if a library raised an exception, or a request got an avoidable 429,
was lost or was doubled.
"""

import argparse
import asyncio
import sys
from dataclasses import asdict
from pathlib import Path

from bench.libraries.runs import INSTALLED, PROGRAMS, LibraryRow, run
from bench.ratelimit.scenarios import A, B, Scenario
from bench.speed import figures, peers
from bench.speed.programs import ROOT

OUTPUT = ROOT / "build" / "bench-libraries.json"
CALLERS = ("discordjs", "discordjs", "discord.py", "grpc")
QUICK = Scenario("quick", channels=2, per_channel=10, best_s=1.0, window_s=1.0)
SCENARIOS = {each.name: each for each in (A, B, QUICK)}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=["A", "B"])
    parser.add_argument("--buckets", nargs="+", choices=("fixed", "leaky"), default=["fixed", "leaky"])
    parser.add_argument("--callers", nargs="+", choices=PROGRAMS, default=CALLERS)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    return parser.parse_args()


async def measured(options: argparse.Namespace) -> list[LibraryRow]:
    """Run every combination, one after another."""
    return [
        await run(SCENARIOS[name], bucket, options.callers) for name in options.scenarios for bucket in options.buckets
    ]


def table(rows: list[LibraryRow]) -> str:
    """Return the rows as text."""
    head = [name.replace("_", " ") for name in asdict(rows[0])]
    cells = [
        [f"{value:.2f}" if isinstance(value, float) else str(value) for value in asdict(row).values()] for row in rows
    ]
    return figures.table(head, cells)


def main() -> int:
    options = arguments()
    for name in sorted(set(options.callers) & INSTALLED.keys()):
        if problem := peers.install(INSTALLED[name]):
            print(f"SKIPPED: {name}: {problem}", file=sys.stderr)
            options.callers = [each for each in options.callers if each != name]
    about = figures.machine()
    rows = asyncio.run(measured(options))
    result = {"machine": about, "rows": [asdict(row) for row in rows]}
    figures.save(result, options.output)
    print(table(rows))
    print(figures.circumstances(result, options.output))
    return any(row.raised or row.avoidable_429 or row.lost or row.doubled for row in rows)


if __name__ == "__main__":
    sys.exit(main())
