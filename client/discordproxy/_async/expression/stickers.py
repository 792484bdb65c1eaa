"""Calls about stickers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from discordproxy._async.calls import AsyncCalls
from discordproxy._requests.checks import convert, make
from discordproxy._requests.compose import patch, split_call, to_file
from discordproxy.discord_api_pb2 import (
    CreateGuildStickerRequest,
    EditGuildStickerRequest,
    GetStickerPackRequest,
    GetStickerRequest,
    GuildId,
    ListStickerPacksRequest,
    StickerId,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from discordproxy._requests.arguments import CallArguments, FileLike
    from discordproxy._requests.settings import StickerChanges
    from discordproxy.discord_api_pb2 import Message, StickerPack


class AsyncStickerCalls(AsyncCalls):
    """Calls about the stickers of guilds, and standard stickers."""

    async def list_guild_stickers(self, guild_id: int, **call: Unpack[CallArguments]) -> list[Message.Sticker]:
        """Return the stickers of a guild."""
        request = make(GuildId, guild_id=guild_id)
        return list((await self._read(self.stub.ListGuildStickers, request, **call)).stickers)

    async def get_guild_sticker(self, guild_id: int, sticker_id: int, **call: Unpack[CallArguments]) -> Message.Sticker:
        """Return a sticker of a guild."""
        request = make(StickerId, guild_id=guild_id, sticker_id=sticker_id)
        return (await self._read(self.stub.GetGuildSticker, request, **call)).sticker

    async def create_guild_sticker(
        self,
        guild_id: int,
        name: str,
        tags: str,
        file: FileLike,
        *,
        description: str = "",
        reason: str = "",
        **call: Unpack[CallArguments],
    ) -> Message.Sticker:
        """Create a sticker in a guild.

        Args:
            guild_id: The guild.
            name: 2 to 30 characters.
            tags: Words for the search, separated by commas, up to 200 characters.
            file: PNG, APNG, GIF or Lottie JSON of up to 512 KiB, as for messages.
            description: Up to 100 characters.
            reason: Reason for the audit log, up to 512 characters.
            call: `timeout`, `priority`, `max_wait`, `idempotency_key`: see CallArguments.
        """
        request = make(
            CreateGuildStickerRequest,
            guild_id=guild_id,
            name=name,
            tags=tags,
            file=convert("file", to_file, file),
            description=description,
            reason=reason,
        )
        return (await self._write(self.stub.CreateGuildSticker, request, **call)).sticker

    async def edit_guild_sticker(
        self, guild_id: int, sticker_id: int, **changes: Unpack[StickerChanges]
    ) -> Message.Sticker:
        """Edit a sticker of a guild. Omitted arguments keep their value; None resets it."""
        fields, call = split_call(changes)
        request = make(EditGuildStickerRequest, guild_id=guild_id, sticker_id=sticker_id)
        patch(request, fields)
        return (await self._write(self.stub.EditGuildSticker, request, **call)).sticker

    async def delete_guild_sticker(
        self, guild_id: int, sticker_id: int, *, reason: str = "", **call: Unpack[CallArguments]
    ) -> None:
        """Delete a sticker of a guild."""
        request = make(StickerId, guild_id=guild_id, sticker_id=sticker_id, reason=reason)
        await self._write(self.stub.DeleteGuildSticker, request, **call)

    async def get_sticker(self, sticker_id: int, **call: Unpack[CallArguments]) -> Message.Sticker:
        """Return any sticker."""
        request = make(GetStickerRequest, sticker_id=sticker_id)
        return (await self._read(self.stub.GetSticker, request, **call)).sticker

    async def list_sticker_packs(self, **call: Unpack[CallArguments]) -> list[StickerPack]:
        """Return the packs of Discord's standard stickers."""
        request = make(ListStickerPacksRequest)
        return list((await self._read(self.stub.ListStickerPacks, request, **call)).sticker_packs)

    async def get_sticker_pack(self, pack_id: int, **call: Unpack[CallArguments]) -> StickerPack:
        """Return a pack of standard stickers."""
        request = make(GetStickerPackRequest, pack_id=pack_id)
        return (await self._read(self.stub.GetStickerPack, request, **call)).pack
