"""Fixtures of all integration tests."""

import pytest

from discordproxy_gateway.write.event_queue import GATHERINGS, Followers, Gathering


@pytest.fixture(autouse=True)
def _events_gather_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Store events at once although nobody follows them; `unit/gateway/write/test_event_queue.py` tests the delay."""
    monkeypatch.setitem(GATHERINGS, Followers.NONE, Gathering(0.01, 64))
