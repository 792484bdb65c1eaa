"""Finds the targets of a request: the ids of all guilds and channels in it. Pure."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from operator import attrgetter
from typing import Any
from urllib.parse import unquote

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from discordproxy_api.contract.contract import Rpc, is_list, is_map
from discordproxy_ratelimit.route import template_of

GUILD, CHANNEL = "guild_id", "channel_id"

_MAX_ID_DIGITS = 20
"""Digits of 64 bits."""

_UNRESTRICTED = frozenset(
    {
        *("GET /users/{user_id}", "GET /users/@me", "GET /voice/regions"),
        *("GET /sticker-packs", "GET /sticker-packs/{pack_id}", "GET /soundboard-default-sounds"),
    }
)
"""Routes that name no guild or channel, and are allowed to every key with the call."""

_PLACED_BY_BODY = frozenset({"POST /stage-instances"})
"""Routes whose body names the channel instead of the path."""

_EVERYWHERE_WITHOUT_GUILD = frozenset({"SyncCommands", "ListCommands", "ReleaseCommands"})
"""RPCs that concern all guilds if they name none."""

_BY_TOKEN = ("/webhooks/{webhook_id}/{webhook_token}", "/interactions/{interaction_id}/{interaction_token}")
_TOKEN = re.compile(r"[A-Za-z0-9_.=:~+-]+")
"""Format of a token. An encoded slash or space could turn the path into a different route at Discord."""

_OPENS_DM = "POST /users/@me/channels"


@dataclass(frozen=True, slots=True)
class Targets:
    """The guilds and channels that a request affects.

    Attributes:
        to_users: it writes to a user.
        by_token: a token in the request authorizes it at Discord, without the bot's permissions.
        unplaced: it uses the bot's permissions, and names no guild or channel that can be checked.
    """

    guilds: frozenset[int] = frozenset()
    channels: frozenset[int] = frozenset()
    to_users: bool = False
    by_token: bool = False
    unplaced: bool = False

    def __str__(self) -> str:
        """Return the text for the audit log."""
        parts = [f"guild={each}" for each in sorted(self.guilds)] + [
            f"channel={each}" for each in sorted(self.channels)
        ]
        return " ".join(parts + ["to=user"] * self.to_users) or "-"


Reader = Callable[[Any], Targets]


@dataclass(slots=True)
class _Collector:
    guilds: set[int] = field(default_factory=set)
    channels: set[int] = field(default_factory=set)
    malformed: bool = False

    def add(self, name: str, value: Any) -> None:
        """Add a value if its name is that of a guild or channel id; a value that is no id is malformed."""
        if not name.endswith((GUILD, CHANNEL)) or value is None:
            return
        text = str(value)
        if text.isascii() and text.isdigit() and len(text) <= _MAX_ID_DIGITS and int(text):
            (self.guilds if name.endswith(GUILD) else self.channels).add(int(text))
        else:
            self.malformed = True


@cache
def targets_reader(rpc: Rpc) -> Reader:
    """Return a function from an RPC's request message to its targets. For `Request` see `targets_of_request`."""
    collect = _collect_of(rpc.request)
    fields = {each.name for each in rpc.request.fields}
    route = f"{rpc.method} {rpc.template}"
    named = set(rpc.parameters) if rpc.template and route not in _PLACED_BY_BODY else fields
    placed = bool({GUILD, CHANNEL} & named)
    to_users = rpc.template is None and not placed and "user_id" in fields
    unrestricted = route in _UNRESTRICTED
    by_token = rpc.no_bot_auth or "interaction_token" in fields
    unplaced = not (placed or to_users or unrestricted or by_token)
    optional = rpc.name in _EVERYWHERE_WITHOUT_GUILD or route in _PLACED_BY_BODY

    def read(request: Any) -> Targets:
        found = _Collector()
        collect(request, found)
        nowhere = optional and not (found.guilds or found.channels)
        return Targets(frozenset(found.guilds), frozenset(found.channels), to_users, by_token, unplaced or nowhere)

    return read


def targets_of_request(
    method: str, path: str, query: Iterable[tuple[str, str]], body: str, *, authorized: bool = False
) -> Targets:
    """Return the targets of a request given by path, query and JSON body.

    Args:
        method: HTTP method, upper case.
        path: without redundant percent-encoding.
        query: pairs, decoded.
        body: JSON, or "".
        authorized: the caller sends its own authorization.
    """
    template, parameters = template_of(path)
    found = _Collector()
    for name, value in (*parameters.items(), *query):
        found.add(name, value)
    placed = bool({GUILD, CHANNEL} & set(parameters))
    _add_body(body, found)
    placed = placed or (f"{method} {template}" in _PLACED_BY_BODY and bool(found.channels))
    token = parameters.get("webhook_token") or parameters.get("interaction_token") or ""
    by_token = authorized or (template.startswith(_BY_TOKEN) and bool(_TOKEN.fullmatch(unquote(token))))
    to_users = f"{method} {template}" == _OPENS_DM
    unrestricted = f"{method} {template}" in _UNRESTRICTED
    return Targets(
        frozenset(found.guilds),
        frozenset(found.channels),
        to_users,
        by_token,
        unplaced=found.malformed or not (placed or to_users or unrestricted or by_token),
    )


Collect = Callable[[Any, _Collector], None]


def _collect_of(request: Descriptor) -> Collect:
    """Return a function that adds the guild and channel ids of a request, and of all messages in it."""
    places = [each.name for each in request.fields if _is_place(each)]
    inside = list(_collects_inside(request, frozenset()))

    def collect(message: Any, found: _Collector) -> None:
        for name in places:
            _add(name, getattr(message, name), found)
        for collect_inside in inside:
            collect_inside(message, found)

    return collect


def _collects_inside(outer: Descriptor, seen: frozenset[str]) -> Iterator[Collect]:
    """Yield functions for the fields of a message that hold messages with places."""
    for each in outer.fields:
        inner = each.message_type
        if inner is None or inner.full_name in seen or is_map(each):
            continue
        single = _collect_inner(inner, seen | {inner.full_name})
        if single is not None:
            yield _of_field(each, single)


def _collect_inner(message: Descriptor, seen: frozenset[str]) -> Collect | None:
    """Return the function for messages inside of a request; None for a type without places.

    If a message has both, such as a message reference, the channel id counts.
    """
    places = [each.name for each in message.fields if _is_place(each)]
    inside = list(_collects_inside(message, seen))
    if not places and not inside:
        return None
    refers = {GUILD, CHANNEL} <= set(places)

    def collect(value: Any, found: _Collector) -> None:
        for name in places:
            if not (refers and name == GUILD and getattr(value, CHANNEL)):
                _add(name, getattr(value, name), found)
        for collect_inside in inside:
            collect_inside(value, found)

    return collect


def _of_field(field_of: FieldDescriptor, single: Collect) -> Collect:
    get = attrgetter(field_of.name)
    if not is_list(field_of):
        return lambda message, found: single(get(message), found)

    def collect_all(message: Any, found: _Collector) -> None:
        for element in get(message):
            single(element, found)

    return collect_all


def _add(name: str, value: Any, found: _Collector) -> None:
    if isinstance(value, int):
        found.add(name, value or None)
        return
    for each in value:
        found.add(name, each or None)


def _is_place(each: FieldDescriptor) -> bool:
    return each.name.endswith((GUILD, CHANNEL)) and each.type == FieldDescriptor.TYPE_UINT64


def _add_body(body: str, found: _Collector) -> None:
    """Add every guild and channel id of a JSON document at any depth, including duplicate keys.

    If an object has both, such as a message reference, the channel id counts.
    """

    def add(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        refers = any(name == CHANNEL and value for name, value in pairs)
        for name, value in pairs:
            if not (refers and name == GUILD):
                found.add(name, value)
        return dict(pairs)

    if body:
        try:
            json.loads(body, object_pairs_hook=add)
        except (ValueError, RecursionError):
            found.malformed = True
