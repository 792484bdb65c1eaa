"""Channels: one long-lived channel per process for each endpoint, shared by its clients, safe across threads and forks.

gRPC supports forking after a channel was used only if nothing of it is touched in the child. Hence:
the first call opens the channel, never the constructor; subchannels are not shared behind our back
(`grpc.use_local_subchannel_pool`); a forked child forgets what it inherited, and closes none of it.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakSet

import grpc

from discordproxy._grpc.connection_errors import only_local
from discordproxy._grpc.green_threads import warn_of_green_threads

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

DEFAULT_TARGET = "localhost:50051"
_SCHEMES = {"dns", "unix", "ipv4", "ipv6", "vsock", "xds", "google-c2p"}  # gRPC's own
_LAST_PORT = 65535

_OPTIONS = (
    ("grpc.use_local_subchannel_pool", 1),
    # A long-lived channel must find a restarted proxy within seconds; gRPC's own pause grows to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # The proxy passes on far less; gRPC's own bound of 4 MiB is below a page of messages with large embeds.
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
)
# A stream is silent for long: without pings, nobody would notice that the other side is gone without a word.
# The news of a guild may be large, and refusing it would stop the stream for good.
_STREAM_OPTIONS = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.max_receive_message_length", -1),
)
# An HTTP proxy that the environment names is somewhere else; what it would reach as localhost is itself.
_NO_HTTP_PROXY = ("grpc.enable_http_proxy", 0)
_ROUND_ROBIN = ("grpc.lb_policy_name", "round_robin")


class Endpoint(NamedTuple):
    """Where a client connects to: clients of equal endpoints share a channel.

    Attributes:
        target: An address, a DNS name, `unix:/path`, or several addresses separated by commas.
        options: gRPC channel options; they win over ours.
        tls: False for plain text, True for the system's certificates, a path of CA certificates, or credentials.
        certificate: Paths of the client's own certificate and its key, for a proxy that asks for one.
    """

    target: str
    options: tuple[tuple[str, Any], ...]
    tls: bool | str | grpc.ChannelCredentials
    certificate: tuple[str, str] | None = None

    def for_streams(self) -> Endpoint:
        """Return the same endpoint by a connection of its own."""
        return self._replace(options=(*_STREAM_OPTIONS, *self.options))

    def channel_arguments(self) -> dict[str, Any]:
        """Return the arguments for the functions of gRPC that make a channel. Reads the certificates."""
        target, balanced = resolve_target(self.target)
        arguments: dict[str, Any] = {
            "target": target,
            "options": [*_OPTIONS, *(self._options_of_several(target) if balanced else ()), *self.options],
        }
        if only_local(self.target):
            arguments["options"].insert(0, _NO_HTTP_PROXY)
        if isinstance(self.tls, grpc.ChannelCredentials):
            arguments["credentials"] = self.tls
        elif self.tls:
            trusted = None if self.tls is True else _read_pem(self.tls)
            own, key = map(_read_pem, self.certificate) if self.certificate else (None, None)
            arguments["credentials"] = grpc.ssl_channel_credentials(trusted, key, own)
        return arguments

    def _options_of_several(self, target: str) -> Iterator[tuple[str, str]]:
        """Yield the options for a target that stands for several servers."""
        yield _ROUND_ROBIN
        if self.tls and target.startswith(("ipv4:", "ipv6:")):
            # gRPC would look for the whole list in each certificate.
            yield "grpc.default_authority", self.target.partition(",")[0].strip()


def _read_pem(path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 -- pathlib would slow down every import
            found = file.read()
    except OSError as error:
        raise ValueError(f"tls: cannot read {path!r} ({error.strerror})") from error
    if b"-----BEGIN " not in found:
        raise ValueError(f"tls: {path!r} holds no certificate or key in the PEM format")
    return found


def resolve_target(target: str) -> tuple[str, bool]:
    """Return gRPC's form of a target, and whether the calls shall be spread over what it stands for.

    Raises:
        ValueError: a target that gRPC would take for something else, or several that one channel cannot reach.
    """
    targets = [part.strip() for part in target.split(",") if part.strip()]
    for part in targets:
        _check_form(part)
    if len(targets) == 1:
        return targets[0], _is_name(targets[0])
    if all(part.startswith("unix:") for part in targets):
        return "unix:" + ",".join(part.removeprefix("unix:") for part in targets), True
    addresses = [part.replace("localhost:", "127.0.0.1:") for part in targets]
    versions = [_ip_version(part) for part in addresses]
    if unfit := [part for part, version in zip(targets, versions, strict=True) if version is None]:
        raise ValueError(
            f"{unfit[0]!r} does not fit into a list of targets: it holds either IP addresses with ports, such as "
            "10.0.0.1:50051, or unix sockets; several hosts by name need one DNS name that has all their addresses"
        )
    if set(versions) == {4}:
        return "ipv4:" + ",".join(addresses), True
    return "ipv6:" + ",".join(map(_ipv6, addresses, versions)), True


def _check_form(target: str) -> None:
    """Refuse an address in the form of the web, and ports that no machine has."""
    scheme, separator, rest = target.partition("://")
    if separator and scheme not in _SCHEMES:
        wanted = rest.partition("/")[0] or "host:port"
        raise ValueError(f"target: {target!r} has a scheme, and targets have none: use {wanted}")
    colon, port = target.rpartition(":")[1:]
    if colon and port.isdecimal() and not target.startswith("unix") and int(port) > _LAST_PORT:
        raise ValueError(f"target: {target!r} has a port above {_LAST_PORT}")


def _ipv6(address: str, version: int | None) -> str:
    """Return an address in the form of IPv6, which has room for those of IPv4: a channel knows one kind only."""
    host, _, port = address.rpartition(":")
    return address if version == 6 else f"[::ffff:{host}]:{port}"  # noqa: PLR2004 -- the name of a protocol


def _ip_version(target: str) -> int | None:
    host = target.rpartition(":")[0].strip("[]")
    for version, family in ((4, socket.AF_INET), (6, socket.AF_INET6)):
        with contextlib.suppress(OSError, ValueError):
            socket.inet_pton(family, host)
            return version
    return None


def _is_name(target: str) -> bool:
    """Return whether a target is a DNS name, which may stand for several addresses."""
    if target.startswith("dns:"):
        return True
    host, _, port = target.rpartition(":")
    return port.isdigit() and ":" not in host and host != "localhost" and _ip_version(target) is None


class PooledChannel(NamedTuple):
    """An open channel, its stub, and the clients that use it."""

    channel: Any
    stub: Any
    users: WeakSet[Any]


class ChannelPool:
    """The open channels of this process.

    A channel stays open when its clients are garbage collected, because many applications make a client for each call.
    It is closed when the last client that used it and still exists is closed.
    """

    def __init__(self) -> None:
        self._inherited: list[dict[Hashable, PooledChannel]] = []
        self._links: dict[Hashable, PooledChannel] = {}
        self._lock = threading.RLock()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._inherited.append(self._links)  # kept, because gRPC would close a collected channel
        self._links = {}
        self._lock = threading.RLock()

    def link(self, user: object, key: Hashable, open_link: Callable[[], tuple[Any, Any]]) -> PooledChannel:
        """Return the channel and stub for a key; `open_link` makes them if there are none yet."""
        link = self._links.get(key)
        if link is None or user not in link.users:
            with self._lock:
                if (link := self._links.get(key)) is None:
                    _warn_of_fork_support()
                    warn_of_green_threads()
                    link = self._links[key] = PooledChannel(*open_link(), WeakSet())
                link.users.add(user)
        return link

    def release(self, user: object, key: Hashable) -> Any | None:
        """End a client's use of a channel; return the channel if nobody else uses it, to be closed by the caller."""
        with self._lock:
            link = self._links.get(key)
            if link is None or user not in link.users:
                return None
            link.users.discard(user)
            return None if link.users else self._links.pop(key).channel

    def discard(self, is_stale: Callable[[Any], bool]) -> None:
        """Drop the channels whose key is stale: those of event loops that have ended."""
        with self._lock:
            for key in [key for key in self._links if is_stale(key)]:
                del self._links[key]


def _warn_of_fork_support() -> None:
    if os.environ.get("GRPC_ENABLE_FORK_SUPPORT", "").lower() in {"0", "false", "no"}:
        warnings.warn(
            "GRPC_ENABLE_FORK_SUPPORT=0 makes forked processes (Celery, gunicorn) hang in gRPC: unset it",
            RuntimeWarning,
            stacklevel=4,
        )


pool = ChannelPool()
