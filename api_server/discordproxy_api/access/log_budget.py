"""Keeps callers nobody knows from filling the disk with log lines, and from pushing out those that matter. Pure."""

LINES, WITHIN_S = 60, 60.0


class LogBudget:
    """How many lines may still be written; those that are left out are counted.

    Args:
        lines: so many within `within_s` seconds.
    """

    def __init__(self, lines: int = LINES, within_s: float = WITHIN_S) -> None:
        self._lines, self._within_s = lines, within_s
        self._began_at = float("-inf")
        self._written = 0
        self._left_out = 0

    def take(self, now: float) -> int | None:
        """Return None if the line must be left out, else how many have been since the last one that was not."""
        if now - self._began_at >= self._within_s:
            self._began_at, self._written = now, 0
        if self._written >= self._lines:
            self._left_out += 1
            return None
        self._written += 1
        left_out, self._left_out = self._left_out, 0
        return left_out
