"""The gateway worker's own requests share the bot's limits with the API workers."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from discordproxy_gateway.discord import bot_client
from discordproxy_gateway.options import GatewayOptions
from discordproxy_gateway.request_permits import NoPermitError, OpenBroker, RequestPermits
from discordproxy_gateway.worker import GatewayWorker
from discordproxy_ratelimit.broker import Broker, Limits
from discordproxy_ratelimit.headers import Answer
from discordproxy_ratelimit.metrics import Decisions
from discordproxy_ratelimit.redis.client import connect as connect_redis
from discordproxy_ratelimit.route import route_of_path
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from fakes.eventually import eventually
from fakes.gateway import BOT, TOKEN
from fakes.ports import free_port

INTENTS = bot_client.discord.Intents.none().value
ANSWER = Answer(200, "h1", 5, 4, 1_790_000_001_000, 1.0)


def opener(url: str, prefix: str, global_limit: int = 1) -> OpenBroker:
    def open_broker() -> Broker:
        return Broker(
            connect_redis(url),
            prefix=prefix,
            bot_id=BOT["id"],
            limits=Limits(global_limit=global_limit),
            decisions=Decisions(CollectorRegistry()),
        )

    return open_broker


@pytest.fixture
async def bot(sandbox, valkey, key_prefix):
    permits = RequestPermits(opener(valkey, key_prefix), sandbox.rest_url)
    bot = bot_client.BotClient(intents=INTENTS, rest_url=sandbox.rest_url, permits=permits)
    yield bot
    await bot.close()


@pytest.fixture
async def broker(valkey, key_prefix):
    broker = opener(valkey, key_prefix)()
    await broker.start()
    yield broker
    await broker.close()


async def test_a_request_waits_for_the_calls_of_the_workers(bot, broker, sandbox):
    await bot.log_in(TOKEN)
    async with broker.acquire(route_of_path("GET", "/channels/81384788765712384")) as permit:
        permit.sent()  # uses the whole limit until it is answered
        reading = asyncio.create_task(bot.gateway_info())
        await eventually(lambda: waiting(broker))
        assert sandbox.gateway.stats.infos == 0
        permit.complete(ANSWER)
    await reading
    assert sandbox.gateway.stats.infos == 1


async def waiting(broker: Broker) -> bool:
    """Return whether a call of any worker waits for the bot's limit."""
    return (await broker.inspect([])).global_waiting > 0


@pytest.mark.parametrize("sandbox", [SandboxConfig(global_limit=1)], indirect=True, ids=["one a second"])
async def test_a_worker_that_starts_exceeds_no_limit(sandbox: Sandbox, redis, keys, valkey, key_prefix):
    stopping = asyncio.Event()
    options = GatewayOptions(rest_url=sandbox.rest_url, intents=("guilds",))
    worker = GatewayWorker(redis, keys, TOKEN, options, opener(valkey, key_prefix))
    running = asyncio.create_task(worker.run(stopping))
    await eventually(lambda: sandbox.gateway.stats.identifies == 1 and len(sandbox.ledger.records) >= 3, within_s=30)
    stopping.set()
    await running
    assert sandbox.ledger.avoidable_429s == 0


async def test_without_redis_nothing_is_sent(sandbox):
    url = f"redis://127.0.0.1:{free_port()}"
    bot = bot_client.BotClient(
        intents=INTENTS, rest_url=sandbox.rest_url, permits=RequestPermits(opener(url, "none"), sandbox.rest_url)
    )
    try:
        with pytest.raises(NoPermitError, match="no permit for GET /users/@me"):
            await bot.log_in(TOKEN)
    finally:
        await bot.close()
    assert not sandbox.ledger.records
