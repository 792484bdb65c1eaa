"""What a worker counts for the others."""

import pytest

from discordproxy_api.calls.recent_stats import (
    FAILURES_KEPT_S,
    LATENCY_BOUNDS_MS,
    MOST_APPS,
    MOST_CAUSES,
    MOST_FAILURES,
    OTHER,
    Cause,
    Failure,
    RecentStats,
    cause_of,
)


def test_counts_are_taken_once_and_can_be_given_back() -> None:
    tally = RecentStats()
    tally.ended("srp", failed=False, took_s=0.0005)
    tally.ended("srp", failed=True, took_s=0.015)
    tally.requested()
    tally.limited("shared")
    taken = tally.take()
    assert taken == {"c:srp": 2, "f:srp": 1, "l:0": 1, "l:4": 1, "r": 1, "9:shared": 1}
    assert tally.take() == {}
    tally.requested()
    tally.give_back(taken)
    assert tally.take()["r"] == 2


@pytest.mark.parametrize(("took_s", "index"), [(0.001, 0), (0.0011, 1), (60, 14), (1800, 15)])
def test_a_latency_falls_into_the_class_it_does_not_exceed(took_s: float, index: int) -> None:
    tally = RecentStats()
    tally.ended("a", failed=False, took_s=took_s)
    assert tally.take()[f"l:{index}"] == 1
    assert index <= len(LATENCY_BOUNDS_MS)


def test_callers_cannot_make_more_and_more_names() -> None:
    tally = RecentStats()
    for number in range(1000):
        tally.ended(f"app{number}", failed=True, took_s=0.1)
    taken = tally.take()
    assert len(taken) == 2 * (MOST_APPS + 1) + 1
    for number in range(1000):
        tally.failed(Failure("X", "INTERNAL", "", 500, number), app=f"app{number}", request_id="", at=0.0)
    assert len(tally.take()) <= MOST_CAUSES + MOST_APPS + 1
    assert taken[f"c:{OTHER}"] == 1000 - MOST_APPS


def test_failures_are_counted_by_cause_and_application() -> None:
    tally = RecentStats()
    for _ in range(2):
        tally.failed(Failure("GetChannel", "NOT_FOUND", "", 404, 10003), app="a|b", request_id="r", at=0.0)
    (name,) = taken = tally.take()
    assert (cause_of(name), taken[name]) == (Cause("NOT_FOUND", "", 404, 10003, "a|b"), 2)


def test_failures_of_a_kind_are_one_line_and_lines_are_few() -> None:
    tally = RecentStats()
    kind = Failure("SendChannelMessage", "NOT_FOUND", "DISCORD_ERROR", 404, 10003)
    tally.failed(kind, app="a", request_id="1", at=10.0)
    tally.failed(Failure("X", "INTERNAL"), app="a", request_id="2", at=11.0)
    tally.failed(kind, app="b", request_id="3", at=12.0)
    (first, seen), (second, _) = tally.failures(12.0)
    assert (first, seen.count, seen.app, seen.request_id) == (kind, 2, "b", "3")
    assert second.rpc == "X"
    assert [failure.rpc for failure, _ in tally.failures(11.5 + FAILURES_KEPT_S)] == [kind.rpc]
    for number in range(100):
        tally.failed(Failure(f"R{number}", "INTERNAL"), app="a", request_id="", at=100.0)
    assert len(tally.failures(100.0)) == MOST_FAILURES
