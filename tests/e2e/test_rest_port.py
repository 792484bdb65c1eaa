"""The REST port of a whole server: workers share it, both ways in share the limits, a stop breaks no answer."""

import asyncio
import json
import signal
import statistics
import time

import aiohttp
import pytest

from bench.libraries.runs import library
from discordproxy import discord_api_pb2 as pb
from discordproxy_sandbox.limits.book import LimitBook, RouteLimit
from discordproxy_sandbox.rest.faults import Fault
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from discordproxy_sandbox.world.objects import make_channel
from fakes import ports
from fakes.eventually import eventually
from processes.deployment import CHANNEL, GUILD, TOKEN, Connect, Server

POST = "POST /channels/{channel_id}/messages"
BRISK = SandboxConfig(token=TOKEN, limits=LimitBook(routes={POST: RouteLimit(limit=5, window_s=0.5, kind="fixed")}))
MESSAGES = f"/channels/{CHANNEL}/messages"


@pytest.fixture
def base(settings: dict[str, str]) -> str:
    settings["DISCORDPROXY_REST_PORT"] = str(ports.free_port())
    return f"http://127.0.0.1:{settings['DISCORDPROXY_REST_PORT']}/wait=60/api/v10"


async def send(session: aiohttp.ClientSession, url: str, content: str) -> tuple[int, str]:
    try:
        async with session.post(url, json={"content": content}, headers={"Connection": "close"}) as answer:
            await answer.read()
            return answer.status, answer.headers.get("X-Discordproxy-Reason", "")
    except aiohttp.ClientConnectorError:
        return 0, "no connection"


@pytest.mark.parametrize("discord", [BRISK], indirect=True)
async def test_workers_share_the_port_and_both_ways_in_share_the_limits(
    discord: Sandbox, server: Server, connect: Connect, base: str
) -> None:
    async with server("--workers", "2") as whole, aiohttp.ClientSession() as session:
        await whole.line(r"Discord Proxy .* is ready")
        assert any(
            f"{base.split('/wait', maxsplit=1)[0].replace('127.0.0.1', 'localhost')}/api/v10" in line
            for line in whole.lines
        )

        def served() -> set[str]:
            return {line.split(": ")[0].split()[-1] for line in whole.lines if "door=http" in line}

        async def both_serve() -> bool:
            async with session.get(f"{base}/channels/{CHANNEL}", headers={"Connection": "close"}) as answer:
                await answer.read()
            return served() == {"api.0", "api.1"}

        await eventually(both_serve)  # the server is ready with its first worker
        stub = connect()
        over_http = [send(session, base + MESSAGES, f"http {number}") for number in range(20)]
        over_grpc = [
            stub.SendChannelMessage(
                pb.SendChannelMessageRequest(channel_id=CHANNEL, content=f"grpc {number}"), timeout=60
            )
            for number in range(10)
        ]
        answers = await asyncio.gather(*over_http, *over_grpc)
    assert {status for status, _ in answers[:20]} == {200}
    assert len(discord.ledger.stored) == 30
    assert {record.status for record in discord.ledger.matching(POST)} == {200}


async def test_a_stop_answers_every_request(discord: Sandbox, server: Server, base: str) -> None:
    discord.faults.add(Fault(kind="slow", path=MESSAGES, delay_s=1.0, count=100))
    async with server() as whole, aiohttp.ClientSession() as session:
        await whole.line(r"Discord Proxy .* is ready")
        waiting = [asyncio.create_task(send(session, base + MESSAGES, str(number))) for number in range(30)]
        await eventually(lambda: discord.ledger.records)
        whole.signal(signal.SIGTERM)
        answers = await asyncio.gather(*waiting)
        assert await whole.ended() == 0
    assert set(answers) <= {(200, ""), (429, "DRAINING"), (0, "no connection")}
    assert (200, "") in answers
    assert len(discord.ledger.stored) == answers.count((200, ""))


QUEUED, URGENT = 1_000, 5
USUALLY_OVERTAKING, MAX_OVERTAKING = 15, 50
"""Messages of the crowd between an urgent call and its arrival at Discord: five leave in a tenth of a second, and a
burst of all slots of a second may be on its way.
"""


@pytest.mark.parametrize("discord", [SandboxConfig(token=TOKEN, limits=LimitBook(default=None))], indirect=True)
async def test_an_urgent_call_does_not_wait_for_the_queue_of_a_library(
    discord: Sandbox, server: Server, connect: Connect, base: str, free_port: int
) -> None:
    channels = [str(CHANNEL + 1_000 + number) for number in range(QUEUED)]
    for channel in channels:
        discord.world.add_channel(make_channel(channel, str(GUILD), "crowd", 0, 0))
    rest = base.partition("/wait")[0]
    messages = [(label, channel, 0.0) for label, channel in enumerate(channels)]
    async with server() as whole, library("discord.py") as crowd:
        await whole.line(r"Discord Proxy .* is ready")
        await crowd.ready({"rest": rest, "messages": messages, "token": TOKEN, "app": "crowd"})
        sending = asyncio.create_task(crowd.send(time.monotonic()))
        stub = connect()

        async def waiting() -> int:
            target = ("--target", f"127.0.0.1:{free_port}")
            async with server("status", "--json", *target, command="discordproxy") as process:
                await process.ended()
                return json.loads(process.output)["waiting"]

        await eventually(lambda: len(discord.ledger.stored) > 100)
        assert await waiting() > QUEUED / 2
        metadata = (("x-discordproxy-app", "urgent"), ("x-discordproxy-priority", "high"))
        overtaking = []
        for _ in range(URGENT):
            before = len(discord.ledger.stored)
            request = pb.SendChannelMessageRequest(channel_id=CHANNEL, content="urgent")
            answer = await stub.SendChannelMessage(request, metadata=metadata, timeout=60)
            places = [int(each.message_id) for each in discord.ledger.stored]
            overtaking.append(places.index(answer.message.id) - before)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
    assert statistics.median(overtaking) <= USUALLY_OVERTAKING, overtaking
    assert max(overtaking) <= MAX_OVERTAKING, overtaking
