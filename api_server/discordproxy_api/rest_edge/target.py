"""The target of an HTTP request: options of the proxy, API version, route and query. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from discordproxy_api.access.keys import PREFIX
from discordproxy_api.calls import errors
from discordproxy_api.rpcs.route_policy import path_errors

OPTIONS = frozenset({"app", "bot", "commands", "headers", "key", "priority", "wait"})
"""Names of the path segments `/name=value` that precede the API's path."""

OLDEST_VERSION = 9

_OPTION = re.compile(r"/([^/?=]*)=([^/?]*)")
_PREFIX = re.compile(r"(?:/api)?(?:/v([0-9]{1,3}))?(?=/|\?|$)")
_QUERY = re.compile(r"[!$-;=?-~]*")
"""Printable ASCII without blank, quotation mark, hash, < and >; a valid target has all else percent-encoded."""


@dataclass(frozen=True, slots=True)
class RequestTarget:
    """The parts of a target. The repr hides what may be secret.

    Attributes:
        options: of the proxy, by name, decoded.
        version: of Discord's API, "" for the configured one.
        path: below the API's base, as it was sent.
        query: as it was sent, "" for none.
    """

    options: Mapping[str, str] = field(repr=False)
    version: str
    path: str = field(repr=False)
    query: str = field(repr=False)


def parse_target(raw: str) -> RequestTarget:
    """Return the parts of a target in origin form.

    Raises:
        ApiError: it is invalid; the text names the part.
    """
    options, end = _options(raw)
    prefix = _PREFIX.match(raw, end)
    version = ""
    if prefix:
        version, end = prefix[1] or "", prefix.end()
    if version and int(version) < OLDEST_VERSION:
        raise errors.invalid_version(version, OLDEST_VERSION)
    path, _, query = raw[end:].partition("?")
    problems = [
        *path_errors(path or "/"),
        *([] if _QUERY.fullmatch(query) else ["Its query must be percent-encoded."]),
        *(
            ["An API key must be in a header or in front of /api: here, Discord would receive it."]
            if PREFIX in path
            else []
        ),
    ]
    if problems:
        raise errors.invalid_field("path", "INVALID_PATH", " ".join(problems))
    return RequestTarget(options, version.lstrip("0"), path or "/", query)


def _options(raw: str) -> tuple[dict[str, str], int]:
    """Return the options, and where the rest of the target begins."""
    options: dict[str, str] = {}
    end = 0
    while found := _OPTION.match(raw, end):
        name = found[1]
        if name not in OPTIONS or name in options:
            text = f"An option is unknown or given twice; known: {', '.join(sorted(OPTIONS))}."  # it may be a key
            raise errors.invalid_field("path", "INVALID_OPTION", text)
        options[name] = unquote(found[2])
        end = found.end()
    return options, end
