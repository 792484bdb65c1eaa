"""The REST port while Redis is away: calls of a library outlive a short outage, a long one shows and ends."""

import asyncio
import signal
import time
from collections.abc import Callable

import aiohttp
import pytest

from bench.libraries.runs import library
from discordproxy_sandbox.sandbox import Sandbox
from discordproxy_sandbox.world.objects import make_channel
from fakes.eventually import eventually
from fakes.ports import free_port
from processes.deployment import CHANNEL, GUILD, TOKEN, Server
from processes.redis_servers import Servers

CALLS, PER_S = 40, 10
Outage = tuple[Callable[[Servers], None], Callable[[Servers], None]]
OUTAGES: dict[str, Outage] = {
    "killed": (Servers.stop, Servers.start),
    "frozen": (lambda one: one.send_signal(signal.SIGSTOP), lambda one: one.send_signal(signal.SIGCONT)),
}


@pytest.fixture
def rest(settings: dict[str, str], own_valkey: Servers) -> str:
    settings["DISCORDPROXY_REDIS_URL"] = own_valkey.url
    settings["DISCORDPROXY_REST_PORT"] = str(free_port())
    return f"http://127.0.0.1:{settings['DISCORDPROXY_REST_PORT']}"


@pytest.mark.parametrize("how", OUTAGES)
async def test_calls_of_a_library_outlive_a_short_outage(
    how: str, discord: Sandbox, server: Server, rest: str, http_ports: list[int], own_valkey: Servers
) -> None:
    begin, end = OUTAGES[how]
    channels = [str(CHANNEL + 100 + number) for number in range(CALLS)]
    for channel in channels:
        discord.world.add_channel(make_channel(channel, str(GUILD), "load", 0, 0))
    messages = [(label, channel, label / PER_S) for label, channel in enumerate(channels)]

    async def refused() -> bool:
        async with aiohttp.request("GET", f"http://127.0.0.1:{http_ports[0]}/metrics") as answer:
            return 'discordproxy_refusals_total{reason="BROKER_UNAVAILABLE"}' in await answer.text()

    async with server() as whole, library("discord.py") as program:
        await whole.line(r"Discord Proxy .* is ready")
        await program.ready({"rest": rest, "messages": messages, "token": TOKEN, "app": "shop"})
        sending = asyncio.create_task(program.send(time.monotonic()))
        await eventually(lambda: len(discord.ledger.stored) > 10)
        begin(own_valkey)
        await eventually(refused)
        end(own_valkey)
        answered = await sending
        assert [one.error for one in answered if one.error] == []
    assert len(discord.ledger.stored) == CALLS
    assert discord.ledger.duplicate_contents == 0
    assert discord.ledger.avoidable_429s == 0


@pytest.mark.parametrize("how", OUTAGES)
async def test_a_long_outage_is_a_503_and_ends(
    how: str, discord: Sandbox, server: Server, rest: str, own_valkey: Servers
) -> None:
    begin, end = OUTAGES[how]
    seen = []

    async def status() -> int:
        async with aiohttp.request("GET", f"{rest}/api/v10/channels/{CHANNEL}") as answer:
            reason = answer.headers.get("X-Discordproxy-Reason", "")
            seen.append((answer.status, reason, "Retry-After" in answer.headers))
            return answer.status

    async def becomes(expected: int) -> None:
        async def found() -> bool:
            return await status() == expected

        await eventually(found)

    async with server() as whole:
        await whole.line(r"Discord Proxy .* is ready")
        assert await status() == 200
        sent = len(discord.ledger.records)
        begin(own_valkey)
        await becomes(503)
        assert {one for one in seen if one[0] != 200} == {
            (429, "BROKER_UNAVAILABLE", True),
            (503, "BROKER_UNAVAILABLE", True),
        }
        end(own_valkey)
        await becomes(200)
        assert await status() == 200
    assert len(discord.ledger.matching("GET /channels/{channel_id}")) == sum(one[0] == 200 for one in seen)
    assert sent
