"""Reads that are sent once for all callers; one with a shorter wait or a higher priority is sent by itself."""

import pytest
from google.protobuf.duration_pb2 import Duration

from discordproxy import discord_api_pb2 as pb
from discordproxy.common_pb2 import RequestOptions
from discordproxy_sandbox.world.population import GUILD_ID
from fakes.eventually import eventually

URGENT, HASTY = RequestOptions(priority=RequestOptions.HIGH), RequestOptions(max_wait=Duration())


@pytest.mark.parametrize("options", [URGENT, HASTY])
async def test_an_urgent_read_is_sent_by_itself(served, options):
    served.broker.granting.clear()
    calls = [served.stub.GetGuild(pb.GetGuildRequest(guild_id=int(GUILD_ID)))]
    await eventually(lambda: served.broker.waiting == 1)
    calls.append(served.stub.GetGuild(pb.GetGuildRequest(guild_id=int(GUILD_ID), options=options)))
    await eventually(lambda: served.broker.waiting == len(calls))
    served.broker.granting.set()
    assert {(await call).guild.id for call in calls} == {int(GUILD_ID)}
