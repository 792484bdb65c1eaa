"""Events through processes of their own, briefly; `make bench-events` and `make bench-takeover` show the figures."""

from bench.bench_events import measure
from bench.bench_takeover import endure


async def test_every_subscriber_gets_every_event():
    found, _ = await measure(200, 200, 2)
    assert len(found) == 3
    assert [(each["lost"], each["doubled"], each["disorder"]) for each in found] == [(0, 0, 0)] * 3


async def test_nothing_is_lost_when_the_leader_hands_over():
    took, found, seen = await endure(300, 200, "SIGTERM")
    assert set(took) == {"SIGTERM"}
    assert [(each["lost"], each["doubled"], each["disorder"]) for each in found] == [(0, 0, 0)] * 4
    assert seen["identifies"] == 1
