"""Undecodable requests: INVALID_ARGUMENT with the path of the field; nothing is sent to Discord."""

import json

import grpc
import pytest

from discordproxy.discord_api_pb2 import SendChannelMessageRequest
from discordproxy.exceptions import to_discord_proxy_exception
from discordproxy_api.contract.contract import load_contract
from discordproxy_sandbox.world.population import CHANNEL_ID
from integration.api.conftest import serve

GOOD = SendChannelMessageRequest(channel_id=int(CHANNEL_ID), content="x").SerializeToString()
ID = SendChannelMessageRequest(channel_id=int(CHANNEL_ID)).SerializeToString()


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
        (ID + b"\x10\x05", "content"),  # wrong wire types: a number, four bytes, a number for a message
        (ID + b"\x15abcd", "content"),
        (ID + b"\x20\x05", "content"),
        (b"\x0912345678" + GOOD[10:], "channel_id"),  # eight bytes where a varint should be
        (b"\x08" + b"\xff" * 10 + b"\x01", ""),  # more than 64 bits
        (GOOD + b"\x13", ""),  # groups that never end or begin
        (GOOD + b"\x14", ""),
        (GOOD + b"\x16", ""),  # wire types and fields that do not exist
        (GOOD + b"\x17", ""),
        (GOOD + b"\x02\x00", ""),
        (GOOD + b"\x22\x80\x80\x80\x80\x08", ""),  # 2 GiB to come
        (GOOD + b"\x22" + b"\xff" * 9 + b"\x01", ""),  # and 16 EiB
        (GOOD + b"\x22\x03\x1a\x05x", "embeds[0]"),  # a truncated nested message
        (GOOD + b"\x12\x03\xed\xa0\x80", "content"),  # half of a surrogate pair, and an overlong form
        (GOOD + b"\x12\x02\xc0\x80", "content"),
    ],
)
async def test_the_error_contains_the_field(served, data, path):
    status, details = await send(served, data)
    assert (status, details["code"], details["scope"], details["sent"]) == ("INVALID_ARGUMENT", 50035, "proxy", "no")
    assert path in [field["path"] for field in details["fields"]]


async def test_every_rpc_refuses_a_truncated_request(served):
    for name, rpc in load_contract().items():
        if not rpc.streaming:
            status, details = await send(served, b"\x0a\x05ab", name)
            assert (name, status, details["code"], details["sent"]) == (name, "INVALID_ARGUMENT", 50035, "no")


async def test_a_call_without_a_message_has_an_empty_request(served):
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
        assert to_discord_proxy_exception(failed.value).sent == "no"
        assert not discord.ledger.records
