"""A worker with a REST port, in front of the sandbox, and an HTTP client that knows nothing of it."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from multidict import CIMultiDictProxy

from discordproxy_sandbox.limits.book import LimitBook, RouteLimit
from discordproxy_sandbox.sandbox import Sandbox, SandboxConfig
from integration.api.conftest import TOKEN, Served, serve


@dataclass
class Answer:
    """An HTTP answer."""

    status: int
    headers: CIMultiDictProxy[str] = field(repr=False)
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def reason(self) -> str:
        return self.headers.get("X-Discordproxy-Reason", "")


class Caller:
    """Sends HTTP requests to the REST port of a worker."""

    def __init__(self, served: Served, session: aiohttp.ClientSession) -> None:
        self.served, self.session = served, session

    async def __call__(self, method: str, target: str, *, base: str = "/api/v10", **how) -> Answer:
        url = aiohttp.client.URL(f"{self.served.rest_url}{base}{target}", encoded=True)
        async with self.session.request(method, url, allow_redirects=False, **how) as answer:
            return Answer(answer.status, answer.headers, await answer.read())


async def callers(served: Served) -> AsyncIterator[Caller]:
    async with aiohttp.ClientSession() as session:
        yield Caller(served, session)


@pytest.fixture
async def discord() -> AsyncIterator[Sandbox]:
    """Discord with wide limits: the broker of these tests has none."""
    limits = LimitBook(default=RouteLimit(limit=1_000, window_s=10.0), global_limit=None)
    async with Sandbox(SandboxConfig(token=TOKEN, limits=limits)) as sandbox:
        yield sandbox


@pytest.fixture
async def rest(discord) -> AsyncIterator[Served]:
    async with serve(discord, rest_port=0) as served:
        yield served


@pytest.fixture
async def call(rest) -> AsyncIterator[Caller]:
    async for caller in callers(rest):
        yield caller


AS_BOT = {"Authorization": f"Bot {TOKEN}"}
