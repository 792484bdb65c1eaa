"""The changes that an accepted request made to cached objects, by route. Pure.

Routes without an entry change no cached object, or their response does not contain the change; then it becomes visible
with its gateway event, some milliseconds later.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from discordproxy_gateway.cache import CHANNEL, EMOJI, GUILD, MEMBER, ROLE, STICKER, THREAD, USER

Json = dict[str, Any]

THREAD_TYPES = frozenset({10, 11, 12})


@dataclass(frozen=True, slots=True)
class Put:
    """An object was created or changed to `value`; None: it was deleted."""

    kind: str
    guild_id: str
    object_id: str
    value: Json | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class RoleOfMember:
    """A role of a member was added or removed."""

    guild_id: str
    user_id: str
    role_id: str
    added: bool


@dataclass(frozen=True, slots=True)
class Overwrite:
    """A channel's permission overwrite was set to `value`; None: it was deleted."""

    channel_id: str
    overwrite_id: str
    value: Json | None = field(repr=False)


Change = Put | RoleOfMember | Overwrite


@dataclass(frozen=True, slots=True)
class AcceptedRequest:
    """A request that Discord accepted, with its response.

    Attributes:
        parameters: of the route, by name.
        body: the request's JSON.
        document: the response's JSON.
    """

    parameters: Mapping[str, str] = field(repr=False)
    body: Any = field(repr=False)
    document: Any = field(repr=False)

    @property
    def guild_id(self) -> str:
        """The guild in the path."""
        return self.parameters["guild_id"]

    @property
    def returned(self) -> Json:
        """The object in the response; empty if there is none."""
        return self.document if isinstance(self.document, dict) and "id" in self.document else {}


def changes_of(route: str, accepted: AcceptedRequest) -> list[Change]:
    """Return the changes of a request; `route` as in "PATCH /channels/{channel_id}"."""
    effect = EFFECTS.get(route)
    return list(effect(accepted)) if effect else []


def _channel(accepted: AcceptedRequest) -> Iterator[Change]:
    channel = accepted.returned
    guild_id = channel.get("guild_id") or accepted.parameters.get("guild_id")
    if channel and guild_id:  # a DM channel has none
        kind = THREAD if channel.get("type") in THREAD_TYPES else CHANNEL
        yield Put(kind, guild_id, channel["id"], {**channel, "guild_id": guild_id})


def _post(accepted: AcceptedRequest) -> Iterator[Change]:
    """The response for a forum post is the thread, including its first message."""
    for change in _channel(accepted):
        if isinstance(change, Put) and change.value is not None:
            thread = {key: value for key, value in change.value.items() if key != "message"}
            yield Put(change.kind, change.guild_id, change.object_id, thread)


def _no_channel(accepted: AcceptedRequest) -> Iterator[Change]:
    for change in _channel(accepted):
        if isinstance(change, Put):
            yield Put(change.kind, change.guild_id, change.object_id, None)


def _overwrite(accepted: AcceptedRequest) -> Iterator[Change]:
    overwrite_id, body = accepted.parameters["overwrite_id"], accepted.body or {}
    bits = {side: str(body.get(side) or 0) for side in ("allow", "deny")}
    value = {"id": overwrite_id, "type": body.get("type") or 0, **bits}
    yield Overwrite(accepted.parameters["channel_id"], overwrite_id, value)


def _no_overwrite(accepted: AcceptedRequest) -> Iterator[Change]:
    yield Overwrite(accepted.parameters["channel_id"], accepted.parameters["overwrite_id"], None)


def _guild(accepted: AcceptedRequest) -> Iterator[Change]:
    apart = {"roles", "emojis", "stickers"}  # each has its own overlay
    if accepted.returned:
        value = {key: value for key, value in accepted.returned.items() if key not in apart}
        yield Put(GUILD, accepted.guild_id, accepted.guild_id, value)


def _no_guild(accepted: AcceptedRequest) -> Iterator[Change]:
    yield Put(GUILD, accepted.guild_id, accepted.guild_id, None)


def _member(accepted: AcceptedRequest) -> Iterator[Change]:
    member = accepted.document
    if isinstance(member, dict) and "user" in member:
        yield Put(MEMBER, accepted.guild_id, member["user"]["id"], member)


def _no_member(accepted: AcceptedRequest) -> Iterator[Change]:
    yield Put(MEMBER, accepted.guild_id, accepted.parameters["user_id"], None)


def _banned(accepted: AcceptedRequest) -> Iterator[Change]:
    for user_id in (accepted.document or {}).get("banned_users", ()):
        yield Put(MEMBER, accepted.guild_id, str(user_id), None)


def _role_of_member(*, added: bool) -> Callable[[AcceptedRequest], Iterator[Change]]:
    def effect(accepted: AcceptedRequest) -> Iterator[Change]:
        yield RoleOfMember(accepted.guild_id, accepted.parameters["user_id"], accepted.parameters["role_id"], added)

    return effect


def _part(kind: str) -> Callable[[AcceptedRequest], Iterator[Change]]:
    def effect(accepted: AcceptedRequest) -> Iterator[Change]:
        if accepted.returned:
            yield Put(kind, accepted.guild_id, accepted.returned["id"], accepted.returned)

    return effect


def _no_part(kind: str, parameter: str) -> Callable[[AcceptedRequest], Iterator[Change]]:
    def effect(accepted: AcceptedRequest) -> Iterator[Change]:
        yield Put(kind, accepted.guild_id, accepted.parameters[parameter], None)

    return effect


def _roles(accepted: AcceptedRequest) -> Iterator[Change]:
    yield from (Put(ROLE, accepted.guild_id, role["id"], role) for role in accepted.document or ())


def _user(accepted: AcceptedRequest) -> Iterator[Change]:
    if accepted.returned:
        yield Put(USER, "0", accepted.returned["id"], accepted.returned)


_GUILD = "/guilds/{guild_id}"
_CHANNEL = "/channels/{channel_id}"
_MEMBER = f"{_GUILD}/members/{{user_id}}"
_OVERWRITE = f"{_CHANNEL}/permissions/{{overwrite_id}}"

EFFECTS: Mapping[str, Callable[[AcceptedRequest], Iterable[Change]]] = {
    f"POST {_GUILD}/channels": _channel,
    f"PATCH {_CHANNEL}": _channel,
    f"DELETE {_CHANNEL}": _no_channel,
    f"PUT {_OVERWRITE}": _overwrite,
    f"DELETE {_OVERWRITE}": _no_overwrite,
    f"POST {_CHANNEL}/threads": _post,
    f"POST {_CHANNEL}/messages/{{message_id}}/threads": _channel,
    f"PATCH {_GUILD}": _guild,
    f"DELETE {_GUILD}": _no_guild,
    "DELETE /users/@me/guilds/{guild_id}": _no_guild,
    f"PUT {_MEMBER}": _member,
    f"PATCH {_MEMBER}": _member,
    f"PATCH {_GUILD}/members/@me": _member,
    f"DELETE {_MEMBER}": _no_member,
    f"PUT {_GUILD}/bans/{{user_id}}": _no_member,
    f"POST {_GUILD}/bulk-ban": _banned,
    f"PUT {_MEMBER}/roles/{{role_id}}": _role_of_member(added=True),
    f"DELETE {_MEMBER}/roles/{{role_id}}": _role_of_member(added=False),
    f"POST {_GUILD}/roles": _part(ROLE),
    f"PATCH {_GUILD}/roles": _roles,
    f"PATCH {_GUILD}/roles/{{role_id}}": _part(ROLE),
    f"DELETE {_GUILD}/roles/{{role_id}}": _no_part(ROLE, "role_id"),
    f"POST {_GUILD}/emojis": _part(EMOJI),
    f"PATCH {_GUILD}/emojis/{{emoji_id}}": _part(EMOJI),
    f"DELETE {_GUILD}/emojis/{{emoji_id}}": _no_part(EMOJI, "emoji_id"),
    f"POST {_GUILD}/stickers": _part(STICKER),
    f"PATCH {_GUILD}/stickers/{{sticker_id}}": _part(STICKER),
    f"DELETE {_GUILD}/stickers/{{sticker_id}}": _no_part(STICKER, "sticker_id"),
    "PATCH /users/@me": _user,
}
"""By route: the function that yields the changes of an accepted request."""
