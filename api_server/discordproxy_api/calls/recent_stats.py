"""Counts of a worker since its last report, and its most recent failures. Pure: time is an argument."""

from bisect import bisect_left
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

from discordproxy_api.calls.timed_counts import BOUNDS_S, TimedCounts

LATENCY_BOUNDS_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000)
"""Upper bounds of the latency classes; a last class holds longer calls."""

_CLASSES = [bisect_left(LATENCY_BOUNDS_MS, bound * 1000) for bound in BOUNDS_S] + [len(LATENCY_BOUNDS_MS)]
"""Latency classes of the buckets of `TimedCounts`."""

SHOWN = "shown"
NOT_FAILED = frozenset({"OK", "CANCELLED"})

CALLS, FAILURES, LATENCY, LIMITED, REQUESTS, CAUSE, DOORS = "c:", "f:", "l:", "9:", "r", "x:", "d:"
"""Names of the counts: calls and failures by application, latencies by class, 429s by scope, requests to Discord,
failures by cause and application, calls by way in."""

MAX_CAUSES = 60
"""Maximum number of causes between two reports; further failures are counted without a cause."""

MAX_APPS = 30
OTHER = "other"
"""Name of all applications beyond the first `MAX_APPS`."""

MAX_FAILURES = 20
FAILURES_KEPT_S = 900.0


class Failure(NamedTuple):
    """A kind of failure. It is one line of the status page, with the number of its occurrences.

    Attributes:
        rpc, status, reason: of the call; the reason is "" if there is none.
        http_status, code: of Discord's response, 0 for none.
    """

    rpc: str
    status: str
    reason: str = ""
    http_status: int = 0
    code: int = 0


class Cause(NamedTuple):
    """The cause of an application's failed calls; see `Failure`."""

    status: str
    reason: str
    http_status: int
    code: int
    app: str


def cause_of(name: str) -> Cause:
    """Return the cause that is encoded in the name of a count."""
    status, reason, http_status, code, app = name[len(CAUSE) :].split("|", 4)
    return Cause(status, reason, int(http_status), int(code), app)


@dataclass(slots=True)
class Occurrences:
    """Number of occurrences of a failure; time, application and request id of the last one."""

    count: int
    at: float
    app: str
    request_id: str


class RecentStats:
    """The counts of one worker.

    Args:
        calls: finished calls by RPC, status, application, `SHOWN` if the status page shows them, and way in.
        requests: requests to Discord.
    """

    def __init__(self, calls: TimedCounts, requests: TimedCounts) -> None:
        self._calls, self._requests = calls, requests
        self._counts: Counter[str] = Counter()
        self._apps: set[str] = set()
        self._failures: OrderedDict[Failure, Occurrences] = OrderedDict()

    def _named(self, app: str) -> str:
        if len(self._apps) < MAX_APPS:
            self._apps.add(app)
        return app if app in self._apps else OTHER

    def limited(self, scope: str) -> None:
        """Count a 429 of Discord."""
        self._counts[LIMITED + scope] += 1

    def failed(self, failure: Failure, *, app: str, request_id: str, at: float) -> None:
        """Record a failed call; `at` is Unix time."""
        self._count_cause(Cause(*failure[1:], self._named(app)))
        seen = self._failures.pop(failure, None)
        self._failures[failure] = Occurrences(seen.count + 1 if seen else 1, at, app, request_id)
        if len(self._failures) > MAX_FAILURES:
            self._failures.popitem(last=False)

    def _count_cause(self, cause: Cause) -> None:
        name = CAUSE + "|".join(map(str, cause))
        if name not in self._counts and sum(known.startswith(CAUSE) for known in self._counts) >= MAX_CAUSES:
            name = CAUSE + "|".join(map(str, Cause("UNKNOWN", "", 0, 0, cause.app)))
        self._counts[name] += 1

    def failures(self, now: float) -> list[tuple[Failure, Occurrences]]:
        """Return the failures of the last 15 minutes, the most recent first; `now` is Unix time."""
        for failure, seen in list(self._failures.items()):
            if now - seen.at > FAILURES_KEPT_S:
                del self._failures[failure]
        return list(reversed(self._failures.items()))

    def collect(self) -> dict[str, int]:
        """Return the counts since the previous call of this method."""
        counts, self._counts = self._counts, Counter()
        if requests := sum(sum(buckets) for _, buckets in self._requests.report()):
            counts[REQUESTS] += requests
        for (_, status, app, shown, door), buckets in self._calls.report():
            if not shown:
                continue
            name, number = self._named(app), sum(buckets)
            counts[CALLS + name] += number
            counts[DOORS + door] += number
            if status not in NOT_FAILED:
                counts[FAILURES + name] += number
            for latency_class, calls in zip(_CLASSES, buckets, strict=True):
                if calls:
                    counts[f"{LATENCY}{latency_class}"] += calls
        return counts

    def restore(self, counts: dict[str, int]) -> None:
        """Add counts again that could not be reported."""
        self._counts.update(counts)
