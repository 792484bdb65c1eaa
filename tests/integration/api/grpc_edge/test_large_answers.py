"""Responses larger than gRPC's default limit of 4 MiB: they arrive, up to a documented limit."""

import grpc
import orjson
import pytest

from discordproxy import discord_api_pb2 as pb
from discordproxy.discord_api_pb2_grpc import DiscordApiStub
from discordproxy_api.pipeline import unary_calls
from discordproxy_api.rpcs import subscribe_events
from discordproxy_gateway.events.entry import StreamEntry
from discordproxy_gateway.events.hub import ItemKind, SubscriptionItem
from discordproxy_sandbox.world.population import CHANNEL_ID, USER_ID

CHANNEL = int(CHANNEL_ID)
MIB = 1024 * 1024


async def test_a_response_over_four_mebibytes_arrives(served):
    for _ in range(100):
        served.discord.people.write(CHANNEL_ID, USER_ID, "x" * 60_000)
    options = [("grpc.max_receive_message_length", unary_calls.MAX_ANSWER_BYTES), ("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{served.port}", options) as channel:
        answer = await DiscordApiStub(channel).GetMessages(pb.GetMessagesRequest(channel_id=CHANNEL, limit=100))
    assert answer.ByteSize() > 5 * MIB


@pytest.mark.parametrize("key", ["", "k"])
async def test_the_error_of_a_larger_one_states_that_the_message_was_sent(served, monkeypatch, key):
    monkeypatch.setattr(unary_calls, "MAX_ANSWER_BYTES", 100)
    request = pb.SendChannelMessageRequest(
        channel_id=CHANNEL, content="x", options=pb.RequestOptions(idempotency_key=key)
    )
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await served.stub.SendChannelMessage(request)
    details = orjson.loads(failed.value.details())
    assert (failed.value.code().name, details["sent"]) == ("RESOURCE_EXHAUSTED", "yes")
    assert "100 bytes" in details["text"]
    assert len(served.discord.ledger.stored) == 1


def test_an_event_that_is_too_large_is_reported_as_a_gap(monkeypatch):
    monkeypatch.setattr(subscribe_events, "MAX_EVENT_BYTES", 10)
    entry = StreamEntry(0, (1, 0), "GUILD_CREATE", 7, "s", 1, 0, 1_784_395_269_000, b"{" + b" " * 10 + b"}")
    event = subscribe_events._event(SubscriptionItem(ItemKind.DISPATCH, "cursor", entry))
    assert (event.kind, event.json, event.gap_from, event.gap_to) == (
        pb.Event.GAP,
        "",
        "2026-07-18T17:21:09.000+00:00",
        "2026-07-18T17:21:09.000+00:00",
    )
    assert event.cursor == "cursor"


def test_a_batch_stays_below_the_limit():
    assert 2 * subscribe_events.MAX_EVENT_BYTES + subscribe_events.MAX_BATCH_BYTES < unary_calls.MAX_ANSWER_BYTES - MIB
