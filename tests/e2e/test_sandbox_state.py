"""Caches of a local Discord end with it: the next one, or another one, has a world of its own."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import grpc.aio
import pytest

from discordproxy import discord_api_pb2 as pb
from discordproxy import discord_api_pb2_grpc as rpc
from discordproxy_ratelimit.redis.client import connect
from fakes import ports
from fakes.eventually import eventually
from processes.deployment import CHANNEL, COMMANDS, left_running
from processes.process import Process

KEYED = pb.SendChannelMessageRequest(channel_id=CHANNEL, content="once in each world")
KEYED.options.idempotency_key = "the same key"


class Local:
    """A server with a local Discord of its own."""

    def __init__(self, settings: dict[str, str], folder: Path) -> None:
        self.port, sandbox_port = ports.free_ports(2)
        own = {"DISCORDPROXY_PORT": str(self.port), "SANDBOX_PORT": str(sandbox_port), "SANDBOX_TOKEN": "another"}
        self._environment, self._folder = {**settings, **own}, folder

    def run(self) -> Process:
        command = (str(COMMANDS / "discordproxyserver"), "--sandbox", "--log-file-path", str(self._folder))
        self._folder.mkdir(exist_ok=True)
        return Process(*command, env=self._environment, cwd=self._folder)

    async def contents(self) -> list[str]:
        """Send the message and return what the channel holds."""
        async with grpc.aio.insecure_channel(f"127.0.0.1:{self.port}", [("grpc.use_local_subchannel_pool", 1)]) as to:
            stub = rpc.DiscordApiStub(to)
            await stub.SendChannelMessage(KEYED, timeout=60, wait_for_ready=True)
            found = await stub.GetMessages(pb.GetMessagesRequest(channel_id=CHANNEL), timeout=60)
            return [message.content for message in found.messages]


@pytest.fixture
def run_folders(settings: dict[str, str]):
    """Folders of private servers that exist."""
    return lambda: list(Path(settings["XDG_RUNTIME_DIR"], "discordproxy").glob("*"))


async def test_each_run_is_a_world_of_its_own(settings: dict[str, str], tmp_path: Path, run_folders) -> None:
    first, other = Local(settings, tmp_path / "first"), Local(settings, tmp_path / "other")
    async with first.run() as killed, other.run() as whole:
        assert await asyncio.gather(first.contents(), other.contents()) == [[KEYED.content]] * 2
        assert len(run_folders()) == 2
        whole.signal(signal.SIGTERM)
        assert await whole.ended() == 0
        (left,) = run_folders()
        os.kill(killed.pid, signal.SIGKILL)
        await killed.ended()
    await eventually(lambda: left_running(settings["XDG_RUNTIME_DIR"]) == [])
    async with first.run() as again:
        assert await first.contents() == [KEYED.content]
        assert left not in run_folders()
        again.signal(signal.SIGTERM)
        assert await again.ended() == 0
    assert run_folders() == []


async def test_nothing_of_it_stays_in_a_server_of_the_operator(
    settings: dict[str, str], tmp_path: Path, valkey: str, key_prefix: str
) -> None:
    local = Local(
        {**settings, "DISCORDPROXY_REDIS_URL": valkey, "DISCORDPROXY_KEY_PREFIX": key_prefix}, tmp_path / "one"
    )
    client = connect(valkey)
    async with contextlib.aclosing(client), local.run() as whole:
        assert await local.contents() == [KEYED.content]
        assert [key async for key in client.scan_iter(f"{{{key_prefix}:*")]
        whole.signal(signal.SIGTERM)
        assert await whole.ended() == 0
        assert [key async for key in client.scan_iter(f"{{{key_prefix}:*")] == []
