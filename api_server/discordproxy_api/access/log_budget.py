"""Bounds the log lines about unauthenticated callers: they must not fill the disk or displace other lines. Pure."""

MAX_LINES, WINDOW_S = 60, 60.0


class LogBudget:
    """Counts the written and the dropped lines.

    Args:
        max_lines: maximum number of lines in a window.
        window_s: length of a window in seconds.
    """

    def __init__(self, max_lines: int = MAX_LINES, window_s: float = WINDOW_S) -> None:
        self._max_lines, self._window_s = max_lines, window_s
        self._window_began_at = float("-inf")
        self._written = 0
        self._dropped = 0

    def count_line(self, now: float) -> int | None:
        """Return None if the line must be dropped, else the number of lines dropped since the last written one."""
        if now - self._window_began_at >= self._window_s:
            self._window_began_at, self._written = now, 0
        if self._written >= self._max_lines:
            self._dropped += 1
            return None
        self._written += 1
        dropped, self._dropped = self._dropped, 0
        return dropped
