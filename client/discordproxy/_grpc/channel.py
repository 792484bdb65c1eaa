"""Channels: one long-lived gRPC channel per process and endpoint, shared by all clients, safe with threads and forks.

gRPC supports a fork after a channel was used only if the child does not touch that channel. Therefore the first call
opens the channel, not the constructor; gRPC's global subchannel pool is not used (`grpc.use_local_subchannel_pool`);
and a forked child drops the inherited channels without closing them.
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
    # A long-lived channel must reconnect to a restarted proxy within seconds; gRPC's backoff grows to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2000),
    # The largest response of the proxy. gRPC's default of 4 MiB is less than a page of messages with large embeds.
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
)
# A stream is silent for long periods: only pings detect a lost connection.
# The event of a guild may be large; a limit would end the stream at that event each time.
_STREAM_OPTIONS = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.max_receive_message_length", -1),
)
# An HTTP proxy from the environment cannot reach this machine's localhost.
_NO_HTTP_PROXY = ("grpc.enable_http_proxy", 0)
_MAX_PEM_BYTES = 16 * 1024 * 1024
_ROUND_ROBIN = ("grpc.lb_policy_name", "round_robin")


class Endpoint(NamedTuple):
    """Address and channel settings of the proxy. Clients with equal endpoints share a channel.

    Attributes:
        target: An address, a DNS name, `unix:/path`, or several addresses separated by commas.
        options: gRPC channel options; they override the client's own.
        tls: False: no TLS; True: trust the system's CA certificates; or the path of CA certificates, or credentials.
        certificate: Paths of the client certificate and its key; None: no client certificate.
    """

    target: str
    options: tuple[tuple[str, Any], ...]
    tls: bool | str | grpc.ChannelCredentials
    certificate: tuple[str, str] | None = None

    def for_streams(self) -> Endpoint:
        """Return the endpoint of the separate connection for streams."""
        return self._replace(options=(*_STREAM_OPTIONS, *self.options))

    def channel_arguments(self) -> dict[str, Any]:
        """Read the certificates; return the arguments of grpc.insecure_channel or grpc.secure_channel."""
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
            trusted = None if self.tls is True else _read_pem(self.tls, "CERTIFICATE")
            own = _read_pem(self.certificate[0], "CERTIFICATE") if self.certificate else None
            key = _read_pem(self.certificate[1], "PRIVATE KEY") if self.certificate else None
            arguments["credentials"] = grpc.ssl_channel_credentials(trusted, key, own)
        return arguments

    def _options_of_several(self, target: str) -> Iterator[tuple[str, str]]:
        """Yield the options for a target that resolves to several servers."""
        yield _ROUND_ROBIN
        if self.tls and target.startswith(("ipv4:", "ipv6:")):
            # Otherwise gRPC expects the whole list as the name in each certificate.
            yield "grpc.default_authority", self.target.partition(",")[0].strip()


def _read_pem(path: str, kind: str) -> bytes:
    """Return the content of a file; raises ValueError unless it contains a `kind` in the PEM format."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 -- pathlib would slow down every import
            found = file.read(_MAX_PEM_BYTES)
    except OSError as error:
        raise ValueError(f"tls: cannot read {path!r} ({error.strerror})") from error
    if f"{kind}-----".encode() not in found:
        raise ValueError(f"tls: {path!r} contains no {kind.lower()} in the PEM format")
    return found


def resolve_target(target: str) -> tuple[str, bool]:
    """Return a target in gRPC's form, and whether calls are balanced over several addresses.

    Raises:
        ValueError: gRPC would misread the target, or one channel cannot connect to all targets of the list.
    """
    targets = [part.strip() for part in target.split(",") if part.strip()]
    if not targets:
        raise ValueError(f"target: {target!r} contains no address")
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
            f"target: {unfit[0]!r} does not fit into a list, which consists of IP addresses with ports, such as "
            "10.0.0.1:50051, or of unix sockets; for several host names use one DNS name with all their addresses"
        )
    if set(versions) == {4}:
        return "ipv4:" + ",".join(addresses), True
    return "ipv6:" + ",".join(map(_ipv6, addresses, versions)), True


def _check_form(target: str) -> None:
    """Raise ValueError for an unknown scheme (http://...) or an invalid port."""
    scheme, separator, rest = target.partition("://")
    if separator and scheme not in _SCHEMES:
        wanted = rest.partition("/")[0] or "host:port"
        raise ValueError(f"target: {target!r} must not have a scheme: use {wanted}")
    colon, port = target.rpartition(":")[1:]
    if colon and port.isdecimal() and not target.startswith("unix") and int(port) > _LAST_PORT:
        raise ValueError(f"target: {target!r} has a port above {_LAST_PORT}")


def _ipv6(address: str, version: int | None) -> str:
    """Return an address as IPv6, IPv4 addresses as mapped ones: a channel supports one address family only."""
    host, _, port = address.rpartition(":")
    return address if version == 6 else f"[::ffff:{host}]:{port}"  # noqa: PLR2004 -- version 6 of the protocol


def _ip_version(target: str) -> int | None:
    host = target.rpartition(":")[0].strip("[]")
    for version, family in ((4, socket.AF_INET), (6, socket.AF_INET6)):
        with contextlib.suppress(OSError, ValueError):
            socket.inet_pton(family, host)
            return version
    return None


def _is_name(target: str) -> bool:
    """Return whether a target is a DNS name, which may have several addresses."""
    if target.startswith("dns:"):
        return True
    host, _, port = target.rpartition(":")
    return port.isdigit() and ":" not in host and host != "localhost" and _ip_version(target) is None


class PooledChannel(NamedTuple):
    """An open channel, its stub, the clients that use it, and the streams that grpc.aio does not end with it."""

    channel: Any
    stub: Any
    users: WeakSet[Any]
    streams: WeakSet[Any]


class ChannelPool:
    """The open channels of this process.

    A channel stays open when its clients are garbage collected, because many applications create a client per call.
    It is closed when its last remaining client is closed.
    """

    def __init__(self) -> None:
        self._inherited: list[dict[Hashable, PooledChannel]] = []
        self._channels: dict[Hashable, PooledChannel] = {}
        self._lock = threading.RLock()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        self._inherited.append(self._channels)  # kept alive: gRPC would close a garbage-collected channel
        self._channels = {}
        self._lock = threading.RLock()

    def acquire(self, user: object, key: Hashable, open_channel: Callable[[], tuple[Any, Any]]) -> PooledChannel:
        """Return the channel and stub of a key, used by `user` from now on; call `open_channel` if there are none."""
        pooled = self._channels.get(key)
        if pooled is None or user not in pooled.users:
            with self._lock:
                if (pooled := self._channels.get(key)) is None:
                    _warn_of_fork_support()
                    warn_of_green_threads()
                    pooled = self._channels[key] = PooledChannel(*open_channel(), WeakSet(), WeakSet())
                pooled.users.add(user)
        return pooled

    def release(self, user: object, key: Hashable) -> PooledChannel | None:
        """Remove a client from a channel; return the channel if no client is left, for the caller to close."""
        with self._lock:
            pooled = self._channels.get(key)
            if pooled is None or user not in pooled.users:
                return None
            pooled.users.discard(user)
            return None if pooled.users else self._channels.pop(key)

    def discard(self, is_stale: Callable[[Any], bool]) -> None:
        """Drop the channels whose key is stale: those of closed event loops."""
        with self._lock:
            for key in [key for key in self._channels if is_stale(key)]:
                del self._channels[key]


def _warn_of_fork_support() -> None:
    if os.environ.get("GRPC_ENABLE_FORK_SUPPORT", "").lower() in {"0", "false", "no"}:
        warnings.warn(
            "GRPC_ENABLE_FORK_SUPPORT=0 makes forked processes (Celery, gunicorn) hang in gRPC: unset it",
            RuntimeWarning,
            stacklevel=4,
        )


pool = ChannelPool()
