from collections.abc import AsyncIterator

import aiohttp
import pytest

from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig

HEADERS = {"Authorization": "Bot secret", "User-Agent": "DiscordBot (https://example.com, 1.0)"}


@pytest.fixture
async def discord(request) -> AsyncIterator[Sandbox]:
    """A sandbox; parametrise indirectly with a SandboxConfig."""
    async with Sandbox(getattr(request, "param", SandboxConfig())) as sandbox:
        yield sandbox


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client that introduces itself as a bot."""
    # A connection per request: aiohttp repeats some requests by itself when a kept connection breaks.
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(headers=HEADERS, connector=connector) as session:
        yield session
