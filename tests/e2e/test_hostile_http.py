"""Hostile HTTP requests to a whole server: nothing reaches Discord, and no secret of theirs appears anywhere."""

import asyncio
import contextlib
import signal
from pathlib import Path

import aiohttp
import pytest

from discordproxy_api.access.keys import digest_of
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from fakes.eventually import eventually
from fakes.ports import free_port
from hostile import attacks
from hostile.http_requests import HostileRequest, hostile_requests
from processes.deployment import CHANNEL, TOKEN, Server

KEY = "dpk_" + "c4naryKey0" * 4 + "abc"
SECRET = "c4nary-secret-of-a-caller"
PATH = f"/api/v10/channels/{CHANNEL}/messages"
UNDISTURBED = SandboxConfig(token=TOKEN, global_limit=None)


@pytest.fixture
def rest_port(settings: dict[str, str], http_ports: list[int]) -> int:
    settings["DISCORDPROXY_REST_PORT"] = str(free_port())
    return int(settings["DISCORDPROXY_REST_PORT"])


async def answer_to(port: int, data: bytes) -> bytes:
    """Send bytes on a connection of their own; return all that comes until it is closed, or the first answer."""
    found = b""
    async with attacks.connection(port) as (reader, writer):
        with contextlib.suppress(OSError):
            writer.write(data)
            found = await asyncio.wait_for(reader.read(65_536), 60)
            with contextlib.suppress(TimeoutError):
                while more := await asyncio.wait_for(reader.read(65_536), 3):
                    found += more
    return found


async def send_all(port: int, requests: list[HostileRequest]) -> tuple[list[str], bytes]:
    """Send all requests at once; return what is wrong with the answers, and all answers."""
    wrong, texts = [], []

    async def send(request: HostileRequest) -> None:
        text = await answer_to(port, request.data)
        texts.append(text)
        status = int(text.split()[1]) if text.startswith(b"HTTP/") else 0
        if status not in request.statuses:
            wrong.append(f"{request.name}: {status}")
        if b" 200 OK" in text:
            wrong.append(f"{request.name}: what follows it was served")

    await asyncio.gather(*map(send, requests))
    return sorted(wrong), b"\n".join(texts)


async def pages_of(ports: list[int], headers: dict[str, str]) -> str:
    found = ""
    async with aiohttp.ClientSession(headers=headers) as session:
        for port in ports:
            for path in ("/", "/status.json", "/metrics"):
                async with session.get(f"http://127.0.0.1:{port}{path}") as answer:
                    found += f"{answer.headers}\n{await answer.text()}"
    return found


def messages(discord: Sandbox) -> list[str]:
    """The requests that came for callers; the gateway and the checks of the token make others."""
    own = ("/gateway", "/users/@me", "/applications/@me", "/oauth2")
    return [f"{each.method} {each.path}" for each in discord.ledger.records if not any(one in each.path for one in own)]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("discord", [UNDISTURBED], indirect=True)
@pytest.mark.parametrize("keys", [True, False], ids=["keys", "no keys"])
async def test_nothing_of_them_reaches_discord_or_a_log(
    discord: Sandbox,
    server: Server,
    settings: dict[str, str],
    http_ports: list[int],
    rest_port: int,
    keys: bool,  # noqa: FBT001 - a parameter of the test
    tmp_path: Path,
) -> None:
    if keys:
        file = tmp_path / "keys.toml"
        file.write_text(f'[[keys]]\napp = "srp"\nsha256 = "{digest_of(KEY)}"\nstatus = true\n')
        settings["DISCORDPROXY_KEYS_FILE"] = str(file)
    authorization = f"Bot {KEY if keys else TOKEN}"
    requests = [each for each in hostile_requests(PATH, authorization, SECRET) if not (keys and each.only_without_keys)]
    assert len(requests) > 90
    talkative = ("--workers", "2", "--log-console-level", "DEBUG", "--log-file-level", "DEBUG")
    async with server(*talkative) as whole:
        for worker in (0, 1):
            await whole.line(f"worker {worker} serves Discord's HTTP API")
        wrong, answers = await send_all(rest_port, requests)
        assert not wrong, "\n".join(wrong)
        assert not messages(discord)
        valid = {"headers": {"Authorization": authorization}, "json": {"content": "hello"}}
        async with aiohttp.request("POST", f"http://127.0.0.1:{rest_port}{PATH}", **valid) as answer:
            assert answer.status == 200, "the port still serves"
        await eventually(lambda: "SendChannelMessage OK" in whole.output)
        pages = await pages_of(http_ports, {"Authorization": f"Bearer {KEY}"} if keys else {})
        whole.signal(signal.SIGTERM)
        await whole.ended(within_s=60)
    assert "Traceback" not in whole.output
    log = await asyncio.to_thread((tmp_path / "discordproxyserver.log").read_text)
    seen = {"answers": answers, "pages": pages.encode(), "output": whole.output.encode(), "log": log.encode()}
    for canary in (TOKEN, KEY, SECRET):
        assert [where for where, text in seen.items() if canary.encode() in text] == [], canary
