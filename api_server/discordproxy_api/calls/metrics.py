"""The metrics of an API worker. A new metric is one line here; its labels have a bounded number of values."""

from collections.abc import Iterable
from functools import cache, lru_cache
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from discordproxy_api.calls.recent_stats import RecentStats
from discordproxy_api.calls.timed_counts import Labels, TimedCounts

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
MAX_APPS, MAX_TEMPLATES = 100, 300
OTHER = "other"


class Metrics:
    """The metrics of one worker, in a registry of their own.

    Attributes:
        registry: the metrics of a scrape.
        finished: finished calls by RPC, status, application, `SHOWN` if the status page shows them, and way in.
        requests: requests to Discord by method, template and status; status 0: no response.
        recent_stats: counts since the last report to Redis.
        in_progress: calls that are being served.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self.finished = TimedCounts()
        self.requests = TimedCounts()
        self.recent_stats = RecentStats(self.finished, self.requests)
        self.in_progress = 0
        self.registry.register(_CallCollector(self.finished, self.requests))
        self._apps: set[str] = set()
        self._templates: set[str] = set()
        self._request_labels = lru_cache(maxsize=1024)(self._labels_of_request)
        self._gauge("calls_in_progress", "Calls in progress").set_function(lambda: self.in_progress)
        self.refusals = self._counter("refusals", "Calls refused by the proxy", "reason")
        self.repeats = self._counter("repeats", "Retried requests, by outcome of the previous attempt", "outcome")
        self.upload_bytes = self._gauge("upload_bytes", "Bytes of large requests held in memory")
        self.uploads_waiting = self._gauge("uploads_waiting", "Large requests that wait for memory")
        self.dm_channels = self._counter("dm_channels", "Direct messages, by source of the channel ID", "source")
        self.idempotent_calls = self._counter("idempotent_calls", "Calls with an idempotency key", "outcome")
        self.event_streams = self._gauge("event_streams", "Open event streams")
        self.events_sent = self._counter("events_sent", "Events delivered to subscribers")
        self.role_syncs = self._gauge("role_syncs", "Role synchronizations in progress")
        self.role_sync_members = self._counter(
            "role_sync_members", "Members of role synchronizations, by outcome of their change", "outcome"
        )
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

    def requested(self, route: str, status: int, seconds: float) -> None:
        """Count a request to Discord by its route's name, the status of the response and its duration."""
        self.requests.add(self._request_labels(route, status), seconds)

    def _labels_of_request(self, route: str, status: int) -> Labels:
        """Return method, template and status. `Request` accepts any path, so only the first templates become labels."""
        method, _, template = route.partition(" ")
        return method, _capped(template, self._templates, MAX_TEMPLATES), str(status)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return _with_cached_labels(Counter(f"discordproxy_{name}", text, labels, registry=self.registry))

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return _with_cached_labels(Gauge(f"discordproxy_{name}", text, labels, registry=self.registry))


class _CallCollector(Collector):
    """Reads the metrics of finished calls and of requests to Discord, at each scrape."""

    def __init__(self, calls: TimedCounts, requests: TimedCounts) -> None:
        self._calls, self._requests = calls, requests

    def collect(self) -> Iterable[Metric]:
        """Yield the metric families."""
        calls = CounterMetricFamily(
            "discordproxy_calls", "Finished calls, by gRPC status and way in", labels=("rpc", "status", "door")
        )
        apps = CounterMetricFamily("discordproxy_app_calls", "Finished calls, by application", labels=("app", "status"))
        seconds = HistogramMetricFamily(
            "discordproxy_call_seconds", "Duration of a call, including waits", labels=("rpc",)
        )
        for labels, number in self._calls.totals((0, 1, 4)).items():
            calls.add_metric(labels, number)
        for labels, number in self._calls.totals((2, 1)).items():
            apps.add_metric(labels, number)
        for rpc, buckets, total in self._calls.histograms(0, _SECONDS):
            seconds.add_metric((rpc,), buckets, total)
        return calls, apps, seconds, *self._collect_requests()

    def _collect_requests(self) -> Iterable[Metric]:
        requests = CounterMetricFamily(
            "discordproxy_discord_requests",
            "HTTP requests to Discord; status 0: no response",
            labels=("method", "template", "status"),
        )
        seconds = HistogramMetricFamily(
            "discordproxy_discord_seconds", "Time from request to response of Discord", labels=("method",)
        )
        for labels, number in self._requests.totals((0, 1, 2)).items():
            requests.add_metric(labels, number)
        for method, buckets, total in self._requests.histograms(0, _SECONDS):
            seconds.add_metric((method,), buckets, total)
        return requests, seconds

    def describe(self) -> Iterable[Metric]:
        """Yield the metric families, so that the registry refuses a second metric of the same name."""
        return self.collect()


_Metric = TypeVar("_Metric", Counter, Gauge)


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
