"""Calls about custom emojis of guilds and of the application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discordproxy._async.calls import AsyncCalls
from discordproxy._requests.checks import make
from discordproxy._requests.compose import patch, split_call
from discordproxy.discord_api_pb2 import (
    ApplicationEmojiId,
    ApplicationId,
    CreateApplicationEmojiRequest,
    CreateGuildEmojiRequest,
    EditApplicationEmojiRequest,
    EditGuildEmojiRequest,
    EmojiId,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Unpack

    from discordproxy._requests.arguments import CallArguments
    from discordproxy._requests.settings import EmojiChanges
    from discordproxy.discord_api_pb2 import Emoji


class AsyncEmojiCalls(AsyncCalls):
    """Calls about custom emojis. An image is a data URI of up to 256 KiB."""

    async def get_guild_emoji(self, guild_id: int, emoji_id: int, **call: Unpack[CallArguments]) -> Emoji:
        """Return a custom emoji of a guild."""
        request = make(EmojiId, guild_id=guild_id, emoji_id=emoji_id)
        return (await self._read(self.stub.GetGuildEmoji, request, **call)).emoji

    async def create_guild_emoji(
        self,
        guild_id: int,
        name: str,
        image: str,
        *,
        roles: Iterable[int] = (),
        reason: str = "",
        **call: Unpack[CallArguments],
    ) -> Emoji:
        """Create a custom emoji; `roles` are the ids of the roles that may use it, by default all."""
        request = make(CreateGuildEmojiRequest, guild_id=guild_id, name=name, image=image, roles=roles, reason=reason)
        return (await self._write(self.stub.CreateGuildEmoji, request, **call)).emoji

    async def edit_guild_emoji(self, guild_id: int, emoji_id: int, **changes: Unpack[EmojiChanges]) -> Emoji:
        """Edit a custom emoji of a guild. Omitted arguments keep their value; None resets it."""
        fields, call = split_call(changes)
        request = make(EditGuildEmojiRequest, guild_id=guild_id, emoji_id=emoji_id)
        patch(request, fields)
        return (await self._write(self.stub.EditGuildEmoji, request, **call)).emoji

    async def delete_guild_emoji(
        self, guild_id: int, emoji_id: int, *, reason: str = "", **call: Unpack[CallArguments]
    ) -> None:
        """Delete a custom emoji of a guild."""
        request = make(EmojiId, guild_id=guild_id, emoji_id=emoji_id, reason=reason)
        await self._write(self.stub.DeleteGuildEmoji, request, **call)

    async def list_application_emojis(self, application_id: int, **call: Unpack[CallArguments]) -> list[Emoji]:
        """Return the emojis of the application, which the bot can use everywhere."""
        request = make(ApplicationId, application_id=application_id)
        return list((await self._read(self.stub.ListApplicationEmojis, request, **call)).emojis)

    async def get_application_emoji(self, application_id: int, emoji_id: int, **call: Unpack[CallArguments]) -> Emoji:
        """Return an emoji of the application."""
        request = make(ApplicationEmojiId, application_id=application_id, emoji_id=emoji_id)
        return (await self._read(self.stub.GetApplicationEmoji, request, **call)).emoji

    async def create_application_emoji(
        self, application_id: int, name: str, image: str, **call: Unpack[CallArguments]
    ) -> Emoji:
        """Create an emoji of the application."""
        request = make(CreateApplicationEmojiRequest, application_id=application_id, name=name, image=image)
        return (await self._write(self.stub.CreateApplicationEmoji, request, **call)).emoji

    async def edit_application_emoji(
        self, application_id: int, emoji_id: int, name: str, **call: Unpack[CallArguments]
    ) -> Emoji:
        """Rename an emoji of the application."""
        request = make(EditApplicationEmojiRequest, application_id=application_id, emoji_id=emoji_id, name=name)
        return (await self._write(self.stub.EditApplicationEmoji, request, **call)).emoji

    async def delete_application_emoji(self, application_id: int, emoji_id: int, **call: Unpack[CallArguments]) -> None:
        """Delete an emoji of the application."""
        request = make(ApplicationEmojiId, application_id=application_id, emoji_id=emoji_id)
        await self._write(self.stub.DeleteApplicationEmoji, request, **call)
