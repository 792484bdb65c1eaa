"""Secrets and message texts do not leak: searched for in all output, files and requests.

A whole server with canaries for a bot token, a Redis password, an application's key, webhook and interaction tokens
and message texts meets success and every kind of failure, at the most talkative level.
"""

import asyncio
import base64
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import grpc.aio
import pytest
import redis
from aiohttp import web
from yarl import URL

from discordproxy import discord_api_pb2 as pb
from discordproxy_api.access.keys import digest_of
from discordproxy_sandbox.rest.faults import Fault
from discordproxy_sandbox.sandbox import Sandbox
from fakes import ports
from fakes.eventually import eventually
from processes.deployment import CHANNEL, TOKEN, USER, Connect, Server
from processes.process import children_of, visible

PASSWORD = "c4nary-redis-password"
KEY = "dpk_" + "c4naryKey0" * 4 + "abc"
WRONG_KEY = "dpk_" + "c4naryBad0" * 4 + "abc"
CONTENT = "c4nary-content"
WEBHOOK_TOKEN = "c4naryWebhook" + "aB3" * 19
INTERACTION_TOKEN = base64.b64encode(b"interaction:777:" + b"c4nary" * 20).decode()
OPERATOR = (("authorization", f"Bearer {KEY}"),)


@pytest.fixture
async def collector(settings: dict[str, str]) -> AsyncIterator[list[bytes]]:
    """Takes what is exported as traces."""
    taken: list[bytes] = []

    async def take(request: web.Request) -> web.Response:
        taken.append(await request.read())
        return web.Response()

    app = web.Application()
    app.router.add_post("/v1/traces", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    settings |= {
        "DISCORDPROXY_TRACES": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{runner.addresses[0][1]}",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    yield taken
    await runner.cleanup()


@pytest.fixture
def secured(settings: dict[str, str], own_valkey, tmp_path: Path) -> None:
    with redis.Redis.from_url(own_valkey.url) as client:
        client.execute_command("ACL", "SETUSER", "worker", "on", f">{PASSWORD}", "~*", "&*", "+@all")
    keys = tmp_path / "keys.toml"
    keys.write_text(f'[[keys]]\napp = "srp"\nsha256 = "{digest_of(KEY)}"\n')
    settings |= {
        "DISCORDPROXY_REDIS_URL": own_valkey.url.replace("unix://", f"unix://worker:{PASSWORD}@"),
        "DISCORDPROXY_KEYS_FILE": str(keys),
        "DISCORDPROXY_RETRIES": "0",
        "DISCORDPROXY_DRAIN_TIMEOUT": "3",
    }


async def failing(call) -> str:
    """Return what a caller hears of its failed call; some do not fail."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return f"{error.details()} {error.trailing_metadata()}"
    return ""


async def everything_happens(discord: Sandbox, connect: Connect) -> list[str]:
    """Make calls of all sorts; return what the callers heard when they failed."""
    stub = connect()
    text = pb.SendChannelMessageRequest(channel_id=CHANNEL, content=CONTENT)
    direct = pb.SendDirectMessageRequest(user_id=USER, content=CONTENT)
    heard = [await failing(stub.SendDirectMessage(direct, metadata=OPERATOR))]
    assert heard == [""]
    for kind in ("status", "reset", "truncated", "rate_limited"):
        discord.faults.add(Fault(kind=kind, method="POST", status=500, scope="shared"))
        heard.append(await failing(stub.SendChannelMessage(text, metadata=OPERATOR, timeout=3)))
    calls = [
        stub.SendChannelMessage(pb.SendChannelMessageRequest(channel_id=1, content=CONTENT), metadata=OPERATOR),
        stub.SendChannelMessage(
            pb.SendChannelMessageRequest(channel_id=CHANNEL, content=CONTENT * 500), metadata=OPERATOR
        ),
        stub.SendChannelMessage(text),
        stub.SendChannelMessage(text, metadata=(("authorization", f"Bearer {WRONG_KEY}"),)),
        stub.Request(
            pb.ApiRequest(method="POST", path=f"/webhooks/1/{WEBHOOK_TOKEN}", json=f'{{"content": "{CONTENT}"}}'),
            metadata=OPERATOR,
        ),
        stub.Request(
            pb.ApiRequest(method="POST", path=f"/interactions/777/{INTERACTION_TOKEN}/callback", json='{"type": 5}'),
            metadata=OPERATOR,
        ),
        stub.ExecuteWebhook(
            pb.ExecuteWebhookRequest(webhook_id=1, webhook_token=WEBHOOK_TOKEN, content=CONTENT), metadata=OPERATOR
        ),
    ]
    heard += [await failing(call) for call in calls]
    discord.faults.add(Fault(kind="cloudflare", method="POST"))  # the last one: nothing is sent for a while
    return [*heard, await failing(stub.SendChannelMessage(text, metadata=OPERATOR, timeout=3))]


async def everything_happens_on_the_rest_port(discord: Sandbox, port: int) -> list[str]:
    """Make requests of all sorts; return what the callers heard when they failed, and the heads of all answers."""
    base, own, heard = f"http://127.0.0.1:{port}", {"Authorization": f"Bot {KEY}"}, []
    messages, content = f"/api/v10/channels/{CHANNEL}/messages", {"content": CONTENT}

    async def send(target: str, headers: dict[str, str], document: dict | None = content, method: str = "POST") -> int:
        url = URL(base + target, encoded=True)
        async with aiohttp.request(method, url, headers=headers, json=document) as answer:
            text = await answer.text()
            heard.append(f"{answer.headers}" + (text if answer.status != 200 else ""))
            return answer.status

    assert await send(messages, own) == 200
    assert await send(f"/key={KEY}{messages}", {}) == 200
    assert await send(messages, {"Authorization": f"Bot {TOKEN}"}) == 200
    for kind in ("status", "reset", "truncated", "rate_limited"):
        discord.faults.add(Fault(kind=kind, method="POST", status=500, scope="shared"))
        await send(f"/wait=1{messages}", own)
    for headers in (f"Bot {WRONG_KEY}", f"Bearer {WRONG_KEY}", f"Bot {TOKEN}x", f"Basic {WRONG_KEY}"):
        assert await send(messages, {"Authorization": headers}) == 401
    assert await send(f"/key={WRONG_KEY}{messages}", {}) == 401
    for target in (
        f"{messages}/../{KEY}",
        f"/wait={KEY}{messages}",
        f"/{KEY}={KEY}{messages}",
        f"/key={KEY}/key={KEY}/x",
    ):
        assert await send(target, own) == 400, target
    beside = {"Proxy-Authorization": f"Bearer {KEY}"}
    await send("/api/v10/channels/1/messages", own)
    await send(f"/api/v10/webhooks/1/{WEBHOOK_TOKEN}", beside)
    assert await send(f"/api/v10/webhooks/1/{WEBHOOK_TOKEN}/%2e%2e", beside) == 400
    assert await send(f"/api/v8/webhooks/1/{WEBHOOK_TOKEN}", beside) == 400
    await send(f"/api/v10/interactions/777/{INTERACTION_TOKEN}/callback", own, {"type": 5})
    return heard


async def pages_of(http_ports: list[int]) -> list[str]:
    found = []
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {KEY}"}) as session:
        for port in http_ports:
            for path in ("/", "/status.json", "/doctor.json", "/metrics", "/readyz", "/status.js"):
                async with session.get(f"http://127.0.0.1:{port}{path}") as answer:
                    assert answer.status in {200, 503}, path
                    found.append(f"{answer.headers}\n{await answer.text()}")
    return found


async def test_no_canary_sings(
    discord: Sandbox,
    secured: None,
    collector: list[bytes],
    server: Server,
    connect: Connect,
    http_ports: list[int],
    settings: dict[str, str],
    free_port: int,
    own_valkey,
    tmp_path: Path,
) -> None:
    rest_port = ports.free_port()
    settings["DISCORDPROXY_REST_PORT"] = str(rest_port)
    seen: dict[str, str | bytes] = {}
    talkative = ("--workers", "2", "--log-console-level", "DEBUG", "--log-file-level", "DEBUG")
    async with server(*talkative, DISCORDPROXY_LOG_FORMAT="json") as whole:
        for worker in (0, 1):
            await whole.line(f"worker {worker} serves Discord's HTTP API", within_s=60)
        answers = await everything_happens_on_the_rest_port(discord, rest_port)
        seen |= {f"answer {number}": text for number, text in enumerate(answers)}
        seen |= {f"error {number}": text for number, text in enumerate(await everything_happens(discord, connect))}
        seen |= {f"page {number}": text for number, text in enumerate(await pages_of(http_ports))}
        for question in ("status", "doctor"):
            target = ("--target", f"127.0.0.1:{free_port}")
            async with server(question, *target, command="discordproxy", DISCORDPROXY_API_KEY=KEY) as terminal:
                assert await terminal.ended(within_s=60) == 1, "the circuit is open"
            seen[f"terminal {question}"] = terminal.output
            assert "circuit" in terminal.output
        for pid in [whole.pid, *children_of(whole.pid)]:
            seen[f"process {pid}"] = visible(pid)
        own_valkey.stop()
        await whole.line("Redis (refuses connections|has no socket|does not answer)", within_s=60)
        stub = connect()
        request = pb.SendChannelMessageRequest(channel_id=CHANNEL, content=CONTENT)
        seen["error without redis"] = await failing(stub.SendChannelMessage(request, metadata=OPERATOR, timeout=5))
        seen |= {f"page without redis {number}": text for number, text in enumerate(await pages_of(http_ports))}
        await eventually(lambda: any(b"SendDirectMessage" in taken for taken in collector), within_s=30)
        whole.signal(signal.SIGTERM)
        await whole.ended(within_s=60)
        seen["output"] = whole.output
    seen["log"] = await asyncio.to_thread((tmp_path / "discordproxyserver.log").read_text)
    seen |= {f"trace {number}": taken for number, taken in enumerate(collector)}
    lines = [json.loads(line) for line in seen["log"].splitlines()]
    (told,) = [line for line in lines if line.get("rpc") == "SendDirectMessage" and line.get("status") == "OK"]
    assert told.keys() >= {"time", "level", "message", "app", "request_id", "trace_id", "sent", "seconds"}
    for canary in (TOKEN, PASSWORD, KEY, WRONG_KEY, CONTENT, WEBHOOK_TOKEN, INTERACTION_TOKEN):
        for form in (canary, base64.b64encode(canary.encode()).decode()[:-4], canary.replace("-", "%2D")):
            singing = [where for where, text in seen.items() if form.encode() in _bytes(text)]
            assert singing == [], f"{canary} is in {singing}"


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()
