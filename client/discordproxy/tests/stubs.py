"""Stubs of the Discord library that discordproxy 1.5.1 used, and of gRPC's context, under the names of 1.5.1.

They require no Discord library: users, guilds, channels and roles are plain objects with the same attributes.
New tests use `discordproxy.testing`, which fakes the whole proxy.
"""

from __future__ import annotations

import itertools
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NoReturn
from unittest.mock import MagicMock

import grpc

from discordproxy.discord_api_pb2 import Channel

if TYPE_CHECKING:
    from collections.abc import Iterable

CHANNEL_TYPE_GUILD_TEXT = 0
_BOT_ID, _GUILD_ID, _MEMBER_ID, _FORBIDDEN_USER_ID, _OTHER_BOT_ID = 1001, 3001, 1002, 1100, 1101
_DIRECT_CHANNEL_ID, _FORBIDDEN_CHANNEL_ID = 2010, 2100
_message_ids = itertools.count(1_000_000_000)

mock_state = MagicMock(name="ConnectionState")


class DiscordClientResponseStub:
    """The HTTP response of an error."""

    def __init__(self, status: int = 200, reason: str = "") -> None:
        self.status = status
        self.reason = reason


class HTTPException(Exception):  # noqa: N818 -- the name of Discord libraries
    """An error response of Discord."""

    def __init__(self, response: DiscordClientResponseStub, message: str = "") -> None:
        super().__init__(f"{response.status} {response.reason}: {message}")
        self.response = response
        self.status = response.status
        self.code = 0
        self.text = message


class Forbidden(HTTPException):
    """HTTP status 403."""


class NotFound(HTTPException):
    """HTTP status 404."""


def obj_list_2_dict(obj_list: Iterable[Any]) -> dict[int, Any]:
    """Return a dictionary of objects by their attribute `id`."""
    return {found.id: found for found in obj_list}


def obj_dict_by_id(obj_list: Iterable[dict[str, Any]]) -> dict[int, dict[str, Any]]:
    """Return a dictionary of dictionaries by their key `id`."""
    return {found["id"]: found for found in obj_list}


def create_discord_role(guild_id: int, role_id: int) -> Any:
    """Return a role."""
    return SimpleNamespace(id=role_id, name=f"Role #{role_id}", guild=guild_id, position=1, managed=False)


def _user(user_id: int, username: str, *, bot: bool = False) -> dict[str, Any]:
    user = {"id": user_id, "username": username, "discriminator": "0", "avatar": None}
    return user | ({"bot": True} if bot else {})


USERS_DATA = [
    _user(_BOT_ID, "my_bot", bot=True),
    _user(_MEMBER_ID, "user-2"),
    _user(_FORBIDDEN_USER_ID, "user-forbidden"),
    _user(_OTHER_BOT_ID, "my-bot-2", bot=True),
]
USERS_DATA_BY_ID = obj_dict_by_id(USERS_DATA)
USERS = obj_list_2_dict(SimpleNamespace(**user) for user in USERS_DATA)
USERS_FORBIDDEN = [_FORBIDDEN_USER_ID]
GUILDS = {_GUILD_ID: SimpleNamespace(id=_GUILD_ID, name="Alpha")}


def _channel(channel_id: int, name: str, position: int, type_: int = Channel.GUILD_TEXT) -> Any:
    return SimpleNamespace(id=channel_id, name=name, type=type_, position=position, guild=GUILDS[_GUILD_ID])


CHANNELS = obj_list_2_dict(
    [
        _channel(2001, "channel-1", 1),
        _channel(2002, "channel-2", 2),
        SimpleNamespace(id=_DIRECT_CHANNEL_ID, type=Channel.DM, recipients=[USERS[_MEMBER_ID]], guild=None),
        _channel(2051, "voice-1", 99, Channel.GUILD_VOICE),
        _channel(_FORBIDDEN_CHANNEL_ID, "channel-forbidden", 3),
    ]
)
CHANNELS_FORBIDDEN = [_FORBIDDEN_CHANNEL_ID]
ROLES = obj_list_2_dict(create_discord_role(_GUILD_ID, role_id) for role_id in (1, 2, 3))
MEMBERS_DATA = [{"user": USERS_DATA_BY_ID[_BOT_ID], "roles": [1, 2]}]
MEMBERS_DATA_BY_ID = {_BOT_ID: MEMBERS_DATA[0]}
MEMBERS_LIST = [SimpleNamespace(id=_BOT_ID, user=USERS[_BOT_ID], roles=[ROLES[1], ROLES[2]], guild=GUILDS[_GUILD_ID])]
MEMBERS = obj_list_2_dict(MEMBERS_LIST)


def my_get_member(_guild: object, user_id: int) -> Any:
    """Return a member of the guild, or None."""
    return MEMBERS.get(user_id)


def my_get_role(_guild: object, role_id: int) -> Any:
    """Return a role of the guild, or None."""
    return ROLES.get(role_id)


class DiscordChannel:
    """A channel that accepts messages."""

    def __init__(self, id: int, bot_user_id: int = _BOT_ID) -> None:  # noqa: A002 -- the name it had
        self.channel = CHANNELS[id]
        self.bot_user_id = bot_user_id

    async def send(self, content: str, embed: Any = None) -> Any:
        """Return the message.

        Raises:
            Forbidden: the channel is one of CHANNELS_FORBIDDEN.
        """
        if self.channel.id in CHANNELS_FORBIDDEN:
            raise Forbidden(DiscordClientResponseStub(403), "Test:Forbidden channel")
        return SimpleNamespace(
            id=next(_message_ids),
            channel=self.channel,
            guild=self.channel.guild,
            content=content,
            embeds=[embed] if embed else [],
            author=USERS[self.bot_user_id],
            created_at=datetime.now(timezone.utc),
        )


class DiscordUser:
    """A user who accepts direct messages, unless it is one of USERS_FORBIDDEN."""

    def __init__(self, id: int, bot_user_id: int = _BOT_ID) -> None:  # noqa: A002 -- the name it had
        self.user = USERS[id]
        self.bot_user_id = bot_user_id

    async def create_dm(self) -> DiscordChannel:
        """Return the DM channel."""
        forbidden = self.user.id in USERS_FORBIDDEN
        return DiscordChannel(_FORBIDDEN_CHANNEL_ID if forbidden else _DIRECT_CHANNEL_ID, self.bot_user_id)


class DiscordGuild:
    """A guild with the channels of CHANNELS."""

    def __init__(self, id: int) -> None:  # noqa: A002 -- the name it had
        self.guild = GUILDS[id]

    async def fetch_channels(self) -> list[Any]:
        """Return its text and voice channels."""
        return [channel for channel in CHANNELS.values() if channel.guild is self.guild]


class DiscordClientStub:
    """A client of Discord.

    Args:
        bot_user_id: One of the bots in USERS_DATA.
    """

    def __init__(self, bot_user_id: int = _BOT_ID) -> None:
        self.bot_user_id = bot_user_id

    async def start(self, *_args: Any, **_kwargs: Any) -> None:
        """Do nothing."""

    async def logout(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""

    async def fetch_channel(self, channel_id: int) -> DiscordChannel:
        """Return a channel; raises Forbidden or NotFound."""
        if channel_id in CHANNELS_FORBIDDEN:
            raise Forbidden(DiscordClientResponseStub(403), "Forbidden channel")
        if channel_id not in CHANNELS:
            raise NotFound(DiscordClientResponseStub(404), "Unknown channel")
        return DiscordChannel(channel_id)

    async def fetch_user(self, user_id: int) -> DiscordUser:
        """Return a user; raises NotFound."""
        if user_id not in USERS:
            raise NotFound(DiscordClientResponseStub(404), "Unknown user")
        return DiscordUser(user_id, self.bot_user_id)

    async def fetch_guild(self, guild_id: int) -> DiscordGuild:
        """Return a guild; raises NotFound."""
        if guild_id not in GUILDS:
            raise NotFound(DiscordClientResponseStub(404), "Unknown guild")
        return DiscordGuild(guild_id)


class DiscordClientErrorStub(DiscordClientStub):
    """A client of Discord that fails to fetch users."""

    def __init__(self, status_code: int, message: str = "") -> None:
        super().__init__()
        self._status_code = status_code
        self._message = message

    async def fetch_user(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Fail with the given status.

        Raises:
            HTTPException: always.
        """
        raise HTTPException(DiscordClientResponseStub(self._status_code), self._message)


class ServicerContextStub:
    """The context of a servicer's method. It records status and details."""

    def __init__(self) -> None:
        self._code = grpc.StatusCode.UNKNOWN
        self._details = ""

    def set_code(self, code: grpc.StatusCode) -> None:
        """Record the status."""
        self._code = code

    def set_details(self, details: str) -> None:
        """Record the details."""
        self._details = details
