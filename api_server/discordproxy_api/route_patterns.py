"""Patterns of routes, "METHOD /template" with `*`: in the settings and in the entries of keys. Pure."""

import re
from fnmatch import fnmatchcase
from functools import lru_cache

from discordproxy_ratelimit.route import template_of

_PATTERN = re.compile(r"\*|(?:GET|POST|PUT|PATCH|DELETE|\*) [/*]\S*")
_PARAMETER = re.compile(r"\{[^{}]*\}")
_SOME_ID = "100000000000000001"


@lru_cache(maxsize=4096)
def route_matches(route: str, pattern: str) -> bool:
    """Return whether a route matches; `*` matches anything, the names of parameters do not matter."""
    literal = _PARAMETER.sub("{}", pattern).replace("[", "[[]")
    return fnmatchcase(_PARAMETER.sub("{}", route), literal)


def checked_route(pattern: str) -> str:
    """Return the pattern of a route.

    Raises:
        ValueError: it can match no route; the text names the fix.
    """
    form = f"must be a method and a path, such as GET /guilds/{{guild_id}}/audit-logs, and may contain *; not {pattern}"
    if not _PATTERN.fullmatch(pattern):
        raise ValueError(form)
    method, _, path = pattern.partition(" ")
    if path.startswith("/api/") or "?" in path or "#" in path or (path.endswith("/") and path != "/"):
        raise ValueError(f"{form}: the path has no /api, no query string and no slash at its end")
    if path and "*" not in path:
        template = template_of(_PARAMETER.sub(_SOME_ID, path))[0]
        if not route_matches(f"{method} {template}", pattern):
            raise ValueError(f"{pattern} can match no route; the route is {method} {template}")
    return pattern
