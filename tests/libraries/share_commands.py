"""Runs discord.py beside discord.js, both of which replace their list of commands, and verifies that none is lost."""

import argparse
import asyncio
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from discordproxy_api.access.keys import digest_of, new_key, token_shaped
from discordproxy_sandbox.limits.book import LimitBook
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from discordproxy_sandbox.world.population import GUILD_ID
from fakes.ports import free_port
from integration.api.commands.conftest import Commands
from processes.deployment import COMMANDS, TOKEN
from processes.process import Process

PROGRAMS = Path(__file__).parent / "programs"
APPLICATION = 100000000000000001
WORKERS = 3
DOUBLED = (1, 8)
"""Commands that each library declares: as single changes, and as a replaced list."""


@dataclass(frozen=True)
class Program:
    """A library's program, its key, and where it runs."""

    app: str
    interpreter: str
    file: str
    folder: str
    key: str

    async def set(self, base_url: str, names: list[str], guild: str = "0") -> list[str]:
        """Let the library replace its commands; return their names, which it must see afterwards, too."""
        process = await asyncio.create_subprocess_exec(
            *(self.interpreter, PROGRAMS / self.file, ",".join(names), guild),
            env={
                **os.environ,
                "BASE_URL": base_url if self.app == "python" else base_url.removesuffix("/v10"),
                "TOKEN": token_shaped(self.key, APPLICATION),
                "APPLICATION": str(APPLICATION),
            },
            cwd=self.folder,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await asyncio.wait_for(process.communicate(), 120)
        assert process.returncode == 0, f"{self.app} ended with status {process.returncode}"
        found = json.loads(output.decode().splitlines()[-1])
        assert sorted(found["set"]) == sorted(found["fetched"]) == sorted(names), f"{self.app}: {found}"
        return names


class Story:
    """Two libraries with one bot."""

    def __init__(self, python: Program, node: Program, base_url: str, discord: Sandbox) -> None:
        self._python, self._node, self._base_url = python, node, base_url
        self._commands = Commands(discord)
        self._foreign = [self._commands.add("foreign", name_localizations={"de": "fremd"})]
        self._foreign.append(self._commands.add("of-guild", int(GUILD_ID)))

    async def run(self) -> None:
        """Replace the lists in turn, at once, and with fewer commands."""
        for count in DOUBLED:
            left, right = [f"py-{n}" for n in range(count)], [f"js-{n}" for n in range(count)]
            await self._python.set(self._base_url, left)
            await self._node.set(self._base_url, right)
            await self._python.set(self._base_url, left)  # a restart
            self._verify(left, right)
        left, right = ["py-0", "py-new"], ["js-0", "js-new"]
        await asyncio.gather(self._python.set(self._base_url, left), self._node.set(self._base_url, right))
        self._verify(left, right)
        await asyncio.gather(
            self._python.set(self._base_url, ["help"], GUILD_ID), self._node.set(self._base_url, ["bank"], GUILD_ID)
        )
        found = {each["name"] for each in self._commands.of(int(GUILD_ID))}
        assert found == {"of-guild", "help", "bank"}, found
        await self._node.set(self._base_url, [])
        self._verify(left, [])

    def _verify(self, left: list[str], right: list[str]) -> None:
        assert self._commands.names == {"foreign", *left, *right}, self._commands.names
        foreign = self._commands["foreign"]
        assert (foreign["id"], foreign["name_localizations"]) == (self._foreign[0]["id"], {"de": "fremd"})
        for name in right:
            assert self._commands[name]["description_localizations"] == {"de": f"{name} von discord.js"}
        for name in left:
            assert self._commands[name]["default_member_permissions"] == str(1 << 5)


def entry(program: Program) -> str:
    """Return the key file's entry."""
    return f'[[keys]]\napp = "{program.app}"\nsha256 = "{digest_of(program.key)}"\ncommands = "own"\n'


def written(path: Path, *programs: Program) -> Path:
    """Write the key file; return its path."""
    path.write_text("".join(map(entry, programs)))
    return path


async def run(options: argparse.Namespace) -> None:
    """Run the story on a server with three workers."""
    python = Program("python", options.python, "commands_discord_py.py", ".", new_key())
    node = Program("node", options.node, "commands_discordjs.mjs", options.folder, new_key())
    limits = LimitBook(default=None)
    with tempfile.TemporaryDirectory() as folder:
        keys = written(Path(folder, "keys.toml"), python, node)
        async with Sandbox(SandboxConfig(token=TOKEN, global_limit=None, limits=limits)) as discord:
            rest_port = free_port()
            environment = {
                "DISCORD_BOT_TOKEN": TOKEN,
                "DISCORDPROXY_DISCORD_URL": discord.rest_url,
                "DISCORDPROXY_PORT": str(free_port()),
                "DISCORDPROXY_REST_PORT": str(rest_port),
                "DISCORDPROXY_KEYS_FILE": str(keys),
                "XDG_RUNTIME_DIR": folder,
                "HOME": folder,
            }
            command = (str(COMMANDS / "discordproxyserver"), "--workers", str(WORKERS))
            async with Process(*command, "--log-console-level", "INFO", env=environment, cwd=Path(folder)) as server:
                for worker in range(WORKERS):
                    await server.line(f"worker {worker} serves on")
                await Story(python, node, f"http://127.0.0.1:{rest_port}/api/v10", discord).run()
    print("discord.py beside discord.js: each keeps its commands, passed")  # noqa: T201 - a program


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("python", help="python of the environment of discord.py")
    parser.add_argument("node")
    parser.add_argument("--folder", default=".", help="where node finds discord.js")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
