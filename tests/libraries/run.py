"""Runs the program of one Discord library against a server with the sandbox, and verifies what Discord received."""

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from discordproxy_sandbox.sandbox import SandboxConfig
from libraries import answers, bots, scenarios
from libraries.scenarios import Outcome
from libraries.stage import Library, Stage, stage

PROGRAMS = {
    **dict.fromkeys(("discord.py", "py-cord", "nextcord", "disnake"), "use_discord_py.py"),
    "hikari": "use_hikari.py",
    "discord-py-interactions": "use_interactions_py.py",
    "@discordjs/rest": "use_discordjs_rest.mjs",
    "@discordeno/rest": "use_discordeno.mjs",
    "oceanic.js": "use_oceanic.mjs",
    "discordgo": "use_discordgo.go",
}

BOTS = {"discord.py": "bot_discord_py.py", "discord.js": "bot_discordjs.mjs"}
"""Libraries whose whole client is run, too, with a connection to the gateway."""

SETTINGS = {"DISCORDPROXY_HTTP_TIMEOUT": "2"}
"""So that a silent Discord does not take half a minute."""

QUICK_SETTINGS = {**SETTINGS, "DISCORDPROXY_REST_MAX_WAIT": "1"}
"""So that the defaults of a library meet refusals soon."""

Scenario = Callable[[Stage, Library], Awaitable[Outcome]]

SCENARIOS: dict[str, Scenario] = {
    "operations": scenarios.operations,
    "40 at once, documented settings": partial(scenarios.burst, number=40, window_s=5.0, snippet=True),
    "10 at once, defaults": partial(scenarios.burst, number=10, window_s=5.0, snippet=False),
    "40 at once, defaults": partial(scenarios.burst, number=40, window_s=5.0, snippet=False),
    "400 at once, below the limit": partial(
        scenarios.burst, number=400, limit=1000, window_s=1.0, snippet=True, within_s=90.0
    ),
    "failures of Discord": scenarios.lost_answers,
    "blocked by Cloudflare": scenarios.blocked,
    "answers of the proxy": answers.parsed,
}

QUICK: dict[str, Scenario] = {
    "operations": scenarios.operations,
    "12 at once, documented settings": partial(scenarios.burst, number=12, window_s=1.0, snippet=True),
    "12 at once, defaults": partial(scenarios.burst, number=12, window_s=1.0, snippet=False),
    "failures of Discord": partial(scenarios.lost_answers, kinds=("500 after effect", "reset after effect")),
}


@dataclass(frozen=True)
class Part:
    """Scenarios that share a server."""

    programs: dict[str, str]
    settings: dict[str, str]
    scenarios: dict[str, Scenario]
    keyed: bool = False


QUICK_PARTS = (
    Part(PROGRAMS, QUICK_SETTINGS, QUICK),
    Part(BOTS, bots.SETTINGS, {"interactions": bots.interactions}),
)
PARTS = (
    Part(PROGRAMS, SETTINGS, SCENARIOS),
    Part(PROGRAMS, {}, {"slow answers": scenarios.slow_answers}),
    QUICK_PARTS[1],
    Part(BOTS, bots.SETTINGS, {"interactions, keys are required": bots.interactions}, keyed=True),
)


async def run(options: argparse.Namespace) -> int:
    """Run the scenarios of a library; return how many failed."""
    failed = 0
    for part in QUICK_PARTS if options.quick else PARTS:
        chosen = {name: each for name, each in part.scenarios.items() if options.only in name}
        program = part.programs.get(options.library)
        if program and chosen:
            library = Library(options.library, program, options.interpreter, options.folder.resolve())
            async with stage(part.settings, SandboxConfig(token=None), keyed=part.keyed) as found:
                for name, scenario in chosen.items():
                    began = time.monotonic()
                    outcome = await scenario(found, library)
                    failed += _report(library, f"{name} ({time.monotonic() - began:.0f} s)", outcome)
    return failed


def _report(library: Library, name: str, outcome: Outcome) -> bool:
    """Print a line; return whether the scenario failed."""
    verdict = "FAILED: " + "; ".join(outcome.problems) if outcome.problems else "passed"
    print(f"{library.name}: {name}: {outcome.figures}: {verdict}", flush=True)  # noqa: T201 - a program
    return bool(outcome.problems)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", choices=PROGRAMS | BOTS)
    parser.add_argument("interpreter", help="python of the library's environment, or what runs its program")
    parser.add_argument("--folder", default=".", help="where node finds the library", type=Path)
    parser.add_argument("--only", default="", help="scenarios whose name contains this text")
    parser.add_argument("--quick", action="store_true", help="a few short scenarios")
    options = parser.parse_args()
    raise SystemExit(1 if asyncio.run(run(options)) else 0)


if __name__ == "__main__":
    main()
