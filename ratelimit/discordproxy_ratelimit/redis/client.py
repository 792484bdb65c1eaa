"""From a Redis or Valkey URL to a client that never repeats a command by itself, whatever finds the server.

Knows nothing of scripts or buckets. A Cluster's client has the commands of a server's client; what differs between
them is here.
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
    AuthenticationError,
    ClusterDownError,
    NoPermissionError,
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
from discordproxy_ratelimit.redis.url import Target, describe, parse

LOGIN_REFUSED = "refused the login; check user and password in DISCORDPROXY_REDIS_URL"


def connect(url: str, *, timeout_s: float = 1.0) -> Redis:
    """Return a client for `url` without opening a connection yet.

    A lost reply is never followed by a silent second attempt: the command may have run, and charging a limit twice is
    for the caller to judge. Replies are bytes. Options in the URL's query win over the defaults here.

    Args:
        url: see `redis_url`, with user, %-encoded password and options in the URL.
        timeout_s: bound of connecting and of one reply, in seconds. A blocking command needs its own client with a
            longer one.

    Raises:
        ValueError: the URL has another form; the text names the accepted ones and never the password.
    """
    target = parse(url)
    options: dict[str, Any] = {
        "retry": Retry(NoBackoff(), 0),
        "socket_timeout": timeout_s,
        "socket_connect_timeout": timeout_s,
        "protocol": 2,  # nothing here needs RESP3, and without HELLO one round trip per connection is saved
        "driver_info": _driver(),
    }
    if target.topology == "server":
        return _Client.from_pool(BoundedPool.from_url(target.library_url, wait_s=timeout_s, **options))
    options |= target.options
    return _behind_sentinels(target, options) if target.topology == "sentinel" else _in_cluster(target, options)


@functools.cache
def _driver() -> DriverInfo:
    """What servers are told of the library; it would look up its own version for every connection, at a millisecond."""
    return DriverInfo()


class _Client(Redis):
    """Runs a command once. The library also prepares repeats and telemetry, for half as much again."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Run a command and return its reply, or raise it."""
        connection: Any = await self.connection_pool.get_connection()  # type: ignore[no-untyped-call]
        try:
            await connection.send_command(*args)  # what fails here or below has closed the connection
            return await self.parse_response(connection, args[0], **options)
        finally:
            await self.connection_pool.release(connection)

    async def open_pipeline(self, *, timeout_s: float, on_lost: Callable[[], None]) -> Pipeline:
        """Return a new pipeline to the server, with the login and options of this client. As `Pipeline.connect`."""
        connection: Any = self.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        return await Pipeline.connect(connection, timeout_s=timeout_s, on_lost=on_lost)


class _Sentinels(Sentinel):
    """Asks Sentinels where the master is, once for a crowd, and keeps no connection to them in between."""

    _asking: asyncio.Lock
    _master: tuple[str, int]
    _asked = _answered = 0

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        """Return host and port of the master."""
        before = self._asked
        async with self._asking:
            if self._answered <= before:  # else somebody has asked since this call came
                self._asked += 1
                try:
                    self._master = await super().discover_master(service_name)
                    self._answered = self._asked
                finally:
                    for sentinel in self.sentinels:
                        await sentinel.aclose()
            return self._master


class _MasterPool(BoundedPool, SentinelConnectionPool):
    """Bounded connections to the master that Sentinels know."""

    def __init__(self, service_name: str, sentinel_manager: Sentinel, **options: Any) -> None:
        super().__init__(service_name=service_name, sentinel_manager=sentinel_manager, **options)

    async def aclose(self) -> None:
        """Close all connections, also those to Sentinels that a cancelled question has left."""
        await super().aclose()
        await self.sentinel_manager.aclose()


def _behind_sentinels(target: Target, options: dict[str, Any]) -> Redis:
    # One that is gone without a word must leave time for asking the others.
    wait_s = options["socket_timeout"]
    patience_s = options["socket_connect_timeout"] / (len(target.hosts) + 1)
    login = {"username", "password", "db"}
    own = {name: value for name, value in options.items() if name not in login} | target.sentinel_options
    own |= {"socket_timeout": patience_s, "socket_connect_timeout": patience_s}
    sentinels = _Sentinels(list(target.hosts), sentinel_kwargs=own, **options)  # type: ignore[no-untyped-call]
    for sentinel in sentinels.sentinels:
        sentinel.connection_pool.connection_class = adapted(sentinel.connection_pool.connection_class)
    sentinels._asking = asyncio.Lock()  # noqa: SLF001 - our own class; the library's constructor takes no more
    master = sentinels.master_for(target.master, _Client, connection_pool_class=_MasterPool, wait_s=wait_s)
    return cast("Redis", master)


class _Cluster(RedisCluster):
    """Says what went wrong with the Cluster as a whole as the library says it of a server; has bounded connections."""

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
        """Run a command where it belongs; the library sends those before the first answer to any node."""
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
        """Return a pipeline; several, if its commands turn out to belong to several nodes."""
        del shard_hint
        return _ClusterPipeline(self, transaction)  # type: ignore[abstract] # the library sets it in its base class


class _ClusterPipeline(ClusterPipeline):
    """Leads to a new look at the Cluster when a node does not answer, as single commands do in the library."""

    async def execute(self, *args: Any, **kwargs: Any) -> list[Any]:
        """Run the commands. Raises as a server's pipeline does."""
        try:
            with _as_connection_error():
                replies: list[Any] = await super().execute(*args, **kwargs)
                return replies
        except (ConnectionLost, NoAnswer, ClusterDownError):
            self.cluster_client._initialize = True  # noqa: SLF001 - there is no other way to ask for it
            raise


@contextlib.contextmanager
def _as_connection_error() -> Iterator[None]:
    try:
        yield
    except RedisClusterException as error:  # which is not a RedisError
        raise ConnectionLost(str(error)) from error


def _in_cluster(target: Target, options: dict[str, Any]) -> Redis:
    nodes = [ClusterNode(host, port) for host, port in target.hosts]
    # With steps, a key that has moved would now and then close the connections of all calls under way.
    return cast("Redis", _Cluster(startup_nodes=nodes, reinitialize_steps=0, **options))


def node_of(client: Redis, key: str) -> str:
    """Return which node of a Cluster holds `key` as far as the client knows; an empty text for one server."""
    cluster = _as_cluster(client)
    if cluster is None or not cluster.nodes_manager.slots_cache:
        return ""
    node = cluster.get_node_from_key(key)
    return node.name if node else ""


async def run_id_of(client: Redis, key: str) -> str:
    """Return the id of the run of the server that holds `key`: another server or a new start of it has another one.

    Raises:
        RedisError, OSError: it does not answer, or the Cluster it belongs to is down.
    """
    cluster = _as_cluster(client)
    if cluster is None:
        return str((await client.info("server"))["run_id"])
    await cluster.get(key)  # finds the node, and fails while the Cluster serves nothing
    return str((await cluster.info("server", target_nodes=cluster.get_node_from_key(key)))["run_id"])


async def open_pipeline(client: Any, *, timeout_s: float, on_lost: Callable[[], None]) -> Pipeline | None:
    """Return a new pipeline to the one server of `client`; None for a Cluster. As `Pipeline.connect`."""
    make = getattr(client, "open_pipeline", None)  # by what it can do, so that a client in a wrapper counts, too
    return None if make is None else cast("Pipeline", await make(timeout_s=timeout_s, on_lost=on_lost))


async def run_id_behind(pipeline: Pipeline) -> str:
    """Return the id of the run of the server of `pipeline`. Raises RedisError: it does not answer."""
    info: bytes = await pipeline.send("INFO", "server")
    return next(line[7:] for line in info.decode().splitlines() if line.startswith("run_id:"))


def _as_cluster(client: Any) -> RedisCluster | None:
    # By what it can do, so that a client in a wrapper counts, too.
    return cast("RedisCluster", client) if hasattr(client, "nodes_manager") else None


def subscription(client: Redis, key: str) -> PubSub:
    """Return a new subscription; in a Cluster at the node that holds `key`, whose messages then take no detour."""
    cluster = _as_cluster(client)
    if cluster is None:
        return client.pubsub(ignore_subscribe_messages=True)
    return cluster.pubsub(node=cluster.get_node_from_key(key), ignore_subscribe_messages=True)


async def close_idle(client: Redis) -> None:
    """Close the connections nobody uses: after a failure they may be dead without knowing."""
    if _as_cluster(client) is None:  # which does that by itself
        await client.connection_pool.disconnect(inuse_connections=False)


async def wait_for(url: str, *, within_s: float) -> None:
    """Return once the server of `url` answers PING.

    Raises:
        BrokerUnavailable: it did not within `within_s` seconds, or refused the login.
        ValueError: as `connect`.
    """
    client = connect(url)
    try:
        async with asyncio.timeout(within_s):
            while True:
                try:
                    await client.execute_command("PING")  # type: ignore[no-untyped-call] # raw commands have no types
                except (RedisError, OSError) as error:
                    if login_refused(error):
                        raise _unavailable(url, LOGIN_REFUSED) from None
                else:
                    return
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise _unavailable(url, f"did not answer for {within_s:g} s; start it or set DISCORDPROXY_REDIS_URL") from None
    finally:
        await client.aclose()


def login_refused(error: BaseException) -> bool:
    """Tell whether a client's error means a wrong user or password; the library may wrap that into another one."""
    kinds = (AuthenticationError, NoPermissionError)
    return isinstance(error, kinds) or isinstance(error.__cause__, kinds)


def _unavailable(url: str, happened: str) -> BrokerUnavailableError:
    return BrokerUnavailableError(f"Redis at {describe(url)} {happened}")
