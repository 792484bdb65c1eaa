# Generated from _async/channel/channels.py by client/generate_sync.py; edit that file and run it again.
"""Calls about channels, their permissions, and invites."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from discordproxy._requests.checks import convert, items, make
from discordproxy._requests.compose import fill, patch, split_call
from discordproxy._sync.calls import Calls
from discordproxy.discord_api_pb2 import (
    ChannelId,
    ChannelOverwriteId,
    CreateChannelRequest,
    CreateInviteRequest,
    EditChannelPositionsRequest,
    EditChannelRequest,
    FollowChannelRequest,
    GetGuildChannelsRequest,
    InviteCode,
    SetChannelPermissionsRequest,
    SetVoiceChannelStatusRequest,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from typing_extensions import Unpack

    from discordproxy._requests.arguments import CallArguments, ChannelChanges, ChannelSettings
    from discordproxy.discord_api_pb2 import (
        Channel,
        ChannelPosition,
        FollowChannelResponse,
        Invite,
        PermissionOverwrite,
    )


class ChannelCalls(Calls):
    """Calls about channels and invites."""

    def get_guild_channels(self, guild_id: int, *, fresh: bool = False, **call: Unpack[CallArguments]) -> list[Channel]:
        """Return the channels of a guild.

        Args:
            guild_id: The guild.
            fresh: Read from Discord instead of the proxy's cache.
            call: `timeout`, `priority`, `max_wait`, `idempotency_key`: see CallArguments.
        """
        request = make(GetGuildChannelsRequest, guild_id=guild_id, fresh=fresh)
        return list(self._read(self.stub.GetGuildChannels, request, **call).channels)

    def get_channel(self, channel_id: int, *, fresh: bool = False, **call: Unpack[CallArguments]) -> Channel:
        """Return a channel or thread. `fresh` bypasses the proxy's cache."""
        request = make(ChannelId, channel_id=channel_id, fresh=fresh)
        return self._read(self.stub.GetChannel, request, **call).channel

    def create_channel(
        self,
        guild_id: int,
        name: str,
        type: Channel.Type.ValueType,  # noqa: A002 -- Discord's name
        **settings: Unpack[ChannelSettings],
    ) -> Channel:
        """Create a channel in a guild.

        Args:
            guild_id: The guild.
            name: 1 to 100 characters.
            type: Type of the channel, such as Channel.GUILD_TEXT.
            settings: `topic`, `parent_id`, `permission_overwrites` ...: see ChannelSettings.
        """
        request = make(CreateChannelRequest, guild_id=guild_id, name=name, type=type)
        fields, call = split_call(settings)
        fill(request, fields)
        return self._write(self.stub.CreateChannel, request, **call).channel

    def edit_channel(self, channel_id: int, **changes: Unpack[ChannelChanges]) -> Channel:
        """Edit a channel or thread. Omitted arguments keep their value; None resets it. See ChannelChanges."""
        request = make(EditChannelRequest, channel_id=channel_id)
        fields, call = split_call(changes)
        patch(request, fields)
        return self._write(self.stub.EditChannel, request, **call).channel

    def delete_channel(self, channel_id: int, *, reason: str = "", **call: Unpack[CallArguments]) -> Channel:
        """Delete a channel or thread, or close a DM channel; return the deleted channel."""
        request = make(ChannelId, channel_id=channel_id, reason=reason)
        return self._write(self.stub.DeleteChannel, request, **call).channel

    def set_channel_permissions(
        self,
        channel_id: int,
        overwrite: PermissionOverwrite,
        *,
        reason: str = "",
        **call: Unpack[CallArguments],
    ) -> None:
        """Set the permission overwrite of a role or member in a channel."""
        overwrite_id, kind, allow, deny = convert("overwrite", attrgetter("id", "type", "allow", "deny"), overwrite)
        request = make(
            SetChannelPermissionsRequest,
            channel_id=channel_id,
            overwrite_id=overwrite_id,
            type=kind,
            allow=allow,
            deny=deny,
            reason=reason,
        )
        self._write(self.stub.SetChannelPermissions, request, **call)

    def delete_channel_permissions(
        self, channel_id: int, overwrite_id: int, *, reason: str = "", **call: Unpack[CallArguments]
    ) -> None:
        """Delete the permission overwrite of the role or member with the id `overwrite_id`."""
        request = make(ChannelOverwriteId, channel_id=channel_id, overwrite_id=overwrite_id, reason=reason)
        self._write(self.stub.DeleteChannelPermissions, request, **call)

    def create_invite(
        self,
        channel_id: int,
        *,
        max_age: int | None = None,
        max_uses: int | None = None,
        temporary: bool | None = None,
        unique: bool | None = None,
        role_ids: Iterable[int] = (),
        user_ids: Iterable[int] = (),
        target_type: int | None = None,
        target_user_id: int | None = None,
        target_application_id: int | None = None,
        reason: str = "",
        **call: Unpack[CallArguments],
    ) -> Invite:
        """Create an invite to a channel.

        Args:
            channel_id: The channel.
            max_age: Seconds until the invite expires, up to 5184000 (60 days); 0: never. Default: 86400 (1 day).
            max_uses: Maximum number of uses, up to 100; 0: no limit. Default: 0.
            temporary: Whether members without a role are removed when they disconnect.
            unique: Whether to create a new invite even if a similar one exists.
            role_ids: Up to 250 roles that each user who accepts receives.
            user_ids: Ids of the only users who may accept the invite. Discord processes them after the response.
            target_type: In a voice channel: 1 shows the stream of `target_user_id`, 2 opens the embedded application
                `target_application_id`.
            target_user_id: See `target_type`.
            target_application_id: See `target_type`.
            reason: Reason for the audit log, up to 512 characters.
            call: `timeout`, `priority`, `max_wait`, `idempotency_key`: see CallArguments.
        """
        request = make(
            CreateInviteRequest,
            channel_id=channel_id,
            max_age=max_age,
            max_uses=max_uses,
            temporary=temporary,
            unique=unique,
            role_ids=items("role_ids", role_ids),
            user_ids=items("user_ids", user_ids),
            target_type=target_type,
            target_user_id=target_user_id,
            target_application_id=target_application_id,
            reason=reason,
        )
        return self._write(self.stub.CreateInvite, request, **call).invite

    def delete_invite(self, code: str, *, reason: str = "", **call: Unpack[CallArguments]) -> Invite:
        """Delete an invite; return the deleted invite."""
        return self._write(self.stub.DeleteInvite, make(InviteCode, code=code, reason=reason), **call).invite

    def edit_channel_positions(
        self, guild_id: int, channels: Iterable[ChannelPosition], **call: Unpack[CallArguments]
    ) -> None:
        """Change the positions and categories of channels; all others stay."""
        request = make(EditChannelPositionsRequest, guild_id=guild_id, channels=channels)
        self._write(self.stub.EditChannelPositions, request, **call)

    def follow_channel(
        self, channel_id: int, webhook_channel_id: int, *, reason: str = "", **call: Unpack[CallArguments]
    ) -> FollowChannelResponse:
        """Let the channel `webhook_channel_id` follow an announcement channel."""
        request = make(
            FollowChannelRequest, channel_id=channel_id, webhook_channel_id=webhook_channel_id, reason=reason
        )
        return self._write(self.stub.FollowChannel, request, **call)

    def set_voice_channel_status(
        self, channel_id: int, status: str | None, *, reason: str = "", **call: Unpack[CallArguments]
    ) -> None:
        """Set the status of a voice channel, up to 500 characters; None removes it."""
        request = make(SetVoiceChannelStatusRequest, channel_id=channel_id, reason=reason)
        patch(request, {"status": status})
        self._write(self.stub.SetVoiceChannelStatus, request, **call)
