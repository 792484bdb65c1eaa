"""Ages are judged by Discord's clock: this machine's may be days off."""

import time

import pytest

from discordproxy.discord_api_pb2 import (
    ApiRequest,
    BulkDeleteMessagesRequest,
    ComputePermissionsRequest,
    GetCurrentUserRequest,
    MessageId,
)
from discordproxy_sandbox.limits.book import LimitBook
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from discordproxy_sandbox.world.population import CHANNEL_ID, GUILD_ID, USER_ID, nth
from discordproxy_sandbox.world.snowflakes import iso
from integration.api.conftest import TOKEN, serve

DAY_S = 86_400.0
CHANNEL = int(CHANNEL_ID)
BULK = ("POST", "/channels/{channel_id}/messages/bulk-delete")
ONE = ("DELETE", "/channels/{channel_id}/messages/{message_id}")
MEMBER = nth(USER_ID, 1)


class Discord:
    """A local Discord whose clock differs from this machine's, and a channel with old messages."""

    def __init__(self, offset_s):
        self.ahead_s = offset_s
        limits = LimitBook(default=None, global_limit=None)
        self.sandbox = Sandbox(SandboxConfig(token=TOKEN, limits=limits, clock=self.now))

    def now(self):
        return time.time() + self.ahead_s

    def written(self, *ages_in_days):
        """Return the ids of messages that were written so many days ago."""
        ids, offset_s = [], self.ahead_s
        for age in sorted(ages_in_days, reverse=True):
            self.ahead_s = offset_s - age * DAY_S
            ids.append(int(self.sandbox.people.write(CHANNEL_ID, USER_ID, "x")["id"]))
        self.ahead_s = offset_s
        return ids

    @property
    def asked(self):
        return [(record.method, record.template) for record in self.sandbox.ledger.records]

    @property
    def left(self):
        return len(self.sandbox.world.channels[CHANNEL_ID].messages)


@pytest.fixture
async def ahead():
    """Our clock is two days slow."""
    discord = Discord(2 * DAY_S)
    async with discord.sandbox, serve(discord.sandbox) as served:
        yield discord, served.stub


AGES = (12.5, 12.7, 13.0, 13.5, 13.9, 14.1, 14.5, 15.0, 15.5)


async def test_old_messages_are_deleted_one_by_one(ahead):
    discord, stub = ahead
    await stub.GetCurrentUser(GetCurrentUserRequest())  # its answer tells the time
    await stub.BulkDeleteMessages(BulkDeleteMessagesRequest(channel_id=CHANNEL, message_ids=discord.written(*AGES)))
    assert discord.asked[1:] == [BULK, *[ONE] * 4]
    assert discord.left == 0


async def test_what_discord_finds_too_old_is_deleted_one_by_one(ahead):
    """Nothing has told Discord's time yet, and 50034 does not say which message is meant."""
    discord, stub = ahead
    await stub.BulkDeleteMessages(BulkDeleteMessagesRequest(channel_id=CHANNEL, message_ids=discord.written(*AGES)))
    assert discord.asked == [BULK, *[ONE] * 9]
    assert discord.left == 0


async def test_the_limits_of_a_deletion_are_those_of_the_messages_age_at_discord():
    discord = Discord(-2 * DAY_S)
    async with discord.sandbox, serve(discord.sandbox) as served:
        ids = discord.written(13.0, 13.1, 0.0, 0.0)
        await served.stub.GetCurrentUser(GetCurrentUserRequest())
        for message_id in ids[::2]:
            await served.stub.DeleteMessage(MessageId(channel_id=CHANNEL, message_id=message_id))
        for message_id in ids[1::2]:
            path = f"/channels/{CHANNEL_ID}/messages/{message_id}"
            await served.stub.Request(ApiRequest(method="DELETE", path=path))
        names = [acquired.route.name.partition("#")[2] for acquired in served.broker.acquired[1:]]
    assert sorted(names) == ["", "", "young", "young"]  # by our clock the first two are older than two weeks


@pytest.mark.parametrize(("offset_s", "can_send"), [(2 * DAY_S, True), (-2 * DAY_S, False)])
async def test_a_time_out_ends_by_discords_clock(offset_s, can_send):
    discord = Discord(offset_s)
    async with discord.sandbox, serve(discord.sandbox) as served:
        until = iso(time.time() + (DAY_S if can_send else -DAY_S))
        discord.sandbox.people.edit_member(GUILD_ID, MEMBER, {"communication_disabled_until": until})
        request = ComputePermissionsRequest(guild_id=int(GUILD_ID), user_id=int(MEMBER), channel_id=CHANNEL)
        assert (await served.stub.ComputePermissions(request)).can_send is can_send
