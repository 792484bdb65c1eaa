"""Reads that are asked once for all: who has less patience does not wait for who has more."""

import pytest
from google.protobuf.duration_pb2 import Duration

from discordproxy import discord_api_pb2 as pb
from discordproxy.common_pb2 import RequestOptions
from discordproxy_sandbox.world.population import GUILD_ID
from fakes.eventually import eventually

URGENT, HASTY = RequestOptions(priority=RequestOptions.HIGH), RequestOptions(max_wait=Duration())


@pytest.mark.parametrize("options", [URGENT, HASTY])
async def test_the_urgent_ask_for_themselves(served, options):
    served.broker.gate.clear()
    calls = [served.stub.GetGuild(pb.GetGuildRequest(guild_id=int(GUILD_ID)))]
    await eventually(lambda: served.broker.waiting == 1)
    calls.append(served.stub.GetGuild(pb.GetGuildRequest(guild_id=int(GUILD_ID), options=options)))
    await eventually(lambda: served.broker.waiting == len(calls))
    served.broker.gate.set()
    assert {(await call).guild.id for call in calls} == {int(GUILD_ID)}
