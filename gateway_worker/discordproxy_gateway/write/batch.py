"""Batches of events for one script call. Pure.

A call blocks Redis while it runs, so its writes are bounded. The sequence advances with whole events only: a successor
must not receive an event that is half applied.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

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


@dataclass(slots=True)
class EventBatch:
    """Events that are applied together."""

    planned: list[PlannedEvent] = field(default_factory=list)
    weight: int = field(init=False)

    def __post_init__(self) -> None:
        self.weight = sum(planned.weight for planned in self.planned)

    def try_add(self, planned: PlannedEvent) -> bool:
        """Add `planned`, unless it has to wait for the next batch. READY stands alone."""
        if self.planned and (
            planned.begins
            or self.planned[0].begins
            or len(self.planned) >= EVENTS_PER_CALL
            or self.weight + planned.weight > WEIGHT_PER_CALL
        ):
            return False
        self.planned.append(planned)
        self.weight += planned.weight
        return True

    @property
    def events(self) -> list[Dispatch]:
        """The events, in order."""
        return [planned.event for planned in self.planned if planned.event is not None]

    @property
    def begins(self) -> Session | None:
        """The session that begins here."""
        return self.planned[0].begins

    @property
    def current_at(self) -> float:
        """Loop time up to which everything is contained."""
        return self.planned[-1].current_at

    def calls(self) -> Iterator[list[Operation]]:
        """Yield the operations of each script call: one, or several when a single event writes much."""
        if self.weight <= WEIGHT_PER_CALL or any(event.name in _IN_ONE_STEP for event in self.events):
            yield [operation for planned in self.planned for operation in planned.operations]
            return
        operations: list[Operation] = []
        filled = 0
        for operation in self.planned[0].operations:
            added = weight((operation,))
            if operations and filled + added > WEIGHT_PER_CALL:
                yield operations
                operations, filled = [], 0
            operations.append(operation)
            filled += added
        yield operations
