"""Requests given by their path: the operator's rules, invalid paths, names of routes, identity of the limits."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from discordproxy_api.access.path_normalization import plain
from discordproxy_api.calls import errors
from discordproxy_api.calls.scopes import REQUEST
from discordproxy_api.contract.contract import Rpc
from discordproxy_api.route_patterns import route_matches
from discordproxy_ratelimit.route import Route, names_token, route_of, template_of

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
CALLBACK = "/interactions/{interaction_id}/{interaction_token}/callback"
CREATE_MESSAGE = ("POST", "/channels/{channel_id}/messages")

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_PATH = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*")
_PARAMETER = re.compile(r"\{\w+\}")
_MAX_DECODINGS = 5
"""As often as servers on the way may decode a path again."""


@dataclass(frozen=True, slots=True)
class RoutePolicy:
    """The routes that the operator allows, as "METHOD /template" or patterns; an empty `allow` allows all."""

    allow: Collection[str] = ()
    deny: Collection[str] = ()

    def permits(self, route: str) -> bool:
        """Return whether a route may be used."""
        if any(route_matches(route, pattern) for pattern in self.deny):
            return False
        return not self.allow or any(route_matches(route, pattern) for pattern in self.allow)


@dataclass(frozen=True, slots=True)
class RequestLine:
    """Method and path of a permitted request.

    Attributes:
        path: without redundant percent-encoding.
        template: the path with names in place of values.
        parameters: the values.
        route: method and template.
        lane: route and top-level resource; requests of one lane share a bucket.
    """

    method: str
    path: str
    template: str
    parameters: dict[str, str]
    route: str = field(init=False)
    lane: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "route", f"{self.method} {self.template}")
        object.__setattr__(self, "lane", f"{self.route} {self.path.split('/', 3)[1:3]}")


class RouteNames:
    """Names the requests of each route as its RPC is named, so that keys, metrics and logs mean the same.

    Of two RPCs with one route, the first one of the contract counts.
    """

    def __init__(self, contract: Mapping[str, Rpc]) -> None:
        self._names = {("POST", _pattern(CALLBACK)): "CreateInteractionResponse"}
        for name, rpc in contract.items():
            if rpc.template is not None and rpc.method is not None:
                self._names.setdefault((rpc.method, _pattern(rpc.template)), name)

    def of(self, line: RequestLine) -> str:
        """Return the RPC of a request, `Request` if its route has none."""
        return self._names.get((line.method, _pattern(line.template)), REQUEST)


def _pattern(template: str) -> str:
    return _PARAMETER.sub("{}", template)


def request_line(method: str, path: str) -> RequestLine:
    """Return the parts of a request whose path has no problems."""
    path = plain(path)
    return RequestLine(method, path, *template_of(path))


def limits_of(
    line: RequestLine, authorization: str, *, body_keys: Collection[str] = (), now_ms: int = 0
) -> tuple[Route, str | None]:
    """Return the identity of a request's limits, and its Authorization: None for the bot's token, "" for none.

    Args:
        line: of the request.
        authorization: "" if the caller leaves it to the proxy, "none" for no authorization, or its value.
        body_keys: top-level keys of the JSON body.
        now_ms: Unix time.
    """
    own = "" if authorization == "none" else authorization
    bearer = own.removeprefix("Bearer ") if own.startswith("Bearer ") else ""
    # A token in the path is enough. With the bot's besides, the call would count as one of the bot's, and Discord's
    # answer to a wrong token in the path would be taken for one about the bot's.
    anonymous = not own and (authorization == "none" or names_token(line.template))
    no_bot_auth = anonymous or bool(own and not bearer)
    route = route_of(
        *(line.method, line.template, line.parameters),
        body_keys=body_keys,
        now_ms=now_ms,
        no_bot_auth=no_bot_auth,
        bearer=bearer,
    )
    return route, "" if anonymous else own or None


def require_permitted(policy: RoutePolicy, line: RequestLine) -> None:
    """Raise ApiError unless the operator allows the route."""
    if (policy.allow or policy.deny) and not policy.permits(line.route):
        text = f"The operator of the proxy does not allow {line.route}."
        raise errors.refusal("PERMISSION_DENIED", "FORBIDDEN_BY_OPERATOR", text)


def path_errors(path: str) -> list[str]:
    """Return what forbids sending a request to a path."""
    if not path.startswith("/"):
        return ['Must start with "/" and contain no host.']
    decoded = path
    for _ in range(_MAX_DECODINGS):
        segments = decoded.replace("\\", "/").split("/")
        if "." in segments or ".." in segments or "\\" in decoded:
            return ['Must not contain "\\", "." or "..", percent-encoded or not.']
        decoded = unquote(decoded)
    if "//" in path:
        return ['Must not contain "//".']
    if not _PATH.fullmatch(path):
        return ["Must be percent-encoded, without query string and fragment."]
    if decoded.count("/") > path.count("/") or CONTROL.search(decoded):  # Discord might decode another route
        return ['Must not contain "/" or control characters in percent-encoding.']
    return []
