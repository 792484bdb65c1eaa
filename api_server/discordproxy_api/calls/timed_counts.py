"""Counts of finished events with their durations, kept once for Prometheus and for the status page. Pure."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence

BOUNDS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.025, 0.05, 0.1, 0.2, 0.25, 0.5, 1, 2, 2.5, 5, 10, 30, 60, 300)
"""Upper bounds of the buckets, in seconds; one more bucket holds what takes longer. Prometheus and the status page each
read some of them."""

Labels = tuple[str, ...]


class Series:
    """The events with the same labels.

    Attributes:
        buckets: events by duration.
        seconds: sum of the durations.
        reported: `buckets` at the last report.
    """

    __slots__ = ("buckets", "changed", "reported", "seconds")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS_S) + 1)
        self.seconds = 0.0
        self.reported = [0] * (len(BOUNDS_S) + 1)
        self.changed = False


class TimedCounts:
    """Counts events by labels. It needs no lock: only the event loop's thread counts and reads."""

    def __init__(self) -> None:
        self._series: defaultdict[Labels, Series] = defaultdict(Series)
        self._changed: list[tuple[Labels, Series]] = []

    def add(self, labels: Labels, seconds: float) -> None:
        """Count an event."""
        series = self._series[labels]
        series.buckets[bisect_left(BOUNDS_S, seconds)] += 1
        series.seconds += seconds
        if not series.changed:
            series.changed = True
            self._changed.append((labels, series))

    def report(self) -> list[tuple[Labels, list[int]]]:
        """Return what was counted since the last report: labels and buckets."""
        changed, self._changed = self._changed, []
        found = []
        for labels, series in changed:
            found.append((labels, [now - then for now, then in zip(series.buckets, series.reported, strict=True)]))
            series.reported = series.buckets.copy()
            series.changed = False
        return found

    def totals(self, positions: Sequence[int]) -> dict[Labels, int]:
        """Return numbers of events by some of the labels."""
        found: defaultdict[Labels, int] = defaultdict(int)
        for labels, series in self._series.items():
            found[tuple(labels[position] for position in positions)] += sum(series.buckets)
        return found

    def histograms(
        self, position: int, bounds_s: Sequence[float]
    ) -> Iterator[tuple[str, list[tuple[str, int]], float]]:
        """Yield for each value of one label its cumulative buckets, as Prometheus defines them, and its sum."""
        merged: defaultdict[str, Series] = defaultdict(Series)
        for labels, series in self._series.items():
            one = merged[labels[position]]
            one.buckets = [a + b for a, b in zip(one.buckets, series.buckets, strict=True)]
            one.seconds += series.seconds
        for label, series in merged.items():
            cumulative = [(str(float(bound)), sum(series.buckets[: BOUNDS_S.index(bound) + 1])) for bound in bounds_s]
            yield label, [*cumulative, ("+Inf", sum(series.buckets))], series.seconds
