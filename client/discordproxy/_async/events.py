"""Discord's events as an iterator that reconnects and resumes automatically."""

from __future__ import annotations

import logging
import os
from collections import deque
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING, Literal

import grpc

from discordproxy._async.calls import AsyncCalls
from discordproxy._grpc.resume import gap_of
from discordproxy._grpc.retry import delay_before_resuming
from discordproxy._requests.checks import choice, items, make
from discordproxy.events_pb2 import Event, SubscribeEventsRequest
from discordproxy.exceptions import DiscordProxyException, DiscordProxyGapError, to_discord_proxy_exception

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from types import TracebackType
    from typing import Any

    from typing_extensions import Self

    from discordproxy.discord_api_pb2_grpc import DiscordApiAsyncStub

    OnGap = Literal["log", "yield", "raise"]

log = logging.getLogger("discordproxy.events")

_BATCH = 100  # maximum number of events per message; a single event is not delayed


class AsyncEventStream:
    """An iterator over events. After a lost connection or a restart of the proxy it waits and resumes.

    Attributes:
        cursor: The position after the last event that the iterator returned. Store it when that event is processed,
            and pass it to `events` to resume, in any process. Empty before the first response.
    """

    cursor: str = ""

    def __init__(self, calls: AsyncEventCalls, request: SubscribeEventsRequest, on_gap: OnGap) -> None:
        self._calls = calls
        self._request = request
        self._on_gap = on_gap
        self._call: Any = None
        self._items: AsyncIterator[Event] | None = None
        self._received: deque[Event] = deque()
        self._failures = 0
        self._closed = False
        self._reading = Lock()
        self.cursor = request.cursor

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """Return the next event.

        Raises:
            DiscordProxyException: the subscription failed and retrying is pointless: an unknown type, a missing intent.
            DiscordProxyGapError: events are lost, with `on_gap="raise"`. The next iteration continues after the gap.
            RuntimeError: another thread or task is reading this stream.
        """
        if not self._reading.acquire(blocking=False):
            raise RuntimeError("another thread or task is reading these events: open a stream for each, or use a queue")
        try:
            return await self._next_shown()
        finally:
            self._reading.release()

    async def _next_shown(self) -> Event:
        """Return the next event that the application shall see."""
        while True:
            event = await self._next()
            if event.kind == Event.DISPATCH:
                return event
            if event.kind == Event.GAP:
                gap = DiscordProxyGapError(event.gap_from, event.gap_to)
                if self._on_gap == "raise":
                    raise gap
                if self._on_gap == "yield":
                    return event
                log.warning("%s", gap)

    async def __aenter__(self) -> Self:
        """Subscribe now, so that no later event is missed. Otherwise the first iteration subscribes."""
        if not self._received:
            with suppress(StopAsyncIteration):  # the stream is closed: the iteration ends at once
                await self._receive()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the stream, and with it an iteration that is waiting in another thread or task."""
        self._closed = True
        if self._call is not None:
            self._call.cancel()

    async def _next(self) -> Event:
        """Return the next event of any kind."""
        if not self._received:
            await self._receive()
        event = self._received.popleft()
        self.cursor = event.cursor
        return event

    async def _receive(self) -> None:
        """Receive the next events; reconnect and resume until there are some."""
        while not self._closed:
            try:
                event = await anext(self._open())
            except grpc.RpcError as ex:
                self._items = None
                if self._closed:
                    break
                lost = gap_of(ex)
                if lost is None:
                    await self._pause(ex)
                    continue
                event = lost
            except BaseException:
                self._items = None  # a cancelled read ends the call; the next one resumes
                if self._closed:
                    break
                raise
            self._failures = 0
            self.cursor = self.cursor or event.cursor  # the start of the stream
            self._received.extend(event.events if event.kind == Event.BATCH else [event])
            return
        raise StopAsyncIteration

    def _open(self) -> AsyncIterator[Event]:
        if self._items is None:
            self._request.cursor = self.cursor
            self._call, items = self._calls._subscribe(self._request)  # noqa: SLF001 -- the stream and its client belong together
            self._items = items
        return self._items

    async def _pause(self, ex: grpc.RpcError) -> None:
        error = to_discord_proxy_exception(ex)
        if not isinstance(error, DiscordProxyException):
            raise ex
        self._calls._add_hint(error)  # noqa: SLF001 -- the stream and its client belong together
        self._failures += 1
        delay = delay_before_resuming(error, failures=self._failures, jitter=os.urandom(1)[0] / 255)
        if delay is None:
            raise error from ex
        level = logging.INFO if delay < 1 else logging.WARNING
        log.log(level, "The event stream ended, resuming in %.1f s: %s", delay, error)
        await self._calls._sleep(delay)  # noqa: SLF001 -- the stream and its client belong together


class AsyncEventCalls(AsyncCalls):
    """Calls about events."""

    @property
    def _stream_stub(self) -> DiscordApiAsyncStub:
        """The stub of the separate connection for streams, whose pings detect a lost peer."""
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
        mine: bool = False,
        custom_id_prefixes: Iterable[str] = (),
    ) -> AsyncEventStream:
        """Return an endless iterator over Discord's events, which reconnects and resumes automatically.

        Events are delivered at least once while the proxy stores them (15 minutes by default), in order per shard.
        After a crash of the application the last events may be repeated; `session`, `shard` and `sequence` identify an
        event.

        Args:
            types: Discord's event names, such as "MESSAGE_CREATE"; empty: all.
            guild_ids: Only events of these guilds; empty: all.
            channel_ids: Only events of these channels; empty: all.
            cursor: Resume after this position, see `AsyncEventStream.cursor`.
            start: Start without a cursor: "latest" for new events only, "earliest" for the oldest stored event.
            on_gap: Reaction to lost events: "log" a warning, "yield" an event of the kind GAP, or "raise"
                DiscordProxyGapError.
            mine: Of INTERACTION_CREATE, return only commands of this application, see `sync_commands`, and components
                and modals with one of `custom_id_prefixes`.
            custom_id_prefixes: Starts of the `custom_id` of this application's components and modals.

        Returns:
            Events: `type`, `json` (the data as Discord sent it), `guild_id`, `channel_id`, `received_at`, `cursor`.

        Raises:
            ValueError: an argument is invalid.
        """
        request = make(
            SubscribeEventsRequest,
            types=items("types", types),
            guild_ids=items("guild_ids", guild_ids),
            channel_ids=items("channel_ids", channel_ids),
            cursor=cursor,
            start=choice("start", SubscribeEventsRequest.From, start),
            batch=_BATCH,
            mine=mine,
            custom_id_prefixes=items("custom_id_prefixes", custom_id_prefixes),
        )
        if on_gap not in {"log", "yield", "raise"}:
            raise ValueError(f"on_gap: must be one of log, yield, raise; not {on_gap!r}")
        return AsyncEventStream(self, request, on_gap)

    def _subscribe(self, request: SubscribeEventsRequest) -> tuple[Any, AsyncIterator[Event]]:
        metadata = (*self._metadata, ("x-request-id", os.urandom(8).hex()))
        with self._gate:
            call = self._stream_stub.SubscribeEvents(request, metadata=metadata)
        return call, self._messages(call)
