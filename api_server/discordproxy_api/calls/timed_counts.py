"""Counts of finished events with their durations, kept once for Prometheus and for the status page. Pure."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence

BOUNDS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.025, 0.05, 0.1, 0.2, 0.25, 0.5, 1, 2, 2.5, 5, 10, 30, 60, 300)
"""Upper bounds of the buckets, in seconds; a last bucket holds longer durations. Prometheus and the status page each
read some of them."""

Labels = tuple[str, ...]


class Series:
    """The counts of events with the same labels.

    Attributes:
        buckets: events by duration.
        seconds: sum of the durations in seconds.
        reported: `buckets` at the last report.
        changed: whether events were counted since then.
    """

    __slots__ = ("buckets", "changed", "reported", "seconds")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS_S) + 1)
        self.seconds = 0.0
        self.reported = [0] * (len(BOUNDS_S) + 1)
        self.changed = False


class TimedCounts:
    """Counts events by labels. It requires no lock: only the event loop's thread uses it."""

    def __init__(self) -> None:
        self._series: defaultdict[Labels, Series] = defaultdict(Series)
        self._changed: list[tuple[Labels, Series]] = []

    def add(self, labels: Labels, seconds: float) -> None:
        """Count an event with its duration in seconds."""
        series = self._series[labels]
        series.buckets[bisect_left(BOUNDS_S, seconds)] += 1
        series.seconds += seconds
        if not series.changed:
            series.changed = True
            self._changed.append((labels, series))

    def report(self) -> list[tuple[Labels, list[int]]]:
        """Return labels and buckets of the events since the last report."""
        changed, self._changed = self._changed, []
        report = []
        for labels, series in changed:
            report.append((labels, [now - then for now, then in zip(series.buckets, series.reported, strict=True)]))
            series.reported = series.buckets.copy()
            series.changed = False
        return report

    def totals(self, positions: Sequence[int]) -> dict[Labels, int]:
        """Return the numbers of events by the labels at these positions."""
        totals: defaultdict[Labels, int] = defaultdict(int)
        for labels, series in self._series.items():
            totals[tuple(labels[position] for position in positions)] += sum(series.buckets)
        return totals

    def histograms(
        self, position: int, bounds_s: Sequence[float]
    ) -> Iterator[tuple[str, list[tuple[str, int]], float]]:
        """Yield each value of one label with its cumulative buckets, as Prometheus defines them, and its sum."""
        merged: defaultdict[str, Series] = defaultdict(Series)
        for labels, series in self._series.items():
            total = merged[labels[position]]
            total.buckets = [a + b for a, b in zip(total.buckets, series.buckets, strict=True)]
            total.seconds += series.seconds
        for label, series in merged.items():
            cumulative = [(str(float(bound)), sum(series.buckets[: BOUNDS_S.index(bound) + 1])) for bound in bounds_s]
            yield label, [*cumulative, ("+Inf", sum(series.buckets))], series.seconds
