import pytest

from discordproxy_sandbox.world.population import CHANNEL_ID, GUILD_ID, USER_ID
from fakes.gateway_client import GatewayClient


async def control(discord, http, topic, **arguments):
    async with http.post(f"{discord.url}/_sandbox/{topic}", json=arguments) as response:
        return response.status, await response.json()


async def test_faults_limits_and_world_from_another_process(discord, http):
    assert (await control(discord, http, "faults", do="add", kind="status", status=503))[0] == 200
    route = "POST /channels/{channel_id}/messages"
    assert (await control(discord, http, "limits", do="set", route=route, limit=1, window_s=9, kind="fixed"))[0] == 200
    assert (await control(discord, http, "world", do="forbid", object_id=USER_ID, code=50013))[0] == 200
    statuses = []
    for path in (f"/channels/{CHANNEL_ID}/messages", f"/channels/{CHANNEL_ID}/messages"):
        async with http.post(discord.rest_url + path, json={"content": "x"}) as response:
            statuses.append((response.status, response.headers.get("X-RateLimit-Limit")))
    assert statuses == [(503, None), (200, "1")]
    async with http.get(f"{discord.rest_url}/users/{USER_ID}") as response:
        assert response.status == 403
    async with http.get(f"{discord.url}/_sandbox/stats") as response:
        stats = await response.json()
    assert stats["rest"]["by_status"] == {"503": 1, "200": 1, "403": 1}
    async with http.get(f"{discord.url}/_sandbox/ledger?since=2") as response:
        ledger = await response.json()
    assert [record["status"] for record in ledger["records"]] == [403]
    assert len(ledger["stored"]) == 1
    await control(discord, http, "ledger", do="clear")
    assert discord.ledger.records == []


async def test_people_and_gateway_from_another_process(discord, http):
    gateway = await GatewayClient.connect(http, discord.gateway_url)
    await gateway.identify(intents=1 | 1 << 9 | 1 << 1 | 1 << 15)
    await gateway.until("GUILD_CREATE")
    status, answer = await control(discord, http, "world", do="add_user", name="mallory")
    user_id = answer["result"]["id"]
    await control(discord, http, "world", do="join", guild_id=GUILD_ID, user_id=user_id)
    assert (await gateway.until("GUILD_MEMBER_ADD"))["user"]["username"] == "mallory"
    await control(discord, http, "world", do="write", channel_id=CHANNEL_ID, user_id=user_id, content="psst")
    assert (await gateway.until("MESSAGE_CREATE"))["content"] == "psst"
    await control(discord, http, "world", do="interact", channel_id=CHANNEL_ID, user_id=user_id)
    assert (await gateway.until("INTERACTION_CREATE"))["type"] == 2
    await control(discord, http, "gateway", do="emit", name="CUSTOM", data={"a": 1})
    assert await gateway.until("CUSTOM") == {"a": 1}
    await control(discord, http, "gateway", do="reconnect")
    await gateway.until_op(7)
    await control(discord, http, "gateway", do="drop")
    assert await gateway.until_closed() == 1006
    async with http.get(f"{discord.url}/_sandbox/stats") as response:
        assert (await response.json())["gateway"]["closes"] == dict(discord.gateway.stats.closes) != {}
    assert status == 200


async def test_added_guilds_are_sent_to_the_bot(discord, http):
    gateway = await GatewayClient.connect(http, discord.gateway_url)
    await gateway.identify(intents=1)
    await gateway.until("GUILD_CREATE")
    _, answer = await control(discord, http, "world", do="add_guilds", guilds=2, members=30, channels=3)
    told = [await gateway.until("GUILD_CREATE") for _ in range(2)]
    assert [guild["id"] for guild in told] == answer["result"]
    assert (told[0]["member_count"], len(told[0]["channels"])) == (31, 3)


@pytest.mark.parametrize(
    ("topic", "arguments"),
    [
        ("faults", {"do": "nothing"}),
        ("faults", {}),
        ("faults", {"do": "add", "kind": "status", "colour": 1}),
        ("faults", {"do": "add", "kind": "earthquake"}),
        ("faults", {"do": "add", "kind": "status", "path": "["}),
        ("limits", {"do": "set", "route": "GET /gateway", "limit": 1, "window_s": 1, "kind": "square"}),
        ("world", {"do": "join", "guild_id": "1", "user_id": "1"}),
        ("world", {"do": "interact", "channel_id": CHANNEL_ID, "user_id": USER_ID, "kind": "button"}),
    ],
)
async def test_invalid_control_requests_are_explained(discord, http, topic, arguments):
    status, answer = await control(discord, http, topic, **arguments)
    assert status == 400
    assert answer["error"]
