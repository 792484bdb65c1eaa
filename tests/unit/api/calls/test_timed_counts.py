"""Counts of finished calls: Prometheus and the status page read the same ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram

from discordproxy_api.calls.metrics import _SECONDS, Metrics
from discordproxy_api.calls.recent_stats import LATENCY_BOUNDS_MS
from discordproxy_api.calls.timed_counts import BOUNDS_S, TimedCounts


def test_all_readers_use_known_bounds():
    assert set(_SECONDS) <= set(BOUNDS_S)
    assert {bound / 1000 for bound in LATENCY_BOUNDS_MS} <= set(BOUNDS_S)
    assert list(BOUNDS_S) == sorted(BOUNDS_S)


@given(st.lists(st.sampled_from(BOUNDS_S) | st.floats(0, 1000), max_size=20))
def test_the_histogram_is_that_of_prometheus(durations):
    metrics, theirs = Metrics(), CollectorRegistry()
    histogram = Histogram("discordproxy_call_seconds", "", ["rpc"], registry=theirs, buckets=_SECONDS)
    for seconds in durations:
        metrics.finished.add(("X", "OK", "app", "", "grpc"), seconds)
        histogram.labels("X").observe(seconds)
    names = ["discordproxy_call_seconds_bucket", "discordproxy_call_seconds_sum", "discordproxy_call_seconds_count"]

    def samples(registry):
        return {
            (sample.name, *sample.labels.items()): pytest.approx(sample.value)
            for family in registry.collect()
            for sample in family.samples
            if sample.name in names
        }

    assert samples(metrics.registry) == samples(theirs)


def test_each_label_set_has_one_sample():
    metrics = Metrics()
    for rpc, status, app, shown in (("A", "OK", "x", "shown"), ("A", "OK", "x", ""), ("B", "OK", "x", "shown")):
        metrics.finished.add((rpc, status, app, shown, "grpc"), 0.1)
    value = metrics.registry.get_sample_value
    assert value("discordproxy_calls_total", {"rpc": "A", "status": "OK", "door": "grpc"}) == 2
    assert value("discordproxy_app_calls_total", {"app": "x", "status": "OK"}) == 3
    samples = [(s.name, *s.labels.items()) for family in metrics.registry.collect() for s in family.samples]
    assert len(samples) == len(set(samples))


def test_a_report_contains_the_counts_since_the_last_one():
    counts = TimedCounts()
    counts.add(("a",), 0.0)
    counts.add(("a",), 1000.0)
    ((labels, buckets),) = counts.report()
    assert (labels, buckets[0], buckets[-1], sum(buckets)) == (("a",), 1, 1, 2)
    assert counts.report() == []
    counts.add(("a",), 0.0)
    assert [sum(buckets) for _, buckets in counts.report()] == [1]
    assert counts.totals((0,)) == {("a",): 3}
