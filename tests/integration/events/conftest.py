"""Everything between Discord's gateway and a subscriber, in this process: gateway worker, Valkey, API worker, gRPC."""

import asyncio
import warnings

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # discord.py imports audioop
    import discord as _  # noqa: F401

from discordproxy_api.settings import ApiSettings
from discordproxy_gateway.keys import Keys
from discordproxy_gateway.options import GatewayOptions
from discordproxy_gateway.worker import GatewayWorker
from discordproxy_ratelimit.redis import client as redis_client
from fakes.eventually import eventually
from fakes.gateway import TOKEN, FakeGateway
from integration.api.conftest import serve
from integration.gateway.conftest import hurry

INTENTS = ("guilds", "messages", "reactions")


@pytest.fixture
async def gateway():
    """A fake gateway of Discord."""
    async with FakeGateway() as fake:
        yield fake


@pytest.fixture
async def redis(valkey):
    client = redis_client.connect(valkey, timeout_s=10)
    yield client
    await client.aclose()


@pytest.fixture
def keys(key_prefix):
    return Keys(key_prefix, ApiSettings(DISCORD_BOT_TOKEN=TOKEN).bot_id)


@pytest.fixture
async def leader(gateway, redis, keys, monkeypatch):
    """A gateway worker that is connected, and soon is again."""
    hurry(monkeypatch)
    stopping = asyncio.Event()
    worker = asyncio.create_task(
        GatewayWorker(redis, keys, TOKEN, GatewayOptions(rest_url=gateway.rest_url, intents=INTENTS, lease_s=1.0)).run(
            stopping
        )
    )
    try:
        await gateway.until(lambda: gateway.live, within_s=60)
        await eventually(lambda: redis.exists(keys.stream_meta(0, 1)), within_s=60)
        yield stopping
    finally:
        stopping.set()
        await worker


@pytest.fixture
def worker(gateway, valkey, key_prefix):
    """Start an API worker: `async with worker() as served`."""

    def begin(**settings):
        values = {"DISCORD_BOT_TOKEN": TOKEN, "redis": valkey, "key_prefix": key_prefix, "event_heartbeat": 0.2}
        return serve(gateway, **(values | settings))

    return begin
