"""The pytest plugin: a fixture that replaces the proxy by a fake. Unused, it imports nothing of the client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from discordproxy.testing import FakeDiscordProxy


@pytest.fixture
def discord_proxy() -> Iterator[FakeDiscordProxy]:
    """Replace Discord Proxy by a fake during a test: see discordproxy.testing."""
    from discordproxy.testing import FakeDiscordProxy  # noqa: PLC0415 -- only tests that use it import gRPC

    with FakeDiscordProxy() as proxy:
        yield proxy
