"""Warns of what is passed over because it could not be understood, once of each kind."""

import logging

log = logging.getLogger(__name__)

_MAX_KINDS = 100


class SkipLog:
    """Counts what is passed over, and warns once of each kind."""

    def __init__(self) -> None:
        self.count = 0
        self._logged: set[str] = set()

    def record(self, kind: str) -> None:
        """Note one; `kind` is shown and holds no content."""
        self.count += 1
        if kind not in self._logged and len(self._logged) < _MAX_KINDS:
            self._logged.add(kind)
            log.warning("%s: skipped, and so are more like it on this connection", kind)

    def record_event(self, name: str, error: Exception) -> None:
        """Note an event that `error` shows to be odd."""
        self.record(f"event {name[:50]!r} not understood ({type(error).__name__})")
