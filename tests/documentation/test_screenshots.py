"""The pictures of the status page in the documentation. `make screenshots` takes them again."""

import asyncio
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from discordproxy.client import DiscordClient
from discordproxy.discord_api_pb2 import SendChannelMessageRequest
from discordproxy.exceptions import DiscordProxyHttpError
from documentation.snippets import ROOT
from fakes.browser import browser_page, find_chromium
from processes.sandboxed_server import SandboxedServer

pytestmark = pytest.mark.timeout(300)

LOOKS = {"light": (1200, "light"), "dark": (1200, "dark"), "phone": (390, "light")}
CHANNELS = [500000000000000001, 500000000000000005, 500000000000000006]
PNG = b"\x89PNG\r\n\x1a\n"


def picture(name: str) -> str:
    return f"images/status-{name}.png"


@pytest.mark.parametrize("name", LOOKS)
def test_the_documentation_shows_the_picture(name: str) -> None:
    assert (ROOT / "docs" / picture(name)).read_bytes().startswith(PNG)
    assert f"]({picture(name)})" in (ROOT / "docs/operations.md").read_text()


async def test_pictures_are_taken_of_a_working_server(tmp_path: Path, valkey_binary: str) -> None:
    find_chromium()
    folder = Path(os.environ.get("SCREENSHOTS", tmp_path))
    work = tmp_path / "s"
    work.mkdir()
    with SandboxedServer(work, limited=True) as server:
        await asyncio.to_thread(some_calls, server)
        with waiting_calls(server):
            await take(server, tmp_path / "profile", folder)
    for name in LOOKS:
        assert (folder / f"status-{name}.png").read_bytes().startswith(PNG)


async def take(server: SandboxedServer, profile: Path, folder: Path) -> None:
    async with browser_page(profile) as page:
        for name, (width, scheme) in LOOKS.items():
            await page.look(width=width, scheme=scheme)
            await page.open(f"{server.url}/")
            await page.until("document.querySelector('#apps').textContent.includes('shop')")
            await page.until("document.querySelector('#buckets .buckets') !== null")
            await page.until("document.querySelector('#verdict').textContent !== 'loading'")
            await page.screenshot(folder / f"status-{name}.png")
        assert page.problems == []


@contextlib.contextmanager
def waiting_calls(server: SandboxedServer) -> Iterator[None]:
    """Keep calls in the queue of a channel."""
    with DiscordClient(server.target, app="mail-relay") as client:
        metadata = [("x-discordproxy-app", "mail-relay")]
        requests = [SendChannelMessageRequest(channel_id=CHANNELS[0], content=f"Mail {index}") for index in range(60)]
        calls = [client.stub.SendChannelMessage.future(request, metadata=metadata) for request in requests]
        yield
        for call in calls:
            call.cancel()


def some_calls(server: SandboxedServer) -> None:
    """Make the calls of three applications, and one that fails."""
    for app, number in (("shop", 12), ("mail relay", 5), ("alerts", 2)):
        with DiscordClient(server.target, timeout=30, app=app.replace(" ", "-")) as client:
            for index in range(number):
                client.create_channel_message(CHANNELS[index % 3], f"{app} {index}")
    with DiscordClient(server.target, timeout=30, app="shop") as client, pytest.raises(DiscordProxyHttpError):
        client.create_channel_message(999999999999999999, "To nowhere")
