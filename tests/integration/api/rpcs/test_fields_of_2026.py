"""Fields that Discord added in 2025 and 2026, through the proxy and back."""

import json

import grpc
import pytest

from discordproxy import discord_api_pb2 as pb
from discordproxy_sandbox.world.population import BOT_ID, CHANNEL_ID, GUILD_ID, ROLE_ID, USER_ID, nth

CHANNEL, GUILD, ROLE = int(CHANNEL_ID), int(GUILD_ID), int(nth(ROLE_ID, 2))
FORUM = int(nth(CHANNEL_ID, 3))
SPOILER, REMIX = pb.Message.Attachment.IS_SPOILER, pb.Message.Attachment.IS_REMIX


async def test_a_spoiler_keeps_its_name_and_can_be_revealed(served):
    files = [pb.File(filename="a.png", content=b"x", spoiler=True, title="A", is_remix=True)]
    sent = await served.stub.SendChannelMessage(pb.SendChannelMessageRequest(channel_id=CHANNEL, files=files))
    (attachment,) = sent.message.attachments
    assert (attachment.filename, attachment.title, attachment.flags) == ("a.png", "A", SPOILER | REMIX)
    kept = [pb.KeepAttachment(id=attachment.id, is_spoiler=False, description="alt")]
    ids = {"channel_id": CHANNEL, "message_id": sent.message.id}
    edited = await served.stub.EditMessage(pb.EditMessageRequest(**ids, attachments=kept))
    (attachment,) = edited.message.attachments
    assert (attachment.description, attachment.flags) == ("alt", REMIX)


async def test_a_theme(served):
    theme = pb.SharedClientTheme(colors=["5865F2", "00ff00"], gradient_angle=0, base_mix=50)
    request = pb.SendChannelMessageRequest(channel_id=CHANNEL, shared_client_theme=theme)
    shown = (await served.stub.SendChannelMessage(request)).message.shared_client_theme
    assert (list(shown.colors), shown.base_mix) == (["5865F2", "00ff00"], 50)


async def test_the_tag_setting_of_a_forum(served):
    request = pb.EditChannelRequest(channel_id=FORUM, default_tag_setting="match_all")
    assert (await served.stub.EditChannel(request)).channel.default_tag_setting == "match_all"


async def test_a_channel_without_an_application(served):
    served.discord.world.channels[CHANNEL_ID].data["application_id"] = None
    answer = await served.stub.GetChannel(pb.ChannelId(channel_id=CHANNEL, fresh=True))
    assert (answer.channel.id, answer.channel.application_id) == (CHANNEL, 0)
    listed = await served.stub.GetGuildChannels(pb.GetGuildChannelsRequest(guild_id=GUILD, fresh=True))
    assert CHANNEL in {channel.id for channel in listed.channels}


async def test_an_invite_with_roles_and_users(served):
    request = pb.CreateInviteRequest(channel_id=CHANNEL, role_ids=[ROLE], user_ids=[5])
    invite = (await served.stub.CreateInvite(request)).invite
    assert [role.id for role in invite.roles] == [ROLE]
    assert invite.guild_id == GUILD


async def test_a_recurring_event(served):
    rule = pb.RecurrenceRule(
        start="2036-01-01T00:00:00Z",
        frequency=1,
        interval=1,
        by_n_weekday=[pb.RecurrenceRule.NthWeekday(n=1, day=0)],
    )
    request = pb.CreateScheduledEventRequest(
        guild_id=GUILD,
        name="made",
        privacy_level=2,
        scheduled_start_time="2036-01-01T00:00:00Z",
        scheduled_end_time="2036-01-01T01:00:00Z",
        entity_type=3,
        entity_metadata=pb.ScheduledEvent.EntityMetadata(location="here"),
        recurrence_rule=rule,
    )
    assert (await served.stub.CreateScheduledEvent(request)).scheduled_event.recurrence_rule == rule


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"type": "MODAL"}, "title"),
        ({"type": "MODAL", "title": "t", "custom_id": "c"}, "components"),
        ({"type": "AUTOCOMPLETE", "content": "x"}, "content"),
        ({"type": "LAUNCH_ACTIVITY", "choices": [{"name": "x", "number_value": 1}]}, "choices"),
        ({"content": "x", "title": "t"}, "title"),
    ],
    ids=["no-title", "no-components", "choices-with-content", "activity-with-choices", "message-with-title"],
)
async def test_a_response_has_only_the_fields_of_its_type(served, fields, path):
    request = pb.CreateInteractionResponseRequest(interaction_id=1, interaction_token="token", **fields)
    with pytest.raises(grpc.aio.AioRpcError, match=path) as failed:
        await served.stub.CreateInteractionResponse(request)
    assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert not served.discord.ledger.records


async def test_a_forward_of_a_hidden_message_fails_at_once(served):
    hidden = nth(CHANNEL_ID, 1)
    message = served.discord.people.write(hidden, USER_ID, "secret")
    denied = {"id": BOT_ID, "type": 1, "allow": "0", "deny": str(1 << 10)}
    served.discord.world.channels[hidden].data["permission_overwrites"] = [denied]
    for role in served.discord.world.guilds[GUILD_ID].roles.values():
        role["permissions"] = str(1 << 10)  # no administrator
    reference = pb.Message.Reference(type="FORWARD", channel_id=int(hidden), message_id=int(message["id"]))
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await served.stub.SendChannelMessage(
            pb.SendChannelMessageRequest(channel_id=CHANNEL, message_reference=reference), timeout=10
        )
    details = json.loads(failed.value.details())
    assert (failed.value.code(), details["code"]) == (grpc.StatusCode.INVALID_ARGUMENT, 160014)
    assert details["sent"] == "no"
    assert len(served.discord.ledger.records) == 1
