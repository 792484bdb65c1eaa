"""Files in requests to Discord: parts of the form, names, descriptions, kept attachments."""

import asyncio
import contextlib
import gc

import grpc
import orjson
import pytest
from aiohttp import web

from discordproxy.discord_api_pb2 import (
    ApiRequest,
    CreateWebhookRequest,
    EditMessageRequest,
    EditWebhookMessageRequest,
    Embed,
    ExecuteWebhookRequest,
    File,
    KeepAttachment,
    SendChannelMessageRequest,
)
from discordproxy_api.contract.translate import OutgoingFile
from discordproxy_sandbox.world.population import CHANNEL_ID, GUILD_ID
from fakes.eventually import eventually
from integration.api.conftest import serve

FILES = [
    File(filename="ä report 1.txt", content=b"one", description="alt", content_type="text/plain"),
    File(filename="b.bin", content=b"twofold"),
]


@pytest.fixture
async def parts():
    """Yield the parts of each received form by name; `url` is the address that receives them."""

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
    assert [(each.filename, each.size) for each in message.attachments] == [("a_report_1.txt", 3), ("b.bin", 7)]
    assert [each.title for each in message.attachments] == ["ä report 1", ""]
    assert message.attachments[0].description == "alt"
    assert not served.discord.ledger.violations


@pytest.mark.parametrize("fails", [False, True])
async def test_files_are_freed_with_the_call(served, fails):
    """A reference cycle would keep them until a garbage collection, of which there may be none for a long time."""
    request = SendChannelMessageRequest(channel_id=1 if fails else int(CHANNEL_ID), content="x", files=FILES)
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            with pytest.raises(grpc.aio.AioRpcError) if fails else contextlib.nullcontext():
                await served.stub.SendChannelMessage(request, timeout=60)
        await eventually(lambda: not any(isinstance(each, OutgoingFile) for each in gc.get_objects()))
    finally:
        gc.enable()


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


async def test_a_file_with_its_own_part_name(served):
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


NEW = [File(filename="new.txt", content=b"new")]
PICTURE = Embed(title="x", image=Embed.Image(url="attachment://shown.png"))


async def posted(served, *names, **fields):
    files = [File(filename=name, content=b"x") for name in names]
    request = SendChannelMessageRequest(channel_id=int(CHANNEL_ID), content="x", files=files, **fields)
    return (await served.stub.SendChannelMessage(request)).message


async def edited(served, message, **fields):
    request = EditMessageRequest(channel_id=int(CHANNEL_ID), message_id=message.id, **fields)
    return (await served.stub.EditMessage(request)).message


def names_of(message):
    return [each.filename for each in message.attachments]


async def test_files_are_added_to_the_attachments_of_a_message(served):
    message = await posted(served, "a.txt", "b.txt")
    assert names_of(await edited(served, message, files=NEW)) == ["a.txt", "b.txt", "new.txt"]
    requests = [record.method for record in served.discord.ledger.records]
    assert requests == ["POST", "GET", "PATCH"]


@pytest.mark.parametrize("fields", [{"content": "y"}, {"embeds": [Embed(title="y")]}])
async def test_other_changes_keep_the_attachments(served, fields):
    message = await posted(served, "a.txt")
    assert names_of(await edited(served, message, **fields)) == ["a.txt"]
    assert [record.method for record in served.discord.ledger.records] == ["POST", "PATCH"]


@pytest.mark.parametrize(
    "name", ["image two.png", "_bug1.png", "hello (world).png", "\u753b\u50cf.png", "caf\u00e9.png"]
)
async def test_an_embed_refers_to_a_file_by_its_given_name(served, name):
    shows = Embed(title="x", image=Embed.Image(url=f"attachment://{name}"))
    message = await posted(served, name, "other.txt", embeds=[shows])
    assert message.embeds[0].image.url.startswith("https://cdn.discordapp.com/attachments/")
    assert names_of(message) == ["other.txt"]


async def test_the_request_can_list_the_attachments_to_keep(served):
    message = await posted(served, "a.txt", "b.txt")
    kept = [KeepAttachment(id=message.attachments[1].id, description="alt")]
    assert names_of(await edited(served, message, files=NEW, attachments=kept)) == ["b.txt", "new.txt"]
    assert names_of(await edited(served, message, files=FILES[1:], clear=["attachments"])) == ["b.bin"]
    assert names_of(await edited(served, message, clear=["attachments"])) == []
    assert "GET" not in [record.method for record in served.discord.ledger.records]


async def test_a_file_in_an_embed_stays(served):
    message = await posted(served, "shown.png", "a.txt", embeds=[PICTURE])
    assert names_of(message) == ["a.txt"]
    changed = await edited(served, message, files=NEW)
    assert names_of(changed) == ["a.txt", "new.txt"]
    assert changed.embeds[0].image.url == message.embeds[0].image.url
    changed = await edited(served, message, files=FILES[1:], embeds=[Embed(title="y")])
    assert names_of(changed) == ["a.txt", "new.txt", "b.bin"]  # the picture was removed with its embed


async def test_a_message_has_at_most_ten_attachments(served):
    message = await posted(served, *(f"{number}.txt" for number in range(10)))
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await edited(served, message, files=NEW)
    details = orjson.loads(failed.value.details())
    assert (details["fields"][0]["path"], details["sent"]) == ("attachments", "no")


async def test_concurrently_added_files_all_stay(served):
    message = await posted(served, "a.txt")
    edits = [edited(served, message, files=[File(filename=f"{number}.txt", content=b"x")]) for number in range(5)]
    last = max(await asyncio.gather(*edits), key=lambda each: len(each.attachments))
    assert sorted(names_of(last)) == ["0.txt", "1.txt", "2.txt", "3.txt", "4.txt", "a.txt"]


async def test_files_are_added_to_those_of_a_webhooks_message(served):
    webhook = (await served.stub.CreateWebhook(CreateWebhookRequest(channel_id=int(CHANNEL_ID), name="w"))).webhook
    hook = {"webhook_id": webhook.id, "webhook_token": webhook.token}
    sent = (await served.stub.ExecuteWebhook(ExecuteWebhookRequest(content="x", files=FILES[1:], **hook))).message
    request = EditWebhookMessageRequest(message_id=sent.id, files=NEW, **hook)
    assert names_of((await served.stub.EditWebhookMessage(request)).message) == ["b.bin", "new.txt"]
    assert not served.discord.ledger.violations


async def test_a_raw_request_is_sent_unchanged(served):
    """Discord removes the attachments that a change with files does not list (discord-api-docs#5170)."""
    message = await posted(served, "a.txt")
    path = f"/channels/{CHANNEL_ID}/messages/{message.id}"
    answer = await served.stub.Request(ApiRequest(method="PATCH", path=path, json="{}", files=NEW))
    assert [each["filename"] for each in orjson.loads(answer.body)["attachments"]] == ["new.txt"]
