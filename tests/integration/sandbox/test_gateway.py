import asyncio

import aiohttp
import pytest

from discordproxy_sandbox.gateway.compression import zstd_available
from discordproxy_sandbox.gateway.gateway import GatewayConfig
from discordproxy_sandbox.sandbox import SandboxConfig
from discordproxy_sandbox.world.population import CHANNEL_ID, GUILD_ID, MEMBERS, USER_ID, add_guilds, nth
from fakes.gateway_client import GatewayClient

GUILDS, MEMBER_EVENTS, MESSAGES, CONTENT, DMS = 1, 1 << 1, 1 << 9, 1 << 15, 1 << 12
ZSTD = pytest.param(
    "zstd-stream",
    marks=pytest.mark.skipif(not zstd_available(), reason="NOT TESTED: zstd-stream; the package zstandard is missing"),
)


def quick(**changes) -> SandboxConfig:
    return SandboxConfig(gateway=GatewayConfig(identify_every_s=0.001, **changes))


async def started(discord, http, intents: int = GUILDS | MESSAGES, **kwargs) -> tuple[GatewayClient, dict]:
    gateway = await GatewayClient.connect(http, discord.gateway_url, **kwargs)
    await gateway.identify(intents)
    return gateway, await gateway.until("READY")


@pytest.mark.parametrize("compress", ["", "zlib-stream", ZSTD])
async def test_from_hello_to_guild_create(discord, http, compress):
    gateway, ready = await started(discord, http, compress=compress)
    assert ready["guilds"] == [{"id": GUILD_ID, "unavailable": True}]
    assert ready["resume_gateway_url"] != discord.gateway_url
    guild = await gateway.until("GUILD_CREATE")
    assert [seq for seq, _, _ in gateway.events] == [1, 2]
    assert guild["id"] == GUILD_ID
    assert guild["member_count"] == len(MEMBERS) + 1
    assert [member["user"]["id"] for member in guild["members"]] == [discord.world.bot_id]
    assert len(guild["channels"]) == 6
    assert len(guild["threads"]) == 1
    await gateway.send(1, 2)
    assert (await gateway.read())["op"] == 11
    assert discord.gateway.stats.heartbeats == 1


async def test_rest_changes_arrive_as_events(discord, http):
    gateway, _ = await started(discord, http)
    url = f"{discord.rest_url}/channels/{CHANNEL_ID}/messages"
    async with http.post(url, json={"content": "hello"}) as response:
        sent = await response.json()
    event = await gateway.until("MESSAGE_CREATE")
    assert event["id"] == sent["id"]
    assert event["content"] == "hello"
    assert event["guild_id"] == GUILD_ID


async def test_a_new_invite_is_sent_with_its_terms(discord, http):
    gateway, _ = await started(discord, http, GUILDS | 1 << 6)
    async with http.post(f"{discord.rest_url}/channels/{CHANNEL_ID}/invites", json={"max_age": 60}) as response:
        made = await response.json()
    told = await gateway.until("INVITE_CREATE")
    assert told["channel_id"] == CHANNEL_ID
    assert {key: told[key] for key in ("code", "created_at", "max_age", "uses")} == {
        key: made[key] for key in ("code", "created_at", "max_age", "uses")
    }


@pytest.mark.parametrize(("privileged", "flags"), [(1 << 1 | 1 << 8 | 1 << 15, 1 << 13 | 1 << 15 | 1 << 19), (0, 0)])
async def test_the_applications_flags_show_its_privileged_intents(http, privileged, flags):
    from discordproxy_sandbox.sandbox import Sandbox

    async with Sandbox(SandboxConfig(gateway=GatewayConfig(privileged=privileged))) as discord:
        _, ready = await started(discord, http)
        async with http.get(f"{discord.rest_url}/applications/@me") as response:
            application = await response.json()
        assert ready["application"]["flags"] == application["flags"] == flags


async def test_events_need_their_intent_and_content_its_own(discord, http):
    blind, _ = await started(discord, http, GUILDS | MESSAGES)
    discord.gateway._identify_gates.clear()
    seeing, _ = await started(discord, http, GUILDS | MESSAGES | CONTENT)
    discord.gateway._identify_gates.clear()
    deaf, _ = await started(discord, http, GUILDS)
    message = {"id": "1", "author": {"id": USER_ID}, "content": "secret", "mentions": []}
    discord.gateway.emit("MESSAGE_CREATE", message, GUILD_ID)
    discord.gateway.emit("CHANNEL_UPDATE", {"id": CHANNEL_ID}, GUILD_ID)
    assert (await blind.until("MESSAGE_CREATE"))["content"] == ""
    assert (await seeing.until("MESSAGE_CREATE"))["content"] == "secret"
    await deaf.until("CHANNEL_UPDATE")
    assert "MESSAGE_CREATE" not in [name for _, name, _ in deaf.events]


async def test_resume_replays_exactly_what_was_missed(discord, http):
    gateway, ready = await started(discord, http)
    await gateway.until("GUILD_CREATE")
    discord.gateway.drop()
    assert await gateway.until_closed() == 1006
    for number in range(500):
        discord.gateway.emit("CHANNEL_UPDATE", {"id": str(number)}, GUILD_ID)
    again = await GatewayClient.connect(http, ready["resume_gateway_url"])
    await again.resume(ready["session_id"], gateway.events[-1][0])
    await again.until("RESUMED")
    assert [data["id"] for _, name, data in again.events if name == "CHANNEL_UPDATE"] == [str(n) for n in range(500)]
    assert [seq for seq, _, _ in again.events] == list(range(3, 504))
    assert discord.gateway.stats.identifies == 1
    assert discord.gateway.stats.resumes == 1


async def test_a_superseded_connection_keeps_the_session(discord, http):
    gateway, ready = await started(discord, http)
    await gateway.until("GUILD_CREATE")
    second = await GatewayClient.connect(http, ready["resume_gateway_url"])
    await second.resume(ready["session_id"], 2)
    await second.until("RESUMED")
    assert await gateway.until_closed() == 4000
    discord.gateway.emit("CHANNEL_UPDATE", {"id": "9"}, GUILD_ID)
    assert (await second.until("CHANNEL_UPDATE"))["id"] == "9"


@pytest.mark.parametrize(("code", "resumable"), [(1000, False), (1001, False), (4000, True)])
async def test_closing_code_decides_whether_the_session_survives(discord, http, code, resumable):
    gateway, ready = await started(discord, http)
    await gateway.socket.close(code=code)
    second = await GatewayClient.connect(http, ready["resume_gateway_url"])
    await second.resume(ready["session_id"], 1)
    if resumable:
        await second.until("RESUMED")
    else:
        assert await second.until_op(9) is False
    assert discord.gateway.stats.closes[f"client {code}"] == 1


async def test_reconnect_and_invalid_session_on_demand(discord, http):
    gateway, ready = await started(discord, http)
    await discord.gateway.ask_to_reconnect()
    await gateway.until_op(7)
    await discord.gateway.invalidate(resumable=True)
    assert await gateway.until_op(9) is True
    assert ready["session_id"] in discord.gateway.sessions
    await discord.gateway.invalidate(resumable=False)
    assert await gateway.until_op(9) is False
    assert ready["session_id"] not in discord.gateway.sessions


async def test_close_codes_on_demand(discord, http):
    gateway, _ = await started(discord, http)
    await asyncio.gather(discord.gateway.close(4009), gateway.until_closed())
    assert gateway.socket.close_code == 4009


@pytest.mark.parametrize(
    ("identify", "code"),
    [
        ({"token": "wrong"}, 4004),
        ({"shard": (3, 2)}, 4010),
        ({"shard": (0, 1)}, 4011),
        ({"intents": 1 << 30, "shard": (0, 2)}, 4013),
        ({"intents": 1 << 8, "shard": (0, 2)}, 4014),
        ({"properties": {"os": "x" * 5000}, "shard": (0, 2)}, 4002),
    ],
)
async def test_fatal_close_codes(http, identify, code):
    from discordproxy_sandbox.sandbox import Sandbox

    config = SandboxConfig(token="secret", gateway=GatewayConfig(privileged=0, shards=2, sharding_required=True))
    async with Sandbox(config) as discord:
        gateway = await GatewayClient.connect(http, discord.gateway_url)
        await gateway.identify(**identify)
        assert await gateway.until_closed() == code


async def test_wrong_version_and_early_and_unknown_opcodes(discord, http):
    old = await GatewayClient.connect(http, discord.gateway_url, version=9)
    assert await old.until_closed() == 4012
    early = await GatewayClient.connect(http, discord.gateway_url)
    await early.send(8, {})
    assert await early.until_closed() == 4003
    unknown, _ = await started(discord, http)
    await unknown.send(77, {})
    assert await unknown.until_closed() == 4001


async def test_identify_too_soon_is_an_invalid_session(discord, http):
    await started(discord, http)
    second = await GatewayClient.connect(http, discord.gateway_url)
    await second.identify()
    assert await second.until_op(9) is False
    assert discord.gateway.stats.violations == ["IDENTIFY of shard 0 comes too early after the last of its group"]


@pytest.mark.parametrize(
    ("discord", "rested"),
    [(quick(), 0), (quick(rested_reset_after_s=86_400.0), 86_400_000)],
    indirect=["discord"],
)
async def test_the_day_of_identifies_begins_with_the_first(discord, http, rested):
    async def limit() -> tuple[int, int]:
        async with http.get(f"{discord.rest_url}/gateway/bot") as response:
            told = (await response.json())["session_start_limit"]
            return told["remaining"], told["reset_after"]

    assert await limit() == (1000, rested)
    await started(discord, http)
    remaining, reset_after = await limit()
    assert remaining == 999
    assert 86_000_000 < reset_after <= 86_400_000


async def test_the_answer_of_gateway_bot_can_be_spoiled(discord, http):
    discord.gateway.faults.set(info={"shards": None, "url": "(absent)"}, start_limit={"remaining": "many"})
    async with http.get(f"{discord.rest_url}/gateway/bot") as response:
        told = await response.json()
    assert "url" not in told
    assert told["shards"] is None
    assert told["session_start_limit"]["remaining"] == "many"
    assert discord.gateway.stats.infos == 1
    with pytest.raises(ValueError, match="gateway faults are"):
        discord.gateway.faults.set(acks=False)


async def test_handshakes_can_be_refused_until_the_faults_are_cleared(discord, http):
    async with http.post(
        f"{discord.url}/_sandbox/gateway",
        json={"do": "fault", "handshake": 429, "handshake_headers": {"Retry-After": "9"}},
    ) as response:
        assert response.status == 200
    with pytest.raises(aiohttp.WSServerHandshakeError) as error:
        await GatewayClient.connect(http, discord.gateway_url)
    assert (error.value.status, error.value.headers["Retry-After"]) == (429, "9")
    async with http.post(f"{discord.url}/_sandbox/gateway", json={"do": "clear_faults"}) as response:
        assert response.status == 200
    await started(discord, http)


async def test_heartbeats_can_stay_unanswered(discord, http):
    gateway, _ = await started(discord, http)
    discord.gateway.faults.set(no_acks=True)
    await gateway.send(1, None)
    await gateway.send(4, {"guild_id": GUILD_ID, "channel_id": None})
    discord.gateway.emit("CHANNEL_UPDATE", {"id": "1"}, GUILD_ID)
    await gateway.until("CHANNEL_UPDATE")
    discord.gateway.faults.clear()
    await gateway.send(1, None)
    await gateway.until_op(11)
    assert discord.gateway.stats.heartbeats == 2


@pytest.mark.parametrize(("fault", "code"), [("abort", 1006), (1000, 1000), (4008, 4008)])
async def test_a_resume_can_fail_in_every_way(discord, http, fault, code):
    gateway, ready = await started(discord, http)
    discord.gateway.faults.set(resume=fault)
    discord.gateway.drop()
    await gateway.until_closed()
    again = await GatewayClient.connect(http, ready["resume_gateway_url"])
    await again.resume(ready["session_id"], 1)
    assert await again.until_closed() == code
    assert discord.gateway.stats.resumes == 1


async def test_a_silent_identify_gets_answers_to_heartbeats_only(discord, http):
    discord.gateway.faults.set(identify="silent")
    gateway = await GatewayClient.connect(http, discord.gateway_url)
    await gateway.identify()
    await gateway.send(8, {"guild_id": GUILD_ID})
    await gateway.send(1, None)
    await gateway.until_op(11)
    assert gateway.events == []
    assert discord.gateway.stats.identifies == 1


async def test_any_text_can_be_an_event_and_is_repeated(discord, http):
    gateway, ready = await started(discord, http)
    await gateway.until("GUILD_CREATE")
    discord.gateway.emit_frame('{"op":0,"t":"ODD","s":SEQ,"d":null}')
    await gateway.until("ODD")
    assert gateway.events[-1] == (3, "ODD", None)
    again = await GatewayClient.connect(http, ready["resume_gateway_url"])
    await again.resume(ready["session_id"], 2)
    await again.until("RESUMED")
    assert [name for _, name, _ in again.events] == ["ODD", "RESUMED"]


@pytest.mark.parametrize("discord", [quick(identify_total=2)], indirect=True)
async def test_the_identify_budget_ends_in_a_revoked_token(discord, http):
    for _ in range(2):
        await started(discord, http)
        discord.gateway._identify_gates.clear()
    async with http.get(f"{discord.rest_url}/gateway/bot") as response:
        limit = (await response.json())["session_start_limit"]
    assert (limit["total"], limit["remaining"]) == (2, 0)
    assert limit["reset_after"] > 86_000_000
    third = await GatewayClient.connect(http, discord.gateway_url)
    await third.identify()
    await third.until_op(9)
    async with http.get(f"{discord.rest_url}/users/@me") as response:
        assert response.status == 401


@pytest.mark.parametrize("discord", [quick(sends_per_minute=10)], indirect=True)
async def test_too_many_sends_close_the_connection(discord, http):
    gateway, _ = await started(discord, http)
    for _ in range(9):
        await gateway.send(1, None)
    assert discord.gateway.stats.closes == {}
    await gateway.send(1, None)
    assert await gateway.until_closed() == 4008


@pytest.mark.parametrize("discord", [quick(heartbeat_interval_s=0.05)], indirect=True)
async def test_a_client_without_heartbeats_is_dropped_and_may_resume(discord, http):
    gateway, ready = await started(discord, http)
    assert await gateway.until_closed() == 4000
    assert ready["session_id"] in discord.gateway.sessions


async def test_members_come_in_chunks_and_once_per_guild_and_half_minute(discord, http):
    [guild_id] = add_guilds(discord.world, 1, members=2500)
    gateway, _ = await started(discord, http, GUILDS | MEMBER_EVENTS)
    request = {"guild_id": guild_id, "query": "", "limit": 0, "nonce": "n1"}
    await gateway.send(8, request)
    chunks = [await gateway.until("GUILD_MEMBERS_CHUNK") for _ in range(3)]
    assert [(chunk["chunk_index"], chunk["chunk_count"], len(chunk["members"])) for chunk in chunks] == [
        (0, 3, 1000),
        (1, 3, 1000),
        (2, 3, 501),
    ]
    assert {chunk["nonce"] for chunk in chunks} == {"n1"}
    assert len({member["user"]["id"] for chunk in chunks for member in chunk["members"]}) == 2501
    await gateway.send(8, request)
    limited = await gateway.until("RATE_LIMITED")
    assert limited["opcode"] == 8
    assert 0 < limited["retry_after"] <= 30
    assert limited["meta"] == {"guild_id": guild_id, "nonce": "n1"}
    await gateway.send(8, {"guild_id": guild_id, "query": "user12", "limit": 5})
    assert len((await gateway.until("GUILD_MEMBERS_CHUNK"))["members"]) == 5
    await gateway.send(8, {"guild_id": GUILD_ID, "user_ids": [USER_ID, "7"]})
    chunk = await gateway.until("GUILD_MEMBERS_CHUNK")
    assert [member["user"]["id"] for member in chunk["members"]] == [USER_ID]
    assert chunk["not_found"] == ["7"]


async def test_member_requests_that_get_no_answer_are_violations(discord, http):
    gateway, _ = await started(discord, http, GUILDS)
    await gateway.send(8, {"guild_id": GUILD_ID, "query": "", "limit": 0})
    await gateway.send(8, {"guild_id": "1", "query": "", "limit": 0})
    await gateway.send(1, None)
    await gateway.until_op(11)
    assert discord.gateway.stats.violations == [
        "all members requested without the intent",
        "members requested of an unknown guild",
    ]


async def test_the_bot_may_enter_voice_and_show_its_presence(discord, http):
    gateway, _ = await started(discord, http, GUILDS | 1 << 7)
    await gateway.send(3, {"status": "idle"})
    voice_id = str(int(CHANNEL_ID) + 2)
    await gateway.send(4, {"guild_id": GUILD_ID, "channel_id": voice_id, "self_mute": True})
    state = await gateway.until("VOICE_STATE_UPDATE")
    assert (state["user_id"], state["channel_id"], state["self_mute"]) == (discord.world.bot_id, voice_id, True)


@pytest.mark.parametrize(
    ("raw", "code"), [("{", 4002), ("[]", 4002), ('{"op":"x"}', 4002), ('{"op":6,"d":{"token":"t"}}', 4007)]
)
async def test_payloads_that_make_no_sense(discord, http, raw, code):
    gateway = await GatewayClient.connect(http, discord.gateway_url)
    await gateway.socket.send_str(raw)
    assert await gateway.until_closed() == code


async def test_identifying_twice_is_an_error(discord, http):
    gateway, _ = await started(discord, http)
    await gateway.send(2, {"token": "x"})
    assert await gateway.until_closed() == 4005


@pytest.mark.parametrize("discord", [quick(session_ttl_s=0.0)], indirect=True)
async def test_a_session_expires_without_a_connection(discord, http):
    gateway, ready = await started(discord, http)
    discord.gateway.drop()
    await gateway.until_closed()
    second = await GatewayClient.connect(http, ready["resume_gateway_url"])
    await second.resume(ready["session_id"], 1)
    assert await second.until_op(9) is False


async def test_shards_share_the_guilds(discord, http):
    add_guilds(discord.world, 20)
    discord.gateway.config = GatewayConfig(max_concurrency=2, shards=2)
    seen = []
    for number in range(2):
        gateway = await GatewayClient.connect(http, discord.gateway_url)
        await gateway.identify(shard=(number, 2))
        ready = await gateway.until("READY")
        seen += [guild["id"] for guild in ready["guilds"]]
    assert sorted(seen) == sorted(discord.world.guilds)


async def test_outage_of_a_guild(discord, http):
    gateway, _ = await started(discord, http)
    discord.gateway.set_available(GUILD_ID, available=False)
    assert (await gateway.until("GUILD_DELETE")) == {"id": GUILD_ID, "unavailable": True}
    discord.gateway.set_available(GUILD_ID, available=True)
    assert (await gateway.until("GUILD_CREATE"))["id"] == GUILD_ID


async def test_a_guild_that_removes_the_bot_and_one_that_adds_it(discord, http):
    gateway, _ = await started(discord, http)
    discord.world.remove_guild(GUILD_ID)
    assert (await gateway.until("GUILD_DELETE")) == {"id": GUILD_ID}
    [guild_id] = add_guilds(discord.world, 1)
    discord.gateway.set_available(guild_id, available=True)
    assert (await gateway.until("GUILD_CREATE"))["id"] == guild_id
    async with http.get(f"{discord.rest_url}/channels/{CHANNEL_ID}") as response:
        assert response.status == 404


async def test_a_big_world_is_built_at_once(discord, http):
    add_guilds(discord.world, 1000, members=200)
    gateway, ready = await started(discord, http)
    assert len(ready["guilds"]) == 1001
    guilds = [await gateway.until("GUILD_CREATE") for _ in range(1001)]
    assert sum(guild["member_count"] for guild in guilds) == 1000 * 201 + 6


async def test_voice_fields_of_a_member_come_with_the_voice_state(discord, http):
    gateway, _ = await started(discord, http, GUILDS | MEMBER_EVENTS | 1 << 7)
    member, voice = f"{discord.rest_url}/guilds/{GUILD_ID}/members/{USER_ID}", nth(CHANNEL_ID, 2)
    async with http.patch(member, json={"mute": True}) as response:
        assert (response.status, (await response.json())["code"]) == (400, 40032)
    discord.people.speak(GUILD_ID, USER_ID, voice)
    await gateway.until("VOICE_STATE_UPDATE")
    async with http.patch(member, json={"mute": True, "nick": "new"}) as response:
        assert (response.status, (await response.json())["mute"]) == (200, True)
    update, state = await gateway.until("GUILD_MEMBER_UPDATE"), await gateway.until("VOICE_STATE_UPDATE")
    assert (update["nick"], {"mute", "deaf"} & update.keys()) == ("new", set())
    assert (state["channel_id"], state["mute"], state["deaf"]) == (voice, True, False)
