"""The unmodified client of discordproxy 1.5.1, from the package index in an environment of its own."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from processes.deployment import CHANNEL, GUILD, USER
from processes.process import Process

ENVIRONMENT = Path(__file__).parents[2] / ".venv-legacy"

PROGRAM = f"""
import json, sys
from discordproxy import __version__
from discordproxy.client import DiscordClient
from discordproxy.discord_api_pb2 import Embed
from discordproxy.exceptions import DiscordProxyException

client = DiscordClient(target=sys.argv[1], timeout=20)
embed = Embed(title="Title", description="Description", footer=Embed.Footer(text="Footer", icon_url="https://e.org/f.png"))
channel = client.create_channel_message(channel_id={CHANNEL}, content="Hello", embed=embed)
direct = client.create_direct_message(user_id={USER}, content="Hi")
again = client.create_direct_message(user_id={USER}, embed=Embed(description="Hi"))
channels = list(client.get_guild_channels(guild_id={GUILD}))


def failure(call, **arguments):
    try:
        call(**arguments)
    except DiscordProxyException as error:
        return [type(error).__name__, getattr(error, "status", None) and str(error.status), str(error)]


print(json.dumps({{
    "version": __version__,
    "channel": [channel.channel_id, channel.content, channel.embeds[0].title, channel.embeds[0].footer.icon_url],
    "direct": [direct.content, again.embeds[0].description, direct.channel_id == again.channel_id],
    "channels": [[each.name, each.type] for each in channels],
    "unknown": failure(client.create_channel_message, channel_id=1, content="x"),
    "invalid": failure(client.create_channel_message, channel_id={CHANNEL}, content="x" * 2001),
    "guild": failure(client.get_guild_channels, guild_id=1),
}}))
"""


@pytest.fixture(scope="module")
def legacy() -> Path:
    """The folder of the other environment's commands; made once, and loudly missing where the index is."""
    python = ENVIRONMENT / "bin" / "python"
    if not (ENVIRONMENT / "complete").exists():
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        make = [sys.executable, "-m", "venv", "--without-pip", ENVIRONMENT]
        install = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "install", "-q"]
        # Its own dependencies are a Discord library and the proto compiler, which the client does not import.
        packages = ["discordproxy==1.5.1", "grpcio", "protobuf>=6,<7", "typing-extensions"]
        try:
            subprocess.run(make, check=True, capture_output=True)
            subprocess.run([*install, "--no-deps", "--no-compile", *packages], check=True, capture_output=True)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"NOT TESTED: the client of 1.5.1 cannot be installed: {error.stderr.decode()[-300:]}")
        (ENVIRONMENT / "complete").touch()
    return python.parent


async def run(command: Path, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        str(command),
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"PATH": os.environ["PATH"]},
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, output.decode()
    return output.decode()


@pytest.fixture
async def worker(discord, settings, valkey, tmp_path):
    environment = {**settings, "DISCORDPROXY_REDIS_URL": valkey, "DISCORDPROXY_KEY_PREFIX": "legacy"}
    async with Process.module("discordproxy_api", env=environment, cwd=tmp_path) as process:
        await process.line("serves on")
        yield process


async def test_its_three_methods(legacy, worker, discord, free_port):
    found = json.loads(await run(legacy / "python", "-c", PROGRAM, f"127.0.0.1:{free_port}"))
    assert found["version"] == "1.5.1"
    assert found["channel"] == [CHANNEL, "Hello", "Title", "https://e.org/f.png"]
    assert found["direct"] == ["Hi", "Hi", True]
    assert ["general", 1] in found["channels"]
    assert found["unknown"][:2] == ["DiscordProxyHttpError", "404"]
    assert found["unknown"][2].endswith("404 - JSON error code: 10003 - Error message: Unknown Channel")
    assert found["invalid"][:2] == ["DiscordProxyHttpError", "400"]
    assert "Invalid Form Body\nIn content: " in found["invalid"][2]
    assert found["guild"][:2] == ["DiscordProxyHttpError", "404"]
    opened = [record for record in discord.ledger.records if record.template == "/users/@me/channels"]
    assert len(opened) == 1


async def test_its_command(legacy, worker, discord, free_port):
    output = await run(legacy / "discordproxymessage", "channel", str(CHANNEL), "Hello", "--port", str(free_port))
    assert "Message sent" in output
    assert len(discord.ledger.stored) == 1
