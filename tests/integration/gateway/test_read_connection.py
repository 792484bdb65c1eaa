"""The connection of the caches' readers: pipelined if possible, through redis-py otherwise."""

import os

import pytest
from redis.exceptions import RedisError, ResponseError

from discordproxy_gateway.cache import connection as module
from discordproxy_gateway.cache.commands import Commands
from discordproxy_gateway.cache.connection import ReadConnection
from discordproxy_ratelimit.redis import client as redis_client
from discordproxy_ratelimit.redis.pipeline import pack
from fakes.eventually import eventually
from processes.redis_servers import blocking

pytestmark = pytest.mark.skipif(os.environ.get("TOPOLOGY") == "cluster", reason="a Cluster has no pipeline")

PING = pack([("PING",)])


@pytest.fixture
async def redis(own_valkey):
    client = redis_client.connect(own_valkey.url)
    yield client
    await client.aclose()


@pytest.fixture
async def connection(redis, monkeypatch):
    monkeypatch.setattr(module, "REOPEN_S", 0.01)
    connection = ReadConnection(redis)
    yield connection
    await connection.aclose()


async def pipelined(connection) -> bool:
    """Return whether packed commands are answered."""
    reply = connection.send_packed(PING, 1)
    try:
        return reply is not None and await reply == [b"PONG"]
    except RedisError:
        return False


def reading(key: str) -> Commands:
    commands = Commands()
    commands.get(key)
    commands.hgetall("nowhere")
    return commands


async def test_commands_run_before_the_pipeline_is_open_and_through_it(connection, redis):
    await redis.set("key", "value")
    now_ms, replies = await connection.run(reading("key"))
    assert replies == [b"value", {}]
    await eventually(lambda: pipelined(connection))
    later_ms, replies = await connection.run(reading("key"))
    assert replies == [b"value", {}]
    assert later_ms >= now_ms


async def test_a_forgotten_script_is_sent_again(connection, own_valkey):
    await eventually(lambda: pipelined(connection))
    with blocking(own_valkey.operator_url) as operator:
        operator.script_flush()
    assert (await connection.run(reading("key")))[1] == [None, {}]


async def test_a_lost_pipeline_is_replaced(connection, own_valkey):
    await eventually(lambda: pipelined(connection))
    own_valkey.stop()
    assert not await pipelined(connection)
    with pytest.raises((RedisError, OSError)):
        await connection.run(reading("key"))
    own_valkey.start()
    await eventually(lambda: pipelined(connection))
    assert (await connection.run(reading("key")))[1] == [None, {}]


async def test_a_refused_command_fails_only_its_own_read(connection, redis):
    await redis.set("nowhere", "no hash")
    await eventually(lambda: pipelined(connection))
    with pytest.raises(ResponseError):
        await connection.run(reading("key"))
    assert await pipelined(connection)


async def test_a_closed_connection_opens_no_pipeline(connection, redis):
    await eventually(lambda: pipelined(connection))
    await connection.aclose()
    assert connection.send_packed(PING, 1) is None
    assert (await connection.run(reading("key")))[1] == [None, {}]
