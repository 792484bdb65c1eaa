"""Plans the writes of member lists. Pure.

Every session starts a new generation of each list. It begins with the members of GUILD_CREATE, is filled by requested
chunks, and follows the events from the start, so its members are always current. It is complete once every chunk of
one request has come.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from discordproxy_gateway.cache.overlay import ROLES_OF
from discordproxy_gateway.ids import require_id
from discordproxy_gateway.keys import MEMBER, VOICE_STATE, Keys
from discordproxy_gateway.plan import guild_operations
from discordproxy_gateway.store.operations import Operation


@dataclass(slots=True)
class MemberRequest:
    """A requested member list: received chunks, and members that changed meanwhile."""

    nonce: str
    received: set[int] = field(default_factory=set)
    touched: set[str] = field(default_factory=set)


@dataclass(slots=True)
class GuildState:
    """State of a guild, as the planner keeps it.

    Attributes:
        generation: of the member list that is being kept; every session starts a new one.
        current: its caches belong to this session; otherwise GUILD_CREATE is still to come.
        size: members according to Discord.
    """

    generation: int = 0
    current: bool = False
    available: bool = True
    complete: bool = False
    size: int = 0
    request: MemberRequest | None = None


class MemberLists:
    """Plans the writes of member events."""

    def __init__(self, keys: Keys, guilds: Mapping[str, GuildState]) -> None:
        self._keys = keys
        self._guilds = guilds
        self.plans: Mapping[str, Callable[[Any], list[Operation]]] = {
            "GUILD_MEMBER_ADD": self._add,
            "GUILD_MEMBER_UPDATE": self._update,
            "GUILD_MEMBER_REMOVE": self._remove,
            "GUILD_MEMBERS_CHUNK": self._chunk,
        }

    def voice(self, state: dict[str, Any]) -> list[Operation]:
        """Return the operations for a voice state: the server mutes and deafens members in no other event."""
        known = self._current(state["guild_id"])
        bits = known and guild_operations.put_voice_bits(self._keys, state["guild_id"], known.generation, state)
        return [bits] if bits else []

    def request(self, guild_id: str, nonce: str) -> None:
        """Record that the list of a guild was requested under `nonce`."""
        self._guilds[guild_id].request = MemberRequest(nonce)

    def _add(self, member: dict[str, Any]) -> list[Operation]:
        state = self._current(member["guild_id"], member["user"]["id"])
        if state is None:
            return []
        state.size += 1
        return [*self._put(state, member), self._count(member["guild_id"], 1)]

    def _update(self, member: dict[str, Any]) -> list[Operation]:
        state = self._current(member["guild_id"], member["user"]["id"])
        return [] if state is None else self._put(state, member)

    def _put(self, state: GuildState, member: dict[str, Any]) -> list[Operation]:
        guild_id, user_id = member["guild_id"], require_id(member["user"]["id"])
        return [
            guild_operations.put_member(self._keys, guild_id, state.generation, member),
            self._seen(guild_id, user_id, member),
        ]

    def _remove(self, data: dict[str, Any]) -> list[Operation]:
        guild_id, user_id = data["guild_id"], require_id(data["user"]["id"])
        state = self._current(guild_id, user_id)
        if state is None:
            return []
        state.size -= 1
        drop = guild_operations.drop_member(self._keys, guild_id, state.generation, user_id)
        # Discord may send no voice state (discord-api-docs#1319).
        voice = ("HDEL", self._keys.part(VOICE_STATE, guild_id), user_id)
        return [*drop, voice, self._seen(guild_id, user_id, None), self._count(guild_id, -1)]

    def _chunk(self, chunk: dict[str, Any]) -> list[Operation]:
        guild_id = chunk["guild_id"]
        state = self._current(guild_id)
        request = state.request if state else None
        if state is None or request is None or request.nonce != chunk.get("nonce"):
            return []  # requested by an earlier connection; this one requests it again
        # The event of a member that changed since the request is newer than the chunk.
        rows = [row for row in chunk["members"] if guild_operations.user_of(row) not in request.touched]
        operations = guild_operations.put_members(self._keys, guild_id, state.generation, rows)
        request.received.add(chunk["chunk_index"])
        if len(request.received) == chunk["chunk_count"]:
            state.complete, state.request = True, None
            meta = self._keys.meta(guild_id)
            operations += [("HSET", meta, "complete", "1"), ("STAMP", meta, "synced_at")]
        return operations

    def _current(self, guild_id: str, touched: str | None = None) -> GuildState | None:
        """Return the guild's state if its list belongs to this session; otherwise GUILD_CREATE will start one."""
        state = self._guilds.get(guild_id)
        if state is None or not state.current:
            return None
        if state.request is not None and touched is not None:
            state.request.touched.add(touched)
        return state

    def _seen(self, guild_id: str, user_id: str, member: dict[str, Any] | None) -> Operation:
        fields = user_id, user_id + ROLES_OF
        return guild_operations.seen(self._keys, MEMBER, guild_id, member, *fields, may_return=True)

    def _count(self, guild_id: str, by: int) -> Operation:
        return ("HINCRBY", self._keys.meta(guild_id), "count", str(by))
