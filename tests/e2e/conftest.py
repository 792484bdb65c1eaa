"""A whole server of real processes with a local Discord, on ports and in folders of the test's own."""

import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio
import pytest

from discordproxy import discord_api_pb2_grpc as rpc
from discordproxy_ratelimit.redis.client import connect as connect_to_redis
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from fakes import ports
from processes.deployment import COMMANDS, TOKEN, Connect, EndClaims, Server
from processes.process import Process


@pytest.fixture
def free_port() -> int:
    return ports.free_port()


@pytest.fixture
def settings(tmp_path_factory: pytest.TempPathFactory, free_port: int, valkey_binary: str) -> dict[str, str]:
    """The environment of a server; no Discord yet. The runtime folder is short: sockets live in it."""
    runtime = tmp_path_factory.mktemp("r")
    runtime.chmod(0o700)
    return {
        "DISCORD_BOT_TOKEN": TOKEN,
        "DISCORDPROXY_PORT": str(free_port),
        "XDG_RUNTIME_DIR": str(runtime),
        "HOME": str(runtime),
        "TZ": "UTC",
    }


@pytest.fixture
def http_ports(settings: dict[str, str]) -> list[int]:
    """Two ports in a row, for the first worker and the second."""
    chosen = ports.free_ports(2)
    settings["DISCORDPROXY_HTTP_PORT"] = str(chosen[0])
    return chosen


@pytest.fixture
async def discord(request: pytest.FixtureRequest, settings: dict[str, str]) -> AsyncIterator[Sandbox]:
    """A Discord that knows the test's token; its configuration can be given by indirect parametrization."""
    async with Sandbox(getattr(request, "param", SandboxConfig(token=TOKEN))) as sandbox:
        settings["DISCORDPROXY_DISCORD_URL"] = sandbox.rest_url
        yield sandbox


@pytest.fixture
def server(settings: dict[str, str], tmp_path: Path) -> Server:
    """`async with server("--workers", "2") as process`: discordproxyserver, talkative."""

    def make(*arguments: str, command: str = "discordproxyserver", **changes: str) -> Process:
        level = ("--log-console-level", "INFO") if command == "discordproxyserver" else ()
        return Process(str(COMMANDS / command), *level, *arguments, env={**settings, **changes}, cwd=tmp_path)

    return make


@pytest.fixture
async def connect(free_port: int) -> AsyncIterator[Connect]:
    """Each call opens a connection of its own, so that the kernel may give it to any of the workers."""
    async with contextlib.AsyncExitStack() as stack:
        opened: list[grpc.aio.Channel] = []

        def make() -> rpc.DiscordApiStub:
            options = [("grpc.use_local_subchannel_pool", 1), ("grpc.initial_reconnect_backoff_ms", 100)]
            opened.append(grpc.aio.insecure_channel(f"127.0.0.1:{free_port}", options))
            stack.push_async_callback(opened[-1].close)
            return rpc.DiscordApiStub(opened[-1])

        yield make


@pytest.fixture
def end_claims(settings: dict[str, str], valkey: str, key_prefix: str) -> EndClaims:
    """`await end_claims(lease_s)` ends the claims of killed workers, as their leases would, and returns their number.

    That a claim ends with its lease is tested in `integration/ratelimit/shared/test_claims.py`.
    """
    settings |= {"DISCORDPROXY_REDIS_URL": valkey, "DISCORDPROXY_KEY_PREFIX": key_prefix}

    async def end(lease_s: float) -> int:
        async with contextlib.aclosing(connect_to_redis(valkey)) as client:
            claims = [key async for key in client.scan_iter(f"{{{key_prefix}:*}}:note:once:*")]
            held = {key: until for key in claims if (until := await client.hget(key, "alive_until")) is not None}
            for key, until in held.items():
                assert int(until) / 1000 <= time.time() + lease_s
                await client.hset(key, "alive_until", 0)
        return len(held)

    return end
