"""What a worker has counted since it last told the others, and which calls failed lately. Pure: time comes in."""

from bisect import bisect_left
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

LATENCY_BOUNDS_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000)
"""Upper bounds of the classes that latencies are counted in; what takes longer is in one more class."""

CALLS, FAILURES, LATENCY, LIMITED, REQUESTS, CAUSE = "c:", "f:", "l:", "9:", "r", "x:"
"""Names of the counts: calls and failures by application, latencies by class, 429s by scope, requests to Discord,
failures by cause and application."""

MOST_CAUSES = 60
"""Between two tellings; further ones are counted without a cause."""

MOST_APPS = 30
OTHER = "other"
"""What applications beyond the first `MOST_APPS` are called."""

MOST_FAILURES = 20
FAILURES_KEPT_S = 900.0


class Failure(NamedTuple):
    """A kind of failure: one line of the status page, however often it happens.

    Attributes:
        rpc, status, reason: of the call; the reason is empty where the proxy has none.
        http_status, code: what Discord answered, 0 for none.
    """

    rpc: str
    status: str
    reason: str = ""
    http_status: int = 0
    code: int = 0


class Cause(NamedTuple):
    """Why calls of an application fail; see `Failure`."""

    status: str
    reason: str
    http_status: int
    code: int
    app: str


def cause_of(name: str) -> Cause:
    """Return the cause that a count is named after."""
    status, reason, http_status, code, app = name[len(CAUSE) :].split("|", 4)
    return Cause(status, reason, int(http_status), int(code), app)


@dataclass(slots=True)
class Seen:
    """How often a kind of failure has happened, and when, to whom and in which call the last time."""

    count: int
    at: float
    app: str
    request_id: str


class RecentStats:
    """The counts of one worker. Attribute `in_progress` is the number of calls being served."""

    def __init__(self) -> None:
        self.in_progress = 0
        self._counts: Counter[str] = Counter()
        self._apps: set[str] = set()
        self._failures: OrderedDict[Failure, Seen] = OrderedDict()

    def ended(self, app: str, *, failed: bool, took_s: float) -> None:
        """Count a call."""
        app = self._named(app)
        self._counts[CALLS + app] += 1
        self._counts[f"{LATENCY}{bisect_left(LATENCY_BOUNDS_MS, took_s * 1000)}"] += 1
        if failed:
            self._counts[FAILURES + app] += 1

    def _named(self, app: str) -> str:
        if len(self._apps) < MOST_APPS:
            self._apps.add(app)
        return app if app in self._apps else OTHER

    def requested(self) -> None:
        """Count a request to Discord."""
        self._counts[REQUESTS] += 1

    def limited(self, scope: str) -> None:
        """Count a 429 of Discord."""
        self._counts[LIMITED + scope] += 1

    def failed(self, failure: Failure, *, app: str, request_id: str, at: float) -> None:
        """Remember a failed call; `at` is Unix time."""
        self._count_cause(Cause(*failure[1:], self._named(app)))
        seen = self._failures.pop(failure, None)
        self._failures[failure] = Seen(seen.count + 1 if seen else 1, at, app, request_id)
        if len(self._failures) > MOST_FAILURES:
            self._failures.popitem(last=False)

    def _count_cause(self, cause: Cause) -> None:
        name = CAUSE + "|".join(map(str, cause))
        if name not in self._counts and sum(known.startswith(CAUSE) for known in self._counts) >= MOST_CAUSES:
            name = CAUSE + "|".join(map(str, Cause("UNKNOWN", "", 0, 0, cause.app)))
        self._counts[name] += 1

    def failures(self, now: float) -> list[tuple[Failure, Seen]]:
        """Return the failures of the last quarter of an hour, the latest first; `now` is Unix time."""
        for failure, seen in list(self._failures.items()):
            if now - seen.at > FAILURES_KEPT_S:
                del self._failures[failure]
        return list(reversed(self._failures.items()))

    def take(self) -> dict[str, int]:
        """Return what was counted since the last time."""
        counts, self._counts = self._counts, Counter()
        return counts

    def give_back(self, counts: dict[str, int]) -> None:
        """Count again what could not be told."""
        self._counts.update(counts)
