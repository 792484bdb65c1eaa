"""The credentials of an HTTP request: those for the proxy, and those for Discord. Pure."""

import base64
import re
from dataclasses import dataclass, field

from discordproxy_api.access.keys import PREFIX

_BEARER = re.compile(r"Bearer [!-~]+")
_BASIC = re.compile(r"Basic [A-Za-z0-9+/]+=*")
BASIC_ROUTES = ("/oauth2/token",)
"""Prefix of the routes that take the client's id and secret as Basic authorization."""


@dataclass(slots=True)  # not frozen: that makes its creation five times as slow
class Presented:
    """The credentials of a request. Never changed. The repr hides all of them.

    Attributes:
        key: an API key, "" without one.
        bot_token: what follows "Bot " and is no key, "" without one.
        own: an authorization for Discord that is not the bot's, "" without one.
        unreadable: there is an Authorization that is none of these.
    """

    key: str = field(default="", repr=False)
    bot_token: str = field(default="", repr=False)
    own: str = field(default="", repr=False)
    unreadable: bool = False


def present(authorization: str, *, proxy_authorization: str = "", key: str = "", path: str = "") -> Presented:
    """Return the credentials in a request.

    Args:
        authorization: value of the header, "" if absent.
        proxy_authorization: value of that header, for a key beside an authorization for Discord.
        key: value of the option `key`.
        path: of the request; a few routes take Basic authorization.
    """
    if key or proxy_authorization:
        key = _key_in(proxy_authorization) or key_of(key) or key
    if not authorization:
        return Presented(key)
    scheme, _, value = authorization.strip().partition(" ")
    value = value.strip()
    found = _key_in(authorization)
    if found:
        return Presented(key or found)
    if scheme.lower() == "bot" and value:
        return Presented(key, bot_token=value)
    if _BEARER.fullmatch(f"{scheme.capitalize()} {value}"):
        return Presented(key, own=f"Bearer {value}")
    if path.startswith(BASIC_ROUTES) and _BASIC.fullmatch(f"{scheme.capitalize()} {value}"):
        return Presented(key, own=f"Basic {value}")
    return Presented(key, unreadable=True)


def key_of(text: str) -> str:
    """Return the API key that a text is or, in the shape of a bot's token, ends with; "" if there is none."""
    last = text.rpartition(".")[2]
    return last if last.startswith(PREFIX) else ""


def _key_in(header: str) -> str:
    """Return the key in the value of an Authorization header, "" if it holds none."""
    scheme, _, value = header.strip().partition(" ")
    if scheme.lower() == "basic":
        try:
            return key_of(base64.b64decode(value.strip(), validate=True).decode().partition(":")[2])
        except ValueError:  # not Base64, or not UTF-8
            return ""
    return key_of(value.strip()) if scheme.lower() in {"bot", "bearer"} else key_of(header.strip())
