"""Refuses to expose the bot or its metrics to a network without authentication. Pure."""

import ipaddress


class PortTakenError(Exception):
    """The address is already in use; the text contains the fix."""


class UnsafeBindError(Exception):
    """The settings would expose the bot to everyone; the text contains the fix."""


def is_local(host: str) -> bool:
    """Return whether an address is a loopback address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def require_safe_bind(host: str, *, authenticated: bool, allow_anonymous: bool) -> None:
    """Refuse to listen on a network address without authentication.

    Raises:
        UnsafeBindError: authentication is off and not waived with `allow_anonymous`.
    """
    if not (is_local(host) or authenticated or allow_anonymous):
        raise UnsafeBindError(
            f"DISCORDPROXY_HOST is {host!r}: anyone who can connect to that address could use the bot; require "
            "keys (DISCORDPROXY_KEYS_FILE) or client certificates (DISCORDPROXY_TLS_CLIENT_CA), listen on 127.0.0.1, "
            "or set DISCORDPROXY_ALLOW_ANONYMOUS=true if only trusted machines can connect"
        )


def bind_warning(host: str, *, keys: bool, encrypted: bool) -> str:
    """Return a warning about an allowed but risky combination, or ""."""
    if not keys or encrypted or is_local(host):
        return ""
    return (
        "keys are sent unencrypted: set DISCORDPROXY_TLS_CERT and DISCORDPROXY_TLS_KEY, unless a load balancer "
        "terminates TLS"
    )
