"""Finds the route of a path. Fixed segments have precedence over parameters: /users/@me is not /users/{user_id}."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from discordproxy_sandbox.errors import DiscordError, discord_error
from discordproxy_sandbox.resources.exchange import ApiRoute

_BASE = re.compile(r"^(?:/[^/]+)*?/api/v\d+(?=/)|^/api(?=/)")
_MAJORS = ("/channels/{channel_id}", "/guilds/{guild_id}", "/webhooks/{webhook_id}", "/interactions/{interaction_id}")
_SECRETS = ("webhook_token", "interaction_token")


@dataclass(frozen=True, slots=True)
class Match:
    """A template with the values of its parameters.

    `route` is None if the path exists for other methods only; `template` is "" if the path does not exist.
    """

    template: str
    params: dict[str, str]
    route: ApiRoute | None

    def require(self) -> ApiRoute:
        """Return the route; raise Discord's 404 or 405 without one."""
        if self.route:
            return self.route
        raise DiscordError(405, 0, "405: Method Not Allowed") if self.template else discord_error(0)

    @property
    def major(self) -> str:
        """The value of the major parameter, as Discord counts: webhooks and interactions with their token."""
        top = next((major for major in _MAJORS if f"{self.template}/".startswith(f"{major}/")), None)
        if top is None:
            return ""
        name = top.partition("{")[2].rstrip("}")
        return "/".join(filter(None, (self.params[name], *(self.params.get(one) for one in _SECRETS))))


@dataclass(slots=True)
class _Node:
    fixed: dict[str, "_Node"] = field(default_factory=dict)
    parameters: dict[str, "_Node"] = field(default_factory=dict)
    template: str = ""
    routes: dict[str, ApiRoute] = field(default_factory=dict)


class Router:
    """All routes of Discord as a tree of path segments."""

    def __init__(self, routes: Mapping[str, ApiRoute]) -> None:
        self._root = _Node()
        for name, route in routes.items():
            method, template = name.split(" ")
            self._node(template).routes[method] = route

    def find(self, method: str, raw_path: str) -> Match:
        """Return the route of a path below any base path such as /api/v10."""
        segments = [unquote(segment) for segment in local_path(raw_path).strip("/").split("/")]
        found = _walk(self._root, segments, {}, method)
        return found or _walk(self._root, segments, {}, None) or Match("", {}, None)

    def _node(self, template: str) -> _Node:
        node = self._root
        for segment in template.strip("/").split("/"):
            children = node.parameters if segment.startswith("{") else node.fixed
            node = children.setdefault(segment.strip("{}"), _Node())
        node.template = template
        return node


def local_path(raw_path: str) -> str:
    """Return a path without its base: /api/v10/users/@me is /users/@me."""
    return _BASE.sub("", raw_path)


def masked(text: str, match: Match) -> str:
    """Return a path, or a major parameter, without the tokens in it."""
    if not match.template:
        return "/".join(text.split("/")[:2]) + "/?"  # any part of an unknown path may be secret
    for name in _SECRETS:
        if secret := match.params.get(name):
            text = text.replace(secret, "***")
    return text


def _walk(node: _Node, segments: list[str], params: dict[str, str], method: str | None) -> Match | None:
    if not segments:
        if not node.routes or (method and method not in node.routes):
            return None
        return Match(node.template, params, node.routes[method] if method else None)
    first, rest = segments[0], segments[1:]
    if first in node.fixed and (found := _walk(node.fixed[first], rest, params, method)):
        return found
    for name, child in node.parameters.items():
        if found := _walk(child, rest, params | {name: first}, method):
            return found
    return None
