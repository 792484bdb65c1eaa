"""Fixtures of the client's tests: the fake proxy, and a client that uses it."""

from collections.abc import Iterator

import pytest

from discordproxy.client import DiscordClient
from discordproxy.testing import FakeDiscordProxy


@pytest.fixture
def proxy() -> Iterator[FakeDiscordProxy]:
    with FakeDiscordProxy() as fake:
        yield fake


@pytest.fixture
def client(proxy: FakeDiscordProxy) -> DiscordClient:
    return DiscordClient()
