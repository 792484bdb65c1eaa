"""Other proxies and libraries to compare with, installed into `.peers/` of the checkout."""

import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.speed import procfs
from bench.speed.programs import ROOT, opened, running
from fakes.ports import free_port

FOLDER = ROOT / ".peers"
HERE = Path(__file__).parent
PLENTY = 1_000_000
"""A global limit that is never reached."""

BOT_ID = 100000000000000001
"""Of the sandbox's bot."""


@dataclass(frozen=True)
class Peer:
    """Another program. In its commands, {folder} is where it is installed, {python} this Python, {here} this folder.

    Attributes:
        name: shown in the table.
        call: the load generator's call that it understands; "" for a library.
        folder: where it is installed.
        installation: commands that install it.
        program: command that starts it; the port of Discord and its own port are added.
    """

    name: str
    call: str
    folder: Path
    installation: tuple[str, ...]
    program: str

    @property
    def installed(self) -> bool:
        """Whether the installation is complete."""
        return (self.folder / "complete").exists()

    def command(self, template: str) -> list[str]:
        """Return the words of a command."""
        return [word.format(folder=self.folder, python=sys.executable, here=HERE) for word in template.split()]


PEERS = (
    Peer(
        "discordproxy 1.5.1",
        "SendChannelMessage of version 1",
        FOLDER / "discordproxy-1.5.1",
        (
            "{python} -m venv {folder}",
            "{folder}/bin/pip install --quiet --disable-pip-version-check discordproxy==1.5.1",
        ),
        "{folder}/bin/python {here}/peer_discordproxy.py",
    ),
    Peer(
        "@discordjs/proxy 2.1.1",
        "POST",
        FOLDER / "discordjs-proxy-2.1.1",
        ("npm install --silent --no-audit --no-fund --no-package-lock --prefix {folder} @discordjs/proxy@2.1.1",),
        "node {here}/peer_discordjs.cjs",
    ),
)


def install(peer: Peer) -> str:
    """Install a peer unless it is there; return why it cannot be, "" on success."""
    if peer.installed:
        return ""
    shutil.rmtree(peer.folder, ignore_errors=True)
    peer.folder.mkdir(parents=True)
    for command in map(peer.command, peer.installation):
        if not shutil.which(command[0]):
            return f"{command[0]} is not installed"
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            return f"{command[0]} failed: {done.stderr.strip()[-300:]}"
    (peer.folder / "complete").touch()
    return ""


@asynccontextmanager
async def started(
    peer: Peer, discord_port: int, cwd: Path, global_limit: int = PLENTY
) -> AsyncIterator[tuple[int, int]]:
    """Run a peer; yields its port and the id of its process."""
    async with AsyncExitStack() as stack:
        port = free_port()
        env = {
            "NODE_PATH": str(peer.folder / "node_modules"),
            "DISCORD_BOT_TOKEN": "bench",
            "GLOBAL_LIMIT": str(global_limit),
            **_of_binaries(discord_port, port, global_limit),
        }
        command = (*peer.command(peer.program), str(discord_port), str(port))
        process = await stack.enter_async_context(running(*command, env=env, cwd=cwd))
        await opened(process, port)
        yield port, procfs.server_of(port, procfs.descendants(process.pid))


def _of_binaries(discord_port: int, port: int, global_limit: int) -> dict[str, str]:
    """Return the variables of nirn-proxy and twilight's http-proxy, and DISCORD_URL for both."""
    return {
        "DISCORD_URL": f"http://127.0.0.1:{discord_port}",
        "DISCORD_TOKEN": "bench",
        "PORT": str(port),
        "HOST": "127.0.0.1",
        "BIND_IP": "127.0.0.1",
        "ENABLE_METRICS": "false",
        "BOT_RATELIMIT_OVERRIDES": f"{BOT_ID}:{global_limit}",
    }
