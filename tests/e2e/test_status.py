"""The status of a whole server: the page in a real browser, the same facts as JSON and in the terminal."""

import asyncio
import json
import signal
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import grpc.aio
import pytest

from discordproxy import discord_api_pb2 as pb
from discordproxy_sandbox.limits.book import RouteLimit
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from fakes import ports
from fakes.browser import Page, browser_page
from fakes.eventually import eventually
from processes.deployment import CHANNEL, TOKEN, Connect, Server

BUILD = Path(__file__).parents[2] / "build"
NOBODY_LIVES_HERE = 1
WAITING = 2
REST_CALLS = 3
SCREENS = [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]


async def get(port: int, path: str) -> Any:
    async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
        assert answer.status == 200, await answer.text()
        assert path == "/metrics" or "default-src 'none'" in answer.headers["Content-Security-Policy"]
        return await (answer.json() if path.endswith(".json") else answer.text())


async def command(server: Server, *arguments: str) -> tuple[int, str]:
    async with server(*arguments, command="discordproxy") as process:
        return await process.ended(within_s=60), process.output


async def traffic(connect: Connect) -> list[asyncio.Task[Any]]:
    """Calls of two applications: some succeed, some fail, some wait for a limit for as long as they are held."""
    stub = connect()
    for number in range(3):
        app = (("x-discordproxy-app", f"app{number % 2}"),)
        await stub.SendChannelMessage(pb.SendChannelMessageRequest(channel_id=CHANNEL, content="hi"), metadata=app)
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.GetChannel(pb.ChannelId(channel_id=NOBODY_LIVES_HERE), metadata=app)
    for _ in range(40):  # so that few of the calls have failed
        await stub.GetCurrentUser(pb.GetCurrentUserRequest(), metadata=(("x-discordproxy-app", "app0"),))
    request = pb.SendChannelMessageRequest(channel_id=CHANNEL + 1, content="hi")
    return [asyncio.ensure_future(stub.SendChannelMessage(request, timeout=600)) for _ in range(3 + WAITING)]


async def until_shown(port: int, is_there: Any) -> dict[str, Any]:
    """Return the status as soon as it shows something."""
    shown: dict[str, Any] = {}

    async def look() -> bool:
        shown.update(await get(port, "/status.json"))
        return is_there(shown)

    await eventually(look, within_s=30)
    return shown


def all_is_there(status: dict[str, Any]) -> bool:
    states = [worker["state"] for worker in status["workers"]]
    gateway = status["bots"][0]["gateway"]
    doors = status["doors"].get("http") == REST_CALLS
    return status["waiting"] == WAITING and states == ["serving", "serving"] and gateway["ready"] and doors


async def shows_the_gateway(port: int) -> bool:
    return 'discordproxy_gateway_connected{bot="",shard="0"} 1.0' in await get(port, "/metrics")


async def look_at(page: Page, port: int) -> None:
    """Open the page, run its checks, and see it on every kind of screen."""
    await page.look(width=1280, scheme="light")
    await page.open(f"http://127.0.0.1:{port}/")
    await page.until("document.querySelectorAll('#workers tbody tr').length === 2")
    text = await page.value("document.body.innerText")
    for expected in (
        *(
            "all is well",
            "#announcements, Sandbox",
            "POST /channels/{channel_id}/messages",
            f"channel_id={CHANNEL + 1}",
            "app0",
            "app1",
        ),
        *(
            "open on 2 of 2 workers",
            "0 of 3",
            "GetChannel",
            "The channel does not exist.",
            "shard 0",
            "circuit closed",
            "slots",
        ),
    ):
        assert expected in text, f"{expected!r} is not in\n{text}"
    await page.value("document.getElementById('check').click()")
    await page.until("document.querySelectorAll('#findings tbody tr').length > 5")
    assert "problem" not in await page.value("document.getElementById('findings').innerText")
    BUILD.mkdir(exist_ok=True)
    backs = set()
    for width, scheme in SCREENS:
        await page.look(width=width, scheme=scheme)
        await page.until("new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(() => drawn(true))))")
        assert await page.value("document.documentElement.scrollWidth") == width, "it must not scroll sideways"
        backs.add(await page.value("getComputedStyle(document.body).backgroundColor"))
        await page.screenshot(BUILD / f"status-{width}-{scheme}.png")
    assert len(backs) == 2
    assert page.problems == []
    assert {url.split("/", 3)[2] for url in page.requests} == {f"127.0.0.1:{port}"}


@pytest.mark.parametrize("discord", [SandboxConfig(token=TOKEN)], indirect=True)
async def test_every_worker_shows_the_whole_fleet(
    discord: Sandbox,
    server: Server,
    settings: dict[str, str],
    connect: Connect,
    http_ports: list[int],
    tmp_path: Path,
    free_port: int,
) -> None:
    settings["DISCORDPROXY_REST_PORT"] = rest_port = str(ports.free_port())
    discord.limits.routes["POST /channels/{channel_id}/messages"] = RouteLimit(limit=3, window_s=300.0, kind="fixed")
    async with server("--workers", "2") as whole:
        await whole.line("Discord Proxy .* is ready", within_s=60)
        for worker in (0, 1):
            await whole.line(f"worker {worker} serves on", within_s=60)
        held = await traffic(connect)
        for _ in range(REST_CALLS):
            async with aiohttp.request("GET", f"http://127.0.0.1:{rest_port}/api/v10/channels/{CHANNEL}") as answer:
                assert answer.status == 200
        for port in http_ports:
            shown = await until_shown(port, all_is_there)
            assert {app["app"]: app["failures"] for app in shown["apps"]}["app1"] == 1
            assert shown["buckets"][0]["waiting"] == WAITING
            assert shown["buckets"][0]["oldest_s"] > 0
            assert shown["errors"][0]["meaning"] == "The channel does not exist"
            assert shown["rest"] == {"addresses": [f"127.0.0.1:{rest_port}"], "workers": 2, "open": 2}
            assert shown["doors"]["http"] == REST_CALLS
            assert shown["bots"][0]["gateway"]["shards"][0]["state"] == "ready"
            await eventually(partial(shows_the_gateway, port), within_s=30)
        target = ("--target", f"127.0.0.1:{free_port}")
        status, output = await command(server, "status", "--json", *target)
        assert (status, json.loads(output)["waiting"]) == (0, WAITING)
        status, output = await command(server, "status", *target)
        assert status == 0
        assert "all is well" in output
        assert f"{WAITING} waiting for" in output
        assert f"REST     127.0.0.1:{rest_port}, open on 2 of 2 workers; {REST_CALLS} of" in output
        status, output = await command(server, "doctor", "--channel", str(CHANNEL), *target)
        assert status == 0, output
        for subject in (
            "token",
            "discord",
            "redis",
            "clock",
            "intents",
            "gateway",
            "tls",
            "rest",
            f"channel {CHANNEL}",
        ):
            assert f"ok   {subject}: " in output
        assert f"127.0.0.1:{rest_port} is open" in output
        async with browser_page(tmp_path / "profile") as page:
            await look_at(page, http_ports[1])
        for call in held:
            call.cancel()
        await asyncio.gather(*held, return_exceptions=True)
        whole.signal(signal.SIGTERM)
        assert await whole.ended() == 0
