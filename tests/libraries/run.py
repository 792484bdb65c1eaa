"""Runs the program of one Discord library against a server with the sandbox, and verifies what Discord received."""

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from discordproxy_sandbox.sandbox import SandboxConfig
from libraries import scenarios
from libraries.scenarios import Outcome
from libraries.stage import Library, Stage, stage

PROGRAMS = {
    **dict.fromkeys(("discord.py", "py-cord", "nextcord", "disnake"), "use_discord_py.py"),
    "hikari": "use_hikari.py",
    "discord-py-interactions": "use_interactions_py.py",
    "@discordjs/rest": "use_discordjs_rest.mjs",
    "@discordeno/rest": "use_discordeno.mjs",
    "oceanic.js": "use_oceanic.mjs",
}

SETTINGS = {"DISCORDPROXY_HTTP_TIMEOUT": "2"}
"""So that a silent Discord does not take half a minute."""

Scenario = Callable[[Stage, Library], Awaitable[Outcome]]

SCENARIOS: dict[str, Scenario] = {
    "operations": scenarios.operations,
    "40 at once, documented settings": partial(scenarios.burst, number=40, window_s=5.0, snippet=True),
    "10 at once, defaults": partial(scenarios.burst, number=10, window_s=5.0, snippet=False),
    "40 at once, defaults": partial(scenarios.burst, number=40, window_s=5.0, snippet=False),
    "failures of Discord": scenarios.lost_answers,
    "blocked by Cloudflare": scenarios.blocked,
}


async def run(library: Library, only: str) -> int:
    """Run the scenarios; return how many failed."""
    failed = 0
    async with stage(SETTINGS, SandboxConfig(token=None)) as found:
        for name, scenario in SCENARIOS.items():
            if only and only not in name:
                continue
            outcome = await scenario(found, library)
            failed += bool(outcome.problems)
            verdict = "FAILED: " + "; ".join(outcome.problems) if outcome.problems else "passed"
            print(f"{library.name}: {name}: {outcome.figures}: {verdict}", flush=True)  # noqa: T201 - a program
    return failed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", choices=PROGRAMS)
    parser.add_argument("interpreter", help="python of the library's environment, or node")
    parser.add_argument("--folder", default=".", help="where node finds the library", type=Path)
    parser.add_argument("--only", default="", help="scenarios whose name contains this text")
    options = parser.parse_args()
    library = Library(options.library, PROGRAMS[options.library], options.interpreter, options.folder.resolve())
    raise SystemExit(1 if asyncio.run(run(library, options.only)) else 0)


if __name__ == "__main__":
    main()
