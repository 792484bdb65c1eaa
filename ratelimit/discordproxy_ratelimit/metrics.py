"""What the broker decided, as Prometheus metrics. Adding one is one line here and one call where it happens."""

from collections.abc import Callable

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

from discordproxy_ratelimit.headers import TOO_MANY, Answer

WAITS_S = (0.001, 0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
CIRCUIT_STATES = ("closed", "open", "half_open")


class Decisions:
    """The broker's metrics of one process.

    Args:
        registry: where they are collected; tests pass their own.
        limited: told the scope of every 429.
    """

    def __init__(
        self, registry: CollectorRegistry | None = None, *, limited: Callable[[str], None] = lambda _: None
    ) -> None:
        r = registry or REGISTRY
        name = "discordproxy_permit"
        self._granted = Counter(f"{name}_granted", "Permits granted", registry=r)
        self._waited = Counter(f"{name}_waited", "Calls that had to take a place and wait", registry=r)
        self._refused = Counter(f"{name}_refused", "Calls refused before anything was sent", ["why"], registry=r)
        self._wait = Histogram(f"{name}_wait_seconds", "Time until a permit", buckets=WAITS_S, registry=r)
        self._script_calls = Counter("discordproxy_script_calls", "Calls of the broker's script", registry=r)
        self._learned = Counter("discordproxy_bucket_learned", "Answers that taught a bucket's state", registry=r)
        self._too_many = Counter("discordproxy_rate_limited", "429 answers of Discord", ["scope"], registry=r)
        self._avoidable = Counter(
            "discordproxy_rate_limited_avoidable", "429 answers of a bucket whose limit was known", registry=r
        )
        self._invalid_left = Gauge(
            "discordproxy_invalid_requests_left", "What Discord's limit per address still allows", registry=r
        )
        self._circuit = Gauge("discordproxy_circuit", "1 for the circuit's state", ["state"], registry=r)
        self._limited = limited
        self._degraded = Gauge("discordproxy_degraded", "1 while Redis is away and the local pace rules", registry=r)

    def called(self) -> None:
        """The script was called."""
        self._script_calls.inc()

    def granted(self, wait_s: float) -> None:
        """A call got its permit after waiting this long."""
        self._granted.inc()
        self._wait.observe(wait_s)

    def waited(self) -> None:
        """A call took a place."""
        self._waited.inc()

    def refused(self, why: str) -> None:
        """A call was refused: deadline, known, circuit, unavailable."""
        self._refused.labels(why).inc()

    def answered(self, outcome: str, answer: Answer) -> None:
        """An answer came and was understood this way."""
        if answer.hash:
            self._learned.inc()
        if answer.status == TOO_MANY:
            scope = answer.scope if answer.from_discord else "cloudflare"
            self._too_many.labels(scope).inc()
            self._limited(scope)
            if outcome == "exhausted":
                self._avoidable.inc()

    def invalid_left(self, left: int) -> None:
        """So many invalid requests are left for this address."""
        self._invalid_left.set(left)

    def circuit(self, state: str) -> None:
        """The circuit is closed, open or half_open."""
        for name in CIRCUIT_STATES:
            self._circuit.labels(name).set(name == state)

    def degraded(self, *, on: bool) -> None:
        """Whether the local pace rules."""
        self._degraded.set(on)
