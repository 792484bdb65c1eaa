"""Bounds the calls that a worker serves at once; a waiting call costs memory."""

from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass

from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.drain import Drain
from discordproxy_api.pipeline.fair_start import FairStart


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """Maximum numbers of calls at once.

    Attributes:
        calls: in total.
        calls_per_app: of one application, so that a single one cannot use up the total.
        streams, streams_per_app: the same for streams, which are counted separately.
    """

    calls: int
    calls_per_app: int
    streams: int
    streams_per_app: int


class KeyedAdmission:
    """Admits calls of applications until the drain begins. They start in turn, connection by connection."""

    def __init__(self, drain: Drain, limits: AdmissionLimits) -> None:
        self._drain = drain
        self._max = {False: limits.calls, True: limits.streams}
        self._max_per_app = {False: limits.calls_per_app, True: limits.streams_per_app}
        self._fair_start = FairStart()
        self._total: Counter[bool] = Counter()
        self._apps: Counter[tuple[bool, str]] = Counter()

    def admit(self, call: Call) -> None:
        """Count a call.

        Raises:
            ApiError: there are too many, or the worker is stopping.
        """
        if self._drain.begun:
            raise errors.draining()
        streams = call.streams
        app = streams, call.app
        if self._total[streams] >= self._max[streams] or self._apps[app] >= self._max_per_app[streams]:
            text = f"Too many {'streams are open' if streams else 'calls wait'} in this worker; call again later."
            raise errors.refusal("RESOURCE_EXHAUSTED", "QUEUE_FULL", text, retry_after_s=1.0)
        self._total[streams] += 1
        self._apps[app] += 1
        self._drain.add_call()

    def turn(self, call: Call) -> Awaitable[None] | None:
        """Return what to await before the call starts, None if it may start at once."""
        return self._fair_start.turn(call.peer)

    def release(self, call: Call) -> None:
        """Count the call no longer."""
        self._drain.remove_call()
        app = call.streams, call.app
        self._total[call.streams] -= 1
        self._apps[app] -= 1
        if not self._apps[app]:
            del self._apps[app]


@dataclass(frozen=True, slots=True)
class Bound:
    """Maximum numbers of calls at once: of one connection, and of all together."""

    per_connection: int
    in_all: int


CHECKS, WATCHES, REFLECTIONS, OTHERS = Bound(100, 2_000), Bound(10, 500), Bound(4, 4), Bound(4, 16)
"""Health checks end within milliseconds, watches last; each stream of reflection may hold a large message."""


class KeylessAdmission:
    """Bounds the calls of a service that needs no key, apart from the calls of applications.

    Args:
        calls, streams: their bounds.
    """

    def __init__(self, calls: Bound, streams: Bound | None = None) -> None:
        self._bounds = {False: calls, True: streams or calls}
        self._total: Counter[bool] = Counter()
        self._connections: Counter[tuple[bool, str]] = Counter()

    def admit(self, call: Call) -> None:
        """Count a call; raises ApiError if there are too many."""
        bound, connection = self._bounds[call.streams], (call.streams, call.peer)
        if self._connections[connection] >= bound.per_connection or self._total[call.streams] >= bound.in_all:
            text = (
                f"One connection may have {bound.per_connection} of these calls open, all together {bound.in_all}; "
                "call again later."
            )
            raise errors.refusal("RESOURCE_EXHAUSTED", "QUEUE_FULL", text, retry_after_s=1.0)
        self._total[call.streams] += 1
        self._connections[connection] += 1

    def turn(self, call: Call) -> None:
        """Return None."""

    def release(self, call: Call) -> None:
        """Count the call no longer."""
        connection = call.streams, call.peer
        self._total[call.streams] -= 1
        self._connections[connection] -= 1
        if not self._connections[connection]:
            del self._connections[connection]
