import asyncio
from contextlib import suppress
from dataclasses import replace
from unittest.mock import Mock

import aiohttp
import pytest
from aiohttp.test_utils import make_mocked_request

from discordproxy_sandbox.limits.book import HiddenLimit, LimitBook
from discordproxy_sandbox.rest.faults import Fault
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from discordproxy_sandbox.world.population import CHANNEL_ID, USER_ID
from fakes.eventually import eventually

MESSAGES = f"/channels/{CHANNEL_ID}/messages"


async def send(discord, http, content="hello", **body):
    async with http.post(discord.rest_url + MESSAGES, json={"content": content} | body) as response:
        return response, await response.read()


async def test_answers_are_plain_json_with_limit_headers(discord, http):
    response, _ = await send(discord, http)
    assert response.status == 200
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Via"] == "1.1 google"
    assert response.headers["X-RateLimit-Remaining"] == "4"
    assert response.headers["X-RateLimit-Reset-After"] == "1.000"


async def test_a_burst_over_the_limit_is_an_avoidable_429(discord, http):
    statuses = [response.status for response, _ in [await send(discord, http, f"{n}") for n in range(7)]]
    assert statuses == [200] * 5 + [429] * 2
    assert discord.ledger.avoidable_429s == 2
    assert len(discord.ledger.stored) == 5
    assert discord.ledger.stats()["429"]["by_scope"] == {"user": 2}


@pytest.mark.parametrize("discord", [SandboxConfig(global_limit=10)], indirect=True)
async def test_the_global_limit_counts_all_routes_but_no_interactions(discord, http):
    async def status(method, path, **kwargs):
        async with http.request(method, discord.rest_url + path, **kwargs) as response:
            return response.status, response.headers

    first = [await status("GET", f"/users/{USER_ID}") for _ in range(10)]
    assert {code for code, _ in first} == {200}
    code, headers = await status("GET", f"/channels/{CHANNEL_ID}")
    assert (code, headers["X-RateLimit-Scope"], headers["X-RateLimit-Global"]) == (429, "global", "true")
    interaction = discord.people.interact(CHANNEL_ID, USER_ID)
    callback = f"/interactions/{interaction['id']}/{interaction['token']}/callback"
    async with (
        aiohttp.ClientSession() as anonymous,
        anonymous.post(discord.rest_url + callback, json={"type": 5}) as response,
    ):
        assert response.status == 204
    assert interaction["token"] not in repr(discord.ledger.records)


@pytest.mark.parametrize("discord", [SandboxConfig(latency_s=0.2, inbound_share=0.9)], indirect=True)
async def test_requests_are_judged_when_they_arrive(discord, http):
    before = discord.clock()
    await send(discord, http)
    [record] = discord.ledger.records
    assert record.arrived_at - before >= 0.18
    assert record.answered_at >= record.arrived_at + 0.02


@pytest.mark.parametrize("discord", [SandboxConfig(token="secret")], indirect=True)
async def test_one_token_is_good(discord, http):
    assert (await send(discord, http))[0].status == 200
    async with http.get(discord.rest_url + "/users/@me", headers={"Authorization": "Bot other"}) as response:
        assert response.status == 401
        assert await response.json() == {"message": "401: Unauthorized", "code": 0}
    assert "secret" not in repr(discord.ledger.records) + repr(discord.config) + repr(discord.access)


async def test_no_token_is_no_entry(discord):
    async with (
        aiohttp.ClientSession() as anonymous,
        anonymous.get(discord.rest_url + "/users/@me") as response,
    ):
        assert response.status == 401


@pytest.mark.parametrize("discord", [SandboxConfig(invalid_limit=5, ban_s=100)], indirect=True)
async def test_too_many_invalid_requests_ban_the_address(discord, http):
    discord.world.forbid(CHANNEL_ID)
    for _ in range(5):
        response, _ = await send(discord, http)
        assert response.status == 403
    response, body = await send(discord, http)
    assert response.status == 429
    assert response.headers["Content-Type"].startswith("text/html")
    assert "Via" not in response.headers
    assert 0 < int(response.headers["Retry-After"]) <= 101
    assert b"1015" in body


async def test_forbidden_objects_and_their_codes(discord, http):
    for code, status in [(50001, 403), (50013, 403), (10003, 404)]:
        discord.world.forbid(CHANNEL_ID, code)
        response, body = await send(discord, http)
        assert response.status == status
        assert f'"code":{code}'.encode() in body
    discord.world.allow(CHANNEL_ID)
    assert (await send(discord, http))[0].status == 200


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", ["status", "reset"])
async def test_failures_before_and_after_processing(discord, http, kind, when):
    discord.faults.add(Fault(kind=kind, when=when, status=502, method="POST", path="/messages"))
    if kind == "status":
        assert (await send(discord, http))[0].status == 502
    else:
        with pytest.raises(aiohttp.ClientError):
            await send(discord, http)
    assert len(discord.ledger.stored) == (1 if when == "after" else 0)
    assert (await send(discord, http))[0].status == 200


async def test_silence_and_slowness(discord, http):
    discord.faults.add(Fault(kind="silent", when="after"))
    unanswered = asyncio.create_task(send(discord, http))
    await eventually(lambda: len(discord.ledger.stored) == 1)
    unanswered.cancel()
    await eventually(lambda: discord.ledger.stats()["in_flight"] == 0)
    assert unanswered.cancelled()
    discord.faults.add(Fault(kind="slow", delay_s=0.1))
    await send(discord, http)
    record = discord.ledger.records[-1]
    assert record.answered_at - record.arrived_at >= 0.1


async def test_faults_that_lie(discord, http):
    discord.faults.add(Fault(kind="cloudflare", retry_after_header="30"))
    response, body = await send(discord, http)
    assert (response.status, response.headers["Retry-After"], "Via" in response.headers) == (429, "30", False)
    discord.faults.add(Fault(kind="banned"))
    response, body = await send(discord, http)
    assert (response.status, b'"code":0' in body, b"retry_after" in body) == (429, True, False)
    discord.faults.add(Fault(kind="rate_limited", scope="shared", retry_after_body=1163.097))
    response, body = await send(discord, http)
    assert response.headers["Retry-After"] == "1"
    assert b"1163.097" in body
    assert response.headers["X-RateLimit-Remaining"] == "4"
    discord.faults.add(Fault(kind="headerless"))
    response, _ = await send(discord, http)
    assert not [name for name in response.headers if name.startswith("X-RateLimit")]
    discord.faults.add(Fault(kind="truncated"))
    _, body = await send(discord, http)
    assert not body.endswith(b"}")
    bucket = (await send(discord, http))[0].headers["X-RateLimit-Bucket"]
    discord.faults.add(Fault(kind="hash"))
    await send(discord, http)
    assert discord.limits.hash_of("POST /channels/{channel_id}/messages") != bucket
    assert discord.ledger.stats()["429"] == {"avoidable": 0, "injected": 3, "by_scope": {"none": 2, "shared": 1}}
    assert discord.ledger.stats()["invalid"] == 2


class Standstill:
    """A clock that somebody moves."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def refusing(http):
    """A sandbox with a hidden limit that refuses for a minute after the first message, which has been sent."""
    clock = Standstill()
    hidden = {"POST /channels/{channel_id}/messages": (HiddenLimit(name="slow mode", limit=1, window_s=60.0),)}
    async with Sandbox(SandboxConfig(clock=clock, limits=LimitBook(hidden=hidden))) as discord:
        assert (await send(discord, http))[0].status == 200
        yield discord


async def was_told(discord, http) -> bool:
    """Whether another message, later, would have been avoidable."""
    discord.clock.now += 5.0
    response, _ = await send(discord, http)
    assert response.status == 429
    return discord.ledger.records[-1].avoidable


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Fault(kind="hash"), True),
        (Fault(kind="headerless"), True),
        (Fault(kind="truncated"), True),
        (Fault(kind="rate_limited"), False),
        (Fault(kind="rate_limited", retry_after_header=""), False),
        (Fault(kind="status", when="after"), False),
        (Fault(kind="reset", when="after"), False),
        (Fault(kind="cloudflare"), False),
    ],
    ids=lambda value: f"{value.kind} {value.retry_after_header}" if isinstance(value, Fault) else "",
)
async def test_a_refusal_is_announced_by_its_response(refusing, http, fault, told):
    refusing.faults.add(replace(fault))
    with suppress(aiohttp.ClientError):
        await send(refusing, http)
    assert refusing.ledger.records[-1].fault == fault.kind
    assert await was_told(refusing, http) is told


async def test_a_refusal_is_not_announced_to_a_disconnected_client(refusing, http):
    connection = Mock(**{"is_closing.return_value": True})
    headers = {"Authorization": "Bot secret"}
    await refusing.rest.handle(make_mocked_request("POST", f"/api/v10{MESSAGES}", headers, transport=connection))
    assert refusing.ledger.records[-1].status == 429
    assert not await was_told(refusing, http)


async def test_an_injected_limit_hides_the_real_one(refusing, http):
    refusing.faults.add(Fault(kind="rate_limited", retry_after_header="", retry_after_body=None))
    response, _ = await send(refusing, http)
    assert response.headers["X-RateLimit-Remaining"] == "28"
    assert "Retry-After" not in response.headers
    assert not await was_told(refusing, http)
    refusing.faults.add(Fault(kind="rate_limited"))
    assert await was_told(refusing, http)


async def test_skip_and_count_of_faults(discord, http):
    discord.faults.add(Fault(kind="status", status=500, skip=1, count=2))
    statuses = [(await send(discord, http))[0].status for _ in range(4)]
    assert statuses == [200, 500, 500, 200]


async def test_nonce_is_enforced(discord, http):
    import orjson

    bodies = [orjson.loads((await send(discord, http, nonce="n1", enforce_nonce=True))[1]) for _ in range(3)]
    assert len({body["id"] for body in bodies}) == 1
    assert bodies[0]["nonce"] == "n1"
    assert len(discord.ledger.stored) == 1
    assert discord.ledger.nonce_repeats == 2
    await send(discord, http, nonce="n1")
    assert discord.ledger.duplicate_nonces == 1
    assert discord.ledger.duplicate_contents == 1


async def test_violations_are_noted_and_strictly_refused(discord, http):
    response, _ = await send(discord, http, colour=1, embeds=[{"titel": "x", "title": "y"}])
    assert response.status == 200
    assert discord.ledger.violations == ["unknown key colour", "unknown key embeds[0].titel"]
    discord.rest.strict = True
    response, body = await send(discord, http, colour=1)
    assert response.status == 400
    assert b"UNKNOWN_KEY" in body


async def test_authorization_on_token_routes_is_a_violation(discord, http):
    async with http.post(f"{discord.rest_url}/channels/{CHANNEL_ID}/webhooks", json={"name": "hook"}) as response:
        webhook = await response.json()
    url = f"{discord.rest_url}/webhooks/{webhook['id']}/{webhook['token']}"
    async with http.post(url, json={"content": "x"}) as response:
        assert response.status == 204
    record = discord.ledger.records[-1]
    assert record.violations == ["Authorization sent to a route that a token in the path authorizes"]
    assert webhook["token"] not in repr(discord.ledger.records)


async def test_unknown_paths_and_methods_and_base_paths(discord, http):
    async def status(method, url):
        async with http.request(method, url) as response:
            return response.status, (await response.json())["message"]

    assert await status("GET", discord.rest_url + "/nothing") == (404, "404: Not Found")
    assert await status("POST", discord.rest_url + "/users/@me") == (405, "405: Method Not Allowed")
    for base in ("/api/v10", "/api", "", "/some/where/api/v9"):
        async with http.get(f"{discord.url}{base}/users/@me") as response:
            assert response.status == 200
    await status("GET", discord.rest_url + "/webhooks/1/token/typo")
    assert discord.ledger.records[-1].path == "/webhooks/?"


async def test_in_flight_is_what_has_arrived_and_is_not_answered(discord, http):
    discord.faults.add(Fault(kind="silent", count=3))
    calls = [asyncio.create_task(send(discord, http, f"{n}")) for n in range(3)]
    await eventually(lambda: len(discord.ledger.records) == 3)
    assert [record.in_flight for record in discord.ledger.records] == [1, 2, 3]
    assert discord.ledger.max_in_flight == discord.ledger.stats()["in_flight"] == 3
    for call in calls:
        call.cancel()
    await eventually(lambda: discord.ledger.stats()["in_flight"] == 0)


async def test_the_reason_is_recorded(discord, http):
    headers = {"X-Audit-Log-Reason": "f%C3%BCr%20ada"}
    async with http.put(f"{discord.rest_url}/guilds/300000000000000001/bans/{USER_ID}", headers=headers) as response:
        assert response.status == 204
    assert discord.ledger.records[-1].reason == "für ada"
    assert discord.world.guilds["300000000000000001"].bans[USER_ID]["reason"] == "für ada"
