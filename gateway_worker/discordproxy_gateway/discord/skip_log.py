"""A log of skipped events: one warning per kind."""

import logging

log = logging.getLogger(__name__)

_MAX_KINDS = 100


class SkipLog:
    """Counts skipped items and warns once per kind."""

    def __init__(self) -> None:
        self.count = 0
        self._logged: set[str] = set()

    def record(self, kind: str) -> None:
        """Record one; `kind` is logged and holds no content."""
        self.count += 1
        if kind not in self._logged and len(self._logged) < _MAX_KINDS:
            self._logged.add(kind)
            log.warning("%s: skipped; further ones of this kind are not logged on this connection", kind)

    def record_event(self, name: str, error: Exception) -> None:
        """Record an event that caused `error`."""
        self.record(f"event {name[:50]!r} not understood ({type(error).__name__})")
