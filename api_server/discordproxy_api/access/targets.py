"""Finds the targets of a request: the ids of all guilds and channels in it. Pure."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any
from urllib.parse import unquote

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from discordproxy_api.contract.contract import Rpc, is_list
from discordproxy_ratelimit.route import template_of

GUILD, CHANNEL = "guild_id", "channel_id"

_MAX_ID_DIGITS = 20
"""Digits of 64 bits."""

_UNRESTRICTED = frozenset({"GET /users/{user_id}", "GET /users/@me"})
"""Routes that name no guild or channel, and are allowed to every key with the call."""

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


def targets_reader(rpc: Rpc) -> Reader:
    """Return a function from an RPC's request message to its targets. For `Request` see `targets_of_request`."""
    getters = list(_getters(rpc.request))
    fields = {each.name for each in rpc.request.fields}
    placed = bool({GUILD, CHANNEL} & (set(rpc.parameters) if rpc.template else fields))
    to_users = rpc.template is None and not placed and "user_id" in fields
    unrestricted = f"{rpc.method} {rpc.template}" in _UNRESTRICTED
    by_token = rpc.no_bot_auth or "interaction_token" in fields
    unplaced = not (placed or to_users or unrestricted or by_token)
    optional = rpc.name in _EVERYWHERE_WITHOUT_GUILD

    def read(request: Any) -> Targets:
        found = _Collector()
        for name, get in getters:
            found.add(name, get(request) or None)
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


def _getters(request: Descriptor) -> Iterator[tuple[str, Callable[[Any], int]]]:
    """Yield names and getters of the guild and channel ids in a request and in its direct sub-messages.

    If a sub-message has both, such as a message reference, the channel id counts.
    """
    for each in request.fields:
        if _is_place(each):
            yield each.name, attrgetter(each.name)
        elif each.message_type is not None and not is_list(each):
            yield from _getters_inside(each.name, each.message_type)


def _getters_inside(outer: str, message: Descriptor) -> Iterator[tuple[str, Callable[[Any], int]]]:
    places = {inner.name: attrgetter(f"{outer}.{inner.name}") for inner in message.fields if _is_place(inner)}
    if places.keys() >= {GUILD, CHANNEL}:
        guild, channel = places.pop(GUILD), places[CHANNEL]
        yield GUILD, lambda request: 0 if channel(request) else guild(request)
    yield from places.items()


def _is_place(each: FieldDescriptor) -> bool:
    return each.name.endswith((GUILD, CHANNEL)) and each.type == FieldDescriptor.TYPE_UINT64 and not is_list(each)


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
