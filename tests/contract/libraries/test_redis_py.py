"""Names and behaviour of redis-py that the broker relies on, private ones among them, and the bounds in pyproject.toml.

A new major version is taken only when these pass on it; each says what moved.
"""

import inspect
import re
from importlib.metadata import version
from pathlib import Path

import pytest
import redis
import tomllib
from redis._parsers.base import BaseParser
from redis._parsers.hiredis import _AsyncHiredisParser
from redis.asyncio import (
    BlockingConnectionPool,
    Connection,
    ConnectionPool,
    Redis,
    RedisCluster,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.cluster import ClusterNode, ClusterPipeline
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.connection import HiredisRespSerializer
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ReadOnlyError, ResponseError

PROJECT = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
REQUIRED = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["server"]]
INTERNALS = {"redis", "discord.py", "aiohttp"}
"""Packages whose next major version may move what we use."""


def parameters(function) -> list[str]:
    return list(inspect.signature(function).parameters)


def source(function) -> str:
    return inspect.getsource(function)


def test_version():
    assert redis.__version__.split(".")[0] == "8", "read the release notes, run the tests of Redis, change the bound"


def test_the_serializer_packs_without_a_connection():
    assert HiredisRespSerializer().pack("SET", "k", b"v") == [b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n"]


def test_a_connection_writes_and_reads_under_its_own_time_limit():
    """connections: the limit is kept in `socket_timeout`, and without one the library calls no `wait_for`."""
    assert parameters(AbstractConnection.send_packed_command)[:3] == ["self", "command", "check_health"]
    assert "timeout" in parameters(AbstractConnection.read_response)
    assert "check_health" in parameters(AbstractConnection.connect_check_health)
    for function in (AbstractConnection.send_packed_command, AbstractConnection.read_response):
        assert "self.socket_timeout" in source(function), f"{function.__name__} takes its limit from elsewhere"
    assert re.search(
        r"if self\.socket_timeout[^\n]*:\s+await asyncio\.wait_for", source(AbstractConnection.send_packed_command)
    )
    assert isinstance(AbstractConnection.is_connected, property)
    assert "self.pack_command(" in source(AbstractConnection.send_command)


def test_a_connection_closes_at_once_on_request():
    assert "nowait" in parameters(AbstractConnection.disconnect)
    connection = Connection()
    assert connection._writer is None, "connections: the transport behind it is cut"
    assert callable(connection.should_reconnect)
    assert hasattr(SSLConnection(), "ssl_context"), "pool: shared by all connections"


def test_a_connection_that_has_logged_in_can_be_taken_over():
    """pipeline: its writer is taken out, then it closes nothing when it is collected; its parser is of no use."""
    connection = Connection()
    assert connection._reader is None
    assert connection._writer is None
    assert re.search(r"self\._writer = writer", source(Connection._connect))
    assert re.search(r"self\._writer = writer", source(UnixDomainSocketConnection._connect))
    assert inspect.iscoroutinefunction(connection.connect)
    assert inspect.iscoroutinefunction(connection.can_read)
    assert "at_eof()" in source(_AsyncHiredisParser.can_read), "pipeline: a closed connection is refused"
    assert "_stream._buffer" in source(_AsyncHiredisParser.can_read), "pipeline: so is one with unread data"
    assert Connection(socket_timeout=0.5).socket_timeout == 0.5


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("NOSCRIPT No matching script", NoScriptError),
        ("READONLY You can't write", ReadOnlyError),
        ("LOADING Redis is loading", RedisConnectionError),
        ("NOAUTH Authentication required.", RedisConnectionError),
        ("ERR unknown", ResponseError),
    ],
)
def test_a_parser_names_errors_without_a_connection(text, kind):
    assert isinstance(BaseParser.parse_error(text), kind)


def test_a_pool_gives_and_takes_connections_as_ours_does():
    pool = ConnectionPool(connection_class=Connection)
    assert (type(pool._in_use_connections), type(pool._available_connections)) == (set, list)
    for name in ("get_available_connection", "ensure_connection", "make_connection", "reset", "disconnect"):
        assert callable(getattr(pool, name)), f"ConnectionPool.{name} moved"
    connection = pool.get_available_connection()
    assert connection in pool._in_use_connections, "taking one notes it"
    assert isinstance(connection, pool.connection_class)
    assert issubclass(BlockingConnectionPool, ConnectionPool)


def test_a_client_runs_a_command_in_three_steps():
    for name in ("from_pool", "parse_response", "execute_command", "pubsub"):
        assert callable(getattr(Redis, name)), f"Redis.{name} moved"
    assert "connection_pool" in source(Redis.__init__)


def test_names_of_sentinels():
    assert parameters(Sentinel.discover_master) == ["self", "service_name"]
    assert {"service_name", "sentinel_manager"} <= set(parameters(SentinelConnectionPool.__init__))
    assert "connection_pool_class" in parameters(Sentinel.master_for)
    assert Sentinel([("127.0.0.1", 1)]).sentinels[0].connection_pool.connection_class


async def test_names_of_the_cluster():
    cluster = RedisCluster(startup_nodes=[ClusterNode("127.0.0.1", 1)], reinitialize_steps=0)
    assert "connection_class" in cluster.connection_kwargs
    assert cluster.startup_nodes[0].connection_class
    assert cluster.nodes_manager.slots_cache == {}
    assert cluster._initialize is True
    for name in ("initialize", "get_nodes_from_slot", "get_node_from_key", "pubsub", "execute_command"):
        assert callable(getattr(cluster, name)), f"RedisCluster.{name} moved"
    assert "cluster_client" in source(ClusterPipeline.__init__)
    await cluster.aclose()


@pytest.mark.parametrize("requirement", REQUIRED)
def test_every_requirement_has_a_floor_and_those_with_private_names_in_use_a_cap(requirement):
    name, floor = re.match(r"([A-Za-z0-9_.-]+)>=([0-9.]+)", requirement).groups()
    assert ("<" in requirement.partition(";")[0]) == (name in INTERNALS | {"protobuf"}), requirement
    numbers = [tuple(map(int, re.findall(r"\d+", text)[:3])) for text in (version(name), floor)]
    assert numbers[0] >= numbers[1], f"the tests run on an older {name} than is asked for"
