"""Bounds what may be called without a key, apart from the calls that need one: of one connection, and in all."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from grpc import StatusCode
from grpc_health.v1 import health
from grpc_reflection.v1alpha import reflection

from discordproxy_api.calls import errors


@dataclass(frozen=True, slots=True)
class Bound:
    """How many calls at once: of one connection, and of all together."""

    per_connection: int
    in_all: int


CHECKS, WATCHES, REFLECTIONS, OTHERS = Bound(100, 2_000), Bound(10, 500), Bound(4, 4), Bound(4, 16)
"""Checks of health end within milliseconds, watches last; each stream of reflection may hold a large message."""


def bound_of(method: str, *, streams: bool) -> Bound:
    """Return the bound for a method outside of our own service; all methods with the same one share it."""
    service = method.strip("/").partition("/")[0]
    if service == health.SERVICE_NAME:
        return WATCHES if streams else CHECKS
    return REFLECTIONS if service == reflection.SERVICE_NAME else OTHERS


class Keyless:
    """Counts the calls in progress."""

    def __init__(self) -> None:
        self._total: Counter[Bound] = Counter()
        self._connections: Counter[tuple[Bound, str]] = Counter()

    @contextmanager
    def place(self, bound: Bound, connection: str) -> Iterator[None]:
        """Hold a place for one call.

        Raises:
            ApiError: there is none.
        """
        own = bound, connection
        if self._connections[own] >= bound.per_connection or self._total[bound] >= bound.in_all:
            text = (
                f"One connection may have {bound.per_connection} of these calls open, all together {bound.in_all}; "
                "call again later."
            )
            raise errors.refusal(StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", text, retry_after_s=1.0)
        self._total[bound] += 1
        self._connections[own] += 1
        try:
            yield
        finally:
            self._total[bound] -= 1
            self._connections[own] -= 1
            if not self._connections[own]:
                del self._connections[own]
