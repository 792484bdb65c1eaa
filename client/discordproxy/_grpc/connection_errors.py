"""Explains failed connections: derives the problem and its fix from gRPC's error text.

The texts are those of grpcio 1.71 and 1.85. A test provokes each problem and checks the explanation.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from typing import NamedTuple

_TLS_FAILED = "The server at {target} responds, but TLS failed: "
_TRUST = (
    "Set tls= or DISCORDPROXY_CA to the certificate of the authority that signed the proxy's certificate; "
    "without either, only the system's authorities are trusted."
)
# In order of precedence: texts in gRPC's details, the problem, its fix.
_CAUSES = (
    (
        ("certificate has expired",),
        _TLS_FAILED + "the proxy's certificate has expired",
        "Renew the certificate, or correct the clock of this machine.",
    ),
    (
        ("CERTIFICATE_VERIFY_FAILED",),
        _TLS_FAILED + "the proxy's certificate is not trusted ({rest})",
        _TRUST,
    ),
    (
        ("Hostname Verification Check failed", "is not in peer certificate"),
        _TLS_FAILED + "the proxy's certificate is for another name",
        "Use a host name of the certificate as target, or set options=[('grpc.default_authority', NAME)].",
    ),
    (
        ("WRONG_VERSION_NUMBER",),
        _TLS_FAILED + "the server does not use TLS",
        "Remove tls= and DISCORDPROXY_CA, or enable TLS in the proxy.",
    ),
    (
        ("SSL_ERROR", "handshake"),
        _TLS_FAILED + "{rest}",
        "Check tls=, DISCORDPROXY_CA and DISCORDPROXY_CERT against the TLS settings of the proxy.",
    ),
    (
        ("http1.x server",),
        "An HTTP/1 server responds at {target}, not the gRPC port of the proxy",
        "Check the port: the proxy's default is 50051.",
    ),
)
_CLOSED = ("Socket closed", "connection reset", "Connection reset", "FD shutdown", "Broken pipe")
_START = "Start the proxy with `discordproxyserver`, or set its address: target=, --target or DISCORDPROXY_TARGET."


class Problem(NamedTuple):
    """A problem and its fix."""

    text: str
    fix: str


def connection_problem(target: str, details: str, *, tls: bool) -> Problem:
    """Return why a connection failed.

    Args:
        target: Address that the client tried to connect to.
        details: Details of gRPC's error.
        tls: Whether the client uses TLS.
    """
    between = http_proxy_for(target)
    if between:
        return Problem(
            f"{target} cannot be reached through the HTTP proxy {between.address}, "
            f"which the environment variable {between.variable} sets",
            "Add the host to no_proxy to connect without that HTTP proxy.",
        )
    for words, text, fix in _CAUSES:
        if any(word in details for word in words):
            return Problem(text.format(target=target, rest=_last_part(details)), fix)
    if any(word in details for word in _CLOSED):
        return _closed(target, tls=tls)
    if details.startswith(("DNS resolution failed", "errors resolving")):
        return Problem(
            f"The host name in {target} cannot be resolved", "Check its spelling and the DNS of this machine."
        )
    if _accepts_connections(target):
        return _closed(target, tls=tls)
    port = "" if _has_port(target) else " (port 443, because the target has no port)"
    return Problem(f"No server responds at {target}{port}", _START)


def _closed(target: str, *, tls: bool) -> Problem:
    text = f"The server at {target} closes the connection: "
    if tls:
        return Problem(
            text + "it may require a client certificate",
            "Set DISCORDPROXY_CERT and DISCORDPROXY_CERT_KEY to the paths of a certificate and its key.",
        )
    return Problem(
        text + "it may require TLS", "Set tls= or DISCORDPROXY_CA to the certificate of the proxy's authority."
    )


def _accepts_connections(target: str) -> bool:
    """Return whether a local port is open: gRPC reports the error of only one of localhost's two addresses."""
    host, port = _host(target), target.rpartition(":")[2]
    if not (only_local(target) and port.isdecimal()):
        return False
    try:
        with socket.create_connection((host, int(port)), timeout=0.5):
            return True
    except Exception:  # noqa: BLE001 -- applications' tests may block sockets with any exception
        return False


def _last_part(details: str) -> str:
    """Return the last part of the details: the cause, without TLS library prefixes."""
    found = re.sub(r"(: OK|\W)*$", "", details)
    return found.rpartition(": ")[2]


class GrpcHttpProxy(NamedTuple):
    """An HTTP proxy: its host and port, and the environment variable that sets it."""

    address: str
    variable: str


def http_proxy_for(target: str) -> GrpcHttpProxy | None:
    """Return the HTTP proxy that gRPC reads from the environment for a target; None if there is none."""
    hosts = [_host(part) for part in target.split(",")]
    if only_local(target) or any(map(_is_excepted, hosts)):
        return None
    for variable in ("grpc_proxy", "https_proxy", "http_proxy"):
        scheme, _, rest = os.environ.get(variable, "").partition("://")
        if scheme:  # gRPC reads only the first variable that is set, and supports http only
            return GrpcHttpProxy(rest.rpartition("@")[2].rstrip("/"), variable) if scheme == "http" else None
    return None


def _is_excepted(host: str) -> bool:
    """Return whether no_proxy contains a host: by suffix or by network."""
    no_proxy = next(filter(None, map(os.environ.get, ("no_grpc_proxy", "no_proxy"))), "")
    return any(_covers(entry.strip(), host) for entry in no_proxy.split(",") if entry.strip())


def _covers(entry: str, host: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        return host.lower().endswith(entry.lower())


def only_local(target: str) -> bool:
    """Return whether a target is local to this machine: unix sockets or loopback addresses only."""
    return all(_is_local(part.strip()) for part in target.split(","))


def _is_local(target: str) -> bool:
    if target.startswith(("unix:", "unix-abstract:", "/")):
        return True
    host = _host(target).lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _host(target: str) -> str:
    """Return the host of a target, without scheme, name server and port."""
    rest = re.sub(r"^(dns:(//[^/]*/)?|ipv[46]:)", "", target.strip())
    if rest.startswith("["):
        return rest[1:].partition("]")[0]
    return rest if rest.count(":") > 1 else rest.partition(":")[0]


def _has_port(target: str) -> bool:
    return target.startswith("unix") or bool(re.search(r"[^:]:\d+$", target))
