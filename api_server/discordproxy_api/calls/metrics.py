"""Every number an API worker counts. Adding a metric is one line here; labels have few values, for ever."""

from functools import cache
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from discordproxy_api.calls.recent_stats import RecentStats

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
MOST_APPS, MOST_TEMPLATES = 100, 300
OTHER = "other"


class Metrics:
    """The metrics of one worker, in a registry of their own.

    Attributes:
        registry: what a scrape gets.
        tally: what the worker tells the others about itself.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self.tally = RecentStats()
        self._apps: set[str] = set()
        self._templates: set[str] = set()
        self.calls = self._counter("calls", "Calls answered, by gRPC status", "rpc", "status")
        self.app_calls = self._counter("app_calls", "Calls answered, by application", "app", "status")
        self.call_seconds = self._histogram("call_seconds", "Time to answer a call, including waits", "rpc")
        self.calls_in_progress = self._gauge("calls_in_progress", "Calls in progress")
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
        self.reads = self._counter("reads", "Reads that can be cached, by source of the answer", "rpc", "source")
        self.serving = self._gauge("serving", "1 while the service is healthy", "service")

    def app(self, name: str) -> str:
        """Return the label for an application: callers name themselves, so only the first names are kept."""
        return _capped(name, self._apps, MOST_APPS)

    def template(self, name: str) -> str:
        """Return the label for a route's template: the RPC Request takes any path, so only the first ones are kept."""
        return _capped(name, self._templates, MOST_TEMPLATES)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return _remembering(Counter(f"discordproxy_{name}", text, labels, registry=self.registry))

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return _remembering(Gauge(f"discordproxy_{name}", text, labels, registry=self.registry))

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return _remembering(Histogram(f"discordproxy_{name}", text, labels, registry=self.registry, buckets=_SECONDS))


_Metric = TypeVar("_Metric", Counter, Gauge, Histogram)


def _remembering(metric: _Metric) -> _Metric:
    """Return a metric that finds the series of labels it has seen at once; the library locks and compares texts."""
    metric.labels = cache(metric.labels)  # type: ignore[method-assign] # of this one only
    return metric


def _capped(name: str, known: set[str], most: int) -> str:
    if name not in known:
        if len(known) >= most:
            return OTHER
        known.add(name)
    return name
