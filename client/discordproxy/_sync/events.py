# Generated from _async/events.py by client/generate_sync.py; edit that file and run it again.
"""Discord's events as an iterator that reconnects and resumes by itself."""

from __future__ import annotations

import logging
import os
from collections import deque
from typing import TYPE_CHECKING, Literal

import grpc

from discordproxy._grpc.resume import gap_of
from discordproxy._grpc.retry import delay_before_resuming
from discordproxy._requests.checks import choice, items, make
from discordproxy._sync.calls import Calls
from discordproxy.events_pb2 import Event, SubscribeEventsRequest
from discordproxy.exceptions import DiscordProxyException, DiscordProxyGapError, to_discord_proxy_exception

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType
    from typing import Any

    from typing_extensions import Self

    from discordproxy.discord_api_pb2_grpc import DiscordApiStub

    OnGap = Literal["log", "yield", "raise"]

log = logging.getLogger("discordproxy.events")

_BATCH = 100  # most events in one message; one that comes alone is not held up


class EventStream:
    """Events, one after the other. A lost connection, a restarted proxy or a worker that ends are waited for.

    Attributes:
        cursor: The place after the last event that was handed out: store it once that event is processed, and give
            it to `events` to go on from there, in another process or after a restart. Empty before the first answer.
    """

    cursor: str = ""

    def __init__(self, calls: EventCalls, request: SubscribeEventsRequest, on_gap: OnGap) -> None:
        self._calls = calls
        self._request = request
        self._on_gap = on_gap
        self._call: Any = None
        self._items: Iterator[Event] | None = None
        self._at_hand: deque[Event] = deque()
        self._failures = 0
        self._closed = False
        self.cursor = request.cursor

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        """Return the next event.

        Raises:
            DiscordProxyException: the subscription is refused for good: an unknown type, an intent that is off.
            DiscordProxyGapError: events are lost, with `on_gap="raise"`; iterating again goes on behind the gap.
        """
        while True:
            event = self._next()
            if event.kind == Event.DISPATCH:
                return event
            if event.kind == Event.GAP:
                gap = DiscordProxyGapError(event.gap_from, event.gap_to)
                if self._on_gap == "raise":
                    raise gap
                if self._on_gap == "yield":
                    return event
                log.warning("%s", gap)

    def __enter__(self) -> Self:
        """Subscribe: what happens from now on will be handed out. Without this, the first iteration does it."""
        if not self._at_hand:
            self._receive()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the stream; an iteration that waits, in whichever thread or task, ends too."""
        self._closed = True
        if self._call is not None:
            self._call.cancel()

    def _next(self) -> Event:
        """Return what comes next, of whatever kind."""
        if not self._at_hand:
            self._receive()
        event = self._at_hand.popleft()
        self.cursor = event.cursor
        return event

    def _receive(self) -> None:
        """Have something at hand; wait and resume as often as it takes."""
        while not self._closed:
            try:
                event = next(self._open())
            except grpc.RpcError as ex:
                self._items = None
                if self._closed:
                    break
                lost = gap_of(ex)
                if lost is None:
                    self._pause(ex)
                    continue
                event = lost
            except BaseException:
                self._items = None  # a read that is cancelled ends the call; the next one resumes
                if self._closed:
                    break
                raise
            self._failures = 0
            self.cursor = self.cursor or event.cursor  # where it began
            self._at_hand.extend(event.events if event.kind == Event.BATCH else [event])
            return
        raise StopIteration

    def _open(self) -> Iterator[Event]:
        if self._items is None:
            self._request.cursor = self.cursor
            self._call, items = self._calls._subscribe(self._request)  # noqa: SLF001 -- the other half of this class
            self._items = items
        return self._items

    def _pause(self, ex: grpc.RpcError) -> None:
        error = to_discord_proxy_exception(ex)
        if not isinstance(error, DiscordProxyException):
            raise ex
        self._calls._add_hint(error)  # noqa: SLF001 -- the other half of this class
        self._failures += 1
        delay = delay_before_resuming(error, failures=self._failures, jitter=os.urandom(1)[0] / 255)
        if delay is None:
            raise error from ex
        level = logging.INFO if delay < 1 else logging.WARNING
        log.log(level, "The stream of events ended, again in %.1f s: %s", delay, error)
        self._calls._sleep(delay)  # noqa: SLF001 -- the other half of this class


class EventCalls(Calls):
    """Following what happens."""

    @property
    def _stream_stub(self) -> DiscordApiStub:
        """The stub of a connection of its own, which notices when the other side is gone without a word."""
        raise NotImplementedError

    def events(
        self,
        types: Iterable[str] = (),
        *,
        guild_ids: Iterable[int] = (),
        channel_ids: Iterable[int] = (),
        cursor: str = "",
        start: Literal["latest", "earliest"] = "latest",
        on_gap: OnGap = "log",
    ) -> EventStream:
        """Return an iterator over Discord's events, which reconnects and resumes by itself and never ends.

        Every event comes at least once while the proxy keeps it (15 minutes by default), in order per shard; after a
        crash of your program the last ones come again, recognised by `session`, `shard` and `sequence`.

        Args:
            types: Discord's names, e.g. "MESSAGE_CREATE"; none for all.
            guild_ids: Only events of these guilds.
            channel_ids: Only events of these channels.
            cursor: Go on after this place, see `EventStream.cursor`.
            start: Without a cursor: "latest" begins with what comes, "earliest" with the oldest event that is kept.
            on_gap: What to do when events are lost: "log" a warning, "yield" an event of the kind GAP, or "raise"
                DiscordProxyGapError.

        Returns:
            Events: `type`, `json` (the data as Discord sent it), `guild_id`, `channel_id`, `received_at`, `cursor`.
        """
        request = make(
            SubscribeEventsRequest,
            types=items("types", types),
            guild_ids=items("guild_ids", guild_ids),
            channel_ids=items("channel_ids", channel_ids),
            cursor=cursor,
            start=choice("start", SubscribeEventsRequest.From, start),
            batch=_BATCH,
        )
        if on_gap not in {"log", "yield", "raise"}:
            raise ValueError(f"on_gap: must be one of log, yield, raise; not {on_gap!r}")
        return EventStream(self, request, on_gap)

    def _subscribe(self, request: SubscribeEventsRequest) -> tuple[Any, Iterator[Event]]:
        metadata = (*self._metadata, ("x-request-id", os.urandom(8).hex()))
        with self._gate:
            call = self._stream_stub.SubscribeEvents(request, metadata=metadata)
        return call, iter(call)
