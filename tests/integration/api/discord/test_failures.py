"""What goes wrong at Discord or on the way, and what the caller is told: status, `sent`, and never a second message."""

import hashlib
import json

import grpc
import pytest

from discordproxy.discord_api_pb2 import (
    ApiRequest,
    CreateInviteRequest,
    GetGuildChannelsRequest,
    MessageId,
    RequestOptions,
    SendChannelMessageRequest,
    SendDirectMessageRequest,
    SyncMemberRolesRequest,
)
from discordproxy.discord_api_pb2_grpc import DiscordApiStub
from discordproxy_ratelimit.errors import BrokerUnavailableError, KnownRefusalError, WaitRefusedError
from discordproxy_sandbox.rest.faults import Fault
from discordproxy_sandbox.world.population import CHANNEL_ID, GUILD_ID, USER_ID
from fakes.http_proxy import http_proxy
from integration.api.conftest import TOKEN, serve

MESSAGE = SendChannelMessageRequest(channel_id=int(CHANNEL_ID), content="Hello")
INVITE = CreateInviteRequest(channel_id=int(CHANNEL_ID))


async def failure(call):
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    error = failed.value
    return error.code().name, json.loads(error.details()), dict(list(error.trailing_metadata()))


@pytest.mark.parametrize(
    ("http", "status", "sent"),
    [
        (400, "INVALID_ARGUMENT", "no"),
        (401, "UNAUTHENTICATED", "no"),
        (403, "PERMISSION_DENIED", "no"),
        (404, "NOT_FOUND", "no"),
        (409, "FAILED_PRECONDITION", "no"),
        (500, "INTERNAL", "unknown"),
        (502, "UNAVAILABLE", "unknown"),
        (503, "INTERNAL", "unknown"),
        (504, "DEADLINE_EXCEEDED", "unknown"),
    ],
)
async def test_status_and_sent_of_a_request_that_cannot_be_repeated(served, http, status, sent):
    served.discord.faults.add(Fault(kind="status", status=http))
    name, details, trailers = await failure(served.stub.CreateInvite(INVITE))
    assert (name, details["type"], details["status"], details["sent"]) == (status, "HTTPException", http, sent)
    assert trailers["x-request-id"] == details["request_id"]
    assert trailers["grpc-retry-pushback-ms"] == "-1"
    assert len(served.discord.ledger.records) == 1


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", ["status", "reset"])
async def test_a_message_is_repeated_and_never_doubled(served, kind, when):
    served.discord.faults.add(Fault(kind=kind, when=when, status=502))
    answer = await served.stub.SendChannelMessage(MESSAGE)
    assert answer.message.content == "Hello"
    assert len(served.discord.ledger.stored) == 1
    assert len(served.discord.ledger.records) == 2
    outcomes = [answer.status if answer else None for _permit, answer in served.broker.ended]
    assert outcomes == [502 if kind == "status" else 0, 200]


async def test_a_lost_answer_of_what_cannot_be_repeated_is_unknown(served):
    served.discord.faults.add(Fault(kind="reset", when="after"))
    name, details, _ = await failure(served.stub.CreateInvite(INVITE))
    assert (name, details["type"], details["reason"]) == ("UNAVAILABLE", "ProxyException", "DISCORD_UNREACHABLE")
    assert (details["sent"], details["retry_after"]) == ("unknown", 1.0)
    assert any(cause in details["text"] for cause in ("ConnectionResetError", "connection closed"))
    assert len(served.discord.ledger.records) == 1


@pytest.mark.parametrize(
    ("call", "request_", "sent"),
    [
        ("SendChannelMessage", MESSAGE, "unknown"),
        ("GetGuildChannels", GetGuildChannelsRequest(guild_id=int(GUILD_ID), fresh=True), "no"),
    ],
)
async def test_when_discord_cuts_every_connection_the_proxys_attempts_are_all(discord, call, request_, sent):
    discord.faults.add(Fault(kind="reset", count=99))
    async with serve(discord, retries=2) as served:
        name, details, trailers = await failure(getattr(served.stub, call)(request_))
    assert (name, details["reason"], details["scope"]) == ("UNAVAILABLE", "DISCORD_UNREACHABLE", "proxy")
    assert (details["sent"], trailers["grpc-retry-pushback-ms"]) == (sent, "-1")
    assert len(discord.ledger.records) == 3


async def test_a_retry_policy_of_grpc_does_not_multiply_the_attempts(discord, unused_port):
    policy = {"maxAttempts": 5, "initialBackoff": "0.01s", "maxBackoff": "0.01s", "backoffMultiplier": 1}
    codes = ["UNAVAILABLE", "RESOURCE_EXHAUSTED"]
    service = json.dumps({"methodConfig": [{"name": [{}], "retryPolicy": policy | {"retryableStatusCodes": codes}}]})
    async with (
        serve(discord, discord_url=f"http://127.0.0.1:{unused_port}/api/v10", retries=0) as served,
        grpc.aio.insecure_channel(f"127.0.0.1:{served.port}", [("grpc.service_config", service)]) as channel,
    ):
        _, details, _ = await failure(DiscordApiStub(channel).SendChannelMessage(MESSAGE))
        assert (details["reason"], details["sent"], len(served.broker.acquired)) == ("DISCORD_UNREACHABLE", "no", 1)


async def test_giving_up_after_the_attempts(discord):
    discord.faults.add(Fault(kind="status", status=500, count=10))
    async with serve(discord, retries=1) as served:
        name, details, _ = await failure(served.stub.SendChannelMessage(MESSAGE))
    assert (name, details["sent"], len(discord.ledger.records)) == ("INTERNAL", "unknown", 2)


async def test_a_refusal_after_a_lost_answer_leaves_it_unknown(served):
    served.discord.faults.add(Fault(kind="reset", when="after"))
    served.discord.faults.add(Fault(kind="status", status=403))
    name, details, _ = await failure(served.stub.SendChannelMessage(MESSAGE))
    assert (name, details["sent"]) == ("PERMISSION_DENIED", "unknown")


async def test_a_repeated_delete_that_finds_nothing_has_succeeded(served):
    message = (await served.stub.SendChannelMessage(MESSAGE)).message
    served.discord.faults.add(Fault(kind="reset", when="after"))
    await served.stub.DeleteMessage(MessageId(channel_id=int(CHANNEL_ID), message_id=message.id))
    name, details, _ = await failure(
        served.stub.DeleteMessage(MessageId(channel_id=int(CHANNEL_ID), message_id=message.id))
    )
    assert (name, details["code"], details["sent"]) == ("NOT_FOUND", 10008, "no")


@pytest.mark.parametrize("body", ["page", ""], ids=["edge", "without a code"])
async def test_a_repeated_delete_that_somebody_else_refuses_has_not_succeeded(served, body):
    message = (await served.stub.SendChannelMessage(MESSAGE)).message
    served.discord.faults.add(Fault(kind="reset", method="DELETE"))
    served.discord.faults.add(Fault(kind="status", method="DELETE", status=404, body=body))
    name, details, _ = await failure(
        served.stub.DeleteMessage(MessageId(channel_id=int(CHANNEL_ID), message_id=message.id))
    )
    assert (name, details["sent"]) == ("NOT_FOUND", "unknown")
    assert len(served.discord.ledger.stored) == 1


async def test_429_goes_back_to_the_head_of_the_queue(served):
    served.discord.faults.add(Fault(kind="rate_limited", retry_after_body=0.5))
    await served.stub.SendChannelMessage(MESSAGE)
    first, second = served.broker.acquired
    assert first.retry_of is None
    assert second.retry_of is served.broker.ended[0][0]
    assert served.broker.ended[0][1].retry_after_s == 0.5


async def test_the_pauses_after_429s_count_towards_the_longest_wait(served):
    """Discord may answer 429 again and again with a time that is too short."""
    served.discord.faults.add(Fault(kind="rate_limited", retry_after_body=0.0, retry_after_header="0", count=99))
    request = SendChannelMessageRequest()
    request.CopyFrom(MESSAGE)
    request.options.max_wait.FromMilliseconds(400)
    name, details, _ = await failure(served.stub.SendChannelMessage(request, timeout=60))
    assert (name, details["status"], details["sent"]) == ("RESOURCE_EXHAUSTED", 429, "no")
    assert len(served.discord.ledger.records) == 4, "two at once, a pause of 0.25 s, and no further one fits"


@pytest.mark.parametrize("scope", ["user", "shared", "global"])
@pytest.mark.parametrize("body", ["empty", "cut", "text", "page"])
async def test_429_of_discord_with_an_odd_body_is_waited_for(served, body, scope):
    served.discord.faults.add(Fault(kind="rate_limited", scope=scope, body=body, retry_after_header="2"))
    await served.stub.SendChannelMessage(MESSAGE)
    answer = served.broker.ended[0][1]
    assert (answer.from_discord, answer.scope, answer.retry_after_s) == (True, scope, 2.0)


@pytest.mark.parametrize("body", ["", "json", "empty", "cut", "text"])
async def test_429_of_the_edge_is_not_taken_for_discords(served, body):
    served.discord.faults.add(Fault(kind="cloudflare", body=body, count=99))
    _, details, _ = await failure(served.stub.SendChannelMessage(MESSAGE, timeout=3.0))
    assert (details["status"], details["answered_by"]) == (429, "edge")
    assert not any(answer.from_discord for _permit, answer in served.broker.ended)


async def test_a_429_that_cannot_be_waited_out_is_reported_with_its_time(served):
    served.discord.faults.add(Fault(kind="rate_limited", retry_after_body=30.0, retry_after_header="30", count=99))
    name, details, _ = await failure(served.stub.SendChannelMessage(MESSAGE, timeout=1.5))
    assert (name, details["status"], details["retry_after"], details["sent"]) == ("RESOURCE_EXHAUSTED", 429, 30.0, "no")
    assert len(served.discord.ledger.records) <= 10, "even where nothing holds a repeat back, each pauses longer"


async def test_an_answer_that_is_cut_short_was_sent(served):
    served.discord.faults.add(Fault(kind="truncated"))
    name, details, _ = await failure(served.stub.SendChannelMessage(MESSAGE))
    assert (name, details["sent"]) == ("INTERNAL", "yes")


@pytest.mark.parametrize(
    ("call", "request_", "sent"),
    [
        ("SendChannelMessage", MESSAGE, "yes"),
        ("GetGuildChannels", GetGuildChannelsRequest(guild_id=int(GUILD_ID), fresh=True), "no"),
        ("SyncMemberRoles", SyncMemberRolesRequest(guild_id=int(GUILD_ID), user_id=int(USER_ID)), "no"),
    ],
)
async def test_an_answer_without_a_document_is_no_empty_ok(served, call, request_, sent):
    served.discord.faults.add(Fault(kind="status", status=204))
    name, details, _ = await failure(getattr(served.stub, call)(request_))
    assert (name, details["sent"]) == ("INTERNAL", sent)
    assert "unexpected form" in details["text"]


@pytest.mark.parametrize("status", [200, 202])
async def test_an_answer_without_a_message_is_no_message(served, status):
    served.discord.faults.add(Fault(kind="status", status=status))
    name, details, _ = await failure(served.stub.SendChannelMessage(MESSAGE))
    assert (name, details["sent"]) == ("INTERNAL", "yes")
    assert "unexpected form" in details["text"]


async def test_an_answer_without_a_document_is_fine_where_discord_has_such_an_answer(served):
    served.discord.faults.add(Fault(kind="status", status=204))
    assert not (await served.stub.CreateInvite(INVITE)).HasField("invite")


async def test_nobody_listens_at_discord(discord, unused_port):
    async with serve(discord, discord_url=f"http://127.0.0.1:{unused_port}/api/v10", retries=1) as served:
        name, details, _ = await failure(served.stub.CreateInvite(INVITE))
        assert (name, details["reason"], details["sent"]) == ("UNAVAILABLE", "DISCORD_UNREACHABLE", "no")
        assert [answer for _permit, answer in served.broker.ended] == [None, None]


async def test_discord_does_not_answer_in_time(discord):
    discord.faults.add(Fault(kind="silent"))
    async with serve(discord, http_timeout=0.2) as served:
        name, details, _ = await failure(served.stub.CreateInvite(INVITE))
    assert (name, details["reason"], details["sent"]) == ("UNAVAILABLE", "DISCORD_UNREACHABLE", "unknown")


@pytest.mark.parametrize(
    ("refusal", "status", "reason"),
    [
        (WaitRefusedError("too long", retry_after_s=9.0), "RESOURCE_EXHAUSTED", "WAIT_EXCEEDS_DEADLINE"),
        (BrokerUnavailableError("no Redis", retry_after_s=1.0), "UNAVAILABLE", "BROKER_UNAVAILABLE"),
        (KnownRefusalError("no", status=403, code=50001, retry_after_s=60.0), "PERMISSION_DENIED", "DISCORD_ERROR"),
    ],
)
async def test_refusals_of_the_broker_send_nothing(served, refusal, status, reason):
    served.broker.refusal = refusal
    name, details, _ = await failure(served.stub.GetGuildChannels(GetGuildChannelsRequest(guild_id=int(GUILD_ID))))
    assert (name, details["reason"], details["sent"]) == (status, reason, "no")
    assert details["retry_after"] == refusal.retry_after_s
    assert not served.discord.ledger.records


async def test_a_permit_that_ran_out_sends_nothing(served):
    served.broker.void = BrokerUnavailableError("no sign of life", retry_after_s=1.0)
    name, details, _ = await failure(served.stub.SendChannelMessage(MESSAGE))
    assert (name, details["reason"], details["sent"]) == ("UNAVAILABLE", "BROKER_UNAVAILABLE", "no")
    assert not served.discord.ledger.records
    assert [answer for _permit, answer in served.broker.ended] == [None]
    served.broker.void = None
    await served.stub.SendChannelMessage(MESSAGE)


async def test_a_lost_dm_channel_does_not_mean_a_lost_message(discord):
    discord.faults.add(Fault(kind="status", status=500, path="users/@me/channels", count=99))
    async with serve(discord, retries=1) as served:
        request = SendDirectMessageRequest(user_id=int(USER_ID), content="x")
        name, details, _ = await failure(served.stub.SendDirectMessage(request))
    assert (name, details["sent"]) == ("INTERNAL", "no")


async def test_a_dm_channel_that_went_away_is_opened_anew(served):
    request = SendDirectMessageRequest(user_id=int(USER_ID), content="x")
    await served.stub.SendDirectMessage(request)
    served.broker.claims.kept[f"dm:{USER_ID}"] = b"42"
    answer = await served.stub.SendDirectMessage(request)
    assert answer.message.channel_id != 42
    assert served.broker.claims.kept[f"dm:{USER_ID}"] == str(answer.message.channel_id).encode()


async def test_a_direct_message_is_sent_while_redis_is_away(served):
    served.broker.claims.down = True
    answer = await served.stub.SendDirectMessage(SendDirectMessageRequest(user_id=int(USER_ID), content="x"))
    assert [int(stored.message_id) for stored in served.discord.ledger.stored] == [answer.message.id]


async def test_a_half_sent_split_names_what_exists(served):
    served.discord.faults.add(Fault(kind="status", status=403, skip=1))
    request = SendChannelMessageRequest(channel_id=int(CHANNEL_ID), content="word " * 900, overflow="OVERFLOW_SPLIT")
    name, details, _ = await failure(served.stub.SendChannelMessage(request))
    assert (name, details["sent"]) == ("PERMISSION_DENIED", "yes")
    assert details["sent_message_ids"] == [served.discord.ledger.stored[0].message_id]


async def test_split_is_in_order(served):
    text = "\n".join(f"line {number}" for number in range(600))
    request = SendChannelMessageRequest(channel_id=int(CHANNEL_ID), content=text, overflow="OVERFLOW_SPLIT")
    answer = await served.stub.SendChannelMessage(request)
    messages = [answer.message, *answer.more_messages]
    assert "\n".join(message.content for message in messages) == text
    assert [message.id for message in messages] == sorted(message.id for message in messages)


async def test_large_answers_are_not_read(discord):
    async with serve(discord, max_answer_bytes=100) as served:
        name, details, _ = await failure(served.stub.SendChannelMessage(MESSAGE))
    assert (name, details["sent"]) == ("RESOURCE_EXHAUSTED", "yes")


async def test_the_token_is_in_no_error(discord):
    discord.faults.add(Fault(kind="status", status=500, count=99))
    async with serve(discord, retries=1) as served:
        _, details, trailers = await failure(served.stub.Request(ApiRequest(method="GET", path="/users/@me")))
    assert "canary" not in json.dumps(details) + repr(trailers)


@pytest.mark.parametrize("size", [9_000, 60_000])
async def test_a_long_header_of_an_answer_is_read(served, size):
    served.discord.faults.add(Fault(kind="long_header", size=size))
    assert (await served.stub.SendChannelMessage(MESSAGE)).message.content == "Hello"


@pytest.mark.parametrize(
    ("call", "request_", "sent"),
    [
        ("SendChannelMessage", MESSAGE, "unknown"),
        ("GetGuildChannels", GetGuildChannelsRequest(guild_id=int(GUILD_ID), fresh=True), "no"),
    ],
)
async def test_an_answer_whose_headers_cannot_be_read_is_not_asked_for_again(served, call, request_, sent, caplog):
    served.discord.faults.add(Fault(kind="long_header", size=70_000, count=99))
    name, details, trailers = await failure(getattr(served.stub, call)(request_))
    assert (name, details["reason"], details["sent"]) == ("INTERNAL", "INTERNAL", sent)
    assert "cannot be read" in details["text"]
    assert any(details["text"] in line and details["request_id"] in line for line in caplog.messages)
    assert len(served.discord.ledger.records) == 1
    assert trailers["grpc-retry-pushback-ms"] == "-1"


@pytest.mark.parametrize("status", [200, 400, 401, 403, 429, 500])
async def test_an_answer_that_repeats_the_bots_token_is_passed_on_without_it(served, status, caplog):
    caplog.set_level("DEBUG")
    served.discord.faults.add(Fault(kind="echo", status=status, count=99))
    asked = ApiRequest(method="POST", path="/guilds/1/anything", json="{}")
    try:
        seen = str(
            await served.stub.Request(asked, timeout=1.5 if status == 429 else 20)
        )  # a 429 is repeated until then
    except grpc.aio.AioRpcError as error:
        seen = f"{error.details()} {error.trailing_metadata()}"
    assert "You sent Bot ***" in seen
    assert TOKEN not in seen + caplog.text
    assert TOKEN not in str([answer for _permit, answer in served.broker.ended])


async def test_discord_is_reached_through_the_http_proxy_of_the_environment(discord, monkeypatch):
    async with http_proxy(discord.port) as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://us:pw@127.0.0.1:{proxy.port}")
        async with serve(discord, discord_url="http://discord.test/api/v10") as served:
            await served.stub.SendChannelMessage(MESSAGE)
        [head] = [head for head in proxy.heads if head.startswith("POST")]
        assert head.startswith("POST http://discord.test/api/v10/channels/")
        assert "Proxy-Authorization: Basic dXM6cHc=" in head
        async with serve(discord) as served:  # loopback: without it
            await served.stub.SendChannelMessage(MESSAGE)
        assert len([head for head in proxy.heads if head.startswith("POST")]) == 1


async def test_an_http_proxy_that_refuses_is_named(discord, monkeypatch):
    async with http_proxy(discord.port) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        async with serve(discord, discord_url="https://discord.test/api/v10", retries=0) as served:
            name, details, _ = await failure(served.stub.SendChannelMessage(MESSAGE))
    assert (name, details["reason"], details["sent"]) == ("UNAVAILABLE", "DISCORD_UNREACHABLE", "no")
    assert "HTTPS_PROXY" in details["text"]


async def test_request_with_a_token_in_its_path_carries_no_other(served):
    webhook = await served.stub.Request(
        ApiRequest(method="POST", path=f"/channels/{CHANNEL_ID}/webhooks", json='{"name": "x"}')
    )
    made = json.loads(webhook.body)
    await served.stub.Request(
        ApiRequest(method="POST", path=f"/webhooks/{made['id']}/{made['token']}", json='{"content": "x"}')
    )
    assert served.discord.ledger.records[-1].credential == "none"
    assert not served.discord.ledger.violations
    with pytest.raises(grpc.aio.AioRpcError):
        await served.stub.Request(ApiRequest(method="GET", path=f"/webhooks/{made['id']}/wrong-token"))
    assert not served.worker.services[0].rest.token_refused


async def test_no_application_gets_the_message_of_another_one_for_its_nonce(served):
    a, b = ((("x-discordproxy-app", app),) for app in ("a", "b"))
    send, stored = served.stub.SendChannelMessage, served.discord.ledger.stored
    served.discord.limits.set("POST /channels/{channel_id}/messages", None)

    def message(**fields):
        return SendChannelMessageRequest(channel_id=int(CHANNEL_ID), **fields)

    first = (await send(message(content="of a", nonce="order-1"), metadata=a)).message
    other = (await send(message(content="of b", nonce="order-1"), metadata=b)).message
    again = (await send(message(content="of a", nonce="order-1"), metadata=a)).message
    assert (first.nonce, other.nonce, again.id) == ("order-1", "order-1", first.id)
    assert (other.content, len(stored)) == ("of b", 2)

    keyed = {"content": "of a", "options": RequestOptions(idempotency_key="k")}
    guess = hashlib.sha256(b"0:a SendChannelMessage k").hexdigest()[:25]
    for nonce in (guess, stored[0].nonce):  # what could be computed, what could be seen
        body = json.dumps({"content": "of b", "nonce": nonce})
        asked = ApiRequest(method="POST", path=f"/channels/{CHANNEL_ID}/messages", json=body)
        answer = json.loads((await served.stub.Request(asked, metadata=b)).body)
        assert (answer["content"], answer["nonce"]) == ("of b", nonce)
    assert (await send(message(**keyed), metadata=a)).message.content == "of a"
    assert len(stored) == 5
