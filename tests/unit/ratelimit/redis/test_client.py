"""The client of a URL: its options, and no repeat after a lost reply."""

import pytest
from redis.asyncio import RedisCluster
from redis.asyncio.sentinel import SentinelConnectionPool

from discordproxy_ratelimit.redis.client import connect


def test_schemes_of_valkey_mean_the_same_as_those_of_redis() -> None:
    plain, encrypted = connect("valkey://cache:7000/3"), connect("valkeys://cache")
    assert plain.connection_pool.connection_kwargs["db"] == 3
    assert "SSL" in encrypted.connection_pool.connection_class.__name__


@pytest.mark.parametrize("url", ["redis://cache", "unix:///run/x.sock", "rediss://user:pw@cache"])
def test_the_client_repeats_nothing_by_itself(url: str) -> None:
    assert connect(url).connection_pool.connection_kwargs["retry"].get_retries() == 0


def test_options_in_the_url_win() -> None:
    assert connect("redis://cache?socket_timeout=7").connection_pool.connection_kwargs["socket_timeout"] == 7.0


def test_of_several_servers_each_connection_gets_login_and_options() -> None:
    sentinels = "rediss+sentinel://user:pa%40ss@one,two:7/main/3?ssl_ca_certs=/ca&sentinel_password=other"
    pool = connect(sentinels, timeout_s=3.0).connection_pool
    assert isinstance(pool, SentinelConnectionPool)
    expected = {"username": "user", "password": "pa@ss", "db": 3, "ssl_ca_certs": "/ca", "socket_timeout": 3.0}
    assert expected.items() <= pool.connection_kwargs.items()
    assert pool.connection_kwargs["retry"].get_retries() == 0
    asked = [sentinel.connection_pool.connection_kwargs for sentinel in pool.sentinel_manager.sentinels]
    assert [(each["host"], each["port"]) for each in asked] == [("one", 26379), ("two", 7)]
    assert all(each["password"] == "other" and each["db"] == 0 and each["socket_timeout"] == 1.0 for each in asked)


async def test_a_cluster_is_entered_through_any_of_its_nodes_and_repeats_nothing() -> None:
    client = connect("rediss+cluster://user:pw@one,two:7?ssl_ca_certs=/ca", timeout_s=3.0)
    assert isinstance(client, RedisCluster)
    assert client.retry.get_retries() == 0
    assert [(node.host, node.port) for node in client.startup_nodes] == [("one", 6379), ("two", 7)]
    expected = {"username": "user", "password": "pw", "ssl_ca_certs": "/ca", "socket_timeout": 3.0}
    assert all(expected.items() <= node.connection_kwargs.items() for node in client.startup_nodes)


async def test_certificates_are_read_once_for_all_connections_of_a_client() -> None:
    for url in ("rediss://cache", "rediss+sentinel://one/main"):
        pool = connect(url).connection_pool
        assert pool.make_connection().ssl_context is pool.make_connection().ssl_context
    client = connect("rediss+cluster://one,two")
    assert isinstance(client, RedisCluster)
    contexts = {id(node.acquire_connection().ssl_context) for node in client.startup_nodes * 2}
    later = client.connection_kwargs["connection_class"](host="three", port=6379)
    assert contexts == {id(later.ssl_context)}
