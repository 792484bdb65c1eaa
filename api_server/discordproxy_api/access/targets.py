"""Which places of Discord a request reaches: the ids of guilds and channels in it, wherever they stand. Pure."""

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

_HARMLESS = frozenset({"GET /users/{user_id}", "GET /users/@me"})
"""What every key with the call may do although it names no place."""

_BY_TOKEN = ("/webhooks/{webhook_id}/{webhook_token}", "/interactions/{interaction_id}/{interaction_token}")
_TOKEN = re.compile(r"[A-Za-z0-9_.=:~+-]+")
"""What could be a token. An encoded slash or blank could make another route of the path, beyond the proxy."""

_OPENS_DM = "POST /users/@me/channels"


@dataclass(frozen=True, slots=True)
class Targets:
    """The places a request reaches.

    Attributes:
        to_users: it writes to a user directly.
        by_token: a token in the request authorises it at Discord; it needs nothing of the bot.
        unplaced: it uses the bot's rights at no place that could be checked.
    """

    guilds: frozenset[int] = frozenset()
    channels: frozenset[int] = frozenset()
    to_users: bool = False
    by_token: bool = False
    unplaced: bool = False

    def __str__(self) -> str:
        """Return the form of the audit log."""
        parts = [f"guild={each}" for each in sorted(self.guilds)] + [
            f"channel={each}" for each in sorted(self.channels)
        ]
        return " ".join(parts + ["to=user"] * self.to_users) or "-"


Reader = Callable[[Any], Targets]


@dataclass(slots=True)
class _Found:
    guilds: set[int] = field(default_factory=set)
    channels: set[int] = field(default_factory=set)
    odd: bool = False

    def note(self, name: str, value: Any) -> None:
        """Take an entry into account; what stands at a place's name and is no id is odd."""
        if not name.endswith((GUILD, CHANNEL)) or value is None:
            return
        text = str(value)
        if text.isascii() and text.isdigit() and len(text) <= _MAX_ID_DIGITS and int(text):
            (self.guilds if name.endswith(GUILD) else self.channels).add(int(text))
        else:
            self.odd = True


def reach_of(rpc: Rpc) -> Reader:
    """Return what reads the reach out of an RPC's requests; for `Request` there is `reach_of_request`."""
    getters = list(_getters(rpc.request))
    fields = {each.name for each in rpc.request.fields}
    placed = bool({GUILD, CHANNEL} & (set(rpc.parameters) if rpc.template else fields))
    to_users = rpc.template is None and not placed and "user_id" in fields
    harmless = f"{rpc.method} {rpc.template}" in _HARMLESS
    by_token = rpc.no_bot_auth or "interaction_token" in fields
    unplaced = not (placed or to_users or harmless or by_token)

    def read(request: Any) -> Targets:
        found = _Found()
        for name, get in getters:
            found.note(name, get(request) or None)
        return Targets(frozenset(found.guilds), frozenset(found.channels), to_users, by_token, unplaced)

    return read


def reach_of_request(
    method: str, path: str, query: Iterable[tuple[str, str]], body: str, *, authorized: bool = False
) -> Targets:
    """Return the reach of a call that is known by path, query and JSON body.

    Args:
        method: HTTP method, upper case.
        path: free of needless percent-encoding.
        query: pairs, decoded.
        body: JSON, or "".
        authorized: the caller brings an authorization of its own.
    """
    template, parameters = template_of(path)
    found = _Found()
    for name, value in (*parameters.items(), *query):
        found.note(name, value)
    placed = bool({GUILD, CHANNEL} & set(parameters))
    _read_body(body, found)
    token = parameters.get("webhook_token") or parameters.get("interaction_token") or ""
    by_token = authorized or (template.startswith(_BY_TOKEN) and bool(_TOKEN.fullmatch(unquote(token))))
    to_users = f"{method} {template}" == _OPENS_DM
    harmless = f"{method} {template}" in _HARMLESS
    return Targets(
        frozenset(found.guilds),
        frozenset(found.channels),
        to_users,
        by_token,
        unplaced=found.odd or not (placed or to_users or harmless or by_token),
    )


def _getters(request: Descriptor) -> Iterator[tuple[str, Callable[[Any], int]]]:
    """Yield the ids of places in a request: of its own fields, and of the messages directly in it.

    Of a reference, which names guild and channel, the channel counts.
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


def _read_body(body: str, found: _Found) -> None:
    """Note every place in a JSON document, however deep; of a key that is given twice, both.

    Of an object that names guild and channel, such as a message's reference, the channel counts.
    """

    def note(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        refers = any(name == CHANNEL and value for name, value in pairs)
        for name, value in pairs:
            if not (refers and name == GUILD):
                found.note(name, value)
        return dict(pairs)

    if body:
        try:
            json.loads(body, object_pairs_hook=note)
        except (ValueError, RecursionError):
            found.odd = True
