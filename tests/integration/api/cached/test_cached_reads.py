"""Reads from the gateway's caches: as Discord itself answers, never older than what the proxy wrote, never a storm."""

import asyncio
import contextlib

import grpc
import orjson
import pytest

from discordproxy import discord_api_pb2 as pb
from discordproxy_ratelimit.redis import client as redis_client
from discordproxy_sandbox.rest.faults import Fault
from discordproxy_sandbox.world.population import CHANNEL_ID, GUILD_ID, MEMBERS, THREAD_ID, USER_ID, add_guilds, nth
from fakes.eventually import eventually
from processes.cluster import cluster
from strategies.random_writes import Writer

GUILD, CHANNEL, VOICE, THREAD = int(GUILD_ID), int(CHANNEL_ID), int(nth(CHANNEL_ID, 2)), int(THREAD_ID)
OWNER, USER, STRANGER = int(USER_ID), int(nth(USER_ID, 1)), 999
CACHE, REST = pb.Freshness.CACHE, pb.Freshness.REST
SLOW_S = 1.0
LONG_S = 60.0

READS = {
    "GetCurrentUser": pb.GetCurrentUserRequest(),
    "GetGuild": pb.GetGuildRequest(guild_id=GUILD),
    "ListGuilds": pb.ListGuildsRequest(),
    "GetGuildChannels": pb.GetGuildChannelsRequest(guild_id=GUILD),
    "GetGuildRoles": pb.GuildId(guild_id=GUILD),
    "GetGuildEmojis": pb.GuildId(guild_id=GUILD),
    "GetChannel": pb.ChannelId(channel_id=CHANNEL),
    "GetGuildMember": pb.MemberId(guild_id=GUILD, user_id=USER),
    "ListGuildMembers": pb.ListGuildMembersRequest(guild_id=GUILD, limit=1000, after=1),
    "SearchGuildMembers": pb.SearchGuildMembersRequest(guild_id=GUILD, query="a", limit=10),
}


@pytest.fixture
async def cold(valkey, key_prefix):
    """Two API workers and no gateway worker."""
    async with cluster(valkey, key_prefix) as whole:
        yield whole


@pytest.fixture
async def warm(cold):
    """The same with all caches filled."""
    cold.discord.people.add_emoji(GUILD, "wave")
    cold.discord.people.speak(GUILD, USER, VOICE)
    await cold.start_gateway()
    await eventually(lambda: all_cached(cold.stubs[0]), within_s=30)
    return cold


async def all_cached(stub) -> bool:
    for name in ("ListGuilds", "ListGuildMembers"):
        if (await getattr(stub, name)(READS[name])).freshness.source != CACHE:
            return False
    return True


async def failure(call) -> tuple[str, dict]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code().name, orjson.loads(caught.value.details())


def content(name, response):
    """What a response says, its freshness, the order of a list and fields of other circumstances apart."""
    plain = type(response)()
    plain.CopyFrom(response)
    plain.ClearField("freshness")
    if name == "GetCurrentUser":
        plain.user.ClearField("locale")  # READY does not tell it
    if name == "ListGuilds":
        return [(each.id, each.name, each.icon) for each in plain.guilds]
    for field, value in plain.ListFields():
        if not hasattr(value, "SerializeToString"):
            return sorted((each.SerializeToString(deterministic=True) for each in value), key=hash), field.name
    if name == "GetGuild":
        for part in ("roles", "emojis"):
            ordered = sorted(getattr(plain.guild, part), key=lambda each: each.id)
            plain.guild.ClearField(part)
            getattr(plain.guild, part).extend(ordered)
    return plain


async def test_the_caches_answer_as_discord_does(warm):
    before = len(warm.asked)
    cached = {name: await getattr(warm.stubs[0], name)(request) for name, request in READS.items()}
    assert len(warm.asked) == before
    for name, request in READS.items():
        found = cached[name].freshness
        assert (found.source, found.complete) == (CACHE, True), name
        assert found.age.ToSeconds() < 60
        assert found.as_of.endswith("+00:00")
        assert found.connected_since
        fresh_request = type(request)(fresh=True)
        fresh_request.MergeFrom(request)
        fresh = await getattr(warm.stubs[0], name)(fresh_request)
        assert (fresh.freshness.source, fresh.freshness.age.ToNanoseconds()) == (REST, 0)
        assert content(name, cached[name]) == content(name, fresh), name
    assert len(warm.asked) == before + len(READS)
    assert cached["ListGuilds"].guilds[0].owner is False
    sources = {
        sample.labels["source"]
        for metric in warm.metrics[0].registry.collect()
        if metric.name == "discordproxy_reads"
        for sample in metric.samples
    }
    assert {"cache", "fresh"} <= sources


async def test_what_is_certainly_not_there_is_discords_404_without_asking(warm):
    before = len(warm.asked)
    status, details = await failure(warm.stubs[0].GetGuildMember(pb.MemberId(guild_id=GUILD, user_id=STRANGER)))
    assert (status, details["status"], details["code"], details["sent"]) == ("NOT_FOUND", 404, 10007, "no")
    assert len(warm.asked) == before
    status, details = await failure(warm.stubs[0].GetChannel(pb.ChannelId(channel_id=STRANGER)))
    assert (status, details["code"]) == ("NOT_FOUND", 10003)
    assert len(warm.asked) == before + 1  # it could have been a direct message's channel


async def test_members_by_role(warm, cold):
    roles = await warm.stubs[0].GetGuildRoles(READS["GetGuildRoles"])
    role_id = next(role.id for role in roles.roles if role.name == "member")
    request = pb.ListGuildMembersRequest(guild_id=GUILD, limit=2, role_id=role_id)
    cached = await warm.stubs[0].ListGuildMembers(request)
    request.fresh = True
    fresh = await warm.stubs[0].ListGuildMembers(request)
    assert [each.user.id for each in cached.members] == [OWNER, USER] == [each.user.id for each in fresh.members]


async def test_a_long_list_is_whole_and_in_order_and_searched_for_a_role_to_its_end(cold):
    (large,) = add_guilds(cold.discord.world, 1, 1100)
    last = int(max(cold.discord.world.guilds[large].members, key=int))
    role_id = (await cold.stubs[0].CreateRole(pb.CreateRoleRequest(guild_id=int(large), name="last"))).role.id
    await cold.stubs[0].AddMemberRole(pb.MemberRoleRequest(guild_id=int(large), user_id=last, role_id=role_id))
    page = await cold.stubs[0].ListGuildMembers(pb.ListGuildMembersRequest(guild_id=int(large), limit=1000))
    ids = [each.user.id for each in page.members]
    assert (len(ids), ids) == (1000, sorted(ids))
    assert {each.guild_id for each in page.members} == {int(large)}
    request = pb.ListGuildMembersRequest(guild_id=int(large), limit=5, role_id=role_id)
    (found,) = (await cold.stubs[0].ListGuildMembers(request)).members
    assert found.user.id == last


async def test_voice_states(warm):
    states = await warm.stubs[0].GetVoiceStates(pb.GetVoiceStatesRequest(guild_id=GUILD))
    assert [(each.user_id, each.channel_id, each.guild_id) for each in states.voice_states] == [(USER, VOICE, GUILD)]
    assert states.freshness.source == CACHE
    elsewhere = await warm.stubs[0].GetVoiceStates(pb.GetVoiceStatesRequest(guild_id=GUILD, channel_id=CHANNEL))
    assert not elsewhere.voice_states
    warm.discord.people.speak(GUILD, USER, None)

    async def left() -> bool:
        return not (await warm.stubs[1].GetVoiceStates(pb.GetVoiceStatesRequest(guild_id=GUILD))).voice_states

    await eventually(left)


async def test_voice_states_need_gateway_and_intent(cold):
    status, details = await failure(cold.stubs[0].GetVoiceStates(pb.GetVoiceStatesRequest(guild_id=GUILD)))
    assert (status, details["reason"], details["sent"]) == ("UNAVAILABLE", "NO_GATEWAY", "no")
    await cold.start_gateway(("guilds",))

    async def intent_off() -> bool:
        status, details = await failure(cold.stubs[0].GetVoiceStates(pb.GetVoiceStatesRequest(guild_id=GUILD)))
        return (status, details["reason"]) == ("FAILED_PRECONDITION", "INTENT_OFF")

    await eventually(intent_off, within_s=20)


async def test_permissions_are_explained(warm):
    stub = warm.stubs[0]
    before = len(warm.asked)
    asked = pb.ComputePermissionsRequest(guild_id=GUILD, channel_id=CHANNEL, user_id=USER)
    answer = await stub.ComputePermissions(asked)
    assert answer.can_send
    assert "SEND_MESSAGES" in answer.names
    assert (await stub.ComputePermissions(pb.ComputePermissionsRequest(guild_id=GUILD))).administrator
    owner = pb.ComputePermissionsRequest(guild_id=GUILD, channel_id=THREAD, user_id=OWNER)
    assert (await stub.ComputePermissions(owner)).owner
    assert len(warm.asked) == before
    await stub.SetChannelPermissions(
        pb.SetChannelPermissionsRequest(channel_id=CHANNEL, overwrite_id=USER, type="MEMBER", deny=2048)
    )
    denied = await warm.stubs[1].ComputePermissions(asked)
    assert not denied.can_send
    (missing,) = denied.missing
    assert (missing.permission, missing.rule, list(missing.ids)) == ("SEND_MESSAGES", pb.RULE_MEMBER_OVERWRITE, [USER])
    assert "overwrite" in missing.advice
    await stub.EditGuildMember(
        pb.EditGuildMemberRequest(
            guild_id=GUILD, user_id=USER, communication_disabled_until="2040-01-01T00:00:00.000000+00:00"
        )
    )
    silenced = await warm.stubs[1].ComputePermissions(asked)
    assert silenced.timed_out_until.startswith("2040")
    assert set(silenced.names) == {"VIEW_CHANNEL", "READ_MESSAGE_HISTORY"}
    other = pb.ComputePermissionsRequest(guild_id=1, channel_id=CHANNEL, user_id=USER)
    assert (await failure(stub.ComputePermissions(other)))[0] == "NOT_FOUND"


async def test_permissions_are_not_computed_of_the_placeholder_of_a_hidden_channel(warm):
    """Its only overwrite denies everybody to see the channel, which is true of nobody in particular."""
    stub = warm.stubs[0]
    denied = {"id": str(GUILD), "type": 0, "allow": "0", "deny": "1024"}
    hidden = {
        "id": str(CHANNEL),
        "type": 0,
        "name": "___hidden___",
        "permission_overwrites": [denied],
        "flags": 1 << 17,
    }
    asked = pb.ComputePermissionsRequest(guild_id=GUILD, channel_id=CHANNEL, user_id=USER)
    before = await stub.ComputePermissions(asked)
    warm.discord.gateway.emit("CHANNEL_UPDATE", hidden | {"guild_id": str(GUILD)}, str(GUILD))

    async def is_hidden() -> bool:
        return (await stub.GetChannel(READS["GetChannel"])).freshness.source == REST

    await eventually(is_hidden)
    assert CHANNEL not in [each.id for each in (await stub.GetGuildChannels(READS["GetGuildChannels"])).channels]
    assert (await stub.ComputePermissions(asked)).permissions == before.permissions != 0


async def test_a_kept_response_is_read_from_the_caches_again_after_a_change(own_valkey, key_prefix):
    redis = redis_client.connect(own_valkey.url)
    async with cluster(own_valkey.url, key_prefix, workers=1) as whole, contextlib.aclosing(redis):
        await whole.start_gateway()
        stub = whole.stubs[0]
        await eventually(lambda: all_cached(stub), within_s=30)

        async def hashes_read() -> int:
            statistics = await redis.info("commandstats")
            return statistics.get("cmdstat_hgetall", {}).get("calls", 0)

        first = await stub.GetGuild(READS["GetGuild"])
        before = await hashes_read()
        again = await asyncio.gather(*(stub.GetGuild(READS["GetGuild"]) for _ in range(20)))
        assert await hashes_read() == before
        for response in again:
            assert content("GetGuild", response) == content("GetGuild", first)
            assert (response.freshness.source, response.freshness.complete) == (CACHE, True)
            assert response.freshness.as_of >= first.freshness.as_of
        whole.discord.people.add_emoji(GUILD, "wave")

        async def shown() -> bool:
            response = await stub.GetGuild(READS["GetGuild"])
            return [each.name for each in response.guild.emojis] != [each.name for each in first.guild.emojis]

        await eventually(shown)
        assert await hashes_read() > before


async def test_identical_reads_at_once_share_a_lookup(own_valkey, key_prefix):
    redis = redis_client.connect(own_valkey.url)
    async with cluster(own_valkey.url, key_prefix, workers=1) as whole, contextlib.aclosing(redis):
        await whole.start_gateway()
        await eventually(lambda: all_cached(whole.stubs[0]), within_s=30)
        await redis.config_resetstat()
        responses = await asyncio.gather(*(whole.stubs[0].GetGuildRoles(READS["GetGuildRoles"]) for _ in range(50)))
        assert {response.freshness.source for response in responses} == {CACHE}
        lookups = (await redis.info("commandstats"))["cmdstat_hgetall"]["calls"] / 2  # roles and their overlay
        assert lookups <= 3  # one, unless the pipeline is not open yet


async def test_a_cold_cache_makes_no_storm(cold, monkeypatch):
    """200 reads at once through two workers: Discord is asked once for each object."""
    monkeypatch.setattr(
        "discordproxy_ratelimit.redis.link.ANSWER_S", LONG_S
    )  # a busy machine is slow: without Redis each
    monkeypatch.setattr(
        "discordproxy_api.cached.single_flight.LEASE_S", LONG_S
    )  # worker asks for itself, and who comes
    monkeypatch.setattr("discordproxy_api.cached.single_flight.SHARED_S", LONG_S)  # long after the answer asks again
    cold.discord.faults.add(Fault(kind="slow", method="GET", delay_s=SLOW_S, count=1000))  # till all have asked
    wanted = [name for name in READS if name != "GetCurrentUser"]
    calls = [getattr(stub, name)(READS[name]) for _ in range(11) for stub in cold.stubs for name in wanted] + [
        stub.GetGuildMember(pb.MemberId(guild_id=GUILD, user_id=STRANGER)) for stub in cold.stubs
    ]
    assert len(calls) == 200
    responses = await asyncio.gather(*calls, return_exceptions=True)
    found = [response for response in responses if not isinstance(response, Exception)]
    assert len(found) == 198
    assert {response.freshness.source for response in found} == {REST}
    assert {error.code().name for error in responses if isinstance(error, Exception)} == {"NOT_FOUND"}
    assert len(cold.asked) == len(set(cold.asked)) == len(wanted) + 1


async def test_a_read_after_a_write_is_never_given_an_earlier_answer(cold):
    """Answers are shared for a second, but not across a write, whichever worker wrote."""
    for number in range(5):
        topic = f"topic {number}"
        await cold.stubs[number % 2].EditChannel(pb.EditChannelRequest(channel_id=CHANNEL, topic=topic))
        for stub in cold.stubs:
            response = await stub.GetChannel(READS["GetChannel"])
            assert (response.channel.topic, response.freshness.source) == (topic, REST)
            channels = await stub.GetGuildChannels(READS["GetGuildChannels"])
            assert topic in {each.topic for each in channels.channels}
    assert len([each for each in cold.asked if each.startswith("GET")]) == 10


async def test_random_writes_are_seen_by_the_next_read(warm):
    writer = Writer(warm.stubs, seed=6)
    for _ in range(150):
        await writer.once()
    assert writer.stale == []
    assert set(writer.sources) == {CACHE}


async def test_overwrites_written_at_once_are_all_seen(warm):
    roles = (await warm.stubs[0].GetGuildRoles(READS["GetGuildRoles"])).roles
    ids = [role.id for role in roles] + [int(nth(USER_ID, number)) for number in range(len(MEMBERS))]
    await asyncio.gather(
        *(
            warm.stubs[0].SetChannelPermissions(
                pb.SetChannelPermissionsRequest(channel_id=CHANNEL, overwrite_id=each, allow=1024)
            )
            for each in ids
        )
    )
    found = (await warm.stubs[1].GetChannel(READS["GetChannel"])).channel.permission_overwrites
    assert {each.id for each in found} >= set(ids)


async def test_without_the_gateway_reads_ask_discord_and_say_so(valkey, key_prefix):
    async with cluster(valkey, key_prefix, cache_max_age=1.0) as whole:
        await whole.start_gateway()
        await eventually(lambda: all_cached(whole.stubs[0]), within_s=30)
        await whole.stop_gateway()

        async def from_discord() -> bool:
            response = await whole.stubs[0].GetGuild(READS["GetGuild"])
            assert response.guild.name == "Sandbox"
            return response.freshness.source == REST

        await eventually(from_discord, within_s=20)
        for name, request in READS.items():
            response = await getattr(whole.stubs[1], name)(request)
            assert response.freshness.source == REST
            assert response.freshness.complete
        sent = await whole.stubs[0].SendChannelMessage(pb.SendChannelMessageRequest(channel_id=CHANNEL, content="x"))
        assert sent.message.id


async def test_trouble_with_redis_is_no_error_of_a_read_or_a_write(own_valkey, key_prefix):
    async with cluster(own_valkey.url, key_prefix, workers=1, degraded="local") as whole:
        stub = whole.stubs[0]
        await stub.GetGuild(READS["GetGuild"])
        own_valkey.stop()

        async def answered() -> bool:
            """The broker gives up on Redis after some seconds; until then it refuses."""
            try:
                return (await stub.GetGuild(READS["GetGuild"], timeout=10)).freshness.source == REST
            except grpc.aio.AioRpcError:
                return False

        await eventually(answered, within_s=60)
        edited = await stub.EditChannel(pb.EditChannelRequest(channel_id=CHANNEL, topic="still possible"), timeout=30)
        assert edited.channel.topic == "still possible"
        response = await stub.GetChannel(READS["GetChannel"], timeout=30)
        assert (response.channel.topic, response.freshness.source) == ("still possible", REST)


async def test_the_first_call_that_gives_up_does_not_fail_the_others(cold):
    """Who asks first sends; when its caller goes away, the next one sends."""
    cold.discord.faults.add(Fault(kind="slow", method="GET", delay_s=1.0))
    impatient = cold.stubs[0].GetGuildRoles(READS["GetGuildRoles"])
    await eventually(lambda: bool(cold.asked))
    patient = [stub.GetGuildRoles(READS["GetGuildRoles"], timeout=60) for stub in cold.stubs]
    impatient.cancel()
    assert [len((await call).roles) for call in patient] == [5, 5]
