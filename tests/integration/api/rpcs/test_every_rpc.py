"""Each RPC of the contract with a local Discord: it works, and all report failures in the same way."""

import json
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from discordproxy import discord_api_pb2 as pb
from discordproxy_api.contract.contract import load_contract
from discordproxy_sandbox.resources.application.interactions import interact
from discordproxy_sandbox.rest.faults import Fault
from discordproxy_sandbox.world.population import CHANNEL_ID, GUILD_ID, ROLE_ID, USER_ID, nth

CONTRACT = load_contract()
ROUTED = [name for name, rpc in CONTRACT.items() if rpc.template]

GUILD, USER, OTHER, ROLE = int(GUILD_ID), int(USER_ID), int(nth(USER_ID, 1)), int(nth(ROLE_ID, 2))
CHANNEL, NEWS, FORUM = int(CHANNEL_ID), int(nth(CHANNEL_ID, 1)), int(nth(CHANNEL_ID, 3))
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

    async def command(self) -> dict[str, Any]:
        command = pb.Command(name="shop", description="Opens the shop")
        await self.stub.SyncCommands(pb.SyncCommandsRequest(commands=[command]))
        return {}

    async def nothing(self) -> dict[str, int]:
        return {}


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


@pytest.mark.parametrize("name", [name for name in REQUESTS if name not in WITHOUT_DISCORD])
@pytest.mark.parametrize(("http", "status"), [(403, "PERMISSION_DENIED"), (404, "NOT_FOUND")])
async def test_refusals_of_discord(served, name, http, status):
    served.broker.holds = True
    request = await request_for(served, name)
    served.discord.faults.add(Fault(kind="status", status=http))
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await getattr(served.stub, name)(request, timeout=10)
    details = json.loads(failed.value.details())
    assert (failed.value.code().name, details["type"], details["status"]) == (status, "HTTPException", http)
    assert details["sent"] == "no"


WITH_IDS = [name for name in ROUTED if CONTRACT[name].parameters]


@pytest.mark.parametrize(
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
