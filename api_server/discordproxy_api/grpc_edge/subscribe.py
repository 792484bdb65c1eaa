"""RPC SubscribeEvents: a stream of Discord's events for each subscriber, from any place that is still kept.

A subscriber that reads slowly waits in its own stream only; whatever ends a stream tells the cursor to go on from.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import grpc
from grpc import StatusCode

from discordproxy.events_pb2 import Event, SubscribeEventsRequest
from discordproxy_api.access.event_scopes import narrow
from discordproxy_api.access.permission import Permission
from discordproxy_api.calls import errors
from discordproxy_api.calls.call import CURRENT, Call
from discordproxy_api.calls.drain import Drain
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.contract.contract import SERVICE, Rpc
from discordproxy_api.discord.app_rate import AppRateWaits
from discordproxy_api.grpc_edge.servicer import decode
from discordproxy_gateway.events import (
    BadCursorError,
    Cursor,
    CursorExpiredError,
    EventHub,
    EventsError,
    EventsUnavailableError,
    Filter,
    IntentOffError,
    ItemKind,
    SubscriberTooSlowError,
    SubscriptionItem,
    UnknownEventError,
    check_types,
)

_MOST_AT_ONCE, _MOST_BYTES_AT_ONCE = 500, 512 * 1024
_LARGEST_EVENT = 24 * 1024 * 1024
"""Two of them and a batch between them stay below what callers have to be able to receive."""
_KINDS = {ItemKind.DISPATCH: Event.DISPATCH, ItemKind.HEARTBEAT: Event.HEARTBEAT, ItemKind.GAP: Event.GAP}
_MOST_FILTERED = 10_000
_LONGEST_CURSOR = 3_000  # of what an error carries: it travels in a header; the subscriber has the last event's

Write = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """Bounds of one stream.

    Attributes:
        life_s: about how long it lasts, so that balancers can spread streams anew; a tenth more or less.
        patience_s: how long a subscriber may take nothing before its stream is cut.
    """

    life_s: float = 3_600.0
    patience_s: float = 60.0


class _Progress:
    """How far a stream has come."""

    def __init__(self, cursor: str) -> None:
        self.cursor = cursor


class Subscribe:
    """Serves the RPC.

    Args:
        chance: random numbers from 0 to 1, so that streams that began together do not end together.
    """

    def __init__(
        self,
        rpc: Rpc,
        events: EventHub,
        *,
        drain: Drain,
        metrics: Metrics,
        permission: Permission,
        turns: AppRateWaits,
        options: StreamOptions,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._rpc = rpc
        self._events = events
        self._drain = drain
        self._metrics = metrics
        self._permission = permission
        self._turns = turns
        self._options = options
        self._chance = chance

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the handler to add to a server."""
        method: grpc.RpcMethodHandler[Any, Any] = grpc.unary_stream_rpc_method_handler(self._serve)
        return grpc.method_handlers_generic_handler(SERVICE.strip("/"), {self._rpc.name: method})

    async def _serve(self, data: bytes, context: Any) -> None:
        request: Any = decode(self._rpc, data)
        progress = _Progress(request.cursor)
        try:
            await self._turns.wait(CURRENT.get())
            async with self._drain.interruptible(), self._life():
                await self._stream(request, self._patiently(context.write), progress)
        except ApiError as error:
            if len(progress.cursor) <= _LONGEST_CURSOR:
                error.extras.setdefault("cursor", progress.cursor)
            raise

    async def _stream(self, request: Any, write: Write, progress: _Progress) -> None:
        wanted, cursor = await self._read(request)
        earliest = request.start == SubscribeEventsRequest.EARLIEST
        batch = min(request.batch, _MOST_AT_ONCE)
        call, loop = CURRENT.get(), asyncio.get_running_loop()
        try:
            async with self._events.subscribe(wanted, cursor=cursor, earliest=earliest) as items:
                with self._metrics.event_streams.track_inprogress():
                    await write(_message([SubscriptionItem(ItemKind.HEARTBEAT, items.cursor)], progress))
                    told_at = loop.time()
                    async for item in items:
                        if item.kind is ItemKind.HEARTBEAT:
                            await self._require_gateway()
                        come = [item, *items.items_nowait(batch - 1, _MOST_BYTES_AT_ONCE)]
                        together = [each for each in come if await self._sees(each, call)]
                        if not together and loop.time() - told_at < self._events.heartbeat_s:
                            continue
                        await write(
                            _message(together or [SubscriptionItem(ItemKind.HEARTBEAT, items.cursor)], progress)
                        )
                        told_at = loop.time()
                        self._metrics.events_sent.inc(sum(each.entry is not None for each in together))
        except EventsError as error:
            raise _refusal(error) from None

    async def _sees(self, item: SubscriptionItem, call: Call) -> bool:
        """Tell whether an item is for the call's application; gaps and heartbeats are for all."""
        return item.entry is None or item.entry.is_gap or await self._permission.may_receive(item.entry, call)

    async def _read(self, request: Any) -> tuple[Filter, Cursor | None]:
        """Return what is asked for; raises ApiError if it cannot be had."""
        for name in ("types", "guild_ids", "channel_ids"):
            if len(getattr(request, name)) > _MOST_FILTERED:
                raise errors.invalid_field(
                    name, "BASE_TYPE_MAX_LENGTH", f"Must be {_MOST_FILTERED} or fewer in length."
                )
        try:
            cursor = Cursor.parse(request.cursor) if request.cursor else None
        except BadCursorError as error:
            raise errors.invalid_field("cursor", "INVALID_CURSOR", f"{error}.") from None
        try:
            types = check_types(request.types, ())
            types = check_types(request.types, await self._require_gateway())
        except UnknownEventError as error:
            raise errors.invalid_field("types", "BASE_TYPE_CHOICES", f"{error}.") from None
        except IntentOffError as error:
            raise errors.refusal(StatusCode.FAILED_PRECONDITION, "INTENT_OFF", f"{error}.") from None
        wish = await narrow(
            self._permission, CURRENT.get(), types=types, guilds=request.guild_ids, channels=request.channel_ids
        )
        return Filter(*wish), cursor

    async def _require_gateway(self) -> tuple[str, ...]:
        """Return the intents the bot is connected with; raises ApiError when nobody is there to connect."""
        try:
            state = await self._events.state()
        except EventsUnavailableError as error:
            raise _unavailable("EVENTS_UNAVAILABLE", str(error)) from None
        held = any(shard.held for shard in state.shards)
        if state.failure or (not held and state.login_problem):
            raise _unavailable("GATEWAY_FAILED", state.login_problem or state.failure)
        if not held:
            raise _unavailable("NO_GATEWAY", "no gateway worker is running")
        return state.intents

    @asynccontextmanager
    async def _life(self) -> AsyncIterator[None]:
        life = asyncio.timeout(self._options.life_s * (0.9 + 0.2 * self._chance()))
        try:
            async with life:
                yield
        except TimeoutError:
            if not life.expired():
                raise
            text = "The stream has reached its age; subscribe again with the cursor of the last event."
            raise errors.refusal(StatusCode.UNAVAILABLE, "STREAM_ENDED", text, retry_after_s=0.0) from None

    def _patiently(self, write: Callable[[bytes], Awaitable[None]]) -> Write:
        async def write_in_time(message: bytes) -> None:
            patience = asyncio.timeout(self._options.patience_s)
            try:
                async with patience:
                    await write(message)
            except TimeoutError:
                if not patience.expired():
                    raise
                text = f"The subscriber took no event for {self._options.patience_s:.0f} s."
                raise _too_slow(text) from None

        return write_in_time


def _message(items: Sequence[SubscriptionItem], progress: _Progress) -> bytes:
    """Return the items as they travel, and note how far the stream has come with them."""
    progress.cursor = str(items[-1].cursor)
    if len(items) == 1:
        return _event(items[0]).SerializeToString()
    return Event(kind=Event.BATCH, cursor=progress.cursor, events=map(_event, items)).SerializeToString()


def _event(item: SubscriptionItem) -> Event:
    event = Event(kind=_KINDS[item.kind], cursor=str(item.cursor))
    entry = item.entry
    if entry is not None:
        event.shard = entry.shard_id
        event.sequence = entry.sequence
        event.session = entry.session
        event.received_at = _iso(entry.received_at_ms)
        if len(entry.json) > _LARGEST_EVENT:  # nobody could receive it, and the stream would end here again and again
            event.kind = Event.GAP
            event.gap_from = event.gap_to = event.received_at
        elif entry.is_gap:
            event.gap_from, event.gap_to = _iso(entry.gap_from_ms), _iso(entry.gap_to_ms)
        else:
            event.type = entry.type
            event.guild_id, event.channel_id = entry.guild_id, entry.channel_id
            event.json = entry.json
    return event


def _refusal(error: EventsError) -> ApiError:
    """Return how a subscription that cannot begin or go on is told."""
    if isinstance(error, CursorExpiredError):
        return _expired(error)
    if isinstance(error, SubscriberTooSlowError):
        return _too_slow("The subscriber was slower than events are kept.")
    return _unavailable("EVENTS_UNAVAILABLE", str(error))


def _expired(error: CursorExpiredError) -> ApiError:
    """Tell the place to go on from."""
    refusal = errors.refusal(
        StatusCode.OUT_OF_RANGE, "CURSOR_EXPIRED", "Events after this cursor are no longer kept; go on from `cursor`."
    )
    refusal.extras["cursor"] = str(error.earliest)
    refusal.extras["gap_from"] = _iso(error.lost_from_ms)
    refusal.extras["gap_to"] = _iso(error.lost_to_ms)
    return refusal


def _too_slow(text: str) -> ApiError:
    return errors.refusal(StatusCode.RESOURCE_EXHAUSTED, "SUBSCRIBER_TOO_SLOW", text, retry_after_s=0.0)


def _unavailable(reason: str, why: str) -> ApiError:
    text = f"There are no events to be had: {why}."
    return errors.refusal(StatusCode.UNAVAILABLE, reason, text, retry_after_s=1.0)


def _iso(ms: int) -> str:
    """Return a time as ISO 8601, "" for none, or one beyond the calendar: a caller may have made it up."""
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds") if ms else ""
    except (OverflowError, OSError, ValueError):
        return ""
