"""The metrics of an API worker. A new metric is one line here; its labels have a bounded number of values."""

from collections.abc import Iterable
from functools import cache
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from discordproxy_api.calls.recent_stats import RecentStats
from discordproxy_api.calls.timed_counts import TimedCounts

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
MAX_APPS, MAX_TEMPLATES = 100, 300
OTHER = "other"


class Metrics:
    """The metrics of one worker, in a registry of their own.

    Attributes:
        registry: the metrics of a scrape.
        finished: finished calls by RPC, status, application, `SHOWN` if the status page shows them, and way in.
        recent_stats: counts since the last report to Redis.
        in_progress: calls that are being served.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self.finished = TimedCounts()
        self.recent_stats = RecentStats(self.finished)
        self.in_progress = 0
        self.registry.register(_CallCollector(self.finished))
        self._apps: set[str] = set()
        self._templates: set[str] = set()
        self._gauge("calls_in_progress", "Calls in progress").set_function(lambda: self.in_progress)
        self.refusals = self._counter("refusals", "Calls refused by the proxy", "reason")
        self.discord_requests = self._counter(
            "discord_requests", "HTTP requests to Discord; status 0: no response", "method", "template", "status"
        )
        self.discord_seconds = self._histogram("discord_seconds", "Time from request to response of Discord", "method")
        self.repeats = self._counter("repeats", "Retried requests, by outcome of the previous attempt", "outcome")
        self.upload_bytes = self._gauge("upload_bytes", "Bytes of large requests held in memory")
        self.uploads_waiting = self._gauge("uploads_waiting", "Large requests that wait for memory")
        self.dm_channels = self._counter("dm_channels", "Direct messages, by source of the channel ID", "source")
        self.idempotent_calls = self._counter("idempotent_calls", "Calls with an idempotency key", "outcome")
        self.event_streams = self._gauge("event_streams", "Open event streams")
        self.events_sent = self._counter("events_sent", "Events delivered to subscribers")
        self.wrong_keys = self._counter("wrong_keys", "Calls with an unknown key")
        self.certificate_expires = self._gauge(
            "certificate_expires_timestamp_seconds", "Expiry of the TLS certificate, Unix time"
        )
        self.http_requests = self._counter("http_requests", "Requests to the REST port", "method", "status")
        self.http_held_back = self._gauge("http_held_back", "Refusals of the REST port that are being delayed")
        self.resent = self._counter(
            "resent", "Requests that a library sent again because it did not get their answer", "outcome"
        )
        self.reads = self._counter("reads", "Reads that can be cached, by source of the answer", "rpc", "source")
        self.serving = self._gauge("serving", "1 while the service is healthy", "service")

    def app(self, name: str) -> str:
        """Return the label for an application. Callers choose the names, so only the first ones become labels."""
        return _capped(name, self._apps, MAX_APPS)

    def template(self, name: str) -> str:
        """Return the label for a route's template. `Request` accepts any path, so only the first ones become labels."""
        return _capped(name, self._templates, MAX_TEMPLATES)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return _with_cached_labels(Counter(f"discordproxy_{name}", text, labels, registry=self.registry))

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return _with_cached_labels(Gauge(f"discordproxy_{name}", text, labels, registry=self.registry))

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return _with_cached_labels(
            Histogram(f"discordproxy_{name}", text, labels, registry=self.registry, buckets=_SECONDS)
        )


class _CallCollector(Collector):
    """Reads the metrics of finished calls, at each scrape."""

    def __init__(self, counts: TimedCounts) -> None:
        self._counts = counts

    def collect(self) -> Iterable[Metric]:
        """Yield the metric families."""
        calls = CounterMetricFamily(
            "discordproxy_calls", "Finished calls, by gRPC status and way in", labels=("rpc", "status", "door")
        )
        apps = CounterMetricFamily("discordproxy_app_calls", "Finished calls, by application", labels=("app", "status"))
        seconds = HistogramMetricFamily(
            "discordproxy_call_seconds", "Duration of a call, including waits", labels=("rpc",)
        )
        for labels, number in self._counts.totals((0, 1, 4)).items():
            calls.add_metric(labels, number)
        for labels, number in self._counts.totals((2, 1)).items():
            apps.add_metric(labels, number)
        for rpc, buckets, total in self._counts.histograms(0, _SECONDS):
            seconds.add_metric((rpc,), buckets, total)
        return calls, apps, seconds

    def describe(self) -> Iterable[Metric]:
        """Yield the metric families, so that the registry refuses a second metric of the same name."""
        return self.collect()


_Metric = TypeVar("_Metric", Counter, Gauge, Histogram)


def _with_cached_labels(metric: _Metric) -> _Metric:
    """Cache the metric's series by labels; the library's own search takes a lock and converts each label to text."""
    metric.labels = cache(metric.labels)  # type: ignore[method-assign] # of this object only
    return metric


def _capped(name: str, known: set[str], maximum: int) -> str:
    if name not in known:
        if len(known) >= maximum:
            return OTHER
        known.add(name)
    return name
