"""Real servers in their supported topologies, from the example configurations of deploy/redis."""

import contextlib
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import pytest
import redis
import trustme
from redis.cluster import ClusterNode, RedisCluster
from redis.sentinel import Sentinel

from discordproxy_ratelimit.redis.url import parse
from fakes.ports import free_port, free_ports
from processes.end_with_parent import END_WITH_PARENT

EXAMPLES = Path(__file__).parents[2] / "deploy" / "redis"
PATIENCE_S = 30.0


class Process:
    """One server, which may be started and stopped repeatedly; its folder stays."""

    def __init__(self, *command: str, folder: Path) -> None:
        self._command, self._folder = command, folder
        self.running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self.running = subprocess.Popen(
                [*END_WITH_PARENT, *self._command], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self._folder
            )

    def stop(self) -> None:
        """Kill it, as a crash would."""
        if self.running:
            self.running.kill()
            self.running.wait()
            self.running = None

    def check(self) -> None:
        assert self.running is None or self.running.poll() is None, (self._folder / "log").read_text()


class Servers:
    """Servers behind one URL, each with a folder of its own below a private one."""

    def __init__(self, binary: str) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="dp-redis-"))
        self.binary = binary
        self.processes: list[Process] = []
        self.url = ""

    @property
    def operator_url(self) -> str:
        """The URL with an operator's rights."""
        return self.url

    def add(self, example: str, *options: str, name: str = "one", **changes: str) -> Process:
        """Add a server with a changed copy of an example; servers write into their configuration."""
        folder = self.folder / name
        folder.mkdir()
        text = (EXAMPLES / example).read_text()
        for old, new in changes.items():
            text = text.replace(old, new)
        (folder / example).write_text(text)
        process = Process(self.binary, example, *options, folder=folder)
        self.processes.append(process)
        return process

    def start(self) -> None:
        for process in self.processes:
            process.start()
        self.wait(self.is_ready)

    def is_ready(self) -> bool:
        with blocking(self.url) as client:
            return bool(client.set("{dp:ready}", 1, px=1))

    def tell(self, *command: str) -> None:
        """Run an operator's command on every server that stores data."""
        with blocking(self.operator_url) as client:
            client.execute_command(*command)

    def wait(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            for process in self.processes:
                process.check()
            with contextlib.suppress(redis.RedisError, OSError):
                if condition():
                    return
            time.sleep(0.02)  # servers do not signal that they have joined
        pytest.fail(f"{type(self).__name__} was not ready within {PATIENCE_S:.0f} s")

    def send_signal(self, number: signal.Signals) -> None:
        for process in self.processes:
            assert process.running
            process.running.send_signal(number)

    def stop(self) -> None:
        """Kill all of them; nothing is saved."""
        for process in self.processes:
            process.stop()

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Server(Servers):
    """One server on a unix socket."""

    def __init__(self, binary: str) -> None:
        super().__init__(binary)
        path = self.folder / "redis.sock"
        self.url = f"unix://{path}"
        self.add("server.conf", "--port", "0", "--unixsocket", str(path), "--save", "")


class Tls(Servers):
    """TLS only, and a user with limited rights.

    Args:
        prefix: prefix of the keys and channels that the user may access; "" for all.
    """

    def __init__(self, binary: str, prefix: str = "") -> None:
        super().__init__(binary)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.folder / "ca.crt")
        own = authority.issue_cert("localhost", "127.0.0.1")
        own.cert_chain_pems[0].write_to_path(self.folder / "server.crt")
        own.private_key_pem.write_to_path(self.folder / "server.key")
        rules = (EXAMPLES / "users.acl").read_text().replace(">CHANGE-ME", ">s%cret")
        rules = rules.replace("dp:*", f"{prefix}:*") if prefix else rules.replace("{dp:*", "*").replace("&dp:*", "")
        (self.folder / "users.acl").write_text(f"{rules}user operator on >s%cret ~* &* +@all\n")
        port = free_port()
        paths = {"tls-cert-file": "server.crt", "tls-key-file": "server.key", "tls-ca-cert-file": "ca.crt"}
        files = [word for option, name in paths.items() for word in (f"--{option}", str(self.folder / name))]
        own_options = ("--bind", "127.0.0.1", "--tls-port", str(port), "--aclfile", str(self.folder / "users.acl"))
        self.add("tls.conf", *own_options, *files, "--save", "")
        self.url = self._url("discordproxy", port)
        self._operator_url = self._url("operator", port)

    @property
    def operator_url(self) -> str:
        return self._operator_url

    def _url(self, user: str, port: int) -> str:
        return f"rediss://{user}:s%25cret@127.0.0.1:{port}/0?ssl_ca_certs={self.folder}/ca.crt"


class Cluster(Servers):
    """Three masters, optionally with a replica each."""

    def __init__(self, binary: str, *, replicas: bool = False) -> None:
        super().__init__(binary)
        self.masters = free_ports(3)
        self.replicas = free_ports(3) if replicas else []
        self.nodes = {port: self._node(port) for port in (*self.masters, *self.replicas)}
        self.url = "redis+cluster://" + ",".join(f"127.0.0.1:{port}" for port in self.masters)
        self._joined = False

    def _node(self, port: int) -> Process:
        bus = free_port()
        options = ("--port", str(port), "--cluster-port", str(bus), "--cluster-node-timeout", "1000", "--save", "")
        return self.add("cluster.conf", *options, name=str(port))

    def start(self) -> None:
        for process in self.processes:
            process.start()
        if not self._joined:
            self.wait(self._join)
            self._joined = True
        self.wait(self._agrees)

    def _join(self) -> bool:
        with contextlib.ExitStack() as stack:
            clients = {port: stack.enter_context(redis.Redis(port=port)) for port in self.nodes}
            if not all(client.ping() for client in clients.values()):
                return False
            buses = {port: client.config_get("cluster-port")["cluster-port"] for port, client in clients.items()}
            for (first, last), port in zip(((0, 5460), (5461, 10921), (10922, 16383)), self.masters, strict=True):
                clients[port].execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
            for port in self.nodes:
                clients[self.masters[0]].execute_command("CLUSTER", "MEET", "127.0.0.1", port, buses[port])
            for master, replica in zip(self.masters, self.replicas, strict=False):
                name = clients[master].execute_command("CLUSTER", "MYID").decode()
                self.wait(lambda at=replica, name=name: name in str(clients[at].execute_command("CLUSTER", "NODES")))
                clients[replica].execute_command("CLUSTER", "REPLICATE", name)
        return True

    def _agrees(self) -> bool:
        for port in self.nodes:
            with redis.Redis(port=port) as client:
                info = client.execute_command("CLUSTER", "INFO").decode().split()
                if not {"cluster_state:ok", f"cluster_known_nodes:{len(self.nodes)}"} <= set(info):
                    return False
                if port in self.replicas and client.info("replication")["master_link_status"] != "up":
                    return False
        return True

    def tell(self, *command: str) -> None:
        for port in self.nodes:
            with redis.Redis(port=port) as client:
                client.execute_command(*command)

    def holder(self, key: str) -> int:
        """Return the port of the node that serves `key`."""
        with blocking(self.url) as client:
            return int(client.get_node_from_key(key).port)


class Watched(Servers):
    """A master and a replica with three Sentinels."""

    NAME = "discordproxy"

    def __init__(self, binary: str) -> None:
        super().__init__(binary)
        self.master, replica, *sentinels = free_ports(5)
        options = ("--save", "", "--repl-diskless-sync-delay", "0")
        follow = ("--replicaof", "127.0.0.1", str(self.master))
        self.nodes = {
            self.master: self.add("server.conf", "--port", str(self.master), *options, name="master"),
            replica: self.add("replica.conf", "--port", str(replica), *follow, *options, name="replica"),
        }
        for port in sentinels:
            changes = {"port 26379": f"port {port}", "127.0.0.1 6379": f"127.0.0.1 {self.master}"}
            self.add("sentinel.conf", "--sentinel", name=f"sentinel-{port}", **changes)
        self._sentinels = sentinels
        self.url = "redis+sentinel://" + ",".join(f"127.0.0.1:{port}" for port in sentinels) + f"/{self.NAME}"

    def start(self) -> None:
        for node in self.nodes.values():
            node.start()
        self.wait(self._follows)  # a Sentinel looks for replicas when it starts, and then only every ten seconds
        for process in self.processes[len(self.nodes) :]:
            process.start()
        self.wait(self.is_ready)

    def _follows(self) -> bool:
        with redis.Redis(port=self.master) as master:
            return master.info("replication").get("slave0", {}).get("state") == "online"

    def is_ready(self) -> bool:
        for port in self._sentinels:
            with redis.Redis(port=port) as sentinel:
                known = sentinel.sentinel_master(self.NAME)
                counted = known["num-slaves"], known["num-other-sentinels"]
                if known["flags"] != "master" or counted != (1, 2):
                    return False
            with redis.Redis(port=known["port"]) as master:
                if master.info("replication").get("connected_slaves") != 1:
                    return False
        return super().is_ready()


SHAPES: dict[str, Callable[[str], Servers]] = {
    "server": Server,
    "redis70": Server,
    "tls": Tls,
    "cluster": Cluster,
    "sentinel": Watched,
}


def system_redis() -> str:
    """Return the distribution's server: it has TLS, and it is as old as the oldest supported version."""
    binary = shutil.which("redis-server")
    if not binary:
        pytest.skip("NOT TESTED: there is no redis-server (apt-get install redis-server)")
    return binary


def blocking(url: str, **options: Any) -> Any:
    """Return a blocking client for any supported URL."""
    target = parse(url)
    options = {"protocol": 2, **options}
    if target.topology == "server":
        return redis.Redis.from_url(target.library_url, **options)
    options |= target.options
    if target.topology == "sentinel":
        return _OwnsSentinels(Sentinel(list(target.hosts), **options), target.master)
    return RedisCluster(startup_nodes=[ClusterNode(host, port) for host, port in target.hosts], **options)


def connections(url: str) -> list[Any]:
    """Return a blocking connection to each server of `url` that stores data."""
    return [node.connection_pool.get_connection() for node in _nodes(blocking(url, socket_timeout=5))]


def subscribers(url: str, channels: Sequence[str]) -> list[int]:
    """Return the number of subscribers of each channel; in a Cluster, each node counts its own."""
    with blocking(url) as client:
        counts = [[count for _, count in node.pubsub_numsub(*channels)] for node in _nodes(client)]
    return [sum(each) for each in zip(*counts, strict=True)]


def _nodes(client: Any) -> list[Any]:
    """Return a client of each server that stores data."""
    return [node.redis_connection for node in client.get_nodes()] if isinstance(client, RedisCluster) else [client]


class _OwnsSentinels:
    """A client of the master that also closes its connections to the Sentinels."""

    def __init__(self, sentinels: Any, name: str) -> None:
        self._sentinels, self._client = sentinels, sentinels.master_for(name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._client.close()
        for sentinel in self._sentinels.sentinels:
            sentinel.close()


@contextlib.contextmanager
def running(servers: Servers) -> Iterator[Any]:
    try:
        servers.start()
        yield servers
        for process in servers.processes:
            process.check()
    finally:
        servers.remove()
