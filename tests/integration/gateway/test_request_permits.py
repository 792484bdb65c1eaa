"""The gateway worker's own requests share the bot's limits with the API workers."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from discordproxy_gateway.discord import bot_client
from discordproxy_gateway.discord.failures import FatalError
from discordproxy_gateway.discord.request_errors import describe
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
from processes.redis_servers import blocking

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


@pytest.mark.parametrize(
    ("written", "instead"),
    [("http://127.0.0.1", "http://127.0.0.1"), ("http://127.0.0.1", "HTTP://LocalHost"), ("/api/", "/api/./")],
)
async def test_without_redis_nothing_is_sent(sandbox, written, instead):
    """However the address of Discord is written."""
    rest_url = sandbox.rest_url.replace(written, instead)
    url = f"redis://127.0.0.1:{free_port()}"
    bot = bot_client.BotClient(
        intents=INTENTS, rest_url=rest_url, permits=RequestPermits(opener(url, "none"), rest_url)
    )
    try:
        with pytest.raises(NoPermitError, match="no permit: Redis refuses connections") as caught:
            await bot.log_in(TOKEN)
        assert describe(caught.value) == "no permit: Redis refuses connections; start it or set DISCORDPROXY_REDIS_URL"
    finally:
        await bot.close()
    assert not sandbox.ledger.records


async def test_a_token_that_was_rejected_is_tried(bot, broker, sandbox):
    """It may be a new one; the broker cannot distinguish the tokens of a bot."""
    async with broker.acquire(route_of_path("GET", "/users/@me")) as permit:
        permit.sent()
        permit.complete(Answer(401, "", None, None, None, None))
    await bot.log_in(TOKEN)
    assert [record.status for record in sandbox.ledger.records] == [200]


@pytest.mark.parametrize("sandbox", [SandboxConfig(token="another")], indirect=True, ids=["another token"])
async def test_a_wrong_token_is_reported_although_calls_have_met_it(broker, sandbox, redis, keys, valkey, key_prefix):
    async with broker.acquire(route_of_path("GET", "/users/@me")) as permit:
        permit.sent()
        permit.complete(Answer(401, "", None, None, None, None))
    options = GatewayOptions(rest_url=sandbox.rest_url, intents=("guilds",))
    worker = GatewayWorker(redis, keys, TOKEN, options, opener(valkey, key_prefix))
    async with asyncio.timeout(20):
        with pytest.raises(FatalError, match="rejected the bot token"):
            await worker.run(asyncio.Event())


async def test_a_cancelled_request_leaves_no_broker(sandbox, own_valkey):
    permits = RequestPermits(opener(own_valkey.url, "cancelled"), sandbox.rest_url)
    for turns in (0, 1, 2, 5, 10, 20, 50, 100, 200):
        bot = bot_client.BotClient(intents=INTENTS, rest_url=sandbox.rest_url, permits=permits)
        logging_in = asyncio.create_task(bot.log_in(TOKEN))
        for _ in range(turns):
            await asyncio.sleep(0)
        logging_in.cancel()
        await asyncio.sleep(0)
        logging_in.cancel()  # also while the broker is closed
        await asyncio.wait([logging_in])
        await bot.close()
    await eventually(lambda: not any(task.get_name().startswith("broker-") for task in asyncio.all_tasks()))
    with blocking(own_valkey.operator_url) as operator:
        await eventually(lambda: len(applications(operator)) == 1)


def applications(server) -> list[dict[str, str]]:
    """Return the clients of a server other than its Sentinels and replicas."""
    clients = server.client_list()
    return [each for each in clients if not each["name"].startswith("sentinel-") and "S" not in each["flags"]]
