"""Bytes that are no request: INVALID_ARGUMENT with a field path, and nothing reaches Discord."""

import json

import grpc
import pytest

from discordproxy.discord_api_pb2 import SendChannelMessageRequest
from discordproxy_sandbox.population import CHANNEL_ID
from integration.api.conftest import serve

GOOD = SendChannelMessageRequest(channel_id=int(CHANNEL_ID), content="x").SerializeToString()


async def send(served, data, rpc="SendChannelMessage"):
    call = served.channel.unary_unary(f"/discord_api.DiscordApi/{rpc}", lambda x: x, lambda x: x)
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call(data)
    assert not served.discord.ledger.records
    return failed.value.code().name, json.loads(failed.value.details())


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (b"", "channel_id"),
        (GOOD + b"\x12\x02\xff\xfe", "content"),
        (GOOD + b"\x1a\x04\x0a\x02\xc3\x28", "embed.title"),
        (b"\x0a\x01x" + GOOD[10:], "channel_id"),  # a text where the id should be
        (b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01" + GOOD[10:], "channel_id"),  # -1
        (b"\xff", ""),
        (GOOD[:-1], ""),
        (b"not protobuf at all", ""),
    ],
)
async def test_the_field_is_named(served, data, path):
    status, details = await send(served, data)
    assert (status, details["code"], details["scope"], details["sent"]) == ("INVALID_ARGUMENT", 50035, "proxy", "no")
    assert path in [field["path"] for field in details["fields"]]


async def test_no_message_at_all_is_an_empty_one(served):
    call = served.channel.stream_unary("/discord_api.DiscordApi/SendChannelMessage", lambda x: x, lambda x: x)
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call(iter([]))
    assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_more_than_the_receive_limit_is_refused(discord):
    async with serve(discord, max_message_bytes=1000) as served:
        call = served.channel.unary_unary("/discord_api.DiscordApi/SendChannelMessage", lambda x: x, lambda x: x)
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await call(b"x" * 1001)
        assert failed.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert not discord.ledger.records
