"""A gateway worker against a fake gateway and a real Valkey, in this process."""

import asyncio
import contextlib
import os
import sys
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # discord.py imports audioop
    import discord as _  # noqa: F401

from redis.asyncio import Redis

from discordproxy_gateway.cache import CacheReader, MemberReader
from discordproxy_gateway.discord.reconnect import ReconnectStep, next_step
from discordproxy_gateway.keys import Keys, Slot
from discordproxy_gateway.options import GatewayOptions
from discordproxy_gateway.shard import term
from discordproxy_gateway.store import session_store
from discordproxy_gateway.store.scripts import Scripts
from discordproxy_gateway.worker import GatewayWorker
from discordproxy_ratelimit.redis import client as redis_client
from discordproxy_ratelimit.settings import world_of
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from fakes.gateway import TOKEN, FakeGateway

SLOT = Slot(0, 1)


@pytest.fixture
async def redis(valkey) -> AsyncIterator[Redis]:
    client = redis_client.connect(valkey)
    yield client
    await client.aclose()


@pytest.fixture
async def scripts(redis) -> AsyncIterator[Scripts]:
    scripts = Scripts(redis)
    yield scripts
    scripts.close()


@pytest.fixture
def keys(key_prefix, discord) -> Keys:
    return Keys(f"{key_prefix}:{world_of(discord.rest_url)}", "100000000000000001")


@pytest.fixture
async def reader(redis, keys) -> AsyncIterator[CacheReader]:
    reader = CacheReader(redis, keys)
    yield reader
    await reader.aclose()


@pytest.fixture
def members(redis, keys, reader) -> MemberReader:
    return MemberReader(redis, keys, reader)


@pytest.fixture
def streamed(redis, keys) -> Callable[[], Awaitable[list[int]]]:
    """Returns the numbers of the messages in the stream of events."""

    async def numbers() -> list[int]:
        rows = await redis.xrange(keys.stream(0, 1))
        return [int(fields[b"c"]) for _, fields in rows if fields[b"t"] == b"MESSAGE_CREATE"]

    return numbers


@pytest.fixture
async def discord() -> AsyncIterator[FakeGateway]:
    async with FakeGateway() as fake:
        yield fake


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the pauses between connections; `TestGate` and `unit/gateway/shard/test_decisions.py` test them."""

    def soon(*arguments: Any, **circumstances: Any) -> ReconnectStep:
        step = next_step(*arguments, **circumstances)
        return replace(step, wait_s=step.wait_s / 100)

    monkeypatch.setattr(term, "next_step", soon)
    monkeypatch.setattr(session_store, "GATE_MS", 50)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short pauses before connections."""
    hurry(monkeypatch)


class Running:
    """A worker in a task."""

    def __init__(self, worker: GatewayWorker) -> None:
        self.stopping = asyncio.Event()
        self.task = asyncio.create_task(worker.run(self.stopping))

    async def stop(self) -> None:
        """Hand over and end; raises what the worker raised."""
        self.stopping.set()
        await self.task


@pytest.fixture
async def sandbox(request) -> AsyncIterator[Sandbox]:
    """The stand-in for Discord that is as strict; its configuration is the parameter."""
    async with Sandbox(getattr(request, "param", SandboxConfig())) as sandbox:
        yield sandbox


@pytest.fixture
async def start(redis, keys, discord) -> AsyncIterator[Callable[..., Running]]:
    """Start a worker: `start(shards=2)`; all are stopped at the end."""
    async with starter(redis, keys, discord.rest_url) as begin:
        yield begin


@pytest.fixture
async def connect(redis, keys, sandbox) -> AsyncIterator[Callable[..., Running]]:
    """Start a worker at the sandbox, as `start` does at the fake."""
    async with starter(redis, keys, sandbox.rest_url) as begin:
        yield begin


@contextlib.asynccontextmanager
async def starter(redis: Redis, keys: Keys, rest_url: str) -> AsyncIterator[Callable[..., Running]]:
    async with AsyncExitStack() as stack:

        def begin(*, token: str = TOKEN, **options: Any) -> Running:
            settings: dict[str, Any] = {"rest_url": rest_url, "intents": ("guilds", "members")}
            running = Running(GatewayWorker(redis, keys, token, GatewayOptions(**(settings | options))))

            async def end() -> None:
                running.stopping.set()
                with contextlib.suppress(Exception):  # the test has looked at it
                    await running.task

            stack.push_async_callback(end)
            return running

        yield begin


@pytest.fixture
async def spawn(discord, valkey, key_prefix):
    """Start `python -m discordproxy_gateway`; what still runs at the end is killed."""
    processes = []

    async def begin(*arguments: str, **variables: str) -> asyncio.subprocess.Process:
        environment = {
            "PATH": os.environ["PATH"],
            "DISCORD_BOT_TOKEN": TOKEN,
            "DISCORDPROXY_DISCORD_URL": discord.rest_url,
            "DISCORDPROXY_REDIS_URL": valkey,
            "DISCORDPROXY_KEY_PREFIX": key_prefix,
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "discordproxy_gateway", *arguments),
            env=environment | variables,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        processes.append(process)
        return process

    yield begin
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.communicate()
