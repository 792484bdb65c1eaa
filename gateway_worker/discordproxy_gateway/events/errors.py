"""Errors of subscriptions and interactions."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from redis.exceptions import RedisError

from discordproxy_gateway.events.cursor import Cursor, Place, Position


class EventsError(Exception):
    """A subscription cannot begin or continue.

    EventsError
     |- EventsUnavailableError   no gateway worker has ever connected, or Redis is unavailable
     |- CursorExpiredError       events after the cursor are lost
     `- SubscriberTooSlowError   the subscriber fell behind the events that are kept
    """


class EventsUnavailableError(EventsError):
    """No events are available now."""


class CursorExpiredError(EventsError):
    """Events behind the cursor are no longer kept, or belong to a stream that is gone.

    Attributes:
        earliest: where to continue without a further loss.
        lost_from_ms, lost_to_ms: the span in which events may be lost; 0 when unknown.
    """

    def __init__(self, earliest: Cursor, *, lost_from_ms: int = 0, lost_to_ms: int = 0) -> None:
        super().__init__("events after this cursor are no longer kept")
        self.earliest = earliest
        self.lost_from_ms = lost_from_ms
        self.lost_to_ms = lost_to_ms

    def among(self, positions: Mapping[Place, Position]) -> "CursorExpiredError":
        """Return the same error with a position in every stream: `positions`, unless lost."""
        earliest = Cursor({**positions, **self.earliest.positions})
        return CursorExpiredError(earliest, lost_from_ms=self.lost_from_ms, lost_to_ms=self.lost_to_ms)


class SubscriberTooSlowError(EventsError):
    """The stream dropped events before this subscriber read them."""


@contextmanager
def redis_errors() -> Iterator[None]:
    """Raise EventsUnavailableError in place of an error of Redis in the block."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise EventsUnavailableError("Redis does not answer") from error
