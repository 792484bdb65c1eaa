"""The state of the in-memory Discord. Independent of gRPC channels and clients."""

from __future__ import annotations

import itertools
from datetime import datetime, timezone
from typing import Any

import grpc

from discordproxy.discord_api_pb2 import Channel, Command, Guild, GuildMember, Message, Role, User
from discordproxy.snowflakes import snowflake_at

_STATUS = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    409: grpc.StatusCode.FAILED_PRECONDITION,
    412: grpc.StatusCode.FAILED_PRECONDITION,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    502: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
_SERVER_ERROR = 500


class HttpRefusalError(Exception):
    """An error response of Discord."""

    def __init__(self, status: int, code: int, text: str) -> None:
        super().__init__(status, code, text)
        self.status = status
        self.code = code
        self.text = text

    def grpc_status(self) -> grpc.StatusCode:
        """Return the gRPC status that the proxy maps it to."""
        other = grpc.StatusCode.INTERNAL if self.status >= _SERVER_ERROR else grpc.StatusCode.INVALID_ARGUMENT
        return _STATUS.get(self.status, other)

    def facts(self) -> dict[str, Any]:
        """Return the proxy's error details."""
        sent = "unknown" if self.status >= _SERVER_ERROR else "no"
        return {"type": "HTTPException", "status": self.status, "code": self.code, "text": self.text, "sent": sent}


class ProxyRefusalError(HttpRefusalError):
    """A refusal by the proxy itself."""

    def __init__(self, status: grpc.StatusCode, reason: str, text: str) -> None:
        super().__init__(0, 0, text)
        self.reason = reason
        self._status = status

    def grpc_status(self) -> grpc.StatusCode:
        """Return the status of the call."""
        return self._status

    def facts(self) -> dict[str, Any]:
        """Return the proxy's error details."""
        return {"type": "ProxyException", "text": self.text, "reason": self.reason, "sent": "no"}


class FakeWorld:
    """Guilds, channels, roles, members, users, messages and application commands."""

    def __init__(self) -> None:
        self._ids = itertools.count(snowflake_at(datetime.now(timezone.utc)))
        self.guilds: dict[int, Guild] = {}
        self.channels: dict[int, Channel] = {}
        self.roles: dict[int, Role] = {}
        self.users: dict[int, User] = {}
        self.members: dict[tuple[int, int], GuildMember] = {}
        self.messages: dict[int, Message] = {}
        self.commands: dict[int, Command] = {}
        self._direct_channels: dict[int, int] = {}
        self.bot = self.add_user("bot", bot=True)

    def add_guild(self, **fields: Any) -> Guild:
        """Add a guild."""
        guild = Guild(**{"id": self.new_id(), "name": "Guild", **fields})
        return self.guilds.setdefault(guild.id, guild)

    def add_channel(self, **fields: Any) -> Channel:
        """Add a channel."""
        channel = Channel(**{"id": self.new_id(), "type": Channel.GUILD_TEXT, **fields})
        return self.channels.setdefault(channel.id, channel)

    def add_role(self, **fields: Any) -> Role:
        """Add a role."""
        role = Role(**{"id": self.new_id(), **fields})
        return self.roles.setdefault(role.id, role)

    def add_user(self, username: str, **fields: Any) -> User:
        """Add a user."""
        user = User(**{"id": self.new_id(), "username": username, "discriminator": "0", **fields})
        return self.users.setdefault(user.id, user)

    def add_member(self, guild_id: int, user: User | int, **fields: Any) -> GuildMember:
        """Add a user to a guild."""
        known = self.users.get(user) or self.add_user("user", id=user) if isinstance(user, int) else user
        member = GuildMember(**{"user": known, "guild_id": guild_id, "joined_at": now(), **fields})
        return self.members.setdefault((guild_id, known.id), member)

    def add_command(self, **fields: Any) -> Command:
        """Add an application command; its `owner` is an application, "" for none."""
        command = Command(**{"id": self.new_id(), "type": Command.CHAT_INPUT, **fields})
        return self.commands.setdefault(command.id, command)

    def direct_channel(self, user_id: int) -> int:
        """Return the id of the DM channel of a user."""
        return self._direct_channels.setdefault(user_id, self.new_id())

    def new_id(self) -> int:
        """Return a new id with the current time."""
        return next(self._ids)


def now() -> str:
    """Return the current time in Discord's format, ISO 8601."""
    return datetime.now(timezone.utc).isoformat()
