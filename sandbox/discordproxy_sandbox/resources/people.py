"""Actions of users: write, vote, join, click. The gateway sends the events to the bot."""

from discordproxy_sandbox.errors import Json
from discordproxy_sandbox.ledger import Ledger
from discordproxy_sandbox.resources.application import interactions, users
from discordproxy_sandbox.resources.channel import messages, polls
from discordproxy_sandbox.resources.guild import members
from discordproxy_sandbox.world.objects import make_user
from discordproxy_sandbox.world.voice import set_voice_state
from discordproxy_sandbox.world.world import World


class People:
    """Acts for the users of a world; ids may be given as numbers or strings."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._ledger = Ledger()  # the sandbox's ledger records the bot's messages only

    def add(self, name: str, user_id: int | str = "") -> Json:
        """Add a user without any guild."""
        user = make_user(str(user_id) or self._world.new_id(), name)
        self._world.users[user["id"]] = user
        return user

    def join(self, guild_id: int | str, user_id: int | str) -> Json:
        """Join a guild."""
        return members.join(self._world, str(guild_id), self._world.user(str(user_id))["id"])

    def leave(self, guild_id: int | str, user_id: int | str) -> None:
        """Leave a guild."""
        members.leave(self._world, self._world.guild(str(guild_id)), str(user_id))

    def edit_member(self, guild_id: int | str, user_id: int | str, changes: Json) -> Json:
        """Change a membership, e.g. {"nick": "new", "roles": [...]}."""
        return members.update(self._world, self._world.guild(str(guild_id)), str(user_id), changes)

    def write(self, channel_id: int | str, user_id: int | str, content: str, **more: object) -> Json:
        """Write a message into a channel."""
        channel, author = self._world.channel(str(channel_id)), self._world.user(str(user_id))
        return messages.store(self._world, self._ledger, channel, author, {"content": content, **more})

    def write_dm(self, user_id: int | str, content: str) -> Json:
        """Write a direct message to the bot."""
        channel = users.dm_with(self._world, self._world.user(str(user_id)))
        return self.write(channel.id, user_id, content)

    def add_emoji(self, guild_id: int | str, name: str) -> Json:
        """Add an emoji to a guild."""
        guild = self._world.guild(str(guild_id))
        emoji: Json = {"id": self._world.new_id(), "name": name, "roles": [], "require_colons": True, "managed": False}
        guild.emojis[emoji["id"]] = emoji | {"animated": False, "available": True}
        data: Json = {"guild_id": guild.id, "emojis": list(guild.emojis.values())}
        self._world.emit("GUILD_EMOJIS_UPDATE", data, guild.id)
        return guild.emojis[emoji["id"]]

    def vote(self, channel_id: int | str, message_id: int | str, answer_id: int, user_id: int | str) -> None:
        """Vote in a poll."""
        polls.vote(self._world, str(channel_id), str(message_id), answer_id, str(user_id))

    def interact(
        self, channel_id: int | str, user_id: int | str, kind: int = 2, data: Json | None = None, message_id: str = ""
    ) -> Json:
        """Use a command (kind 2), a component of a message (3), an option with autocompletion (4) or a modal (5)."""
        more = {"message": self._world.message(str(channel_id), message_id)} if message_id else {}
        return interactions.interact(self._world, str(channel_id), str(user_id), kind, data, **more)

    def speak(self, guild_id: int | str, user_id: int | str, channel_id: int | str | None) -> Json:
        """Enter a voice channel, or leave voice with None."""
        state: Json = {"channel_id": None if channel_id is None else str(channel_id)}
        return set_voice_state(self._world, str(guild_id), state, str(user_id))
