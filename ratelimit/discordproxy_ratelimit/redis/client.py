"""Redis and Valkey clients for one server, Sentinels or a Cluster. They never repeat a command.

A Cluster's client has the same commands as a server's client; this module contains the differences.
"""

import asyncio
import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, cast

from redis import DriverInfo
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.client import PubSub
from redis.asyncio.cluster import ClusterNode, ClusterPipeline
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import (
    ClusterDownError,
    RedisClusterException,
    RedisError,
)
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import TimeoutError as NoAnswer
from redis.retry import Retry

from discordproxy_ratelimit.errors import BrokerUnavailableError
from discordproxy_ratelimit.redis.connections import adapted
from discordproxy_ratelimit.redis.pipeline import Pipeline
from discordproxy_ratelimit.redis.pool import MAX_CONNECTIONS, UNBOUNDED, BoundedPool, RedisCertificates
from discordproxy_ratelimit.redis.refusals import LOGIN_REFUSED, NO_DATABASE, failure_of
from discordproxy_ratelimit.redis.url import Target, describe, parse


def connect(url: str, *, timeout_s: float = 1.0) -> Redis:
    """Return a client for `url` without opening a connection.

    A command without a reply is not repeated: it may have run, and only the caller can decide whether that is safe.
    Replies are bytes. Options in the URL's query have precedence over the defaults.

    Args:
        url: see `redis/url.py`; user, %-encoded password and options are part of it.
        timeout_s: timeout of connecting and of one reply, in seconds. Blocking commands require a client with a longer
            one.

    Raises:
        ValueError: the URL is invalid; the text names the accepted forms and never the password.
    """
    target = parse(url)
    options: dict[str, Any] = {
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "protocol": 2,  # RESP3 is not required, and without HELLO each connection saves a round trip
        "driver_info": _driver(),
    }
    if target.topology == "server":
        return _Client.from_pool(BoundedPool.from_url(target.library_url, wait_s=timeout_s, **options))
    options |= target.options
    return _behind_sentinels(target, options) if target.topology == "sentinel" else _in_cluster(target, options)


@functools.cache
def _driver() -> DriverInfo:
    """Return the library's name and version for servers; it would look them up for each connection (1 ms)."""
    return DriverInfo()


class _Client(Redis):
    """Runs a command once, without the library's retries and telemetry, which cost half as much again."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Run a command and return its reply, or raise it."""
        connection: Any = await self.connection_pool.get_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.send_command(*args)  # a failure here or below has closed the connection
            return await self.parse_response(connection, args[0], **options)
        finally:
            await self.connection_pool.release(connection)

    async def open_pipeline(self, *, timeout_s: float, on_lost: Callable[[], None]) -> Pipeline:
        """Return a new pipeline to the server, with the login and options of this client. As `Pipeline.connect`."""
        connection: Any = self.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        return await Pipeline.connect(connection, timeout_s=timeout_s, on_lost=on_lost)


class _Sentinels(Sentinel):
    """Queries Sentinels for the master, once for concurrent calls, and keeps no connection to them."""

    _querying: asyncio.Lock
    _master: tuple[str, int]
    _queries = _answered = 0

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        """Return host and port of the master."""
        before = self._queries
        async with self._querying:
            if self._answered <= before:  # else another call has queried them meanwhile
                self._queries += 1
                try:
                    self._master = await super().discover_master(service_name)
                    self._answered = self._queries
                finally:
                    for sentinel in self.sentinels:
                        await sentinel.aclose()
            return self._master


class _MasterPool(BoundedPool, SentinelConnectionPool):
    """Bounded connections to the master that Sentinels know."""

    def __init__(self, service_name: str, sentinel_manager: Sentinel, **options: Any) -> None:
        super().__init__(service_name=service_name, sentinel_manager=sentinel_manager, **options)

    async def aclose(self) -> None:
        """Close all connections, also those to Sentinels that a cancelled query has left."""
        await super().aclose()
        await self.sentinel_manager.aclose()


def _behind_sentinels(target: Target, options: dict[str, Any]) -> Redis:
    # An unreachable Sentinel must leave time for the others.
    wait_s = options["socket_timeout"]
    timeout_s = options["socket_connect_timeout"] / (len(target.hosts) + 1)
    login = {"username", "password", "db"}
    own = {name: value for name, value in options.items() if name not in login} | target.sentinel_options
    own |= {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
    sentinels = _Sentinels(list(target.hosts), sentinel_kwargs=own, **options)  # type: ignore[no-untyped-call]
    for sentinel in sentinels.sentinels:
        sentinel.connection_pool.connection_class = adapted(sentinel.connection_pool.connection_class)
    sentinels._querying = asyncio.Lock()  # noqa: SLF001 - our own class; the library's constructor takes no more
    master = sentinels.master_for(target.master, _Client, connection_pool_class=_MasterPool, wait_s=wait_s)
    return cast("Redis", master)


class _Cluster(RedisCluster):
    """Raises failures of the Cluster as a ConnectionError, as of a server; bounds the connections."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_connections=UNBOUNDED, **options)
        self._room = asyncio.Semaphore(MAX_CONNECTIONS)
        self._certificates = RedisCertificates()
        self._kind = adapted(self.connection_kwargs["connection_class"])
        make: Any = self._new_connection
        self.connection_kwargs["connection_class"] = make  # of nodes found later
        for node in self.startup_nodes:
            node.connection_class = make

    def _new_connection(self, **options: Any) -> Any:
        return self._certificates.share(self._kind(**options))

    async def execute_command(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command on its node; before the first reply the library would send it to any node."""
        async with self._room:
            await self.initialize()
            return await super().execute_command(*args, **kwargs)

    async def initialize(self, *args: Any, **kwargs: Any) -> RedisCluster:
        """Find the nodes. Raises ConnectionError if none answers."""
        with _as_connection_error():
            return await super().initialize(*args, **kwargs)

    async def get_nodes_from_slot(self, command: str, *args: Any) -> list[ClusterNode]:
        """Return the node for a command. Raises ConnectionError if the slot of its key has none."""
        with _as_connection_error():
            nodes: list[ClusterNode] = await super().get_nodes_from_slot(command, *args)
            return nodes

    def pipeline(self, transaction: Any = None, shard_hint: Any = None) -> ClusterPipeline:
        """Return a pipeline, which sends its commands to one or several nodes."""
        del shard_hint
        return _ClusterPipeline(self, transaction)  # type: ignore[abstract] # the library sets it in its base class


class _ClusterPipeline(ClusterPipeline):
    """Refreshes the nodes of the Cluster if one does not reply, as the library does for single commands."""

    async def execute(self, *args: Any, **kwargs: Any) -> list[Any]:
        """Run the commands. Raises as a server's pipeline does."""
        try:
            with _as_connection_error():
                replies: list[Any] = await super().execute(*args, **kwargs)
                return replies
        except (ConnectionLost, NoAnswer, ClusterDownError):
            self.cluster_client._initialize = True  # noqa: SLF001 - there is no public method for it
            raise


@contextlib.contextmanager
def _as_connection_error() -> Iterator[None]:
    try:
        yield
    except RedisClusterException as error:  # which is not a RedisError
        raise ConnectionLost(str(error)) from error


def _in_cluster(target: Target, options: dict[str, Any]) -> Redis:
    nodes = [ClusterNode(host, port) for host, port in target.hosts]
    # With steps, a moved key would sometimes close the connections of all calls in flight.
    return cast("Redis", _Cluster(startup_nodes=nodes, reinitialize_steps=0, **options))


def node_of(client: Redis, key: str) -> str:
    """Return the node of a Cluster that holds `key`, by the client's cache; an empty text for one server."""
    cluster = _as_cluster(client)
    if cluster is None or not cluster.nodes_manager.slots_cache:
        return ""
    node = cluster.get_node_from_key(key)
    return node.name if node else ""


async def run_id_of(client: Redis, key: str) -> str:
    """Return the run id of the server that holds `key`; another server, or the same after a restart, has another one.

    Raises:
        RedisError, OSError: it does not reply, or its Cluster is down.
    """
    cluster = _as_cluster(client)
    if cluster is None:
        return str((await client.info("server"))["run_id"])
    await cluster.get(key)  # finds the node, and fails while the Cluster is down
    return str((await cluster.info("server", target_nodes=cluster.get_node_from_key(key)))["run_id"])


async def open_pipeline(client: Any, *, timeout_s: float, on_lost: Callable[[], None]) -> Pipeline | None:
    """Return a new pipeline to the one server of `client`; None for a Cluster. As `Pipeline.connect`."""
    make = getattr(client, "open_pipeline", None)  # by its methods, so that a wrapped client is accepted, too
    return None if make is None else cast("Pipeline", await make(timeout_s=timeout_s, on_lost=on_lost))


async def run_id_behind(pipeline: Pipeline) -> str:
    """Return the run id of the server of `pipeline`. Raises RedisError if it does not reply."""
    info: bytes = await pipeline.send("INFO", "server")
    return next(line[7:] for line in info.decode().splitlines() if line.startswith("run_id:"))


def _as_cluster(client: Any) -> RedisCluster | None:
    # By its attributes, so that a wrapped client is accepted, too.
    return cast("RedisCluster", client) if hasattr(client, "nodes_manager") else None


def subscription(client: Redis, key: str) -> PubSub:
    """Return a new subscription; in a Cluster to the node that holds `key`, without detours between nodes."""
    cluster = _as_cluster(client)
    if cluster is None:
        return client.pubsub(ignore_subscribe_messages=True)
    return cluster.pubsub(node=cluster.get_node_from_key(key), ignore_subscribe_messages=True)


async def close_idle(client: Redis) -> None:
    """Close idle connections: after a failure they may be broken."""
    if _as_cluster(client) is None:  # a Cluster's client does that itself
        await client.connection_pool.disconnect(inuse_connections=False)


async def wait_for(url: str, *, within_s: float) -> None:
    """Return when the server of `url` replies to PING.

    Raises:
        BrokerUnavailableError: it did not within `within_s` seconds, or it refused login or database.
        ValueError: as `connect`.
    """
    client, refused = connect(url), ""
    try:
        async with asyncio.timeout(within_s):
            while True:
                try:
                    await client.execute_command("PING")  # type: ignore[no-untyped-call] # raw commands have no types
                except (RedisError, OSError) as error:
                    if (refused := failure_of(error)) in (LOGIN_REFUSED, NO_DATABASE):
                        raise _unavailable(url, refused) from None
                else:
                    return
                await asyncio.sleep(0.05)
    except TimeoutError:
        silence = f"did not answer for {within_s:g} s; start it or set DISCORDPROXY_REDIS_URL"
        raise _unavailable(url, refused or silence) from None
    finally:
        await client.aclose()


def _unavailable(url: str, happened: str) -> BrokerUnavailableError:
    return BrokerUnavailableError(f"Redis at {describe(url)} {happened}")
