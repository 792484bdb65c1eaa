"""Where a channel lies is known from the gateway's cache: checking a key's places then costs no call of Discord."""

import grpc
import pytest

from discordproxy import discord_api_pb2 as pb
from discordproxy_api.access.keys import new_key
from discordproxy_sandbox.world.objects import make_channel, make_guild
from discordproxy_sandbox.world.population import CHANNEL_ID, GUILD_ID, THREAD_ID, USER_ID, default_world
from fakes.eventually import eventually
from integration.api.access.test_access import ELSEWHERE, OTHER_GUILD, table
from processes.cluster import cluster

CATEGORY, INSIDE = 500000000000000801, 500000000000000802


@pytest.fixture
def world():
    made = default_world(lambda: 1_790_000_000.0)
    made.guilds[str(OTHER_GUILD)] = make_guild(str(OTHER_GUILD), "Other", USER_ID)
    made.add_channel(make_channel(str(ELSEWHERE), str(OTHER_GUILD), "elsewhere", 0, 0))
    made.add_channel(make_channel(str(CATEGORY), GUILD_ID, "category", 4, 7))
    made.add_channel(make_channel(str(INSIDE), GUILD_ID, "inside", 0, 8))
    made.channels[str(INSIDE)].data["parent_id"] = str(CATEGORY)
    return made


async def test_places_by_the_cache(valkey, key_prefix, tmp_path, world):
    by_guild, by_category, by_channel = new_key(), new_key(), new_key()
    file = tmp_path / "keys.toml"
    file.write_text(
        table(by_guild, guilds=[int(GUILD_ID)])
        + table(by_category, "second", channels=[CATEGORY])
        + table(by_channel, "third", channels=[int(CHANNEL_ID)])
    )
    async with cluster(valkey, key_prefix, workers=1, world=world, keys_file=file) as whole:
        stub = whole.stubs[0]

        async def sent(key: str, *channel_ids: int) -> list[str]:
            return [await answer(key, channel_id) for channel_id in channel_ids]

        async def answer(key: str, channel_id: int) -> str:
            request = pb.SendChannelMessageRequest(channel_id=channel_id, content="x")
            try:
                await stub.SendChannelMessage(request, metadata=[("authorization", f"Bearer {key}")])
            except grpc.aio.AioRpcError as error:
                return error.code().name
            return "OK"

        async def cached() -> bool:
            metadata = [("authorization", f"Bearer {by_guild}")]
            answer = await stub.GetGuildChannels(pb.GetGuildChannelsRequest(guild_id=int(GUILD_ID)), metadata=metadata)
            return answer.freshness.source == pb.Freshness.CACHE

        await whole.start_gateway()
        await eventually(cached, within_s=30)
        whole.discord.ledger.clear()
        channel, thread, no = int(CHANNEL_ID), int(THREAD_ID), "PERMISSION_DENIED"
        assert await sent(by_guild, channel, thread, INSIDE, ELSEWHERE) == ["OK", "OK", "OK", no]
        assert await sent(by_category, INSIDE, channel, thread) == ["OK", no, no]
        assert await sent(by_channel, channel, thread, INSIDE) == ["OK", "OK", no]
        assert not [each for each in whole.asked if each.startswith("GET")]
