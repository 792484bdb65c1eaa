"""Who may use the REST port, and as whom: keys in all their forms, bots' tokens, browsers, nobody in particular."""

import base64
import json
import logging
from collections.abc import AsyncIterator

import aiohttp
import pytest

from discordproxy_api.access.keys import new_key
from discordproxy_sandbox.rest.faults import Fault
from discordproxy_sandbox.world.population import CHANNEL_ID, GUILD_ID, USER_ID
from integration.api.access.test_access import table
from integration.api.conftest import TOKEN, serve
from integration.api.rest_edge.conftest import AS_BOT, Caller, callers

KEY = new_key()
SHAPED = f"{base64.urlsafe_b64encode(b'100000000000000001').decode()}.proxy.{KEY}"
MESSAGES = f"/channels/{CHANNEL_ID}/messages"
CHANNEL = f"/channels/{CHANNEL_ID}"


def basic(key: str) -> str:
    return "Basic " + base64.b64encode(f"anyone:{key}".encode()).decode()


class Keyed:
    """A worker that requires keys, and one key whose entry the test writes."""

    def __init__(self, call: Caller, file) -> None:
        self.call, self.file = call, file

    def allow(self, **settings: object) -> None:
        self.file.write_text(table(KEY, **settings))

    async def status(self, method: str, target: str, **how) -> int:
        how.setdefault("headers", {"Authorization": f"Bot {KEY}"})
        return (await self.call(method, target, **how)).status


@pytest.fixture
async def keyed(discord, tmp_path, monkeypatch) -> AsyncIterator[Keyed]:
    monkeypatch.setattr("discordproxy_ratelimit.process.reloading.CHECK_INTERVAL_S", 0.0)
    file = tmp_path / "keys.toml"
    file.write_text(table(KEY))
    async with serve(discord, keys_file=file, rest_port=0) as served:
        async for call in callers(served):
            yield Keyed(call, file)


@pytest.mark.parametrize(
    ("headers", "base"),
    [
        *(
            ({"Authorization": value}, "/api/v10")
            for value in (f"Bot {KEY}", f"Bearer {KEY}", f"Bot {SHAPED}", basic(KEY))
        ),
        ({"Proxy-Authorization": f"Bearer {KEY}"}, "/api/v10"),
        ({}, f"/key={KEY}/api/v10"),
        ({"Proxy-Authorization": f"Bearer {KEY}", "Authorization": f"Bot {TOKEN}"}, "/api/v10"),
    ],
    ids=["bot", "bearer", "shaped", "basic", "proxy", "path", "beside a token"],
)
async def test_a_key_in_any_form(keyed, headers, base, caplog):
    caplog.set_level(logging.DEBUG)
    answer = await keyed.call("GET", CHANNEL, headers=headers, base=base)
    assert answer.status == 200
    assert keyed.call.served.broker.acquired[-1].caller.app == "srp"
    assert "GetChannel OK app=srp" in caplog.text
    assert "door=http" in caplog.text
    assert KEY not in caplog.text
    assert KEY not in str(answer.headers)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": f"Bot {new_key()}"},
        {"Authorization": "Bot another.bots.token"},
        {"Authorization": "Bearer an-oauth2-token"},
        {"Authorization": "Bearer"},
        {"Authorization": basic("dpk_wrong")},
        {"Proxy-Authorization": f"Bearer {new_key()}", "Authorization": "Bearer an-oauth2-token"},
        {"Proxy-Authorization": f"Bearer {KEY}", "Authorization": "Bot another.bots.token"},
    ],
)
async def test_without_a_good_key_nothing_is_sent(keyed, headers):
    answer = await keyed.call("POST", MESSAGES, headers=headers, json={"content": "x"})
    assert (answer.status, answer.document["code"]) == (401, 0)
    assert answer.headers["Content-Type"] == "application/json"
    assert not keyed.call.served.broker.acquired
    assert not keyed.call.served.discord.ledger.records


async def test_a_missing_key_is_explained(keyed):
    message = (await keyed.call("GET", CHANNEL)).document["message"]
    assert all(way in message for way in ("Bot <key>", "Proxy-Authorization", "/key=<key>/"))


async def test_the_bots_own_token_is_let_in(keyed, caplog):
    caplog.set_level(logging.INFO)
    assert (await keyed.call("POST", MESSAGES, headers=AS_BOT, json={"content": "x"})).status == 200
    assert keyed.call.served.broker.acquired[-1].caller.app == "bot"
    assert "app=bot key=- peer=ipv4:127.0.0.1" in caplog.text
    named = {**AS_BOT, "X-Discordproxy-App": "shop"}
    assert (await keyed.call("GET", CHANNEL, headers=named)).status == 200
    assert keyed.call.served.broker.acquired[-1].caller.app == "shop"
    assert TOKEN not in caplog.text


async def test_an_oauth2_token_beside_a_key_goes_to_discord(keyed):
    headers = {"Proxy-Authorization": f"Bearer {KEY}", "Authorization": "Bearer a-users-token"}
    await keyed.call("GET", "/users/@me", headers=headers)
    acquired = keyed.call.served.broker.acquired[-1]
    assert acquired.route.credential.startswith("bearer:")
    keyed.allow(rpcs=["read"], authorization=False)
    assert (await keyed.call("GET", "/users/@me", headers=headers)).status == 403


async def test_rpcs_of_a_key_mean_routes(keyed):
    keyed.allow(rpcs=["SendChannelMessage", "GetChannel"])
    assert await keyed.status("GET", CHANNEL) == 200
    assert await keyed.status("POST", MESSAGES, json={"content": "x"}) == 200
    assert await keyed.status("DELETE", f"{MESSAGES}/1") == 403
    assert await keyed.status("GET", "/gateway/bot") == 403, "a route without an RPC is a Request"
    keyed.allow(requests=["GET /gateway/bot"])
    assert await keyed.status("GET", "/gateway/bot") == 200
    assert await keyed.status("GET", "/applications/@me/x") == 403


async def test_a_route_of_a_keys_requests_stays_allowed_when_it_has_an_rpc(keyed, caplog):
    caplog.set_level(logging.INFO)
    keyed.allow(rpcs=["GetGuild"], requests=["GET /channels/{channel_id}", "POST /channels/*/messages"])
    assert await keyed.status("GET", CHANNEL) == 200
    assert await keyed.status("POST", MESSAGES, json={"content": "x"}) == 200
    assert await keyed.status("DELETE", f"{MESSAGES}/1") == 403
    assert await keyed.status("PATCH", CHANNEL, json={"name": "x"}) == 403
    assert "Request OK app=srp" in caplog.text
    keyed.allow(rpcs=["GetGuild", "Request"])
    assert await keyed.status("PATCH", CHANNEL, json={"name": "x"}) == 200
    keyed.allow(rpcs=["read"])
    assert await keyed.status("PATCH", CHANNEL, json={"name": "x"}) == 403, "read does not contain Request"
    keyed.allow(rpcs=["read"], requests=["PATCH /channels/{channel_id}"], channels=[OTHER_CHANNEL])
    assert await keyed.status("PATCH", CHANNEL, json={"name": "x"}) == 403, "the channel is not the key's"


OTHER_CHANNEL, OTHER_GUILD = 500000000000000901, 300000000000000901


@pytest.mark.parametrize(
    ("method", "target", "how", "allowed"),
    [
        ("GET", CHANNEL, {}, True),
        ("GET", f"/channels/{OTHER_CHANNEL}", {}, False),
        ("GET", f"/guilds/{GUILD_ID}", {}, True),
        ("GET", f"/guilds/{OTHER_GUILD}", {}, False),
        ("GET", f"/users/@me/guilds?guild_id={OTHER_GUILD}", {}, False),
        ("POST", MESSAGES, {"json": {"content": "x"}}, True),
        ("POST", MESSAGES, {"json": {"content": "x", "message_reference": {"channel_id": OTHER_CHANNEL}}}, False),
        ("POST", MESSAGES, {"data": b'{"content": "x"}', "headers": {"Content-Type": "text/plain"}}, False),
        ("POST", "/users/@me/channels", {"json": {"recipient_id": USER_ID}}, False),
    ],
)
async def test_places_of_a_key(keyed, method, target, how, allowed):
    keyed.allow(guilds=[int(GUILD_ID)])
    how = {**how, "headers": {**how.get("headers", {}), "Authorization": f"Bot {KEY}"}}
    answer = await keyed.call(method, target, **how)
    assert (answer.status == 200) is allowed, answer.body
    assert allowed or answer.status == 403


@pytest.mark.parametrize("place", [OTHER_CHANNEL, int(CHANNEL_ID)])
async def test_places_in_a_form(keyed, place):
    keyed.allow(guilds=[int(GUILD_ID)])
    form = aiohttp.FormData()
    document = {
        "content": "x",
        "message_reference": {"channel_id": place, "message_id": 1, "fail_if_not_exists": False},
    }
    form.add_field("payload_json", json.dumps(document), content_type="application/json")
    form.add_field("files[0]", b"x", filename="x.txt")
    answer = await keyed.call("POST", MESSAGES, data=form, headers={"Authorization": f"Bot {KEY}"})
    assert (answer.status == 403) is (place == OTHER_CHANNEL), answer.body


async def test_priorities_shares_and_expiry_of_a_key(keyed):
    keyed.allow(priority="low", share=2.0)
    assert await keyed.status("GET", CHANNEL, base="/priority=high/api/v10") == 200
    caller = keyed.call.served.broker.acquired[-1].caller
    assert (caller.priority, caller.weight) == ("low", 2.0)
    keyed.allow(expires="2020-01-01T00:00:00Z")
    assert await keyed.status("GET", CHANNEL) == 401


async def test_ten_wrong_keys_lock_an_address_out_and_a_good_one_still_passes(keyed, monkeypatch):
    monkeypatch.setattr("discordproxy_api.pipeline.authentication.DELAY_S", 0.01)
    for _ in range(10):
        answer = await keyed.call("GET", CHANNEL, headers={"Authorization": f"Bot {new_key()}"})
        assert answer.status == 401
    assert answer.reason == "LOCKED_OUT"
    assert await keyed.status("GET", CHANNEL) == 200


async def test_where_no_key_is_required(call):
    for headers in ({}, AS_BOT, {"Authorization": f"Bot {KEY}"}, {"Authorization": "Bot dpk_anything"}):
        assert (await call("GET", CHANNEL, headers=headers)).status == 200
    answer = await call("GET", CHANNEL, headers={"Authorization": "Bot another.bots.token"})
    assert answer.status == 401
    assert "not the token of a bot of this proxy" in answer.document["message"]


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "evil.example"},
        {"Host": "evil.example", "Content-Type": "application/x-www-form-urlencoded"},
    ],
)
async def test_web_sites_are_refused(call, headers):
    answer = await call("POST", MESSAGES, headers=headers, data=b"content=x")
    assert answer.status == 403
    assert "Access-Control-Allow-Origin" not in answer.headers
    assert not call.served.discord.ledger.records
    assert (await call("OPTIONS", MESSAGES, headers=headers)).status == 405


@pytest.mark.parametrize(
    ("authorization", "credential"),
    [
        ("", "bot"),
        (f"Bot {TOKEN}", "bot"),
        ("Bot dpk_any", "bot"),
        ("Bearer a-users-token", "bearer"),
        (basic("a-clients-secret"), "ip"),
    ],
)
async def test_what_discord_gets(call, authorization, credential):
    path = "/oauth2/token" if credential == "ip" else "/users/@me"
    method = "POST" if credential == "ip" else "GET"
    headers = {"Authorization": authorization} if authorization else {}
    await call(method, path, headers=headers, data={"grant_type": "client_credentials"} if credential == "ip" else None)
    assert call.served.broker.acquired[-1].route.credential.partition(":")[0] == credential
    assert call.served.discord.ledger.records[-1].template in {path, ""}  # the sandbox has no /oauth2


async def test_further_host_names_are_a_setting(discord):
    async with serve(discord, rest_port=0, rest_hosts=["discordproxy"]) as served:
        async for call in callers(served):
            assert (await call("GET", CHANNEL, headers={"Host": "discordproxy:50052"})).status == 200


async def test_with_keys_any_host_name_will_do(keyed):
    headers = {"Authorization": f"Bot {KEY}", "Host": "proxy.example", "Origin": "https://panel.example"}
    assert await keyed.status("GET", CHANNEL, headers=headers) == 200


async def test_operators_rules_hold_here(discord):
    async with serve(discord, rest_port=0, request_deny=["GET /channels/{channel_id}"]) as served:
        async for call in callers(served):
            answer = await call("GET", CHANNEL)
            assert (answer.status, answer.reason) == (403, "FORBIDDEN_BY_OPERATOR")


async def test_a_401_is_about_the_callers_own_credential(discord):
    """A library that gets one for its key forgets the key, although only the bot's token is wrong."""
    async with serve(discord, rest_port=0) as served:
        discord.faults.add(Fault(kind="status", status=401, count=3))
        async for call in callers(served):
            assert (await call("GET", CHANNEL)).status == 503
            assert (await call("GET", CHANNEL, headers=AS_BOT)).status == 401
            assert (await call("GET", CHANNEL, headers={"Authorization": "Bearer a-users"})).status == 401


async def test_a_401_of_a_route_for_users_is_not_about_the_bot(discord):
    """Discord answers the token of a bot there with 401; the worker stays ready."""
    async with serve(discord, rest_port=0) as served:
        discord.faults.add(Fault(kind="status", status=401))
        async for call in callers(served):
            assert (await call("GET", "/oauth2/@me")).status == 401
            await served.worker.health.probe()
            assert served.worker.health.ready
