"""RPC SubscribeEvents: a stream of Discord's events for each subscriber, from any position that is still kept.

A subscriber that reads slowly delays only its own stream. An error that ends a stream contains the cursor from which
the next one continues.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson

from discordproxy.events_pb2 import Event, SubscribeEventsRequest
from discordproxy.interactions_pb2 import Interaction
from discordproxy_api.access.event_scopes import narrow
from discordproxy_api.access.permission import Permission
from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.drain import Drain
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.commands.own_interactions import OwnInteractions
from discordproxy_api.commands.owner_tables import OwnerTables
from discordproxy_api.contract.translate import message_reader
from discordproxy_api.discord.app_rate import AppRateWaits
from discordproxy_api.rpcs.procedure import Write
from discordproxy_api.time_limit import expires_as
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

MAX_BATCH, MAX_BATCH_BYTES = 500, 512 * 1024
MAX_EVENT_BYTES = 24 * 1024 * 1024
"""Two of them and a batch between them stay below the message size that callers must be able to receive."""
_KINDS = {ItemKind.DISPATCH: Event.DISPATCH, ItemKind.HEARTBEAT: Event.HEARTBEAT, ItemKind.GAP: Event.GAP}
_read_interaction = message_reader(Interaction.DESCRIPTOR)
_MAX_FILTERED, _MAX_PREFIXES = 10_000, 1_000
_MAX_CURSOR_LENGTH = 3_000  # it is a header of the error; the subscriber also has the cursor of its last event

MAX_REQUEST_BYTES = 3 * 1024 * 1024
"""Each stream keeps its request in memory; the largest valid one has a long cursor and two full lists of ids."""


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """Bounds of one stream.

    Attributes:
        life_s: maximum duration, with a jitter of 10 %, so that load balancers can distribute the streams again.
        write_timeout_s: time without a read by the subscriber after which the stream ends.
    """

    life_s: float = 3_600.0
    write_timeout_s: float = 60.0


class _Progress:
    """Position of a stream."""

    def __init__(self, cursor: str) -> None:
        self.cursor = cursor


class SubscribeEvents:
    """Serves the RPC.

    Args:
        owners: of the bot's commands.
        jitter: random numbers from 0 to 1, so that streams that began together do not end together.
    """

    max_request_bytes = MAX_REQUEST_BYTES

    def __init__(
        self,
        events: EventHub,
        *,
        drain: Drain,
        metrics: Metrics,
        permission: Permission,
        app_rate: AppRateWaits,
        owners: OwnerTables,
        options: StreamOptions,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._events = events
        self._drain = drain
        self._metrics = metrics
        self._permission = permission
        self._app_rate = app_rate
        self._owners = owners
        self._options = options
        self._jitter = jitter

    async def serve(self, call: Call, request: Any, write: Write) -> None:
        """Stream events until the call ends; `request` is a SubscribeEventsRequest, `write` sends one serialized Event.

        Raises:
            ApiError: the subscription is invalid, not permitted, or ended.
        """
        progress = _Progress(request.cursor)
        try:
            await self._app_rate.wait(call)
            async with self._drain.interruptible(), self._life():
                await self._stream(call, request, self._with_timeout(write), progress)
        except ApiError as error:
            if len(progress.cursor) <= _MAX_CURSOR_LENGTH:
                error.extras.setdefault("cursor", progress.cursor)
            raise

    async def _stream(self, call: Call, request: Any, write: Write, progress: _Progress) -> None:
        wanted, cursor = await self._read(call, request)
        earliest = request.start == SubscribeEventsRequest.EARLIEST
        batch = min(request.batch, MAX_BATCH)
        own = OwnInteractions(self._owners, call.app, request.custom_id_prefixes) if request.mine else None
        loop = asyncio.get_running_loop()
        try:
            async with self._events.subscribe(wanted, cursor=cursor, earliest=earliest) as items:
                with self._metrics.event_streams.track_inprogress():
                    await write(_message([SubscriptionItem(ItemKind.HEARTBEAT, items.cursor)], progress))
                    written_at = loop.time()
                    async for item in items:
                        if item.kind is ItemKind.HEARTBEAT:
                            await self._require_gateway()
                        received = [item, *items.items_nowait(batch - 1, MAX_BATCH_BYTES)]
                        visible = [each for each in received if await self._may_see(each, call, own)]
                        if not visible and loop.time() - written_at < self._events.heartbeat_s:
                            continue
                        await write(_message(visible or [SubscriptionItem(ItemKind.HEARTBEAT, items.cursor)], progress))
                        written_at = loop.time()
                        self._metrics.events_sent.inc(sum(each.entry is not None for each in visible))
        except EventsError as error:
            raise _refusal(error) from None

    async def _may_see(self, item: SubscriptionItem, call: Call, own: OwnInteractions | None) -> bool:
        """Return whether the call's application may see an item, and wants it; all see gaps and heartbeats."""
        if item.entry is None or item.entry.is_gap:
            return True
        if own is not None and not await own.includes(item.entry):
            return False
        return await self._permission.may_receive(item.entry, call)

    async def _read(self, call: Call, request: Any) -> tuple[Filter, Cursor | None]:
        """Return filter and start of the subscription; raises ApiError if it is invalid."""
        for name in ("types", "guild_ids", "channel_ids"):
            if len(getattr(request, name)) > _MAX_FILTERED:
                raise errors.invalid_field(name, "BASE_TYPE_MAX_LENGTH", f"Must be {_MAX_FILTERED} or fewer in length.")
        _check_prefixes(request)
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
            raise errors.refusal("FAILED_PRECONDITION", "INTENT_OFF", f"{error}.") from None
        narrowed = await narrow(
            self._permission, call, types=types, guilds=request.guild_ids, channels=request.channel_ids
        )
        return Filter(*narrowed), cursor

    async def _require_gateway(self) -> tuple[str, ...]:
        """Return the intents of the bot's connection; raises ApiError if no gateway worker runs."""
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

    def _life(self) -> AbstractAsyncContextManager[None]:
        return expires_as(asyncio.timeout(self._options.life_s * (0.9 + 0.2 * self._jitter())), _stream_ended)

    def _with_timeout(self, write: Write) -> Write:
        limit_s = self._options.write_timeout_s
        not_read = partial(_too_slow, f"The subscriber has read no event for {limit_s:.0f} s.")

        async def write_in_time(message: bytes) -> None:
            async with expires_as(asyncio.timeout(limit_s), not_read):
                await write(message)

        return write_in_time


def _check_prefixes(request: Any) -> None:
    """Raise ApiError unless the prefixes of custom ids are valid."""
    prefixes, path = request.custom_id_prefixes, "custom_id_prefixes"
    if len(prefixes) > _MAX_PREFIXES:
        raise errors.invalid_field(path, "BASE_TYPE_MAX_LENGTH", f"Must be {_MAX_PREFIXES} or fewer in length.")
    if prefixes and not request.mine:
        raise errors.invalid_field(path, "FIELD_CONFLICT", "Prefixes require `mine`.")
    if not all(prefixes):
        raise errors.invalid_field(path, "BASE_TYPE_BAD_LENGTH", "A prefix must not be empty.")


def _message(items: Sequence[SubscriptionItem], progress: _Progress) -> bytes:
    """Return the items as one serialized message, and advance the stream's position."""
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
        if len(entry.json) > MAX_EVENT_BYTES:  # the subscriber could not receive it, and each new stream would end here
            event.kind = Event.GAP
            event.gap_from = event.gap_to = event.received_at
        elif entry.is_gap:
            event.gap_from, event.gap_to = _iso(entry.gap_from_ms), _iso(entry.gap_to_ms)
        else:
            event.type = entry.type
            event.guild_id, event.channel_id = entry.guild_id, entry.channel_id
            event.json = entry.json
            if entry.type == "INTERACTION_CREATE":
                event.interaction.CopyFrom(_read_interaction(orjson.loads(entry.json)))
    return event


def _refusal(error: EventsError) -> ApiError:
    """Return the error of a subscription that cannot begin or continue."""
    if isinstance(error, CursorExpiredError):
        return _expired(error)
    if isinstance(error, SubscriberTooSlowError):
        return _too_slow("The next event was deleted before the subscriber read it.")
    return _unavailable("EVENTS_UNAVAILABLE", str(error))


def _expired(error: CursorExpiredError) -> ApiError:
    """Return the error that contains the earliest valid cursor."""
    refusal = errors.refusal(
        "OUT_OF_RANGE", "CURSOR_EXPIRED", "Events after this cursor have been deleted; continue from `cursor`."
    )
    refusal.extras["cursor"] = str(error.earliest)
    refusal.extras["gap_from"] = _iso(error.lost_from_ms)
    refusal.extras["gap_to"] = _iso(error.lost_to_ms)
    return refusal


def _stream_ended() -> ApiError:
    text = "The stream has reached its maximum age; subscribe again with the cursor of the last event."
    return errors.refusal("UNAVAILABLE", "STREAM_ENDED", text, retry_after_s=0.0)


def _too_slow(text: str) -> ApiError:
    return errors.refusal("RESOURCE_EXHAUSTED", "SUBSCRIBER_TOO_SLOW", text, retry_after_s=0.0)


def _unavailable(reason: str, cause: str) -> ApiError:
    text = f"Events are unavailable: {cause}."
    return errors.refusal("UNAVAILABLE", reason, text, retry_after_s=1.0)


def _iso(ms: int) -> str:
    """Return a time as ISO 8601; "" for none or one beyond the calendar, which a forged cursor may contain."""
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds") if ms else ""
    except (OverflowError, OSError, ValueError):
        return ""
