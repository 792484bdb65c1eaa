"""Files on their way to Discord: parts, names, descriptions."""

from discordproxy.discord_api_pb2 import ApiRequest, File, SendChannelMessageRequest
from discordproxy_sandbox.population import CHANNEL_ID, GUILD_ID

FILES = [
    File(filename="ä report 1.txt", content=b"one", description="alt", content_type="text/plain"),
    File(filename="b.bin", content=b"twofold"),
]


async def test_a_message_with_files(served):
    request = SendChannelMessageRequest(channel_id=int(CHANNEL_ID), content="gr\u00fc\u00dfe", files=FILES)
    message = (await served.stub.SendChannelMessage(request, timeout=10)).message
    assert message.content == "gr\u00fc\u00dfe"
    assert [(each.filename, each.size) for each in message.attachments] == [("ä report 1.txt", 3), ("b.bin", 7)]
    assert message.attachments[0].description == "alt"
    assert not served.discord.ledger.violations


async def test_a_file_with_a_name_of_its_own(served):
    request = ApiRequest(
        method="POST",
        path=f"/guilds/{GUILD_ID}/stickers",
        json='{"name": "s", "description": "", "tags": "x"}',
        files=FILES[1:],
        file_field="file",
    )
    response = await served.stub.Request(request, timeout=10)
    assert b'"files":[{"filename":"b.bin","size":7}]' in response.body
    assert not served.discord.ledger.violations
