"""What the settings open to whom: refuses to offer the bot, or its numbers, to a network by accident. Pure."""

import ipaddress


class UnsafeBindError(Exception):
    """The settings would open the bot to everybody; the text says what to change."""


def is_local(host: str) -> bool:
    """Tell whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def check_listening(host: str, *, knows_callers: bool, allow_anonymous: bool) -> None:
    """Refuse to listen where others can connect while nobody is asked who they are.

    Raises:
        Unsafe: that is so.
    """
    if not (is_local(host) or knows_callers or allow_anonymous):
        raise UnsafeBindError(
            f"DISCORDPROXY_HOST is {host!r}: everybody who reaches that address could use the bot; give the "
            "applications keys (DISCORDPROXY_KEYS_FILE) or certificates (DISCORDPROXY_TLS_CLIENT_CA), listen on "
            "127.0.0.1, or set DISCORDPROXY_ALLOW_ANONYMOUS=true if the network is closed"
        )


def concern(host: str, *, keys: bool, encrypted: bool) -> str:
    """Return what is allowed but worth a warning, or ""."""
    if not keys or encrypted or is_local(host):
        return ""
    return (
        "keys travel unencrypted: set DISCORDPROXY_TLS_CERT and DISCORDPROXY_TLS_KEY, unless something in front of "
        "this server encrypts"
    )
