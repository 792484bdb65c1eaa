"""Events as a bot receives them that cannot see every channel."""

from collections.abc import Iterator

from discordproxy_sandbox.errors import Json
from discordproxy_sandbox.world.visibility import as_bot_sees, bot_sees, hidden_channels
from discordproxy_sandbox.world.world import Channel, Event, Guild, World

_OF_CHANNEL = ("CHANNEL_CREATE", "CHANNEL_UPDATE", "CHANNEL_DELETE")
_IN_CHANNEL = ("MESSAGE_", "THREAD_", "TYPING_", "CHANNEL_PINS_", "INVITE_", "WEBHOOKS_", "STAGE_", "VOICE_CHANNEL_")
_OF_PERMISSIONS = (*_OF_CHANNEL, "GUILD_ROLE_UPDATE", "GUILD_ROLE_DELETE", "GUILD_UPDATE")
_OF_BOT = ("GUILD_MEMBER_UPDATE", "VOICE_STATE_UPDATE")


class HiddenChannels:
    """Replaces and drops events of hidden channels, and reports channels that become hidden or visible."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._hidden: dict[str, set[str]] = {}  # by guild, as the sessions know them

    def remember(self, guild: Guild) -> None:
        """Record what GUILD_CREATE shows."""
        self._hidden[guild.id] = hidden_channels(self._world, guild)

    def seen_of(self, event: Event) -> Iterator[Event]:
        """Yield what the bot receives of an event, and the changes that follow from it."""
        guild = self._world.guilds.get(event.guild_id)
        if guild is None:
            yield event
            return
        if event.name in _OF_CHANNEL and "type" in event.data:
            yield Event(event.name, as_bot_sees(self._world, Channel(event.data)), guild.id)
        elif not event.name.startswith(_IN_CHANNEL) or self._is_in_sight(event.data):
            yield event
        if event.name in _OF_PERMISSIONS or (event.name in _OF_BOT and self._is_bots(event.data)):
            yield from self._changes(guild, str(event.data.get("id")))

    def _is_bots(self, data: Json) -> bool:
        return self._world.bot_id in (data.get("user_id"), data.get("user", {}).get("id"))

    def _is_in_sight(self, data: Json) -> bool:
        place = self._world.channels.get(str(data.get("channel_id") or data.get("parent_id") or data.get("id")))
        return place is None or not place.guild_id or bot_sees(self._world, place)

    def _changes(self, guild: Guild, reported: str) -> Iterator[Event]:
        """Yield the updates of channels that have become hidden or visible, except the one that an event has reported.

        A channel that has become visible is followed by its active threads.
        """
        now = hidden_channels(self._world, guild)
        before = self._hidden.get(guild.id, now)
        self._hidden[guild.id] = now
        for channel_id in sorted(before ^ now):
            channel = guild.channels.get(channel_id)
            if channel is None:
                continue
            if channel_id != reported:
                yield Event("CHANNEL_UPDATE", as_bot_sees(self._world, channel), guild.id)
            if channel_id in before:
                yield Event("THREAD_LIST_SYNC", self._threads_of(guild, channel), guild.id)

    def _threads_of(self, guild: Guild, channel: Channel) -> Json:
        threads = [thread for thread in guild.active_threads() if thread.data["parent_id"] == channel.id]
        joined = [one.thread_members[self._world.bot_id] for one in threads if self._world.bot_id in one.thread_members]
        data = [thread.data for thread in threads]
        return {"guild_id": guild.id, "channel_ids": [channel.id], "threads": data, "members": joined}
