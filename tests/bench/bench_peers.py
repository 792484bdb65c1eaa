# ruff: noqa: T201 - a benchmark prints its result
"""Discord Proxy beside other proxies and libraries: costs, shared limits, mixed libraries, memory.

    make bench-peers ARGS=--peers              # installs the peers into .peers/ first; about 30 minutes
    make bench-peers ARGS="--sections overhead --rounds 5"
    make bench-peers ARGS=--publish            # also writes docs/comparison-figures.md and its charts
    make bench-peers ARGS="--sections --include build/one.json build/other.json --publish"

Ours is compared with discordproxy 1.5.1, @discordjs/proxy, discord.py and hikari, and with nirn-proxy and twilight's
http-proxy if the variables NIRN_PROXY and TWILIGHT_HTTP_PROXY have the paths of their binaries, built with the address
of Discord from the variable DISCORD_URL. Rounds are interleaved; figures are medians with their spread. JSON, Markdown
and charts are written to build/. Sections can be measured by different runs; the last example joins them.

On a busy machine, as root, `chrt -r 1` in front of the command gives the scenarios precedence. Nice values do not where
the kernel groups processes by session. The exit status is 1 if ours lost or doubled a message, or got an avoidable 429.
"""

import argparse
import asyncio
import json
import os
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.peers import report
from bench.peers.catalogue import BINARIES, OURS, Catalogue, catalogue, machine, versions
from bench.peers.memory import memory
from bench.peers.overhead import overhead
from bench.peers.shared_token import COUNTS, SCENARIOS, contenders, mixtures, shared_token
from bench.speed import figures
from bench.speed.programs import ROOT

BUILD, DOCS = ROOT / "build", ROOT / "docs"
PAGE = "comparison-figures.md"
SETTINGS = {
    "overhead": ("rounds", "seconds", "callers"),
    "shared_token": ("rounds", "within"),
    "mixed": ("rounds", "within"),
    "memory": ("memory_rounds", "channels"),
}
"""The options that a section depends on, shown on the page."""

SECTIONS = tuple(SETTINGS)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sections", nargs="*", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one measurement of the cost of a call")
    parser.add_argument("--callers", type=int, nargs="+", default=[1, 64])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=["A", "B"])
    parser.add_argument("--buckets", nargs="+", choices=("fixed", "leaky"), default=["fixed", "leaky"])
    parser.add_argument("--at-once", type=int, default=1, help="scenarios that run at the same time")
    parser.add_argument("--within", type=float, default=90.0, help="seconds after which a call is given up")
    parser.add_argument("--memory-rounds", type=int, default=1, help="rounds of the memory, which take minutes each")
    parser.add_argument("--channels", type=int, default=20_000, help="channels for the memory")
    parser.add_argument("--settle", type=float, default=5.0, help="seconds before memory is read")
    parser.add_argument(
        "--peers",
        nargs="?",
        choices=("none", "installed", "install"),
        default="installed",
        const="install",
        help="which peers take part; `--peers` alone installs them into .peers/",
    )
    for name, variable in BINARIES.items():
        option = f"--{variable.lower().replace('_', '-')}"
        parser.add_argument(option, default=os.environ.get(variable, ""), help=f"path of the binary of {name}")
    parser.add_argument("--output", type=Path, default=BUILD / "bench-peers.json")
    parser.add_argument("--include", nargs="+", type=Path, default=[], help="results with the other sections")
    parser.add_argument("--publish", action="store_true", help=f"also write docs/{PAGE} and docs/images/peers-*.svg")
    return parser.parse_args()


async def run(found: Catalogue, options: argparse.Namespace) -> dict[str, Any]:
    """Measure everything; returns the content of the JSON file."""
    result: dict[str, Any] = {
        "machine": machine(),
        "versions": versions(found),
        "settings": {name: getattr(options, name) for section in options.sections for name in SETTINGS[section]},
        "skipped": found.skipped,
        "runs": [{"command": command(), "load": machine()["load_at_start"], "sections": list(options.sections)}],
    }
    with tempfile.TemporaryDirectory(prefix="dp-bench-") as name:
        folder = Path(name)
        sections = {
            "overhead": lambda: overhead(found, options, folder),
            "shared_token": lambda: shared_token(contenders(found, options.workers, folder), options),
            "mixed": lambda: shared_token(mixtures(found, folder), options),
            "memory": lambda: memory(found, options, folder),
        }
        for section in options.sections:
            print(f"{section} ...", file=sys.stderr)
            result[section] = await sections[section]()
    result["runs"][0]["load"] = (result["runs"][0]["load"] + machine()["load_at_start"]) / 2
    return result


def joined(result: dict[str, Any], others: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a result with the sections of others."""
    for other in others:
        result["settings"] = other["settings"] | result["settings"]
        result |= {name: other[name] for name in SECTIONS if name in other and name not in result}
        result["runs"] += other["runs"]
    result["runs"] = [run for run in result["runs"] if run["sections"]]
    return result


def command() -> str:
    """Return the command that started this program."""
    priority = os.getpriority(os.PRIO_PROCESS, 0)
    nice = f"nice -n {priority} " if priority else ""
    first = "chrt -r 1 " if os.sched_getscheduler(0) == os.SCHED_RR else nice
    arguments = f" ARGS={shlex.quote(' '.join(sys.argv[1:]))}" if sys.argv[1:] else ""
    return f"{first}make bench-peers{arguments}"


def failures(result: dict[str, Any]) -> int:
    """Return how many messages ours lost or doubled, and how many avoidable 429s it got."""
    rows = [
        row
        for section in ("shared_token", "mixed")
        for by_bucket in result.get(section, {}).values()
        for by_name in by_bucket.values()
        for name, row in by_name.items()
        if name.startswith(OURS)
    ]
    return sum(row["in_sum"][count] for row in rows for count in COUNTS)


def write(result: dict[str, Any], folder: Path, images: Path) -> None:
    """Write the page into a folder and its charts into another one inside."""
    images.mkdir(parents=True, exist_ok=True)
    (folder / PAGE).write_text(report.markdown(result, str(images.relative_to(folder))))
    for name, chart in report.charts(result).items():
        (images / name).write_text(chart)


def main() -> int:
    options = arguments()
    paths = {name: getattr(options, variable.lower()) for name, variable in BINARIES.items()}
    found = catalogue(wanted=options.peers, binaries=paths)
    for name, reason in found.skipped.items():
        print(f"SKIPPED: {name}: {reason}", file=sys.stderr)
    included = [json.loads(path.read_text()) for path in options.include]
    result = joined(asyncio.run(run(found, options)), included)
    figures.save(result, options.output)
    write(result, options.output.parent, options.output.parent / "images")
    if options.publish:
        write(result, DOCS, DOCS / "images")
    print((options.output.parent / PAGE).read_text())
    print(figures.circumstances(result, options.output))
    return 1 if failures(result) else 0


if __name__ == "__main__":
    sys.exit(main())
