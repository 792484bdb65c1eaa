"""The REST port forwards requests as they came, and answers as they are."""

import asyncio
import gc
import gzip
import io
import json
import string
from dataclasses import replace
from http import HTTPStatus

import aiohttp
import pytest

from discordproxy_api.discord.request import RestRequest
from discordproxy_api.rest_edge.body import Body
from discordproxy_sandbox.resources.application.interactions import interact
from discordproxy_sandbox.rest.faults import Fault
from discordproxy_sandbox.world.population import CHANNEL_ID, GUILD_ID, USER_ID
from fakes.eventually import eventually
from integration.api.conftest import serve
from integration.api.rest_edge.conftest import AS_BOT, callers

MESSAGES = f"/channels/{CHANNEL_ID}/messages"


async def test_a_message_is_sent_as_over_grpc(call):
    answer = await call("POST", MESSAGES, json={"content": "Hello"}, headers=AS_BOT)
    assert (answer.status, answer.document["content"]) == (200, "Hello")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Via"].endswith("1.1 discordproxy")
    assert answer.headers["X-Discordproxy-Sent"] == "yes"
    assert answer.headers["X-RateLimit-Remaining"] == "250"
    assert answer.headers["X-Discord-RateLimit-Remaining"].isdecimal()
    assert "aiohttp" not in answer.headers["Server"]
    [acquired] = call.served.broker.acquired
    assert acquired.route.name == "POST /channels/{channel_id}/messages"
    assert acquired.max_wait_s == 8.0
    [record] = call.served.discord.ledger.records
    assert not record.violations


@pytest.mark.parametrize("base", ["/api/v10", "/v10", "", "/api", "/app=shop/wait=20/api/v10", "/api/v9"])
async def test_every_form_of_the_base_url(call, base):
    assert (await call("GET", f"/channels/{CHANNEL_ID}", base=base)).status == 200


async def test_options_of_the_path_reach_the_broker(call):
    await call("GET", f"/channels/{CHANNEL_ID}", base="/app=shop/wait=240/priority=low/api/v10")
    acquired = call.served.broker.acquired[-1]
    assert (acquired.caller.app, acquired.caller.priority, acquired.max_wait_s) == ("shop", "low", 240.0)


async def test_a_preferred_wait_is_confirmed(call):
    answer = await call("GET", f"/channels/{CHANNEL_ID}", headers={"Prefer": "wait=30"})
    assert answer.headers["Preference-Applied"] == "wait=30"
    assert call.served.broker.acquired[-1].max_wait_s == 30.0


@pytest.mark.parametrize(
    ("target", "code"),
    [
        *((f"/channels/{CHANNEL_ID}/../{CHANNEL_ID}", 50035), ("/channels/%2e%2e/x", 50035), ("/a%2Fb", 50035)),
        *(("//x", 50035), ("/a\\b", 50035), ("/x?a=<b>", 50035)),
    ],
)
async def test_unclear_paths_are_refused_before_a_permit(call, target, code):
    answer = await call("GET", target)
    assert (answer.status, answer.document["code"]) == (400, code)
    assert answer.document["errors"]["path"]
    assert not call.served.broker.acquired
    assert not call.served.discord.ledger.records


async def test_old_versions_are_refused(call):
    answer = await call("GET", "/users/@me", base="/api/v8")
    assert (answer.status, answer.document["code"]) == (400, 50041)


@pytest.mark.parametrize("headers", ["own", "discord", "none"])
async def test_limit_headers(call, headers):
    answer = await call("GET", f"/channels/{CHANNEL_ID}", base=f"/headers={headers}/api/v10")
    remaining = answer.headers.get("X-RateLimit-Remaining")
    assert {"own": remaining == "250", "discord": remaining not in {None, "250"}, "none": remaining is None}[headers]


@pytest.mark.parametrize("headers", ["own", "discord", "none"])
async def test_routes_that_discord_states_no_limit_for(call, headers):
    """Libraries send one request at a time until a response states a limit; hikari does so for all channels."""
    call.served.discord.limits.set("GET /gateway", None)
    answers = [await call("GET", path, base=f"/headers={headers}/api/v10") for path in ("/gateway", "/gateway?v=10")]
    stated = [answer.headers.get("X-RateLimit-Bucket", "") for answer in answers]
    assert bool(stated[0]) == (headers == "own")
    assert stated[0] == stated[1]
    assert "X-Discord-RateLimit-Limit" not in answers[0].headers


async def test_discords_errors_come_as_they_are(call):
    answer = await call("GET", "/channels/1")
    assert (answer.status, answer.document["code"]) == (404, 10003)
    assert "discordproxy" not in answer.document
    assert answer.reason == ""


async def test_the_emoji_the_reason_and_the_query_arrive_as_sent(call):
    message = (await call("POST", MESSAGES, json={"content": "x"})).document
    answer = await call("PUT", f"{MESSAGES}/{message['id']}/reactions/%F0%9F%91%8D/@me", data=b"")
    assert answer.status == 204
    assert answer.body == b""
    reason = {"X-Audit-Log-Reason": "caf%C3%A9%20x"}
    assert (await call("DELETE", f"{MESSAGES}/{message['id']}", headers=reason)).status == 204
    assert call.served.discord.ledger.records[-1].reason == "café x"
    assert (await call("GET", f"/guilds/{GUILD_ID}/members?limit=2&after=0")).status == 200


async def test_an_upload_keeps_its_bytes(call):
    content = bytes(range(256)) * 12_288  # 3 MiB
    form = aiohttp.FormData(quote_fields=False)
    form.add_field("payload_json", json.dumps({"content": "file"}), content_type="application/json")
    form.add_field("files[7]", io.BytesIO(content), filename="ä b.bin", content_type="application/octet-stream")
    form.add_field("files[0]", b"two", filename="two.txt")
    answer = await call("POST", MESSAGES, data=form, headers=AS_BOT)
    assert answer.status == 200, answer.body
    attachments = {each["filename"]: each["size"] for each in answer.document["attachments"]}
    assert sorted(attachments.values()) == [3, len(content)]
    assert not call.served.discord.ledger.records[-1].violations


async def test_gzip_chunks_and_expect(call):
    compressed = gzip.compress(b'{"content": "zipped"}')
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    assert (await call("POST", MESSAGES, data=compressed, headers=headers)).document["content"] == "zipped"

    async def chunks():
        yield b'{"content": '
        yield b'"chunked"}'

    headers = {"Content-Type": "application/json"}
    assert (await call("POST", MESSAGES, data=chunks(), headers=headers)).document["content"] == "chunked"
    answer = await call("POST", MESSAGES, data=b'{"content": "waited"}', headers=headers, expect100=True)
    assert answer.document["content"] == "waited"


def message_as_long_as_its_gzip() -> bytes:
    """A message whose size does not change when it is compressed."""
    letters = string.ascii_letters + string.digits
    messages = (b'{"content": "%s%s"}' % (letters[:n].encode(), b"x" * m) for n in range(40) for m in range(100))
    return next(message for message in messages if len(gzip.compress(message)) == len(message))


async def test_a_body_that_is_as_long_as_its_gzip_is_decompressed(call):
    message = message_as_long_as_its_gzip()
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    answer = await call("POST", MESSAGES, data=gzip.compress(message), headers=headers)
    assert answer.document["content"] == json.loads(message)["content"]


async def test_a_webhook_needs_no_token_and_gets_none(call):
    made = await call("POST", f"/channels/{CHANNEL_ID}/webhooks", json={"name": "w"}, headers=AS_BOT)
    hook = made.document
    path = f"/webhooks/{hook['id']}/{hook['token']}?wait=true"
    for headers in ({}, AS_BOT):
        answer = await call("POST", path, json={"content": "from a hook"}, headers=headers)
        assert answer.status == 200
        record = call.served.discord.ledger.records[-1]
        assert not record.violations
        assert call.served.broker.acquired[-1].route.credential == "ip"


async def test_an_idempotency_key_gets_the_first_answer_again(call):
    key = {"Idempotency-Key": "once"}
    first = await call("POST", f"/guilds/{GUILD_ID}/channels", json={"name": "once"}, headers=key)
    again = await call("POST", f"/guilds/{GUILD_ID}/channels", json={"name": "once"}, headers=key)
    assert (first.status, again.status) == (201, 201)
    assert first.body == again.body
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    other = await call("POST", f"/guilds/{GUILD_ID}/channels", json={"name": "other"}, headers=key)
    assert other.status == 422


FAULTS = [Fault(kind="reset", when="after"), Fault(kind="status", status=502, when="after")]


@pytest.mark.parametrize("fault", FAULTS, ids=["reset", "502"])
async def test_a_librarys_own_repeat_does_not_double_a_message(discord, fault):
    """The workers share the nonces of messages whose answer was lost."""
    async with serve(discord, rest_port=0, retries=0) as served, serve(discord, served.broker, rest_port=0) as other:
        discord.faults.add(replace(fault))
        async for call in callers(served):
            lost = await call("POST", MESSAGES, json={"content": "ping"})
            assert lost.status == (504 if fault.kind == "reset" else 502)
        async for call in callers(other):
            found = await call("POST", MESSAGES, json={"content": "ping"})
            new = await call("POST", MESSAGES, json={"content": "ping"})
            assert (found.status, new.status) == (200, 200)
            assert new.document["id"] != found.document["id"], "a delivered answer ends it"
            history = (await call("GET", MESSAGES)).document
            assert [each["content"] for each in history].count("ping") == 2


async def test_what_could_double_is_a_408_that_no_library_repeats(discord):
    async with serve(discord, rest_port=0, retries=0) as served:
        discord.faults.add(Fault(kind="reset", when="after"))
        async for call in callers(served):
            answer = await call("POST", f"/guilds/{GUILD_ID}/channels", json={"name": "once"})
            assert (answer.status, answer.headers["Retry-After"]) == (408, "1")
            assert (answer.reason, answer.headers["X-Discordproxy-Sent"]) == ("DISCORD_UNREACHABLE", "unknown")
            channels = (await call("GET", f"/guilds/{GUILD_ID}/channels")).document
            assert [each["name"] for each in channels].count("once") == 1


async def test_many_callers_are_served_at_once(call):
    answers = await asyncio.gather(*(call("POST", MESSAGES, json={"content": str(n)}) for n in range(50)))
    assert {answer.status for answer in answers} == {200}
    assert len(call.served.discord.ledger.records) == 50


async def test_direct_messages_go_as_two_calls(call):
    channel = (await call("POST", "/users/@me/channels", json={"recipient_id": USER_ID})).document
    assert (await call("POST", f"/channels/{channel['id']}/messages", json={"content": "hi"})).status == 200


CANARY = "a body of this test"


def canaries() -> list[object]:
    """The bodies and requests in memory that hold the text of the test below."""
    found = [each for each in gc.get_objects() if isinstance(each, Body | RestRequest)]
    return [each for each in found if CANARY.encode() in ((each.data if isinstance(each, Body) else each.body) or b"")]


@pytest.mark.parametrize(
    "path", [MESSAGES, "/channels/1/messages", f"/guilds/{GUILD_ID}/channels", "/guilds/1/channels"]
)
async def test_a_body_is_freed_with_the_call(call, path):
    """A reference cycle would keep it until a garbage collection, of which there may be none for a long time."""
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            await call("POST", path, json={"content": CANARY, "name": CANARY})
        await eventually(lambda: not canaries())
    finally:
        gc.enable()


@pytest.mark.parametrize("status", [500, 504])
async def test_a_failure_that_may_have_made_a_channel_is_not_repeated(call, status):
    """Every library repeats a 500, none a 408."""
    call.served.discord.faults.add(Fault(kind="status", status=status, when="after"))
    answer = await call("POST", f"/guilds/{GUILD_ID}/channels", json={"name": "made"})
    assert (answer.status, answer.headers["X-Discordproxy-Sent"]) == (408, "unknown")
    assert answer.headers["Retry-After"] == "1"
    assert HTTPStatus(status).phrase in answer.document["message"]


async def test_a_502_is_passed_on(call):
    call.served.discord.faults.add(Fault(kind="status", status=502))
    answer = await call("POST", f"/guilds/{GUILD_ID}/channels", json={"name": "made"})
    assert answer.status == 502


async def test_a_failed_response_to_an_interaction_may_be_repeated(call):
    """Discord accepts only one."""
    used = interact(call.served.discord.world, str(CHANNEL_ID), str(USER_ID))
    call.served.discord.faults.add(Fault(kind="status", status=500))
    path = f"/interactions/{used['id']}/{used['token']}/callback"
    answers = [await call("POST", path, json={"type": 4, "data": {"content": "x"}}) for _ in range(2)]
    assert [answer.status for answer in answers] == [500, 204]


@pytest.mark.parametrize("fields", [{}, {"unknown": "1"}])
async def test_a_response_to_an_interaction_may_be_an_encoded_form(call, fields):
    """As py-cord sends it; with other fields it is passed on as it is, and Discord judges it."""
    used = interact(call.served.discord.world, str(CHANNEL_ID), str(USER_ID))
    form = {"payload_json": json.dumps({"type": 4, "data": {"content": "ä & b"}}), **fields}
    path = f"/interactions/{used['id']}/{used['token']}/callback?with_response=true"
    answer = await call("POST", path, data=form)
    assert answer.status == 200
    assert answer.document["resource"]["message"]["content"] == "ä & b"


@pytest.mark.parametrize("nonce", ["1", 1, "x" * 25])
async def test_an_enforced_nonce_is_one_of_its_application(call, nonce):
    message = {"content": "x", "nonce": nonce, "enforce_nonce": True}
    answers = [await call("POST", MESSAGES, json=message, base=f"/app={app}/api/v10") for app in ("a", "b", "a")]
    assert [answer.document["nonce"] for answer in answers] == [nonce] * 3
    first, other, repeated = (answer.document["id"] for answer in answers)
    assert first == repeated != other
    assert len(call.served.discord.ledger.stored) == 2


@pytest.mark.parametrize("nonce", ["x" * 26, 1.5, [1], {}])
async def test_a_nonce_that_discord_refuses_is_refused_by_discord(call, nonce):
    answer = await call("POST", MESSAGES, json={"content": "x", "nonce": nonce, "enforce_nonce": True})
    assert answer.status in {200, 400}
    assert len(call.served.discord.ledger.records) == 1


@pytest.mark.parametrize(
    ("method", "target", "fields"),
    [
        ("POST", f"/channels/{CHANNEL_ID}/messages", {"content": "x"}),
        ("POST", f"/channels/{CHANNEL_ID}/messages", {"content": "x", "nonce": ""}),
        ("POST", f"/channels/{CHANNEL_ID}/messages", {"content": "x", "enforce_nonce": False}),
        ("POST", "/interactions/1/token/callback", {"type": 4}),
        ("PATCH", f"/channels/{CHANNEL_ID}/messages/1", {"content": "x"}),
        ("POST", f"/channels/{CHANNEL_ID}/threads", {"name": "x"}),
    ],
)
async def test_a_body_that_is_nested_very_deep(call, caplog, method, target, fields):
    deep = json.dumps(fields)[:-1] + ', "data": ' + "[" * 500 + "]" * 500 + "}"
    answer = await call(method, target, data=deep, headers={"Content-Type": "application/json"})
    assert answer.status != 500
    assert not [
        record for record in caplog.records if "discordproxy_api" in record.name and record.levelname == "ERROR"
    ]
