"""The programs that are compared: proxies of `bench.speed.peers`, binaries by path, and libraries."""

import importlib.metadata
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.libraries.runs import DISCORDJS, HIKARI
from bench.speed import figures
from bench.speed.messages import CONTENT, EMBED, FIRST_CHANNEL
from bench.speed.peers import FOLDER, PEERS, Peer, install
from discordproxy_ratelimit.server.embedded import find_binary

OURS = "Discord Proxy"
TOKEN = "bench"
"""The sandbox accepts any."""

PROCESSES = 2
"""Processes of a peer, or of a program with a library, that share one token in the scenarios."""

BINARIES = {"nirn-proxy": "NIRN_PROXY", "twilight http-proxy": "TWILIGHT_HTTP_PROXY"}
"""Proxies that are one binary, and the variable with its path."""


@dataclass(frozen=True)
class Library:
    """A library that runs in the process of its user, with a limiter of its own.

    Attributes:
        title: name and version.
        program: name in `bench.libraries.runs.PROGRAMS`.
        peer: its installation; None if it belongs to this environment.
    """

    title: str
    program: str
    peer: Peer | None = None


LIBRARIES = (
    Library(f"discord.py {importlib.metadata.version('discord.py')}", "discord.py"),
    Library(HIKARI.folder.name.replace("-", " "), "hikari", HIKARI),
)
DISCORDJS_REST = Library("@discordjs/rest 2.6.3", "discordjs", DISCORDJS)


@dataclass(frozen=True)
class Catalogue:
    """What takes part; `skipped` has a reason for each that does not."""

    proxies: list[Peer]
    libraries: list[Library]
    mixed: list[Library]
    skipped: dict[str, str]


def catalogue(*, wanted: str, binaries: dict[str, str]) -> Catalogue:
    """Return what is installed, after an installation if it is wanted.

    Args:
        wanted: none, installed or install.
        binaries: paths by name of `BINARIES`; "" for those to skip.
    """
    if wanted == "none":
        return Catalogue([], [], [], {})
    skipped: dict[str, str] = {}

    def usable(name: str, peer: Peer | None) -> bool:
        if peer is None or peer.installed:
            return True
        problem = install(peer) if wanted == "install" else "not installed: add --peers"
        if problem:
            skipped[name] = problem
        return not problem

    proxies = [peer for peer in PEERS if usable(peer.name, peer)]
    for name, variable in BINARIES.items():
        path = binaries.get(name, "")
        if problem := _problem(path, variable):
            skipped[name] = problem
        else:
            proxies.append(Peer(name, "POST", FOLDER, (), str(Path(path).resolve())))
    libraries = [each for each in LIBRARIES if usable(each.title, each.peer)]
    mixed = [each for each in (DISCORDJS_REST, *LIBRARIES) if usable(each.title, each.peer)]
    return Catalogue(proxies, libraries, mixed, skipped)


def _problem(path: str, variable: str) -> str:
    if not path:
        return f"the path of its binary is not given: set {variable}"
    return "" if shutil.which(path) else f"{path} is not an executable file"


def job(api: str) -> dict[str, Any]:
    """Return the job of a program whose requests go to an API, with the limiter of its library."""
    return {"api": api, "token": TOKEN, "app": "bench", "own_limiter": True}


def load_job(discord_port: int) -> dict[str, Any]:
    """Return the job of a library that sends the message of all subjects to Discord."""
    message = {"content": CONTENT, "embed": EMBED, "first_channel": FIRST_CHANNEL}
    return job(f"http://127.0.0.1:{discord_port}/api") | message


def versions(found: Catalogue) -> dict[str, str]:
    """Return the versions of everything that the figures depend on."""
    return {
        OURS: importlib.metadata.version("discordproxy"),
        "Python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("grpcio", "protobuf", "uvloop")},
        "Valkey": _version_of(find_binary()),
        **({"Node": _version_of("node")} if found.mixed else {}),
        **dict(_named(_titles(found))),
    }


def _version_of(program: str) -> str:
    done = subprocess.run([program, "--version"], check=False, capture_output=True, text=True)
    numbers = re.search(r"\d+\.\d+\.\d+", done.stdout)
    return numbers[0] if numbers else "unknown"


def _titles(found: Catalogue) -> Iterable[str]:
    yield from (peer.name for peer in found.proxies)
    yield from (library.title for library in found.mixed)


def _named(titles: Iterable[str]) -> Iterable[tuple[str, str]]:
    for title in titles:
        name, _, version = title.rpartition(" ")
        if version[:1].isdigit():
            yield name, version


def machine() -> dict[str, Any]:
    """Return what the figures depend on beside the programs."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {**figures.machine(), "processor": models[0] if models else platform.processor()}
