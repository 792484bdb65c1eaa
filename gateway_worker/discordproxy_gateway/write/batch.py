"""Batches of events for one script call. Pure.

A call blocks Redis while it runs, so its writes are bounded. The sequence advances with whole events only: a successor
must not receive an event that is half applied.
"""

from collections.abc import Sequence

from discordproxy_gateway.discord.dispatch import Dispatch
from discordproxy_gateway.discord.session import Session
from discordproxy_gateway.store.operations import Operation, weight

EVENTS_PER_CALL = 100
WEIGHT_PER_CALL = 1500
"""Arguments of all operations of a call, those that cost more counted more: about 2 ms of Redis."""

_IN_ONE_STEP = frozenset({"GUILD_EMOJIS_UPDATE", "GUILD_STICKERS_UPDATE", "THREAD_LIST_SYNC"})
"""They replace a list that readers see meanwhile; Discord bounds it to some thousands."""


class PlannedEvent:
    """An event with its operations; without an event, a confirmation that the connection was current.

    Attributes:
        current_at: loop time at which the connection was known to be current.
        begins: the session that this event, READY, begins.
        name: of the event, "" without one.
        weight: of the operations.
    """

    __slots__ = ("begins", "current_at", "event", "name", "operations", "weight")

    def __init__(
        self,
        current_at: float,
        event: Dispatch | None = None,
        operations: Sequence[Operation] = (),
        begins: Session | None = None,
    ) -> None:
        self.current_at = current_at
        self.event = event
        self.name = "" if event is None else event.name
        self.operations = operations
        self.begins = begins
        self.weight = weight(operations)

    def with_operations(self, operations: Sequence[Operation]) -> "PlannedEvent":
        """Return the same event with other operations."""
        return PlannedEvent(self.current_at, self.event, operations, self.begins)


class EventBatch:
    """Events that are applied together.

    Attributes:
        planned: in order; at least one.
        events: those of `planned`, without confirmations.
        begins: the session that begins here.
    """

    __slots__ = ("_operations", "_weight", "begins", "events", "planned")

    def __init__(self, first: PlannedEvent) -> None:
        self.planned = [first]
        self.events = [] if first.event is None else [first.event]
        self.begins = first.begins
        self._operations = list(first.operations)
        self._weight = first.weight

    def try_add(self, planned: PlannedEvent) -> bool:
        """Add `planned`, unless it has to wait for the next batch. READY stands alone."""
        if (
            planned.begins
            or self.begins
            or len(self.planned) >= EVENTS_PER_CALL
            or self._weight + planned.weight > WEIGHT_PER_CALL
        ):
            return False
        self.planned.append(planned)
        if planned.event is not None:
            self.events.append(planned.event)
        self._operations += planned.operations
        self._weight += planned.weight
        return True

    @property
    def current_at(self) -> float:
        """Loop time up to which everything is contained."""
        return self.planned[-1].current_at

    def calls(self) -> list[list[Operation]]:
        """Return the operations of each script call: one, or several when a single event writes much."""
        if self._weight <= WEIGHT_PER_CALL or self.planned[0].name in _IN_ONE_STEP:
            return [self._operations]
        calls: list[list[Operation]] = []
        filled = WEIGHT_PER_CALL
        for operation in self._operations:
            added = weight((operation,))
            if filled + added > WEIGHT_PER_CALL:
                calls.append([])
                filled = 0
            calls[-1].append(operation)
            filled += added
        return calls
