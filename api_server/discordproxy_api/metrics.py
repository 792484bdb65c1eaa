"""Every number an API worker counts. Adding a metric is one line here; labels have few values, for ever."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
MOST_APPS = 100
OTHER_APPS = "other"


class Metrics:
    """The metrics of one worker, in a registry of their own."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._apps: set[str] = set()
        self.calls = self._counter("calls", "Calls answered", "rpc", "status")
        self.app_calls = self._counter("app_calls", "Calls answered, by calling application", "app", "status")
        self.call_seconds = self._histogram("call_seconds", "Time to answer a call, waiting included", "rpc")
        self.calls_in_progress = self._gauge("calls_in_progress", "Calls being served")
        self.refusals = self._counter("refusals", "Calls the proxy itself refused", "reason")
        self.discord_requests = self._counter(
            "discord_requests", "HTTP requests to Discord; status 0: no answer", "method", "template", "status"
        )
        self.discord_seconds = self._histogram("discord_seconds", "Time from request to answer of Discord", "method")
        self.repeats = self._counter("repeats", "Requests sent again", "outcome")
        self.upload_bytes = self._gauge("upload_bytes", "Bytes of large requests held in memory")
        self.uploads_waiting = self._gauge("uploads_waiting", "Large requests that wait for memory")
        self.dm_channels = self._counter("dm_channels", "Direct messages by where the channel id came from", "source")
        self.idempotent_calls = self._counter("idempotent_calls", "Calls with an idempotency key", "outcome")
        self.event_streams = self._gauge("event_streams", "Subscribers of events")
        self.events_sent = self._counter("events_sent", "Events handed to subscribers")
        self.serving = self._gauge("serving", "1 while the service is healthy", "service")

    def app(self, name: str) -> str:
        """Return the label for an application: callers name themselves, so only the first names are kept."""
        if name not in self._apps:
            if len(self._apps) >= MOST_APPS:
                return OTHER_APPS
            self._apps.add(name)
        return name

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"discordproxy_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"discordproxy_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(f"discordproxy_{name}", text, labels, registry=self.registry, buckets=_SECONDS)
