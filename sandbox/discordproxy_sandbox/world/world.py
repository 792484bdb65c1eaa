"""The state of the sandbox: Discord's objects, stored as the JSON objects that it sends.

Ids are strings, as on the wire. Lookups raise Discord's own error for unknown objects. A function that changes the
world calls `emit`; the gateway is a listener.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from discordproxy_sandbox.errors import DiscordError, Json, discord_error
from discordproxy_sandbox.limits.limits import SlidingWindow
from discordproxy_sandbox.world.members import Members
from discordproxy_sandbox.world.snowflakes import Snowflakes, iso

THREADS = (10, 11, 12)
DM = 1
ANNOUNCEMENT = 5
FORUMS = (15, 16)
TEXTUAL = (0, 1, 2, 3, 5, 10, 11, 12, 13)


@dataclass(slots=True)
class Event:
    """A gateway event; `guild_id` is empty for events without a guild."""

    name: str
    data: Json
    guild_id: str = ""


@dataclass(slots=True)
class Channel:
    """A channel, thread or DM with its content; `data` is Discord's channel object."""

    data: Json
    messages: dict[str, Json] = field(default_factory=dict)  # oldest first
    pins: dict[str, str] = field(default_factory=dict)  # message id -> time
    files: dict[str, list[Json]] = field(default_factory=dict)  # message id -> attachments, also those in embeds
    reactions: dict[str, dict[str, list[str]]] = field(default_factory=dict)  # message id -> emoji -> user ids
    votes: dict[str, dict[int, list[str]]] = field(default_factory=dict)  # message id -> answer -> user ids
    nonces: dict[tuple[str, str], tuple[float, str]] = field(default_factory=dict)  # author, nonce -> time, message id
    thread_members: dict[str, Json] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The channel's id."""
        return str(self.data["id"])

    @property
    def guild_id(self) -> str:
        """The guild's id; "" in a DM."""
        return str(self.data.get("guild_id", ""))

    @property
    def type(self) -> int:
        """Discord's channel type."""
        return int(self.data["type"])


@dataclass(slots=True)
class Guild:
    """A guild with its objects; `data` is Discord's guild object without them."""

    data: Json
    channels: dict[str, Channel] = field(default_factory=dict)  # threads too
    roles: dict[str, Json] = field(default_factory=dict)
    emojis: dict[str, Json] = field(default_factory=dict)
    stickers: dict[str, Json] = field(default_factory=dict)
    members: Members = field(default_factory=Members)
    bans: dict[str, Json] = field(default_factory=dict)
    scheduled_events: dict[str, Json] = field(default_factory=dict)
    voice_states: dict[str, Json] = field(default_factory=dict)
    unavailable: bool = False  # an outage: GUILD_DELETE instead of GUILD_CREATE

    @property
    def id(self) -> str:
        """The guild's id, which is also the id of its role @everyone."""
        return str(self.data["id"])

    def as_json(self) -> Json:
        """Return the guild as REST sends it: with roles, emojis and stickers, without channels and members."""
        parts = {"roles": self.roles, "emojis": self.emojis, "stickers": self.stickers}
        return self.data | {key: list(part.values()) for key, part in parts.items()}

    def plain_channels(self) -> list[Channel]:
        """Return the channels without the threads."""
        return [channel for channel in self.channels.values() if channel.type not in THREADS]

    def active_threads(self) -> list[Channel]:
        """Return the threads that are not archived."""
        threads = (channel for channel in self.channels.values() if channel.type in THREADS)
        return [thread for thread in threads if not thread.data["thread_metadata"]["archived"]]


@dataclass
class World:
    """All objects. `bot_id` is the id of the bot's user and of its application."""

    clock: Callable[[], float]
    bot_id: str
    users: dict[str, Json] = field(default_factory=dict)
    guilds: dict[str, Guild] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)
    dms: dict[str, Channel] = field(default_factory=dict)  # user id -> DM channel
    webhooks: dict[str, Json] = field(default_factory=dict)
    commands: dict[str, dict[str, Json]] = field(default_factory=dict)  # guild id, "" for all -> by id
    commands_before: dict[str, list[Json]] = field(default_factory=dict)  # guild id -> the list before the last change
    old_command_lists: int = 0  # the next lists of commands are those before the last change
    invites: dict[str, Json] = field(default_factory=dict)
    interactions: dict[str, Json] = field(default_factory=dict)  # token -> id, channel, response
    forbidden: dict[str, int] = field(default_factory=dict)  # id of a channel, guild, user ... -> JSON error code
    collections: dict[str, dict[str, Json]] = field(default_factory=dict)  # path of other objects -> by id
    deleted: set[str] = field(default_factory=set)  # paths of deleted objects
    documents: dict[str, Any] = field(default_factory=dict)  # path of settings -> what was sent
    target_users: dict[str, list[str]] = field(default_factory=dict)  # code of an invite -> lines of its CSV file
    searches_before_index: int = 0  # searches that find no index yet
    index_retry_after_s: float = 1.0
    application_flags: int = 0
    generated_users: int = 0
    build_user: Callable[[str], Json | None] | None = None  # builds generated users
    new_dms: SlidingWindow | None = None  # limit of opened DM channels; None: unlimited
    listeners: list[Callable[[Event], None]] = field(default_factory=list)
    snowflakes: Snowflakes = field(init=False)

    def __post_init__(self) -> None:
        self.snowflakes = Snowflakes(self.clock)

    def new_id(self) -> str:
        """Return a fresh snowflake."""
        return self.snowflakes.next()

    def now_iso(self) -> str:
        """Return the current time in Discord's notation."""
        return iso(self.clock())

    def emit(self, name: str, data: Json, guild_id: str = "") -> None:
        """Pass an event to the listeners."""
        for listener in self.listeners:
            listener(Event(name, data, guild_id))

    def list_old_commands(self, count: int = 1) -> None:
        """Return the list before the last change to the next requests for application commands."""
        self.old_command_lists = count

    def forbid(self, object_id: str | int, code: int = 50001) -> None:
        """Make every request with this object in its path fail with an error code (50001, 50013, 50007 ...)."""
        self.forbidden[str(object_id)] = code

    def allow(self, object_id: str | int) -> None:
        """Revoke `forbid`."""
        self.forbidden.pop(str(object_id), None)

    def refusal(self, object_id: str) -> DiscordError | None:
        """Return the error for requests for this object if it is forbidden."""
        code = self.forbidden.get(object_id)
        return discord_error(code) if code else None

    def user(self, user_id: str) -> Json:
        """Return a user."""
        found = self._find_user(user_id)
        if found is None:
            raise discord_error(10013)
        return found

    def has_user(self, user_id: str) -> bool:
        """Return whether a user exists."""
        return self._find_user(user_id) is not None

    def _find_user(self, user_id: str) -> Json | None:
        return self.users.get(user_id) or (self.build_user(user_id) if self.build_user else None)

    def guild(self, guild_id: str) -> Guild:
        """Return a guild of the bot."""
        try:
            return self.guilds[guild_id]
        except KeyError:
            raise discord_error(10004) from None

    def channel(self, channel_id: str) -> Channel:
        """Return a channel, thread or DM."""
        try:
            return self.channels[channel_id]
        except KeyError:
            raise discord_error(10003) from None

    def message(self, channel_id: str, message_id: str) -> Json:
        """Return a message of a channel."""
        try:
            return self.channel(channel_id).messages[message_id]
        except KeyError:
            raise discord_error(10008) from None

    def member(self, guild_id: str, user_id: str) -> Json:
        """Return a member with its user."""
        member = self.guild(guild_id).members.get(user_id)
        if member is None:
            self.user(user_id)
            raise discord_error(10007)
        return {**member, "user": self.user(user_id)}

    def members_named(self, guild: Guild, prefix: str) -> Iterator[str]:
        """Yield the ids of the members whose name or nickname begins with a prefix, given in lower case."""
        for user_id in guild.members:
            names = (self.user(user_id)["username"], (guild.members.get(user_id) or {}).get("nick") or "")
            if any(name.lower().startswith(prefix) for name in names):
                yield user_id

    def role(self, guild_id: str, role_id: str) -> Json:
        """Return a role of a guild."""
        try:
            return self.guild(guild_id).roles[role_id]
        except KeyError:
            raise discord_error(10011) from None

    def webhook(self, webhook_id: str, token: str | None = None) -> Json:
        """Return a webhook; a given token must match."""
        webhook = self.webhooks.get(webhook_id)
        if webhook is None:
            raise discord_error(10015)
        if token is not None and token != webhook["token"]:
            raise discord_error(50027)
        return webhook

    def add_channel(self, channel: Channel) -> None:
        """Add a channel, thread or DM to the world and to its guild."""
        self.channels[channel.id] = channel
        if channel.guild_id:
            self.guild(channel.guild_id).channels[channel.id] = channel

    def remove_guild(self, guild_id: str) -> None:
        """Remove the bot from a guild."""
        for channel_id in self.guild(guild_id).channels:
            self.channels.pop(channel_id, None)
        del self.guilds[guild_id]
        self.emit("GUILD_DELETE", {"id": guild_id}, guild_id)

    def remove_channel(self, channel: Channel) -> None:
        """Remove a channel and its threads."""
        guild = self.guilds.get(channel.guild_id)
        family = [channel]
        if guild:
            family += [c for c in guild.channels.values() if c.type in THREADS and c.data["parent_id"] == channel.id]
        for gone in family:
            self.channels.pop(gone.id, None)
            if guild:
                guild.channels.pop(gone.id, None)
