# Generated from _async/expression/emojis.py by client/generate_sync.py; edit that file and run it again.
"""Calls about custom emojis of guilds and of the application."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discordproxy._requests.checks import make
from discordproxy._requests.compose import patch, split_call
from discordproxy._sync.calls import Calls
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


class EmojiCalls(Calls):
    """Calls about custom emojis. An image is a data URI of up to 256 KiB."""

    def get_guild_emoji(self, guild_id: int, emoji_id: int, **call: Unpack[CallArguments]) -> Emoji:
        """Return a custom emoji of a guild."""
        request = make(EmojiId, guild_id=guild_id, emoji_id=emoji_id)
        return self._read(self.stub.GetGuildEmoji, request, **call).emoji

    def create_guild_emoji(
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
        return self._write(self.stub.CreateGuildEmoji, request, **call).emoji

    def edit_guild_emoji(self, guild_id: int, emoji_id: int, **changes: Unpack[EmojiChanges]) -> Emoji:
        """Edit a custom emoji of a guild. Omitted arguments keep their value; None resets it."""
        fields, call = split_call(changes)
        request = make(EditGuildEmojiRequest, guild_id=guild_id, emoji_id=emoji_id)
        patch(request, fields)
        return self._write(self.stub.EditGuildEmoji, request, **call).emoji

    def delete_guild_emoji(
        self, guild_id: int, emoji_id: int, *, reason: str = "", **call: Unpack[CallArguments]
    ) -> None:
        """Delete a custom emoji of a guild."""
        request = make(EmojiId, guild_id=guild_id, emoji_id=emoji_id, reason=reason)
        self._write(self.stub.DeleteGuildEmoji, request, **call)

    def list_application_emojis(self, application_id: int, **call: Unpack[CallArguments]) -> list[Emoji]:
        """Return the emojis of the application, which the bot can use everywhere."""
        request = make(ApplicationId, application_id=application_id)
        return list(self._read(self.stub.ListApplicationEmojis, request, **call).emojis)

    def get_application_emoji(self, application_id: int, emoji_id: int, **call: Unpack[CallArguments]) -> Emoji:
        """Return an emoji of the application."""
        request = make(ApplicationEmojiId, application_id=application_id, emoji_id=emoji_id)
        return self._read(self.stub.GetApplicationEmoji, request, **call).emoji

    def create_application_emoji(
        self, application_id: int, name: str, image: str, **call: Unpack[CallArguments]
    ) -> Emoji:
        """Create an emoji of the application."""
        request = make(CreateApplicationEmojiRequest, application_id=application_id, name=name, image=image)
        return self._write(self.stub.CreateApplicationEmoji, request, **call).emoji

    def edit_application_emoji(
        self, application_id: int, emoji_id: int, name: str, **call: Unpack[CallArguments]
    ) -> Emoji:
        """Rename an emoji of the application."""
        request = make(EditApplicationEmojiRequest, application_id=application_id, emoji_id=emoji_id, name=name)
        return self._write(self.stub.EditApplicationEmoji, request, **call).emoji

    def delete_application_emoji(self, application_id: int, emoji_id: int, **call: Unpack[CallArguments]) -> None:
        """Delete an emoji of the application."""
        request = make(ApplicationEmojiId, application_id=application_id, emoji_id=emoji_id)
        self._write(self.stub.DeleteApplicationEmoji, request, **call)
