"""A subscriber gets no event its key is not for, whatever it asks for."""

import json

import grpc
import pytest

from discordproxy.aio import AsyncDiscordClient
from discordproxy.discord_api_pb2 import SubscribeEventsRequest
from discordproxy.events_pb2 import Event
from discordproxy.exceptions import DiscordProxyGrpcError
from discordproxy_api.access.keys import new_key
from integration.api.access.test_access import table
from integration.events.test_subscribe import ending, say, take


@pytest.fixture
def key_file(tmp_path):
    return tmp_path / "keys.toml"


async def first_refusal(client, **wish):
    with pytest.raises(DiscordProxyGrpcError) as refused:
        await anext(client.events(**wish))
    assert refused.value.status is grpc.StatusCode.PERMISSION_DENIED
    return json.loads(refused.value.details)["text"]


async def test_events_within_a_keys_guilds_and_names(gateway, leader, worker, key_file):
    key = new_key()
    key_file.write_text(table(key, guilds=[7], events=["MESSAGE_CREATE", "MESSAGE_UPDATE"]))
    async with (
        worker(keys_file=key_file) as served,
        AsyncDiscordClient(f"127.0.0.1:{served.port}", api_key=key, retries=0) as client,
    ):
        for wish in ({}, {"guild_ids": [7]}, {"types": ["MESSAGE_CREATE"]}):
            events = client.events(start="earliest", **wish)
            await gateway.emit("MESSAGE_CREATE", {"id": "900", "guild_id": "8", "channel_id": "6"})
            await gateway.emit("MESSAGE_CREATE", {"id": "901", "channel_id": "66"})  # a direct message
            await gateway.emit("MESSAGE_REACTION_ADD", {"id": "902", "guild_id": "7", "channel_id": "5"})
            await say(gateway, 1, 3)
            assert set(await take(events, 3)) <= {1, 2, 3}
            events.close()
        assert "guild 8" in await first_refusal(client, guild_ids=[7, 8])
        assert "MESSAGE_REACTION_ADD" in await first_refusal(client, types=["MESSAGE_REACTION_ADD"])
        assert "channel 6" in await first_refusal(client, guild_ids=[7], channel_ids=[6])


async def test_a_key_for_channels_gets_theirs_only(gateway, leader, worker, key_file):
    key = new_key()
    key_file.write_text(table(key, channels=[5]))
    async with (
        worker(keys_file=key_file) as served,
        AsyncDiscordClient(f"127.0.0.1:{served.port}", api_key=key, retries=0) as client,
    ):
        events = client.events(types=["MESSAGE_CREATE"], start="earliest")
        await gateway.emit("MESSAGE_CREATE", {"id": "900", "guild_id": "7", "channel_id": "6"})
        await say(gateway, 1, 2)
        assert await take(events, 2) == [1, 2]
        events.close()
        assert "guild 7" in await first_refusal(client, guild_ids=[7])


async def test_a_key_for_no_events_gets_none(gateway, leader, worker, key_file):
    key = new_key()
    key_file.write_text(table(key, events=[]))
    async with (
        worker(keys_file=key_file) as served,
        AsyncDiscordClient(f"127.0.0.1:{served.port}", api_key=key, retries=0) as client,
    ):
        assert "may not subscribe" in await first_refusal(client)
        assert "MESSAGE_CREATE" in await first_refusal(client, types=["MESSAGE_CREATE"])


async def test_a_stream_ends_when_its_key_is_withdrawn(gateway, leader, worker, key_file):
    key = new_key()
    key_file.write_text(table(key))
    async with worker(keys_file=key_file) as served:
        request, metadata = SubscribeEventsRequest(), [("authorization", f"Bearer {key}")]
        stream = aiter(served.stub.SubscribeEvents(request, metadata=metadata))
        await anext(stream)
        key_file.write_text(table(new_key()))
        _, status, told = await ending(stream)
        assert (status, told["reason"]) == ("UNAUTHENTICATED", "UNAUTHENTICATED")


@pytest.mark.parametrize("batch", [1, 100])
async def test_a_key_without_direct_messages_follows_none(gateway, leader, worker, key_file, batch):
    key = new_key()
    key_file.write_text(table(key, direct_messages=False))
    async with worker(keys_file=key_file) as served:
        request = SubscribeEventsRequest(start=SubscribeEventsRequest.EARLIEST, batch=batch)
        stream = aiter(served.stub.SubscribeEvents(request, metadata=[("authorization", f"Bearer {key}")]))
        begins = (await anext(stream)).cursor
        for number in range(900, 950):
            for name in ("MESSAGE_CREATE", "TYPING_START", "MESSAGE_REACTION_ADD", "CHANNEL_PINS_UPDATE"):
                await gateway.emit(name, {"id": str(number), "channel_id": "66", "user_id": "3"})
        while (event := await anext(stream)).cursor == begins:
            assert event.kind is Event.HEARTBEAT
        assert event.kind is Event.HEARTBEAT, "what it does not get moves its cursor"
        await say(gateway, 1, 1)
        seen = []
        while "MESSAGE_CREATE" not in seen:
            event = await anext(stream)
            seen += [each.type for each in event.events or [event] if each.kind is Event.DISPATCH]
        assert seen == ["MESSAGE_CREATE"]
        assert [each.guild_id for each in event.events or [event]] != [0]
