"""Each RPC of the contract with a local Discord: it works, and all report failures in the same way."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest

from discordproxy import discord_api_pb2 as pb
from discordproxy_api.contract.contract import load_contract
from discordproxy_sandbox.limits.book import LimitBook
from discordproxy_sandbox.resources.application.interactions import interact
from discordproxy_sandbox.rest.faults import Fault
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from discordproxy_sandbox.world.population import BOT_ID, CHANNEL_ID, GUILD_ID, ROLE_ID, USER_ID, nth
from fakes.every_case import every_case
from integration.api.conftest import TOKEN, Served, serve

CONTRACT = load_contract()
ROUTED = [name for name, rpc in CONTRACT.items() if rpc.template]

GUILD, USER, OTHER, ROLE = int(GUILD_ID), int(USER_ID), int(nth(USER_ID, 1)), int(nth(ROLE_ID, 2))
CHANNEL, NEWS, VOICE, FORUM = (int(nth(CHANNEL_ID, number)) for number in range(4))
BOT = int(BOT_ID)
THUMB = "\N{THUMBS UP SIGN}"
POLL = pb.Poll(
    question=pb.Poll.Media(text="Tea?"),
    answers=[pb.Poll.Answer(poll_media=pb.Poll.Media(text=text)) for text in ("yes", "no")],
    duration=1,
)


class Made:
    """Creates the objects that a request refers to."""

    def __init__(self, stub, discord=None) -> None:
        self.stub = stub
        self.discord = discord

    async def message(self, channel=CHANNEL, **fields) -> dict[str, int]:
        fields = fields or {"content": "x"}
        answer = await self.stub.SendChannelMessage(pb.SendChannelMessageRequest(channel_id=channel, **fields))
        return {"channel_id": channel, "message_id": answer.message.id}

    async def reaction(self) -> dict[str, Any]:
        reaction = {**await self.message(), "emoji": THUMB}
        await self.stub.AddReaction(pb.ReactionRequest(**reaction))
        return reaction

    async def pin(self) -> dict[str, int]:
        pin = await self.message()
        await self.stub.PinMessage(pb.MessageId(**pin))
        return pin

    async def channel(self) -> dict[str, int]:
        answer = await self.stub.CreateChannel(pb.CreateChannelRequest(guild_id=GUILD, name="made", type="GUILD_TEXT"))
        return {"channel_id": answer.channel.id}

    async def overwrite(self) -> dict[str, int]:
        overwrite = {"channel_id": CHANNEL, "overwrite_id": ROLE}
        await self.stub.SetChannelPermissions(pb.SetChannelPermissionsRequest(**overwrite, allow=1024))
        return overwrite

    async def invite(self) -> dict[str, str]:
        answer = await self.stub.CreateInvite(pb.CreateInviteRequest(channel_id=CHANNEL))
        return {"code": answer.invite.code}

    async def role(self) -> dict[str, int]:
        answer = await self.stub.CreateRole(pb.CreateRoleRequest(guild_id=GUILD, name="made"))
        return {"guild_id": GUILD, "role_id": answer.role.id}

    async def ban(self) -> dict[str, int]:
        ban = {"guild_id": GUILD, "user_id": OTHER}
        await self.stub.CreateBan(pb.CreateBanRequest(**ban))
        return ban

    async def webhook(self) -> dict[str, Any]:
        answer = await self.stub.CreateWebhook(pb.CreateWebhookRequest(channel_id=CHANNEL, name="made"))
        return {"webhook_id": answer.webhook.id, "webhook_token": answer.webhook.token}

    async def webhook_message(self) -> dict[str, Any]:
        webhook = await self.webhook()
        answer = await self.stub.ExecuteWebhook(pb.ExecuteWebhookRequest(**webhook, content="x"))
        return {**webhook, "message_id": answer.message.id}

    async def event(self) -> dict[str, int]:
        answer = await self.stub.CreateScheduledEvent(EVENT)
        return {"guild_id": GUILD, "guild_scheduled_event_id": answer.scheduled_event.id}

    async def interaction(self) -> dict[str, Any]:
        used = interact(self.discord.world, str(CHANNEL), str(OTHER))
        return {"interaction_id": int(used["id"]), "interaction_token": used["token"]}

    async def thread(self) -> dict[str, int]:
        answer = await self.stub.CreateThread(
            pb.CreateThreadRequest(channel_id=CHANNEL, name="t", type="PUBLIC_THREAD")
        )
        return {"channel_id": answer.channel.id}

    async def thread_member(self) -> dict[str, int]:
        member = {**await self.thread(), "user_id": OTHER}
        await self.stub.AddThreadMember(pb.ThreadMemberId(**member))
        return member

    async def response(self) -> dict[str, Any]:
        interaction = await self.interaction()
        await self.stub.CreateInteractionResponse(pb.CreateInteractionResponseRequest(**interaction, content="x"))
        return {"application_id": BOT, "interaction_token": interaction["interaction_token"]}

    async def webhook_id(self) -> dict[str, int]:
        return {"webhook_id": (await self.webhook())["webhook_id"]}

    async def rule(self) -> dict[str, int]:
        answer = await self.stub.CreateAutoModerationRule(RULE)
        return {"guild_id": GUILD, "rule_id": answer.rule.id}

    async def emoji(self) -> dict[str, int]:
        answer = await self.stub.CreateGuildEmoji(pb.CreateGuildEmojiRequest(guild_id=GUILD, name="made", image=IMAGE))
        return {"guild_id": GUILD, "emoji_id": answer.emoji.id}

    async def application_emoji(self) -> dict[str, int]:
        request = pb.CreateApplicationEmojiRequest(application_id=BOT, name="made", image=IMAGE)
        return {"application_id": BOT, "emoji_id": (await self.stub.CreateApplicationEmoji(request)).emoji.id}

    async def sticker(self) -> dict[str, int]:
        answer = await self.stub.CreateGuildSticker(STICKER)
        return {"guild_id": GUILD, "sticker_id": answer.sticker.id}

    async def sound(self) -> dict[str, int]:
        request = pb.CreateGuildSoundboardSoundRequest(guild_id=GUILD, name="made", sound=SOUND)
        return {"guild_id": GUILD, "sound_id": (await self.stub.CreateGuildSoundboardSound(request)).sound.sound_id}

    async def command_permissions(self) -> dict[str, int]:
        path = f"/applications/{BOT}/guilds/{GUILD}/commands/5/permissions"
        permissions = '{"permissions": [{"id": "5", "type": 1, "permission": true}]}'
        await self.stub.Request(pb.ApiRequest(method="PUT", path=path, json=permissions))
        return {"application_id": BOT, "guild_id": GUILD, "command_id": 5}

    async def stage(self) -> dict[str, int]:
        await self.stub.CreateStageInstance(pb.CreateStageInstanceRequest(channel_id=VOICE, topic="now"))
        return {"channel_id": VOICE}

    async def voice_state(self, user_id=OTHER) -> dict[str, int]:
        self.discord.people.speak(GUILD, user_id, VOICE)
        return {"user_id": user_id}

    async def template(self) -> dict[str, Any]:
        answer = await self.stub.CreateGuildTemplate(pb.CreateGuildTemplateRequest(guild_id=GUILD, name="made"))
        return {"guild_id": GUILD, "code": answer.template.code}

    async def command(self) -> dict[str, Any]:
        command = pb.Command(name="shop", description="Opens the shop")
        await self.stub.SyncCommands(pb.SyncCommandsRequest(commands=[command]))
        return {}

    async def nothing(self) -> dict[str, int]:
        return {}


IMAGE, SOUND = "data:image/png;base64,iVBORw0KGgo=", "data:audio/ogg;base64,T2dnUw=="
RULE = pb.CreateAutoModerationRuleRequest(
    guild_id=GUILD,
    name="made",
    event_type=1,
    trigger_type=1,
    trigger_metadata=pb.AutoModerationRule.TriggerMetadata(keyword_filter=["cat*"]),
    actions=[pb.AutoModerationRule.Action(type=2, metadata={"channel_id": CHANNEL})],
)
STICKER = pb.CreateGuildStickerRequest(
    guild_id=GUILD,
    name="made",
    description="one",
    tags="cat",
    file=pb.File(filename="cat.png", content=b"x", content_type="image/png"),
)
METADATA = pb.RoleConnectionMetadata(
    type=1, key="rank", name="Rank", name_localizations={"de": "Rang"}, description="The rank"
)


EVENT = pb.CreateScheduledEventRequest(
    guild_id=GUILD,
    name="made",
    privacy_level=2,
    scheduled_start_time="2036-01-01T00:00:00Z",
    scheduled_end_time="2036-01-02T00:00:00Z",
    entity_type=3,
    entity_metadata=pb.ScheduledEvent.EntityMetadata(location="here"),
)

Request = tuple[Callable[[Made], Any], Callable[..., Any]]

REQUESTS: dict[str, Request] = {
    "SendChannelMessage": (Made.nothing, lambda: pb.SendChannelMessageRequest(channel_id=CHANNEL, content="x")),
    "SendDirectMessage": (Made.nothing, lambda: pb.SendDirectMessageRequest(user_id=USER, content="x")),
    "GetGuildChannels": (Made.nothing, lambda: pb.GetGuildChannelsRequest(guild_id=GUILD)),
    "EditMessage": (Made.message, lambda **ids: pb.EditMessageRequest(**ids, content="y")),
    "GetMessage": (Made.message, pb.MessageId),
    "GetMessages": (Made.nothing, lambda: pb.GetMessagesRequest(channel_id=CHANNEL)),
    "DeleteMessage": (Made.message, pb.MessageId),
    "BulkDeleteMessages": (
        Made.message,
        lambda channel_id, message_id: pb.BulkDeleteMessagesRequest(
            channel_id=channel_id, message_ids=[message_id, message_id + 1]
        ),
    ),
    "CrosspostMessage": (lambda made: made.message(NEWS), pb.MessageId),
    "PinMessage": (Made.message, pb.MessageId),
    "UnpinMessage": (Made.pin, pb.MessageId),
    "GetPins": (Made.nothing, lambda: pb.GetPinsRequest(channel_id=CHANNEL)),
    "AddReaction": (Made.message, lambda **ids: pb.ReactionRequest(**ids, emoji=THUMB)),
    "RemoveReaction": (Made.reaction, pb.ReactionRequest),
    "RemoveUserReaction": (Made.reaction, lambda **ids: pb.RemoveUserReactionRequest(**ids, user_id=USER)),
    "ClearReactions": (Made.message, pb.MessageId),
    "GetReactions": (Made.reaction, pb.GetReactionsRequest),
    "EndPoll": (lambda made: made.message(poll=POLL), pb.MessageId),
    "GetPollVoters": (
        lambda made: made.message(poll=POLL),
        lambda **ids: pb.GetPollVotersRequest(**ids, answer_id=1),
    ),
    "TriggerTyping": (Made.nothing, lambda: pb.ChannelId(channel_id=CHANNEL)),
    "GetChannel": (Made.nothing, lambda: pb.ChannelId(channel_id=CHANNEL)),
    "CreateChannel": (Made.nothing, lambda: pb.CreateChannelRequest(guild_id=GUILD, name="new", type="GUILD_TEXT")),
    "EditChannel": (Made.channel, lambda **ids: pb.EditChannelRequest(**ids, topic="y")),
    "DeleteChannel": (Made.channel, pb.ChannelId),
    "SetChannelPermissions": (
        Made.nothing,
        lambda: pb.SetChannelPermissionsRequest(channel_id=CHANNEL, overwrite_id=ROLE, allow=1024),
    ),
    "DeleteChannelPermissions": (Made.overwrite, pb.ChannelOverwriteId),
    "CreateThread": (
        Made.nothing,
        lambda: pb.CreateThreadRequest(channel_id=CHANNEL, name="thread", type="PUBLIC_THREAD"),
    ),
    "CreateMessageThread": (Made.message, lambda **ids: pb.CreateMessageThreadRequest(**ids, name="thread")),
    "CreateForumPost": (
        Made.nothing,
        lambda: pb.CreateForumPostRequest(channel_id=FORUM, name="post", content="x"),
    ),
    "GetActiveThreads": (Made.nothing, lambda: pb.GuildId(guild_id=GUILD)),
    "CreateInvite": (Made.nothing, lambda: pb.CreateInviteRequest(channel_id=CHANNEL)),
    "DeleteInvite": (Made.invite, pb.InviteCode),
    "GetGuild": (Made.nothing, lambda: pb.GetGuildRequest(guild_id=GUILD)),
    "ListGuilds": (Made.nothing, pb.ListGuildsRequest),
    "GetGuildMember": (Made.nothing, lambda: pb.MemberId(guild_id=GUILD, user_id=USER)),
    "ListGuildMembers": (Made.nothing, lambda: pb.ListGuildMembersRequest(guild_id=GUILD, limit=10)),
    "SearchGuildMembers": (Made.nothing, lambda: pb.SearchGuildMembersRequest(guild_id=GUILD, query="a")),
    "AddGuildMember": (
        Made.nothing,
        lambda: pb.AddGuildMemberRequest(guild_id=GUILD, user_id=OTHER, access_token="x"),
    ),
    "EditGuildMember": (Made.nothing, lambda: pb.EditGuildMemberRequest(guild_id=GUILD, user_id=OTHER, nick="n")),
    "KickGuildMember": (Made.nothing, lambda: pb.MemberId(guild_id=GUILD, user_id=OTHER)),
    "AddMemberRole": (Made.nothing, lambda: pb.MemberRoleRequest(guild_id=GUILD, user_id=OTHER, role_id=ROLE)),
    "RemoveMemberRole": (Made.nothing, lambda: pb.MemberRoleRequest(guild_id=GUILD, user_id=OTHER, role_id=ROLE)),
    "SyncMemberRoles": (
        Made.nothing,
        lambda: pb.SyncMemberRolesRequest(guild_id=GUILD, user_id=OTHER, managed=[ROLE]),
    ),
    "GetGuildRoles": (Made.nothing, lambda: pb.GuildId(guild_id=GUILD)),
    "CreateRole": (Made.nothing, lambda: pb.CreateRoleRequest(guild_id=GUILD, name="new")),
    "EditRole": (Made.role, lambda **ids: pb.EditRoleRequest(**ids, name="renamed")),
    "DeleteRole": (Made.role, pb.RoleId),
    "ListBans": (Made.nothing, lambda: pb.ListBansRequest(guild_id=GUILD)),
    "GetBan": (Made.ban, pb.MemberId),
    "CreateBan": (Made.nothing, lambda: pb.CreateBanRequest(guild_id=GUILD, user_id=OTHER)),
    "DeleteBan": (Made.ban, pb.MemberId),
    "BulkBan": (Made.nothing, lambda: pb.BulkBanRequest(guild_id=GUILD, user_ids=[OTHER])),
    "GetGuildEmojis": (Made.nothing, lambda: pb.GuildId(guild_id=GUILD)),
    "GetUser": (Made.nothing, lambda: pb.GetUserRequest(user_id=USER)),
    "GetCurrentUser": (Made.nothing, pb.GetCurrentUserRequest),
    "CreateWebhook": (Made.nothing, lambda: pb.CreateWebhookRequest(channel_id=CHANNEL, name="new")),
    "GetChannelWebhooks": (Made.nothing, lambda: pb.ChannelId(channel_id=CHANNEL)),
    "DeleteWebhook": (Made.webhook, lambda webhook_id, webhook_token: pb.WebhookId(webhook_id=webhook_id)),
    "ExecuteWebhook": (Made.webhook, lambda **ids: pb.ExecuteWebhookRequest(**ids, content="x")),
    "EditWebhookMessage": (Made.webhook_message, lambda **ids: pb.EditWebhookMessageRequest(**ids, content="y")),
    "DeleteWebhookMessage": (Made.webhook_message, pb.WebhookMessageId),
    "ListScheduledEvents": (Made.nothing, lambda: pb.GuildId(guild_id=GUILD)),
    "CreateScheduledEvent": (Made.nothing, lambda: EVENT),
    "EditScheduledEvent": (Made.event, lambda **ids: pb.EditScheduledEventRequest(**ids, name="renamed")),
    "DeleteScheduledEvent": (Made.event, pb.ScheduledEventId),
    "ClearEmojiReactions": (Made.reaction, pb.ReactionRequest),
    "SearchMessages": (Made.message, lambda **_ids: pb.SearchMessagesRequest(guild_id=GUILD, content="x")),
    "EditChannelPositions": (
        Made.channel,
        lambda channel_id: pb.EditChannelPositionsRequest(guild_id=GUILD, channels=[{"id": channel_id, "position": 3}]),
    ),
    "FollowChannel": (Made.nothing, lambda: pb.FollowChannelRequest(channel_id=NEWS, webhook_channel_id=CHANNEL)),
    "SetVoiceChannelStatus": (Made.nothing, lambda: pb.SetVoiceChannelStatusRequest(channel_id=VOICE, status="hi")),
    "ListPublicArchivedThreads": (Made.nothing, lambda: pb.ListArchivedThreadsRequest(channel_id=CHANNEL)),
    "ListPrivateArchivedThreads": (Made.nothing, lambda: pb.ListArchivedThreadsRequest(channel_id=CHANNEL)),
    "ListJoinedArchivedThreads": (Made.nothing, lambda: pb.ListJoinedArchivedThreadsRequest(channel_id=CHANNEL)),
    "SearchThreads": (Made.thread, lambda **_ids: pb.SearchThreadsRequest(channel_id=CHANNEL, name="t")),
    "JoinThread": (Made.thread, pb.ChannelId),
    "LeaveThread": (Made.thread, pb.ChannelId),
    "AddThreadMember": (Made.thread, lambda **ids: pb.ThreadMemberId(**ids, user_id=OTHER)),
    "RemoveThreadMember": (Made.thread_member, pb.ThreadMemberId),
    "GetThreadMember": (Made.thread_member, pb.GetThreadMemberRequest),
    "ListThreadMembers": (
        Made.thread_member,
        lambda channel_id, **_: pb.ListThreadMembersRequest(channel_id=channel_id),
    ),
    "GetInvite": (Made.invite, pb.GetInviteRequest),
    "ListChannelInvites": (Made.invite, lambda **_: pb.ChannelId(channel_id=CHANNEL)),
    "ListGuildInvites": (Made.invite, lambda **_: pb.GuildId(guild_id=GUILD)),
    "GetInviteTargetUsers": (Made.invite, pb.InviteCode),
    "SetInviteTargetUsers": (Made.invite, lambda **ids: pb.SetInviteTargetUsersRequest(**ids, user_ids=[USER, OTHER])),
    "GetInviteTargetUsersJob": (Made.invite, pb.InviteCode),
    "EditGuild": (Made.nothing, lambda: pb.EditGuildRequest(guild_id=GUILD, description="new")),
    "GetGuildPreview": (Made.nothing, lambda: pb.GuildId(guild_id=GUILD)),
    "GetOnboarding": (Made.nothing, lambda: pb.GuildId(guild_id=GUILD)),
    "SetOnboarding": (
        Made.nothing,
        lambda: pb.SetOnboardingRequest(
            guild_id=GUILD,
            enabled=True,
            default_channel_ids=[CHANNEL],
            prompts=[{"id": 1, "title": "Who?", "options": [{"title": "Me", "role_ids": [ROLE], "emoji_name": THUMB}]}],
        ),
    ),
    "GetWelcomeScreen": (Made.nothing, lambda: pb.GuildId(guild_id=GUILD)),
    "EditWelcomeScreen": (
        Made.nothing,
        lambda: pb.EditWelcomeScreenRequest(
            guild_id=GUILD, enabled=True, welcome_channels=[{"channel_id": CHANNEL, "description": "Start here"}]
        ),
    ),
    "GetWidgetSettings": (Made.nothing, lambda: pb.GuildId(guild_id=GUILD)),
    "EditWidgetSettings": (
        Made.nothing,
        lambda: pb.EditWidgetSettingsRequest(guild_id=GUILD, enabled=True, channel_id=CHANNEL),
    ),
    "GetWidget": (Made.nothing, lambda: pb.GuildId(guild_id=GUILD)),
    "GetVanityUrl": (Made.nothing, lambda: pb.GuildId(guild_id=GUILD)),
    "EditCurrentMember": (Made.nothing, lambda: pb.EditCurrentMemberRequest(guild_id=GUILD, nick="n")),
    "GetRole": (Made.role, pb.RoleId),
    "GetRoleMemberCounts": (Made.nothing, lambda: pb.GuildId(guild_id=GUILD)),
    "EditRolePositions": (
        Made.role,
        lambda role_id, **_: pb.EditRolePositionsRequest(guild_id=GUILD, roles=[{"id": role_id, "position": 2}]),
    ),
    "GetCommandPermissions": (Made.command_permissions, pb.CommandPermissionsId),
    "ListCommandPermissions": (
        Made.command_permissions,
        lambda **_: pb.ListCommandPermissionsRequest(application_id=BOT, guild_id=GUILD),
    ),
    "GetAuditLog": (Made.nothing, lambda: pb.GetAuditLogRequest(guild_id=GUILD, action_type=20, limit=10)),
    "GetPruneCount": (Made.nothing, lambda: pb.GetPruneCountRequest(guild_id=GUILD, include_roles=[ROLE, ROLE + 1])),
    "PruneGuild": (Made.nothing, lambda: pb.PruneGuildRequest(guild_id=GUILD, days=7, include_roles=[ROLE])),
    "SetIncidentActions": (
        Made.nothing,
        lambda: pb.SetIncidentActionsRequest(guild_id=GUILD, invites_disabled_until="2036-01-01T00:00:00Z"),
    ),
    "ListJoinRequests": (Made.nothing, lambda: pb.ListJoinRequestsRequest(guild_id=GUILD, status="SUBMITTED")),
    "ReviewJoinRequest": (
        Made.nothing,
        lambda: pb.ReviewJoinRequestRequest(guild_id=GUILD, request_id=5, action="APPROVED"),
    ),
    "ListAutoModerationRules": (Made.rule, lambda **_: pb.GuildId(guild_id=GUILD)),
    "GetAutoModerationRule": (Made.rule, pb.AutoModerationRuleId),
    "CreateAutoModerationRule": (Made.nothing, lambda: RULE),
    "EditAutoModerationRule": (Made.rule, lambda **ids: pb.EditAutoModerationRuleRequest(**ids, enabled=True)),
    "DeleteAutoModerationRule": (Made.rule, pb.AutoModerationRuleId),
    "ListIntegrations": (Made.nothing, lambda: pb.GuildId(guild_id=GUILD)),
    "DeleteIntegration": (Made.nothing, lambda: pb.IntegrationId(guild_id=GUILD, integration_id=5)),
    "GetGuildEmoji": (Made.emoji, pb.EmojiId),
    "CreateGuildEmoji": (
        Made.nothing,
        lambda: pb.CreateGuildEmojiRequest(guild_id=GUILD, name="new", image=IMAGE, roles=[ROLE]),
    ),
    "EditGuildEmoji": (Made.emoji, lambda **ids: pb.EditGuildEmojiRequest(**ids, name="renamed")),
    "DeleteGuildEmoji": (Made.emoji, pb.EmojiId),
    "ListApplicationEmojis": (Made.application_emoji, lambda **_: pb.ApplicationId(application_id=BOT)),
    "GetApplicationEmoji": (Made.application_emoji, pb.ApplicationEmojiId),
    "CreateApplicationEmoji": (
        Made.nothing,
        lambda: pb.CreateApplicationEmojiRequest(application_id=BOT, name="new", image=IMAGE),
    ),
    "EditApplicationEmoji": (
        Made.application_emoji,
        lambda **ids: pb.EditApplicationEmojiRequest(**ids, name="renamed"),
    ),
    "DeleteApplicationEmoji": (Made.application_emoji, pb.ApplicationEmojiId),
    "ListGuildStickers": (Made.sticker, lambda **_: pb.GuildId(guild_id=GUILD)),
    "GetGuildSticker": (Made.sticker, pb.StickerId),
    "CreateGuildSticker": (Made.nothing, lambda: STICKER),
    "EditGuildSticker": (Made.sticker, lambda **ids: pb.EditGuildStickerRequest(**ids, name="renamed")),
    "DeleteGuildSticker": (Made.sticker, pb.StickerId),
    "GetSticker": (Made.nothing, lambda: pb.GetStickerRequest(sticker_id=5)),
    "ListStickerPacks": (Made.nothing, pb.ListStickerPacksRequest),
    "GetStickerPack": (Made.nothing, lambda: pb.GetStickerPackRequest(pack_id=5)),
    "ListGuildSoundboardSounds": (Made.sound, lambda **_: pb.GuildId(guild_id=GUILD)),
    "GetGuildSoundboardSound": (Made.sound, pb.SoundboardSoundId),
    "CreateGuildSoundboardSound": (
        Made.nothing,
        lambda: pb.CreateGuildSoundboardSoundRequest(guild_id=GUILD, name="new", sound=SOUND, volume=0.5),
    ),
    "EditGuildSoundboardSound": (Made.sound, lambda **ids: pb.EditGuildSoundboardSoundRequest(**ids, volume=0)),
    "DeleteGuildSoundboardSound": (Made.sound, pb.SoundboardSoundId),
    "ListDefaultSoundboardSounds": (Made.nothing, pb.ListDefaultSoundboardSoundsRequest),
    "SendSoundboardSound": (Made.nothing, lambda: pb.SendSoundboardSoundRequest(channel_id=VOICE, sound_id=5)),
    "GetWebhook": (Made.webhook_id, pb.WebhookId),
    "GetGuildWebhooks": (Made.webhook, lambda **_: pb.GuildId(guild_id=GUILD)),
    "EditWebhook": (Made.webhook_id, lambda **ids: pb.EditWebhookRequest(**ids, name="renamed", channel_id=NEWS)),
    "GetWebhookWithToken": (Made.webhook, pb.WebhookToken),
    "EditWebhookWithToken": (Made.webhook, lambda **ids: pb.EditWebhookWithTokenRequest(**ids, name="renamed")),
    "DeleteWebhookWithToken": (Made.webhook, pb.WebhookToken),
    "GetWebhookMessage": (Made.webhook_message, pb.WebhookMessageId),
    "GetInteractionResponse": (Made.response, pb.InteractionResponseId),
    "EditInteractionResponse": (Made.response, lambda **ids: pb.EditInteractionResponseRequest(**ids, content="y")),
    "DeleteInteractionResponse": (Made.response, pb.InteractionResponseId),
    "GetCurrentApplication": (Made.nothing, pb.GetCurrentApplicationRequest),
    "EditCurrentApplication": (Made.nothing, lambda: pb.EditCurrentApplicationRequest(tags=["cats"])),
    "GetRoleConnectionMetadata": (Made.nothing, lambda: pb.ApplicationId(application_id=BOT)),
    "SetRoleConnectionMetadata": (
        Made.nothing,
        lambda: pb.SetRoleConnectionMetadataRequest(application_id=BOT, metadata=[METADATA]),
    ),
    "GetScheduledEvent": (Made.event, lambda **ids: pb.GetScheduledEventRequest(**ids, with_user_count=True)),
    "ListScheduledEventUsers": (Made.event, pb.ListScheduledEventUsersRequest),
    "CountScheduledEventUsers": (Made.event, pb.CountScheduledEventUsersRequest),
    "CreateScheduledEventException": (
        Made.event,
        lambda **ids: pb.CreateScheduledEventExceptionRequest(
            **ids, original_scheduled_start_time="2036-01-01T00:00:00Z", is_canceled=True
        ),
    ),
    "EditScheduledEventException": (
        Made.event,
        lambda **ids: pb.EditScheduledEventExceptionRequest(**ids, exception_id=5, is_canceled=False),
    ),
    "DeleteScheduledEventException": (Made.event, lambda **ids: pb.ScheduledEventExceptionId(**ids, exception_id=5)),
    "ListScheduledEventExceptionUsers": (
        Made.event,
        lambda **ids: pb.ListScheduledEventExceptionUsersRequest(**ids, guild_scheduled_event_exception_id=5),
    ),
    "CreateStageInstance": (Made.nothing, lambda: pb.CreateStageInstanceRequest(channel_id=VOICE, topic="now")),
    "GetStageInstance": (Made.stage, pb.ChannelId),
    "EditStageInstance": (Made.stage, lambda **ids: pb.EditStageInstanceRequest(**ids, topic="later")),
    "DeleteStageInstance": (Made.stage, pb.ChannelId),
    "GetVoiceState": (Made.voice_state, lambda user_id: pb.MemberId(guild_id=GUILD, user_id=user_id)),
    "GetCurrentVoiceState": (lambda made: made.voice_state(BOT), lambda **_: pb.GuildId(guild_id=GUILD)),
    "EditVoiceState": (
        Made.voice_state,
        lambda user_id: pb.EditVoiceStateRequest(guild_id=GUILD, user_id=user_id, channel_id=VOICE, suppress=True),
    ),
    "EditCurrentVoiceState": (
        lambda made: made.voice_state(BOT),
        lambda **_: pb.EditCurrentVoiceStateRequest(guild_id=GUILD, channel_id=VOICE, suppress=False),
    ),
    "ListVoiceRegions": (Made.nothing, pb.ListVoiceRegionsRequest),
    "ListGuildVoiceRegions": (Made.nothing, lambda: pb.GuildId(guild_id=GUILD)),
    "ListEntitlements": (
        Made.nothing,
        lambda: pb.ListEntitlementsRequest(application_id=BOT, sku_ids=[5, 6], exclude_ended=True),
    ),
    "GetEntitlement": (Made.nothing, lambda: pb.EntitlementId(application_id=BOT, entitlement_id=5)),
    "ConsumeEntitlement": (Made.nothing, lambda: pb.EntitlementId(application_id=BOT, entitlement_id=5)),
    "CreateTestEntitlement": (
        Made.nothing,
        lambda: pb.CreateTestEntitlementRequest(application_id=BOT, sku_id=5, owner_id=USER, owner_type=2),
    ),
    "DeleteTestEntitlement": (Made.nothing, lambda: pb.EntitlementId(application_id=BOT, entitlement_id=5)),
    "ListSubscriptions": (Made.nothing, lambda: pb.ListSubscriptionsRequest(sku_id=5, user_id=USER)),
    "GetSubscription": (Made.nothing, lambda: pb.SubscriptionId(sku_id=5, subscription_id=6)),
    "GetGuildTemplate": (Made.nothing, lambda: pb.GetGuildTemplateRequest(code="abc")),
    "ListGuildTemplates": (Made.template, lambda **_: pb.GuildId(guild_id=GUILD)),
    "CreateGuildTemplate": (Made.nothing, lambda: pb.CreateGuildTemplateRequest(guild_id=GUILD, name="new")),
    "SyncGuildTemplate": (Made.template, pb.GuildTemplateCode),
    "EditGuildTemplate": (Made.template, lambda **ids: pb.EditGuildTemplateRequest(**ids, description="d")),
    "DeleteGuildTemplate": (Made.template, pb.GuildTemplateCode),
    "EditCurrentUser": (Made.nothing, lambda: pb.EditCurrentUserRequest(username="bot", avatar=IMAGE)),
    "LeaveGuild": (Made.nothing, lambda: pb.GuildId(guild_id=GUILD)),
    "ComputePermissions": (
        Made.nothing,
        lambda: pb.ComputePermissionsRequest(guild_id=GUILD, channel_id=CHANNEL, user_id=USER),
    ),
    "CreateInteractionResponse": (
        Made.interaction,
        lambda **ids: pb.CreateInteractionResponseRequest(**ids, content="x"),
    ),
    "SyncCommands": (
        Made.nothing,
        lambda: pb.SyncCommandsRequest(commands=[pb.Command(name="shop", description="Opens the shop")]),
    ),
    "ListCommands": (Made.nothing, pb.ListCommandsRequest),
    "ReleaseCommands": (Made.command, lambda: pb.ReleaseCommandsRequest(names=["shop"])),
    "Request": (Made.nothing, lambda: pb.ApiRequest(method="GET", path="/users/@me")),
}

WITHOUT_DISCORD = {"ReleaseCommands"}
"""RPCs that change a state of the proxy only."""


def test_the_table_is_complete():
    asked_of_discord = {name for name, rpc in CONTRACT.items() if not rpc.streaming} - {"GetVoiceStates"}
    assert set(REQUESTS) == asked_of_discord


EMPTY_LISTS = {"GetMessages", "ListBans", "GetGuildEmojis", "GetChannelWebhooks", "ListScheduledEvents"}
EMPTY_LISTS |= {"GetRoleConnectionMetadata", "ListIntegrations"}
EMPTY_LISTS |= {"ListDefaultSoundboardSounds", "ListEntitlements", "ListSubscriptions"}
EMPTY_LISTS |= {"ListScheduledEventUsers", "ListScheduledEventExceptionUsers"}


async def request_for(served, name):
    make, build = REQUESTS[name]
    return build(**await make(Made(served.stub, served.discord)))


@pytest.mark.parametrize("name", REQUESTS)
async def test_it_works(served, name):
    served.broker.holds = True
    request = await request_for(served, name)
    before = len(served.discord.ledger.records)
    response = await getattr(served.stub, name)(request, timeout=10)
    rpc = CONTRACT[name]
    assert not rpc.result or getattr(response, rpc.result) or name in EMPTY_LISTS  # a new sandbox has none
    if name in WITHOUT_DISCORD:
        assert len(served.discord.ledger.records) == before
        return
    record = served.discord.ledger.records[before:][-1]
    assert record.status in {200, 201, 204}
    assert not [violation for each in served.discord.ledger.records for violation in each.violations]
    if rpc.template and name != "BulkDeleteMessages":
        assert (record.method, record.template) == (rpc.method, rpc.template)
        assert record.credential == ("none" if rpc.no_bot_auth else "bot")


@pytest.fixture
async def refused() -> AsyncIterator[Served]:
    """A worker whose Discord has no limits: the objects of all RPCs are created there. A ban removes a member: last."""
    unlimited = LimitBook(default=None, global_limit=None)
    async with Sandbox(SandboxConfig(token=TOKEN, limits=unlimited)) as discord, serve(discord) as served:
        served.broker.holds = True
        yield served


@pytest.mark.parametrize(("http", "status"), [(403, "PERMISSION_DENIED"), (404, "NOT_FOUND")])
@every_case("name", sorted(REQUESTS.keys() - WITHOUT_DISCORD, key=lambda name: (REQUESTS[name][0] is Made.ban, name)))
async def test_refusals_of_discord(refused, name, http, status):
    refused.discord.faults.clear()
    request = await request_for(refused, name)
    before = len(refused.discord.ledger.records)
    refused.discord.faults.add(Fault(kind="status", status=http))
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await getattr(refused.stub, name)(request, timeout=10)
    assert [record.status for record in refused.discord.ledger.records[before:]] == [http]
    details = json.loads(failed.value.details())
    assert (failed.value.code().name, details["type"], details["status"]) == (status, "HTTPException", http)
    assert details["sent"] == "no"


WITH_IDS = [name for name in ROUTED if CONTRACT[name].parameters]


@every_case(
    "name",
    [
        *WITH_IDS,
        "SendDirectMessage",
        "SyncMemberRoles",
        "CreateInteractionResponse",
        "ComputePermissions",
        "GetVoiceStates",
        "ReleaseCommands",
    ],
)
async def test_the_error_of_an_empty_request_contains_its_fields(served, name):
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await getattr(served.stub, name)(CONTRACT[name].request_type(), timeout=10)
    details = json.loads(failed.value.details())
    assert (failed.value.code().name, details["code"], details["scope"]) == ("INVALID_ARGUMENT", 50035, "proxy")
    assert all(field["path"] for field in details["fields"])
    assert not served.discord.ledger.records
