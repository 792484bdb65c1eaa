"""What a successful request to Discord changed, so that the next read shows it. Pure.

By route, whatever RPC it came from. A route that is not here changes nothing the caches hold, or does so in a way that
its answer does not tell; then the event shows it, some milliseconds later.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from discordproxy_gateway.cache import CHANNEL, EMOJI, GUILD, MEMBER, ROLE, STICKER, THREAD, USER

Json = dict[str, Any]

THREAD_TYPES = frozenset({10, 11, 12})


@dataclass(frozen=True, slots=True)
class Put:
    """An object was created, or changed into `value`; None: it was deleted."""

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
class Done:
    """A request that Discord accepted.

    Attributes:
        parameters: of the route, by name.
        body: the request's JSON.
        document: the answer's JSON.
    """

    parameters: Mapping[str, str] = field(repr=False)
    body: Any = field(repr=False)
    document: Any = field(repr=False)

    @property
    def guild_id(self) -> str:
        """The guild in the path."""
        return self.parameters["guild_id"]

    @property
    def answer(self) -> Json:
        """The object Discord answered with; empty when it did not."""
        return self.document if isinstance(self.document, dict) and "id" in self.document else {}


def changes_of(route: str, done: Done) -> list[Change]:
    """Return what changed; `route` is "PATCH /channels/{channel_id}"."""
    effect = EFFECTS.get(route)
    return list(effect(done)) if effect else []


def _channel(done: Done) -> Iterator[Change]:
    channel = done.answer
    guild_id = channel.get("guild_id") or done.parameters.get("guild_id")
    if channel and guild_id:  # a direct message's channel has none
        kind = THREAD if channel.get("type") in THREAD_TYPES else CHANNEL
        yield Put(kind, guild_id, channel["id"], {**channel, "guild_id": guild_id})


def _post(done: Done) -> Iterator[Change]:
    """A forum answers with the thread and its first message in it."""
    for change in _channel(done):
        if isinstance(change, Put) and change.value is not None:
            thread = {key: value for key, value in change.value.items() if key != "message"}
            yield Put(change.kind, change.guild_id, change.object_id, thread)


def _no_channel(done: Done) -> Iterator[Change]:
    for change in _channel(done):
        if isinstance(change, Put):
            yield Put(change.kind, change.guild_id, change.object_id, None)


def _overwrite(done: Done) -> Iterator[Change]:
    overwrite_id, body = done.parameters["overwrite_id"], done.body or {}
    bits = {side: str(body.get(side) or 0) for side in ("allow", "deny")}
    value = {"id": overwrite_id, "type": body.get("type") or 0, **bits}
    yield Overwrite(done.parameters["channel_id"], overwrite_id, value)


def _no_overwrite(done: Done) -> Iterator[Change]:
    yield Overwrite(done.parameters["channel_id"], done.parameters["overwrite_id"], None)


def _guild(done: Done) -> Iterator[Change]:
    apart = {"roles", "emojis", "stickers"}  # each has an overlay of its own
    if done.answer:
        value = {key: value for key, value in done.answer.items() if key not in apart}
        yield Put(GUILD, done.guild_id, done.guild_id, value)


def _no_guild(done: Done) -> Iterator[Change]:
    yield Put(GUILD, done.guild_id, done.guild_id, None)


def _member(done: Done) -> Iterator[Change]:
    member = done.document
    if isinstance(member, dict) and "user" in member:
        yield Put(MEMBER, done.guild_id, member["user"]["id"], member)


def _no_member(done: Done) -> Iterator[Change]:
    yield Put(MEMBER, done.guild_id, done.parameters["user_id"], None)


def _banned(done: Done) -> Iterator[Change]:
    for user_id in (done.document or {}).get("banned_users", ()):
        yield Put(MEMBER, done.guild_id, str(user_id), None)


def _role_of_member(*, added: bool) -> Callable[[Done], Iterator[Change]]:
    def effect(done: Done) -> Iterator[Change]:
        yield RoleOfMember(done.guild_id, done.parameters["user_id"], done.parameters["role_id"], added)

    return effect


def _part(kind: str) -> Callable[[Done], Iterator[Change]]:
    def effect(done: Done) -> Iterator[Change]:
        if done.answer:
            yield Put(kind, done.guild_id, done.answer["id"], done.answer)

    return effect


def _no_part(kind: str, parameter: str) -> Callable[[Done], Iterator[Change]]:
    def effect(done: Done) -> Iterator[Change]:
        yield Put(kind, done.guild_id, done.parameters[parameter], None)

    return effect


def _roles(done: Done) -> Iterator[Change]:
    yield from (Put(ROLE, done.guild_id, role["id"], role) for role in done.document or ())


def _user(done: Done) -> Iterator[Change]:
    if done.answer:
        yield Put(USER, "0", done.answer["id"], done.answer)


_GUILD = "/guilds/{guild_id}"
_CHANNEL = "/channels/{channel_id}"
_MEMBER = f"{_GUILD}/members/{{user_id}}"
_OVERWRITE = f"{_CHANNEL}/permissions/{{overwrite_id}}"

EFFECTS: Mapping[str, Callable[[Done], Iterable[Change]]] = {
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
"""Adding a route is one line."""
