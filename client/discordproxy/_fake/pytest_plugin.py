"""The pytest plugin: a fixture that stands in for the proxy. It costs nothing in runs that do not use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from discordproxy.testing import FakeDiscordProxy


@pytest.fixture
def discord_proxy() -> Iterator[FakeDiscordProxy]:
    """Stand in for Discord Proxy during a test: see discordproxy.testing."""
    from discordproxy.testing import FakeDiscordProxy  # noqa: PLC0415 -- only tests that use it pay for gRPC

    with FakeDiscordProxy() as proxy:
        yield proxy
