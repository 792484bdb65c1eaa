"""RPCs whose request or response is more than a JSON object: searches, arrays, forms, CSV, maps, stored settings."""

import json

import grpc
import pytest

from discordproxy import discord_api_pb2 as pb
from discordproxy_sandbox.rest.faults import Fault
from discordproxy_sandbox.world.population import CHANNEL_ID, ROLE_ID, nth
from integration.api.rpcs.test_every_rpc import BOT, CHANNEL, GUILD, IMAGE, METADATA, OTHER, ROLE, RULE, STICKER, Made


def requests_of(served, template):
    return [record for record in served.discord.ledger.records if record.template == template]


SEARCH = "/guilds/{guild_id}/messages/search"


async def test_a_search_waits_until_the_index_is_built(served):
    message = await Made(served.stub).message(content="a needle")
    await Made(served.stub).message(content="hay")
    served.discord.world.searches_before_index = 2
    served.discord.world.index_retry_after_s = 0.01
    request = pb.SearchMessagesRequest(guild_id=GUILD, content="needle", author_id=[BOT, OTHER], has=["link", "-file"])
    found = await served.stub.SearchMessages(request, timeout=30)
    assert [each.id for each in found.messages] == [message["message_id"]]
    assert found.total_results == 1
    assert [record.status for record in requests_of(served, SEARCH)] == [202, 202, 200]


async def test_a_search_without_index_fails_before_its_deadline(served):
    served.discord.world.searches_before_index = 9
    served.discord.world.index_retry_after_s = 900.0
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await served.stub.SearchThreads(pb.SearchThreadsRequest(channel_id=CHANNEL, name="x"), timeout=60)
    details = json.loads(failed.value.details())
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    assert (details["reason"], details["code"], details["retry_after"]) == ("INDEX_NOT_READY", 110000, 900.0)
    assert len(served.discord.ledger.records) == 1


async def test_positions_are_sent_as_an_array(served):
    low, high = int(nth(ROLE_ID, 1)), ROLE
    moved = await served.stub.EditRolePositions(
        pb.EditRolePositionsRequest(guild_id=GUILD, roles=[{"id": low, "position": 9}, {"id": high, "position": 1}])
    )
    positions = {role.id: role.position for role in moved.roles}
    assert (positions[low], positions[high]) == (9, 1)
    await served.stub.EditChannelPositions(
        pb.EditChannelPositionsRequest(guild_id=GUILD, channels=[{"id": CHANNEL, "position": 7}])
    )
    assert (await served.stub.GetChannel(pb.ChannelId(channel_id=CHANNEL))).channel.position == 7


async def test_roles_are_counted_by_id(served):
    counted = await served.stub.GetRoleMemberCounts(pb.GuildId(guild_id=GUILD))
    assert counted.counts[int(ROLE_ID)] == 1
    assert all(counted.counts.values())


async def test_a_sticker_is_sent_as_a_form(served):
    made = (await served.stub.CreateGuildSticker(STICKER)).sticker
    assert (made.name, made.tags, made.description) == ("made", "cat", "one")
    listed = await served.stub.ListGuildStickers(pb.GuildId(guild_id=GUILD))
    assert [each.id for each in listed.stickers] == [made.id]


async def test_target_users_are_read_from_a_csv_file(served):
    invite = await Made(served.stub).invite()
    served.discord.world.target_users[invite["code"]] = ["user_id", "5", '"6"', "x", str(2**64), "9" * 5000]
    found = await served.stub.GetInviteTargetUsers(pb.InviteCode(**invite))
    assert list(found.user_ids) == [5, 6]


async def test_pages_of_the_audit_log_exclude_each_other(served):
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await served.stub.GetAuditLog(pb.GetAuditLogRequest(guild_id=GUILD, before=5, after=6))
    assert json.loads(failed.value.details())["fields"][0]["path"] == "after"


async def test_what_is_created_is_read_and_deleted(served):
    made = (await served.stub.CreateAutoModerationRule(RULE)).rule
    rule = pb.AutoModerationRuleId(guild_id=GUILD, rule_id=made.id)
    await served.stub.EditAutoModerationRule(
        pb.EditAutoModerationRuleRequest(guild_id=GUILD, rule_id=made.id, name="new")
    )
    read = (await served.stub.GetAutoModerationRule(rule)).rule
    assert (read.name, list(read.trigger_metadata.keyword_filter)) == ("new", ["cat*"])
    assert read.actions[0].metadata.channel_id == CHANNEL
    await served.stub.DeleteAutoModerationRule(rule)
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await served.stub.GetAutoModerationRule(rule)
    assert failed.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_new_emoji_is_one_of_the_guilds(served):
    request = pb.CreateGuildEmojiRequest(guild_id=GUILD, name="cat", image=IMAGE, roles=[ROLE])
    made = (await served.stub.CreateGuildEmoji(request)).emoji
    assert [each.name for each in (await served.stub.GetGuildEmojis(pb.GuildId(guild_id=GUILD))).emojis] == ["cat"]
    await served.stub.DeleteGuildEmoji(pb.EmojiId(guild_id=GUILD, emoji_id=made.id))
    assert not (await served.stub.GetGuildEmojis(pb.GuildId(guild_id=GUILD))).emojis


async def test_settings_are_kept(served):
    option = {"title": "Me", "role_ids": [ROLE], "emoji_name": "\N{CAT}"}
    await served.stub.SetOnboarding(
        pb.SetOnboardingRequest(guild_id=GUILD, enabled=True, prompts=[{"id": 1, "title": "Who?", "options": [option]}])
    )
    await served.stub.SetOnboarding(pb.SetOnboardingRequest(guild_id=GUILD, default_channel_ids=[CHANNEL]))
    onboarding = await served.stub.GetOnboarding(pb.GuildId(guild_id=GUILD))
    assert (onboarding.guild_id, onboarding.enabled, list(onboarding.default_channel_ids)) == (GUILD, True, [CHANNEL])
    assert onboarding.prompts[0].options[0].emoji.name == "\N{CAT}"
    metadata = pb.SetRoleConnectionMetadataRequest(application_id=BOT, metadata=[METADATA])
    await served.stub.SetRoleConnectionMetadata(metadata)
    (read,) = (await served.stub.GetRoleConnectionMetadata(pb.ApplicationId(application_id=BOT))).metadata
    assert read == METADATA


async def test_a_deferred_response_is_edited_and_deleted(served):
    response = await Made(served.stub, served.discord).response()
    edited = await served.stub.EditInteractionResponse(pb.EditInteractionResponseRequest(**response, content="done"))
    assert edited.message.content == "done"
    read = await served.stub.GetInteractionResponse(pb.InteractionResponseId(**response))
    assert read.message.id == edited.message.id
    await served.stub.DeleteInteractionResponse(pb.InteractionResponseId(**response))
    with pytest.raises(grpc.aio.AioRpcError):
        await served.stub.GetInteractionResponse(pb.InteractionResponseId(**response))


async def test_a_followed_channel_has_a_webhook(served):
    news = int(nth(CHANNEL_ID, 1))
    made = await served.stub.FollowChannel(pb.FollowChannelRequest(channel_id=news, webhook_channel_id=CHANNEL))
    webhooks = (await served.stub.GetGuildWebhooks(pb.GuildId(guild_id=GUILD))).webhooks
    assert [(each.id, each.type) for each in webhooks] == [(made.webhook_id, 2)]


async def test_pruning_is_not_repeated(served):
    served.discord.faults.add(Fault(kind="status", status=502))
    with pytest.raises(grpc.aio.AioRpcError):
        await served.stub.PruneGuild(pb.PruneGuildRequest(guild_id=GUILD, days=7))
    assert len(requests_of(served, "/guilds/{guild_id}/prune")) == 1
