"""The broker's Prometheus metrics, kept as plain numbers and collected when they are scraped.

A metric needs a line in `collect` and a number that is counted where it happens. The library's own counters take a lock
and four functions for each increment, on every call.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from discordproxy_ratelimit.headers import TOO_MANY, Answer

WAITS_S = (0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
CIRCUIT_STATES = ("closed", "open", "half_open")


class Decisions(Collector):
    """The broker's metrics of one process.

    Args:
        registry: where they are collected; tests pass their own.
        limited: called with the scope of every 429.
    """

    def __init__(
        self, registry: CollectorRegistry | None = None, *, limited: Callable[[str], None] = lambda _: None
    ) -> None:
        self._limited = limited
        self._waits = [0] * (len(WAITS_S) + 1)
        self._waited_s = 0.0
        self._queued = self._script_calls = self._learned = self._avoidable = self._invalid_left = 0
        self._refused, self._too_many = Counter[str](), Counter[str]()
        self._circuit, self._is_degraded = "", False
        (registry or REGISTRY).register(self)

    def called(self) -> None:
        """Count a call of the script."""
        self._script_calls += 1

    def granted(self, wait_s: float) -> None:
        """Count a permit and the wait for it."""
        self._waits[bisect_left(WAITS_S, wait_s)] += 1
        self._waited_s += wait_s

    def waited(self) -> None:
        """Count a call that was queued."""
        self._queued += 1

    def refused(self, why: str) -> None:
        """Count a refused call: deadline, known, circuit, share, unavailable."""
        self._refused[why] += 1

    def answered(self, outcome: str, answer: Answer) -> None:
        """Count a response by its outcome."""
        if answer.hash:
            self._learned += 1
        if answer.status == TOO_MANY:
            scope = answer.scope if answer.from_discord else "cloudflare"
            self._too_many[scope] += 1
            self._limited(scope)
            if outcome == "exhausted":
                self._avoidable += 1

    def invalid_left(self, left: int) -> None:
        """Set how many invalid requests are left for this address."""
        self._invalid_left = left

    def circuit(self, state: str) -> None:
        """Set the state of the circuit: closed, open or half_open."""
        self._circuit = state

    def degraded(self, *, on: bool) -> None:
        """Set whether calls use the local pace."""
        self._is_degraded = on

    def collect(self) -> Iterator[Metric]:
        """Yield all metrics."""
        up_to = list(accumulate(self._waits))
        buckets = [(str(bound), count) for bound, count in zip((*WAITS_S, "+Inf"), up_to, strict=True)]
        name = "discordproxy_permit"
        yield CounterMetricFamily(f"{name}_granted", "Permits granted", up_to[-1])
        yield CounterMetricFamily(f"{name}_waited", "Calls that were queued", self._queued)
        refused = CounterMetricFamily(f"{name}_refused", "Calls refused before anything was sent", labels=["why"])
        yield _labelled(refused, self._refused)
        yield HistogramMetricFamily(f"{name}_wait_seconds", "Wait for a permit", buckets, self._waited_s)
        yield CounterMetricFamily("discordproxy_script_calls", "Calls of the broker's script", self._script_calls)
        yield CounterMetricFamily("discordproxy_bucket_learned", "Responses with the state of a bucket", self._learned)
        too_many = CounterMetricFamily("discordproxy_rate_limited", "429 responses of Discord", labels=["scope"])
        yield _labelled(too_many, self._too_many)
        yield CounterMetricFamily(
            "discordproxy_rate_limited_avoidable", "429 responses of a bucket whose limit was known", self._avoidable
        )
        yield GaugeMetricFamily(
            "discordproxy_invalid_requests_left", "Remaining of Discord's limit per address", self._invalid_left
        )
        circuit = GaugeMetricFamily("discordproxy_circuit", "1 for the circuit's state", labels=["state"])
        yield _labelled(circuit, {state: state == self._circuit for state in CIRCUIT_STATES})
        yield GaugeMetricFamily(
            "discordproxy_degraded", "1 while Redis is unavailable and calls use the local pace", self._is_degraded
        )


def _labelled(
    family: CounterMetricFamily | GaugeMetricFamily, numbers: Mapping[str, float]
) -> CounterMetricFamily | GaugeMetricFamily:
    for label, number in numbers.items():
        family.add_metric([label], number)
    return family
