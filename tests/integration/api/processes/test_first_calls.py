"""The three calls of 1.5.1, the whole way: gRPC, permit, HTTP, reply."""

import json

import grpc
import pytest

from discordproxy.discord_api_pb2 import (
    Embed,
    GetGuildChannelsRequest,
    SendChannelMessageRequest,
    SendDirectMessageRequest,
)
from discordproxy_sandbox.world.population import CHANNEL_ID, GUILD_ID, USER_ID

EMBED = Embed(
    title="Title",
    description="Description",
    image=Embed.Image(url="https://example.org/image.png"),
    footer=Embed.Footer(text="Footer", icon_url="https://example.org/footer.png"),
    fields=[Embed.Field(name="Name", value="Value", inline=True)],
)


async def test_channel_message_comes_back_with_every_field(served):
    request = SendChannelMessageRequest(channel_id=int(CHANNEL_ID), content="Hello", embed=EMBED)
    message = (await served.stub.SendChannelMessage(request)).message
    assert message.id
    assert message.channel_id == int(CHANNEL_ID)
    assert message.content == "Hello"
    assert message.author.bot
    embed = message.embeds[0]
    assert (embed.title, embed.image.url, embed.footer.icon_url) == ("Title", EMBED.image.url, EMBED.footer.icon_url)
    assert embed.fields[0].inline
    assert len(served.discord.ledger.records) == 1


async def test_direct_message_opens_the_channel_once(served):
    for number in range(3):
        answer = await served.stub.SendDirectMessage(
            SendDirectMessageRequest(user_id=int(USER_ID), content=str(number))
        )
        assert answer.message.content == str(number)
    templates = [record.template for record in served.discord.ledger.records]
    assert templates == ["/users/@me/channels", *3 * ["/channels/{channel_id}/messages"]]


async def test_guild_channels(served):
    answer = await served.stub.GetGuildChannels(GetGuildChannelsRequest(guild_id=int(GUILD_ID)))
    assert "general" in {channel.name for channel in answer.channels}


async def test_unknown_user_is_discords_error(served):
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await served.stub.SendDirectMessage(SendDirectMessageRequest(user_id=1, content="Hello"))
    details = json.loads(failed.value.details())
    assert (details["type"], details["sent"]) == ("HTTPException", "no")
    assert failed.value.code() in {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT}
