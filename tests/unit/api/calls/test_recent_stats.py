"""Counts that a worker reports."""

import pytest

from discordproxy_api.calls.recent_stats import (
    FAILURES_KEPT_S,
    LATENCY_BOUNDS_MS,
    MAX_APPS,
    MAX_CAUSES,
    MAX_FAILURES,
    OTHER,
    SHOWN,
    Cause,
    Failure,
    RecentStats,
    cause_of,
)
from discordproxy_api.calls.timed_counts import TimedCounts


class Worker:
    """The counts of one worker."""

    def __init__(self) -> None:
        self.calls = TimedCounts()
        self.requests = TimedCounts()
        self.stats = RecentStats(self.calls, self.requests)

    def finish(self, app: str, *, failed: bool, took_s: float, shown: str = SHOWN) -> None:
        self.calls.add(("X", "INTERNAL" if failed else "OK", app, shown, "grpc"), took_s)


def test_counts_are_collected_once_and_can_be_restored() -> None:
    worker = Worker()
    worker.finish("srp", failed=False, took_s=0.0005)
    worker.finish("srp", failed=True, took_s=0.015)
    worker.finish("srp", failed=True, took_s=0.015, shown="")
    worker.requests.add(("GET", "/guilds/{guild_id}", "200"), 0.1)
    worker.stats.limited("shared")
    taken = worker.stats.collect()
    assert taken == {"c:srp": 2, "f:srp": 1, "l:0": 1, "l:4": 1, "r": 1, "9:shared": 1, "d:grpc": 2}
    assert worker.stats.collect() == {}
    worker.finish("srp", failed=False, took_s=0.0005)
    worker.stats.restore(taken)
    assert worker.stats.collect() == {**taken, "c:srp": 3, "l:0": 2, "d:grpc": 3}


@pytest.mark.parametrize(("took_s", "index"), [(0.001, 0), (0.0011, 1), (60, 14), (1800, 15)])
def test_a_latency_is_counted_in_the_first_class_that_is_not_lower(took_s: float, index: int) -> None:
    worker = Worker()
    worker.finish("a", failed=False, took_s=took_s)
    assert worker.stats.collect()[f"l:{index}"] == 1
    assert index <= len(LATENCY_BOUNDS_MS)


def test_callers_cannot_add_names_without_limit() -> None:
    worker = Worker()
    for number in range(1000):
        worker.finish(f"app{number}", failed=True, took_s=0.1)
    taken, stats = worker.stats.collect(), worker.stats
    assert len(taken) == 2 * (MAX_APPS + 1) + 2
    for number in range(1000):
        stats.failed(Failure("X", "INTERNAL", "", 500, number), app=f"app{number}", request_id="", at=0.0)
    assert len(stats.collect()) <= MAX_CAUSES + MAX_APPS + 1
    assert taken[f"c:{OTHER}"] == 1000 - MAX_APPS


def test_failures_are_counted_by_cause_and_application() -> None:
    stats = Worker().stats
    for _ in range(2):
        stats.failed(Failure("GetChannel", "NOT_FOUND", "", 404, 10003), app="a|b", request_id="r", at=0.0)
    (name,) = taken = stats.collect()
    assert (cause_of(name), taken[name]) == (Cause("NOT_FOUND", "", 404, 10003, "a|b"), 2)


def test_a_kind_of_failure_is_one_line_and_the_lines_are_limited() -> None:
    stats = Worker().stats
    kind = Failure("SendChannelMessage", "NOT_FOUND", "DISCORD_ERROR", 404, 10003)
    stats.failed(kind, app="a", request_id="1", at=10.0)
    stats.failed(Failure("X", "INTERNAL"), app="a", request_id="2", at=11.0)
    stats.failed(kind, app="b", request_id="3", at=12.0)
    (first, seen), (second, _) = stats.failures(12.0)
    assert (first, seen.count, seen.app, seen.request_id) == (kind, 2, "b", "3")
    assert second.rpc == "X"
    assert [failure.rpc for failure, _ in stats.failures(11.5 + FAILURES_KEPT_S)] == [kind.rpc]
    for number in range(100):
        stats.failed(Failure(f"R{number}", "INTERNAL"), app="a", request_id="", at=100.0)
    assert len(stats.failures(100.0)) == MAX_FAILURES
