"""Fixtures of all integration tests."""

import pytest

from discordproxy_gateway.events import tail
from discordproxy_gateway.write.event_queue import GATHERINGS, Followers, Gathering


@pytest.fixture(autouse=True)
def _events_wait_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Store events at once although nobody follows them, and look for a new stream more often.

    `unit/gateway/write/test_event_queue.py` tests the delay of events.
    """
    monkeypatch.setitem(GATHERINGS, Followers.NONE, Gathering(0.01, 64))
    monkeypatch.setattr(tail, "BLOCK_MS", 200)
