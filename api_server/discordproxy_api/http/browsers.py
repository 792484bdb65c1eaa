"""Refuses requests that a web site makes through its visitor's browser. Pure."""

import ipaddress
from collections.abc import Collection, Mapping
from functools import lru_cache
from urllib.parse import urlsplit

from discordproxy_api.bind_policy import is_local

_OWN_SITES = frozenset({"", "none", "same-origin"})


def browser_refusal(headers: Mapping[str, str], hosts: Collection[str]) -> str:
    """Return why a request that needs no key is refused, "" if it is not.

    A web site can send requests from its visitor's browser, with the headers Origin or Sec-Fetch-Site, or under a host
    name of its own that it lets point to this machine (DNS rebinding).

    Args:
        headers: by lower-case name.
        hosts: names of this server besides localhost and addresses.
    """
    if "origin" in headers or headers.get("sec-fetch-site", "").lower() not in _OWN_SITES:
        return "Web sites may not use this port; a server can, without the headers Origin and Sec-Fetch-Site."
    host = headers.get("host")
    if host is None or is_own_host(host, hosts):
        return ""
    return (
        "The host name of this request is unknown; use localhost or an address, or add it to DISCORDPROXY_REST_HOSTS."
    )


def is_own_host(host: str, hosts: Collection[str]) -> bool:
    """Return whether the value of a Host header names this server. An address cannot be a web site's own name."""
    name = _foreign_name(host)
    return not name or name in hosts


@lru_cache(maxsize=256)
def _foreign_name(host: str) -> str:
    """Return the name in a Host header, "" if it is one of this machine or an address."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return host
    if is_local(name) or _is_address(name):
        return ""
    return name or host or " "


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
