"""Status and checks of a worker in this process, with a real broker: who may see them, and what they find."""

import asyncio
import contextlib
import json
from contextlib import AsyncExitStack, asynccontextmanager

import aiohttp
import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.wrappers_pb2 import StringValue
from prometheus_client import CollectorRegistry

from discordproxy.discord_api_pb2 import ApiRequest, ChannelId, SendChannelMessageRequest
from discordproxy_api.access.keys import digest_of, new_key
from discordproxy_api.http.pages import StatusPages
from discordproxy_api.http.server import HttpServer
from discordproxy_ratelimit.broker import Broker
from discordproxy_ratelimit.metrics import Decisions
from discordproxy_ratelimit.redis.client import connect
from discordproxy_sandbox.world.population import CHANNEL_ID
from fakes.eventually import eventually
from integration.api.conftest import Served, serve

CHANNEL = int(CHANNEL_ID)


@asynccontextmanager
async def console_on(discord, url: str, prefix: str, **settings):
    """A worker with a broker and a gateway's keys on a real Redis."""
    broker = Broker(connect(url), prefix=prefix, bot_id="1", decisions=Decisions(CollectorRegistry()))
    await broker.start()
    await broker.ready()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(broker.close)
        kept = {"redis": url, "redis_url": url, "key_prefix": prefix, **settings}
        yield await stack.enter_async_context(serve(discord, broker, **kept))


async def ask(served: Served, question: str, key: str = ""):
    method = served.channel.unary_unary(
        f"/discordproxy.Console/{question}",
        request_serializer=Empty.SerializeToString,
        response_deserializer=StringValue.FromString,
    )
    metadata = (("authorization", f"Bearer {key}"),) if key else None
    return json.loads((await method(Empty(), metadata=metadata)).value)


async def test_checks_find_a_revoked_token_and_name_the_fix(discord, valkey: str, key_prefix: str) -> None:
    discord.access.tokens = {"another"}
    async with console_on(discord, valkey, key_prefix) as served:
        first, second = await asyncio.gather(ask(served, "Doctor"), ask(served, "Doctor"))
    assert first == second
    found = {finding["subject"]: finding for finding in first}
    assert not found["token"]["good"]
    assert "DISCORD_BOT_TOKEN" in found["token"]["fix"]
    assert found["discord"]["good"], "it answers, if only to refuse"
    assert found["redis"]["good"]
    assert not found["gateway"]["good"]
    asked = [record.path for record in discord.ledger.records if record.path.endswith("/users/@me")]
    assert len(asked) == 1, "two who ask at the same time are answered by one look"


async def test_an_application_that_spends_its_share_of_invalid_requests_is_stopped_alone(
    discord, valkey: str, key_prefix: str
) -> None:
    message = SendChannelMessageRequest(channel_id=CHANNEL, content="x")
    async with console_on(discord, valkey, key_prefix) as served:
        flood, other = ((("x-discordproxy-app", app),) for app in ("flood", "other"))
        await served.broker._circuit._run_script("count", 4_700, "flood")

        async def answer(number: int) -> dict:
            bad = ApiRequest(method="GET", path=f"/channels/{CHANNEL}", authorization=f"Bearer r{number}")
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await served.stub.Request(bad, metadata=flood)
            return {"grpc": failed.value.code().name, **json.loads(failed.value.details())}

        answers = [await answer(number) for number in range(60)]
        assert (answers[0]["grpc"], answers[0]["reason"]) == ("UNAUTHENTICATED", "DISCORD_ERROR")
        last, sent = answers[-1], len(discord.ledger.records)
        assert (last["grpc"], last["reason"], last["sent"]) == ("RESOURCE_EXHAUSTED", "INVALID_BUDGET_USED", "no")
        assert "flood has used up its share" in last["text"]
        assert sent < 60
        with pytest.raises(grpc.aio.AioRpcError):
            await served.stub.SendChannelMessage(message, metadata=flood)
        await served.stub.SendChannelMessage(message, metadata=other)
        assert len(discord.ledger.records) == sent + 1
        assert not served.worker.services[0].rest.token_refused
        circuit = (await ask(served, "Status"))["circuit"]
        assert circuit["state"] == "closed"
        assert [(share["app"], share["stopped"]) for share in circuit["apps"]] == [("flood", True)]
        assert "The application flood is stopped" in circuit["problems"][0]


async def test_the_status_shows_the_circuit_that_decides(discord, valkey: str, key_prefix: str) -> None:
    async with console_on(discord, valkey, key_prefix) as served:
        for app in ("a", "b"):
            await served.broker._circuit._run_script("count", 4_800, app)
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await served.stub.GetChannel(ChannelId(channel_id=CHANNEL))
        assert json.loads(failed.value.details())["reason"] == "CIRCUIT_OPEN"
        circuit = (await ask(served, "Status"))["circuit"]
        assert (circuit["state"], circuit["reason"]) == ("open", "spent")
        assert "came from a (4800), b (4800)" in circuit["problems"][0]


async def test_a_key_without_the_right_sees_nothing(discord, valkey: str, key_prefix: str, tmp_path) -> None:
    keys = {right: new_key() for right in ("true", "false")}
    (tmp_path / "keys.toml").write_text(
        "".join(
            f'[[keys]]\napp = "{right}"\nsha256 = "{digest_of(key)}"\nstatus = {right}\n' for right, key in keys.items()
        )
    )
    async with console_on(discord, valkey, key_prefix, keys_file=tmp_path / "keys.toml") as served:
        assert "workers" in await ask(served, "Status", keys["true"])
        for key, code in ((keys["false"], "PERMISSION_DENIED"), ("", "UNAUTHENTICATED")):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await ask(served, "Status", key)
            assert refused.value.code().name == code


async def test_the_counts_of_a_worker_are_reported_when_redis_is_back(discord, own_valkey, key_prefix: str) -> None:
    async with console_on(discord, own_valkey.url, key_prefix) as served:
        reporter = served.worker.reporter
        await served.stub.GetChannel(ChannelId(channel_id=CHANNEL))
        own_valkey.stop()
        await reporter.report()
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await ask(served, "Status")
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
        assert any(not finding["good"] for finding in await ask(served, "Doctor") if finding["subject"] == "redis")
        own_valkey.start()
        await eventually(lambda: served.broker.is_up)
        await reporter.report()
        document = await ask(served, "Status")
        assert sum(document["ticks"]["calls"]) == 1
        assert [worker["state"] for worker in document["workers"]] == ["serving"]
        await reporter.withdraw()
        await asyncio.sleep(0)


async def test_a_third_of_the_calls_fails_and_both_doors_say_so(discord, valkey: str, key_prefix: str) -> None:
    async with console_on(discord, valkey, key_prefix) as served:
        for _ in range(13):
            await served.stub.GetChannel(ChannelId(channel_id=CHANNEL))
        discord.world.forbid(CHANNEL_ID, 50013)
        for _ in range(7):
            with contextlib.suppress(grpc.aio.AioRpcError):
                await served.stub.SendChannelMessage(SendChannelMessageRequest(channel_id=CHANNEL, content="hi"))
        await served.worker.reporter.report()
        (found,) = (await ask(served, "Status"))["failing"]
        (finding,) = [one for one in await ask(served, "Doctor") if one["subject"] == "calls"]
    assert found["text"].startswith("35 % of the calls failed in five minutes (7 of 20, all of ")
    assert "(7 times): The bot lacks a permission (PERMISSION_DENIED, Discord's code 50013)." in found["text"]
    assert (finding["good"], finding["text"] + ".", finding["fix"]) == (False, found["text"], found["fix"])


async def test_a_foreign_name_for_this_machine_shows_nothing(discord, valkey: str, key_prefix: str) -> None:
    async with console_on(discord, valkey, key_prefix) as served:
        worker = served.worker
        ops = HttpServer(worker.health, worker.metrics, pages=StatusPages(worker.console).routes())
        port = await ops.start("127.0.0.1", 0)
        async with aiohttp.ClientSession() as session:
            for name, status in (("localhost", 200), ("127.0.0.1", 200), ("[::1]", 200), ("evil.example", 421)):
                host = {"Host": f"{name}:{port}"}
                async with session.get(f"http://127.0.0.1:{port}/status.json", headers=host) as answer:
                    assert answer.status == status, name
        await ops.close()
