"""Finds the HTTP proxy for a URL in HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY.

Loopback addresses never use a proxy, independent of NO_PROXY: a proxy has its own loopback interface.
"""

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass

_SCHEMES = {"https": "https", "wss": "https", "http": "http", "ws": "http"}


class HttpProxyError(ValueError):
    """An HTTP proxy of the environment is invalid; the text names the variable, the problem and the fix."""


@dataclass(frozen=True, slots=True)
class HttpProxy:
    """An HTTP proxy. Its text form has no credentials.

    Attributes:
        url: for HTTP libraries, with credentials if there are any.
        shown: scheme, host and port.
    """

    url: str = field(repr=False)
    shown: str

    def __str__(self) -> str:
        return self.shown


def http_proxy_for(url: str) -> HttpProxy | None:
    """Return the HTTP proxy for `url`, None to connect directly.

    Raises:
        HttpProxyError: the proxy of the environment is invalid.
    """
    target, proxies = urlsplit(url), getproxies_environment()
    scheme = _SCHEMES.get(target.scheme, "")
    name = scheme if proxies.get(scheme) else "all"
    given, host = proxies.get(name, ""), target.hostname or ""
    if not scheme or not given or _is_loopback(host) or proxy_bypass(host):
        return None
    return _read(given, f"{name.upper()}_PROXY")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _read(given: str, name: str) -> HttpProxy:
    parts = urlsplit(given if "://" in given else f"http://{given}")
    if parts.scheme not in {"http", "https"}:
        raise HttpProxyError(f"{name}: proxies of the kind {parts.scheme}:// are not supported; give one with http://")
    try:
        host, port = parts.hostname, parts.port or {"http": 80, "https": 443}[parts.scheme]
    except ValueError:
        host, port = None, 0
    if not host:
        raise HttpProxyError(f"{name}: must be the address of an HTTP proxy, such as http://proxy.example:3128")
    credentials, at, _ = parts.netloc.rpartition("@")
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return HttpProxy(f"{parts.scheme}://{credentials}{at}{place}", f"{parts.scheme}://{place}")
