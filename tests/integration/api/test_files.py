"""Files on their way to Discord: parts, names, descriptions."""

import pytest
from aiohttp import web

from discordproxy.discord_api_pb2 import ApiRequest, File, SendChannelMessageRequest
from discordproxy_sandbox.population import CHANNEL_ID, GUILD_ID
from integration.api.conftest import serve

FILES = [
    File(filename="ä report 1.txt", content=b"one", description="alt", content_type="text/plain"),
    File(filename="b.bin", content=b"twofold"),
]


@pytest.fixture
async def parts():
    """The parts of each form that was received, by name; `url` is where they are to be sent."""

    class Parts(list):
        url = ""

    def shown(part):
        return part.decode() if isinstance(part, bytearray) else getattr(part, "filename", part)

    received = Parts()

    async def receive(request):
        form = await request.post()
        received.append({name: shown(part) for name, part in form.items()})
        return web.json_response({})

    app = web.Application()
    app.router.add_post("/{path:.*}", receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    received.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield received
    await runner.cleanup()


async def test_a_message_with_files(served):
    request = SendChannelMessageRequest(channel_id=int(CHANNEL_ID), content="gr\u00fc\u00dfe", files=FILES)
    message = (await served.stub.SendChannelMessage(request, timeout=10)).message
    assert message.content == "gr\u00fc\u00dfe"
    assert [(each.filename, each.size) for each in message.attachments] == [("ä report 1.txt", 3), ("b.bin", 7)]
    assert message.attachments[0].description == "alt"
    assert not served.discord.ledger.violations


@pytest.mark.parametrize(
    ("file_field", "json", "expected"),
    [
        ("", '{"a": 1}', {"payload_json": '{"a": 1}', "files[0]": "b.bin"}),
        ("target_users_file", '{"a": 1}', {"payload_json": '{"a": 1}', "target_users_file": "b.bin"}),
        ("file", '{"name": "s", "n": 1}', {"name": "s", "n": "1", "file": "b.bin"}),
        ("file", "[1]", {"payload_json": "[1]", "file": "b.bin"}),
        ("file", "", {"file": "b.bin"}),
    ],
)
async def test_the_parts_of_a_form(discord, parts, file_field, json, expected):
    async with serve(discord, discord_url=parts.url) as served:
        request = ApiRequest(method="POST", path="/x", json=json, files=FILES[1:], file_field=file_field)
        await served.stub.Request(request, timeout=10)
    assert parts == [expected]


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
