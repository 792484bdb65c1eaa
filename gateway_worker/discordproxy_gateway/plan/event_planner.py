"""Plans the cache and stream operations of each event. Pure: no I/O, no clock, no randomness.

The planner keeps a state per guild. It is loaded from Redis when a connection begins and follows the events from there.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from discordproxy_gateway.discord.session import mark_of
from discordproxy_gateway.hidden_channels import is_hidden
from discordproxy_gateway.ids import id_of, number_of, require_id
from discordproxy_gateway.keys import CHANNEL, EMOJI, GUILD, ROLE, STICKER, THREAD, USER, VOICE_STATE, Keys, Slot
from discordproxy_gateway.plan import guild_operations
from discordproxy_gateway.plan.member_operations import GuildState, MemberLists
from discordproxy_gateway.store.operations import Operation

INTERNAL = frozenset({"READY", "RESUMED", "GUILD_MEMBERS_CHUNK", "RATE_LIMITED"})
"""Not appended to the stream: they concern the connection itself, or carry a secret of it."""

JOINED = "+"
"""Before the id of an awaited guild that the bot joined while it was unavailable."""

_ABOUT_CHANNEL = ("CHANNEL_", "THREAD_", "VOICE_CHANNEL_")
"""Beginnings of the names of events whose `id` is that of a channel."""

_BEGINS_OR_ENDS_GUILD = frozenset({"GUILD_CREATE", "GUILD_DELETE"})
_ABOUT_GUILD = _BEGINS_OR_ENDS_GUILD | {"GUILD_UPDATE"}

_STAMPS_NOTHING = frozenset({"READY", "USER_UPDATE", "VOICE_STATE_UPDATE"})
"""Readers keep no answers that contain the bot's user or voice states; a changed member is stamped by its operation."""

_STAMPED = {
    "GUILD_CREATE": ("parts", "members"),
    "GUILD_MEMBER_ADD": ("members",),
    "GUILD_MEMBER_UPDATE": ("members",),
    "GUILD_MEMBER_REMOVE": ("members",),
    "GUILD_MEMBERS_CHUNK": ("members",),
}
"""Stamps of the guild's state (see `Keys.meta`) that an event renews, "parts" if not listed."""


class EventPlanner:
    """Plans the writes of one shard, event by event, in order.

    Args:
        guilds: stored states, by guild id.
        mark: short name of the session the caches belong to, "" before READY.
        awaited: guilds of READY whose GUILD_CREATE has not come yet.
        members: the members intent is on, so member lists are kept.
        era: whose streams are written.
        user_id: of the bot, "" before the first READY.
    """

    def __init__(
        self,
        keys: Keys,
        slot: Slot,
        *,
        guilds: dict[str, GuildState],
        mark: str,
        awaited: Iterable[str],
        members: bool,
        era: int = 1,
        user_id: str = "",
    ) -> None:
        self.guilds = guilds
        self._user_id = user_id
        self._keys = keys
        self._slot = slot
        self._stream = keys.stream(slot.shard_id, era)
        self._mark = mark
        self._awaited = set(awaited)
        self._members = members
        self._plans: Mapping[str, Callable[[Any], list[Operation]]] = {
            "READY": self._ready,
            "GUILD_CREATE": self._guild_create,
            "GUILD_UPDATE": self._guild_update,
            "GUILD_DELETE": self._guild_delete,
            "GUILD_ROLE_CREATE": self._role_put,
            "GUILD_ROLE_UPDATE": self._role_put,
            "GUILD_ROLE_DELETE": self._role_delete,
            "GUILD_EMOJIS_UPDATE": self._emojis,
            "GUILD_STICKERS_UPDATE": self._stickers,
            "CHANNEL_CREATE": self._channel_put,
            "CHANNEL_UPDATE": self._channel_put,
            "CHANNEL_DELETE": self._channel_delete,
            "THREAD_CREATE": self._thread_put,
            "THREAD_UPDATE": self._thread_put,
            "THREAD_DELETE": self._thread_delete,
            "THREAD_LIST_SYNC": self._threads,
            "THREAD_MEMBERS_UPDATE": self._thread_members,
            "VOICE_STATE_UPDATE": self._voice_state,
            "USER_UPDATE": self._user,
        }
        self.member_lists = MemberLists(keys, guilds)
        if members:
            self._plans = {**self._plans, **self.member_lists.plans}

    def plan(self, name: str, data: Any, sequence: int) -> list[Operation]:
        """Return the operations of an event; the last one appends it to the stream.

        Raises:
            LookupError, TypeError, ValueError: the event differs from Discord's documentation.
        """
        first_sight = name == "GUILD_CREATE" and id_of(data["id"]) in self._awaited
        plan = self._plans.get(name)
        operations = plan(data) if plan and self._follows(name, data) else []
        if operations:
            operations += self._stamp(name, data)
        # Guilds of READY are state, not events: their whole content would flood the stream.
        if not first_sight and name not in INTERNAL:
            operations.append(self._append(name, data, sequence))
        return operations

    def _follows(self, name: str, data: dict[str, Any]) -> bool:
        """Return whether the caches can follow the event: its guild id is valid and known, or it has none.

        Events of a guild also come after its GUILD_DELETE (DSharpPlus#700): nothing would delete what they leave.
        """
        place = data.get("id" if name in _ABOUT_GUILD else "guild_id")
        if not place:
            return name not in _ABOUT_GUILD
        if not isinstance(place, str) or id_of(place) != place:
            return False
        return place in self.guilds or name in _BEGINS_OR_ENDS_GUILD

    def _stamp(self, name: str, data: Any) -> list[Operation]:
        """Return the operation after which answers that readers keep are no longer valid. The last one of an event."""
        if name in _STAMPS_NOTHING:
            return []
        fields = _STAMPED.get(name, ("parts",))
        return [("RENEW", self._keys.meta(id_of(data["id" if name in _ABOUT_GUILD else "guild_id"])), *fields)]

    def append_only(self, name: str, data: Any, sequence: int) -> list[Operation]:
        """Return the operation that appends the event to the stream; none for those of the connection itself.

        Raises:
            AttributeError: the event is no object.
        """
        return [] if name in INTERNAL else [self._append(name, data, sequence)]

    def _append(self, name: str, data: Any, sequence: int) -> Operation:
        """Return the append operation. An invalid guild or channel id is left out: hidden from restricted keys."""
        guild, channel, parent = data.get("guild_id"), data.get("channel_id"), data.get("parent_id")
        if not guild and name in _ABOUT_GUILD:
            guild = data.get("id")
        if not channel and name.startswith(_ABOUT_CHANNEL):
            channel = data.get("id")
        words = ["t", name, "s", str(sequence), "x", self._mark]
        if guild and (guild_id := id_of(guild)):
            words += ("g", guild_id)
        if channel and (channel_id := id_of(channel)):
            words += ("c", channel_id)
            if parent and (parent_id := id_of(parent)):
                words += ("p", parent_id)
        return ("APPEND", self._stream, *words, "d", orjson.dumps(data))

    def _ready(self, data: dict[str, Any]) -> list[Operation]:
        self._mark = mark_of(data["session_id"])
        self._user_id = guild_operations.user_of(data) or self._user_id
        listed = data.get("guilds")
        # Without a list it is unknown which guilds the bot has left: all stored ones are awaited.
        found = (
            {guild_id for guild_id, _ in guild_operations.by_id(listed)}
            if isinstance(listed, list)
            else set(self.guilds)
        )
        self._awaited = found
        operations: list[Operation] = [
            ("DEL", self._keys.fatal),
            *([("SET", self._keys.user, orjson.dumps(data["user"]))] if data.get("user") else []),
            ("SET", self._keys.shard_count, str(self._slot.shard_count)),
            ("HSET", self._keys.status(self._slot), "mark", self._mark),
            ("UNLINK", self._keys.awaited(self._slot)),
            *guild_operations.await_guilds(self._keys.awaited(self._slot), self._awaited),
        ]
        for guild_id in [each for each in self.guilds if each not in self._awaited]:
            operations += guild_operations.purge(self._keys, guild_id, self.guilds.pop(guild_id).generation)
        for known in self.guilds.values():
            known.current = known.complete = False
            known.request = None
        return operations

    def _guild_create(self, guild: dict[str, Any]) -> list[Operation]:
        guild_id = guild["id"]
        if guild.get("unavailable"):
            return self._outage(guild_id)
        keys = self._keys
        old = self.guilds.get(guild_id, GuildState())
        known = GuildState(old.generation + 1, current=True, size=number_of(guild.get("member_count")) or 0)
        states = guild_operations.by("user_id", guild.get("voice_states") or ())
        operations = [
            ("HSET", keys.meta(guild_id), "mark", ""),  # readers ignore the guild until it is complete
            *guild_operations.retire_members(keys, guild_id, old.generation),
            *guild_operations.put_guild(keys, guild),
            guild_operations.forget_channels(keys, CHANNEL, guild_id),
            *guild_operations.put_channels(keys, CHANNEL, guild_id, guild.get("channels") or ()),
            guild_operations.forget_channels(keys, THREAD, guild_id),
            *guild_operations.put_channels(keys, THREAD, guild_id, map(_stored_thread, guild.get("threads") or ())),
            *guild_operations.replace(
                keys.part(VOICE_STATE, guild_id),
                [(user_id, _stored_voice_state(state, guild_id)) for user_id, state in states],
            ),
        ]
        if self._members:
            operations += guild_operations.put_members(keys, guild_id, known.generation, guild.get("members") or ())
        meta = {"mark": self._mark, "gen": known.generation, "count": known.size, "complete": 0, "available": 1}
        words = [str(word) for item in meta.items() for word in item]
        self._awaited.discard(guild_id)  # from here on nothing fails: the state is that of the stored caches
        self.guilds[guild_id] = known
        return [
            *operations,
            ("HSET", keys.meta(guild_id), *words),
            self._no_longer_awaited(guild_id),
        ]

    def _guild_update(self, guild: dict[str, Any]) -> list[Operation]:
        return [*guild_operations.put_guild(self._keys, guild), self._seen(GUILD, guild["id"], guild["id"], guild)]

    def _guild_delete(self, data: dict[str, Any]) -> list[Operation]:
        guild_id = data["id"]
        if data.get("unavailable"):
            return self._outage(guild_id)
        self._awaited.discard(guild_id)
        known = self.guilds.pop(guild_id, GuildState())
        return [*guild_operations.purge(self._keys, guild_id, known.generation), self._no_longer_awaited(guild_id)]

    def _no_longer_awaited(self, guild_id: str) -> Operation:
        """Return the operation that removes the guild from the awaited ones."""
        return ("SREM", self._keys.awaited(self._slot), guild_id, JOINED + guild_id)

    def _outage(self, guild_id: str) -> list[Operation]:
        """Keep the data, whose age counts from now: Discord sends no events until the next GUILD_CREATE."""
        if guild_id not in self.guilds:
            # Only the id is known. Unlike that of a guild of READY, its GUILD_CREATE goes into the stream.
            waits = [] if guild_id in self._awaited else [JOINED + guild_id]
            return [("SADD", self._keys.awaited(self._slot), *waits)] if waits else []
        known = self.guilds[guild_id]
        known.available = known.complete = False
        known.request = None
        meta = self._keys.meta(guild_id)
        return [("HSET", meta, "available", "0", "complete", "0"), ("STAMP", meta, "out_at")]

    def _role_put(self, data: dict[str, Any]) -> list[Operation]:
        role = data["role"]
        put = guild_operations.put(self._keys.part(ROLE, data["guild_id"]), guild_operations.by_id([role]))
        return [*put, self._seen(ROLE, data["guild_id"], role["id"], role)]

    def _role_delete(self, data: dict[str, Any]) -> list[Operation]:
        key = self._keys.part(ROLE, data["guild_id"])
        return [("HDEL", key, require_id(data["role_id"])), self._seen(ROLE, data["guild_id"], data["role_id"], None)]

    def _emojis(self, data: dict[str, Any]) -> list[Operation]:
        return self._replace_list(EMOJI, data["guild_id"], data["emojis"])

    def _stickers(self, data: dict[str, Any]) -> list[Operation]:
        return self._replace_list(STICKER, data["guild_id"], data["stickers"])

    def _replace_list(self, kind: str, guild_id: str, objects: Iterable[dict[str, Any]]) -> list[Operation]:
        listed = guild_operations.by_id(objects)
        replace = guild_operations.replace(self._keys.part(kind, guild_id), listed)
        return [*replace, guild_operations.seen_list(self._keys, kind, guild_id, listed)]

    def _channel_put(self, channel: dict[str, Any]) -> list[Operation]:
        guild_id = channel.get("guild_id")
        if not guild_id:  # a direct message's channel
            return []
        put = guild_operations.put_channels(self._keys, CHANNEL, guild_id, [channel])
        # Discord sends no events of a hidden channel's threads, and those that are active when it can be seen again.
        threads = [self._without_threads(guild_id, require_id(channel["id"]))] if is_hidden(channel) else []
        return [*put, *threads, self._seen(CHANNEL, guild_id, channel["id"], channel)]

    def _channel_delete(self, channel: dict[str, Any]) -> list[Operation]:
        guild_id, channel_id = channel.get("guild_id"), require_id(channel["id"])
        if not guild_id:
            return []
        return [
            *guild_operations.drop_channel(self._keys, CHANNEL, guild_id, channel_id),
            self._without_threads(guild_id, channel_id),  # Discord sends no deletion of its threads
            self._seen(CHANNEL, guild_id, channel_id, None),
        ]

    def _without_threads(self, guild_id: str, channel_id: str) -> Operation:
        """Return the operation that drops the threads of a channel."""
        return ("PRUNE", self._keys.part(THREAD, guild_id), self._keys.channel_index, channel_id)

    def _thread_put(self, thread: dict[str, Any]) -> list[Operation]:
        if (thread.get("thread_metadata") or {}).get("archived"):
            drop = guild_operations.drop_channel(self._keys, THREAD, thread["guild_id"], require_id(thread["id"]))
            return [*drop, self._seen(THREAD, thread["guild_id"], thread["id"], thread)]
        put = guild_operations.put_channels(self._keys, THREAD, thread["guild_id"], [_stored_thread(thread)])
        return [*put, self._seen(THREAD, thread["guild_id"], thread["id"], thread)]

    def _thread_delete(self, thread: dict[str, Any]) -> list[Operation]:
        drop = guild_operations.drop_channel(self._keys, THREAD, thread["guild_id"], require_id(thread["id"]))
        return [*drop, self._seen(THREAD, thread["guild_id"], thread["id"], None)]

    def _threads(self, data: dict[str, Any]) -> list[Operation]:
        guild_id = data["guild_id"]
        parents = data.get("channel_ids")
        if parents is None:
            drop = guild_operations.forget_channels(self._keys, THREAD, guild_id)
        else:
            drop = (
                "PRUNE",
                self._keys.part(THREAD, guild_id),
                self._keys.channel_index,
                *filter(None, map(id_of, parents)),
            )
        return [
            drop,
            *guild_operations.put_channels(self._keys, THREAD, guild_id, map(_stored_thread, data["threads"])),
        ]

    def _thread_members(self, data: dict[str, Any]) -> list[Operation]:
        """Drop a thread that the bot was removed from: of a private one, Discord sends no further events."""
        return self._thread_delete(data) if self._user_id in (data.get("removed_member_ids") or ()) else []

    def _voice_state(self, state: dict[str, Any]) -> list[Operation]:
        guild_id = state.get("guild_id")
        if not guild_id:
            return []
        key, user_id = self._keys.part(VOICE_STATE, guild_id), require_id(state["user_id"])
        member = self.member_lists.voice(state) if self._members else []
        if state.get("channel_id") is None:
            return [("HDEL", key, user_id), *member]
        return [*guild_operations.put(key, [(user_id, _stored_voice_state(state, guild_id))]), *member]

    def _user(self, user: dict[str, Any]) -> list[Operation]:
        return [("SET", self._keys.user, orjson.dumps(user)), self._seen(USER, "0", user["id"], user)]

    def _seen(self, kind: str, guild_id: str, object_id: str, value: Any) -> Operation:
        return guild_operations.seen(self._keys, kind, guild_id, value, require_id(object_id))


def _stored_thread(thread: Any) -> Any:
    if not isinstance(thread, dict):
        return thread
    return {name: value for name, value in thread.items() if name not in {"newly_created", "guild_hashes"}}


def _stored_voice_state(state: dict[str, Any], guild_id: str) -> dict[str, Any]:
    return {**{name: value for name, value in state.items() if name != "member"}, "guild_id": guild_id}
