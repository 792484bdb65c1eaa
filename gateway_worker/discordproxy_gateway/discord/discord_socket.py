"""The bot's websocket: discord.py's socket without its objects. A malformed message is skipped.

Private names of discord.py that are touched here are pinned by tests/contract/libraries/test_discord_py.py.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp
import discord
import orjson
from discord.gateway import DiscordWebSocket, KeepAliveHandler

from discordproxy_gateway.discord.dispatch import SESSION_EVENTS, Dispatch, MalformedEventError, read_dispatch
from discordproxy_gateway.discord.inflate import Inflate
from discordproxy_gateway.discord.skip_log import SkipLog
from discordproxy_gateway.receive_threshold import ReceiveThreshold

log = logging.getLogger(__name__)

CLOSE_S = 1.0
"""Time limit for Discord to confirm a close."""

SILENCE_S = 60.0
"""A connection without a message for this long is dead: a heartbeat and its answer were due meanwhile."""

BEGIN_S = 60.0
"""Time limit for READY or RESUMED after IDENTIFY or RESUME."""

WATCH_S = 5.0
"""How often the deadlines of a connection are checked, unless heartbeats are sent more often."""

STALL_S = 1.0
"""After a deadline, unread messages are read for this long before the connection counts as dead."""

MEAN_OCTETS = 300.0
"""First estimate of an event's size as received."""

MAX_COUNTED_OCTETS = 2_000
"""Larger events count as this large in the mean: a few of them must not hold back many small ones."""

_NEWEST_WEIGHT = 1 / 16
"""Weight of the newest event in the mean size."""

MAX_HEARTBEAT_GRACE_S = 60.0
"""Maximum extension of a heartbeat's deadline while Redis stores events slowly."""

HELLO_MS = 41_250
MIN_HELLO_MS, MAX_HELLO_MS = 1_000, 60_000

_DATA = frozenset({aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY})

HAND_OVER = 4000
"""Close code that keeps the session for a successor; 1000 and 1001 would end it (Discord: gateway, disconnecting)."""


class SocketListener(Protocol):
    """The receiving end of a socket."""

    stored_sequence: int | None
    """Sequence of the last stored event."""

    async def on_event(self, event: Dispatch) -> None:
        """Receive an event; awaiting here stops the reading, so that TCP holds Discord back."""

    async def on_heartbeat_ack(self, latency_s: float) -> None:
        """Called when Discord has confirmed a heartbeat."""

    async def before_resume(self) -> None:
        """Called right before RESUME is sent; raises if this process no longer leads the shard."""

    async def before_identify(self) -> None:
        """Called right before IDENTIFY is sent; raises if this process no longer leads the shard."""


@dataclass(slots=True)
class Opening:
    """A connection that is being opened: its listener, and the socket once it exists."""

    listener: SocketListener
    socket: "Socket | None" = None


opening_now: ContextVar[Opening] = ContextVar("opening")  # from_client makes the socket and offers no argument for it


class Socket(DiscordWebSocket):
    """Passes every event on; heartbeats confirm only stored events.

    Attributes:
        close_reason: the reason if this side closed the connection, "" otherwise.
        skipped: malformed messages.
    """

    _first_heartbeat: asyncio.Task[None] | None = None
    _silence_s = SILENCE_S
    _reading = False
    _unanswered_at: float | None = None
    _grace_s = 0.0
    _begun = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        opening = opening_now.get()
        opening.socket = self
        self.listener = opening.listener
        self.close_reason = ""
        self.skipped = SkipLog()
        super().__init__(*args, **kwargs)
        self._inflate = Inflate(self._decompressor)
        self._threshold: ReceiveThreshold | None = None
        self._mean_octets = MEAN_OCTETS
        self._received = 0
        self._event_at = time.perf_counter()

    @property
    def sequence(self) -> int | None:
        """The sequence for heartbeats and RESUME: that of the last event that is stored."""
        return self.listener.stored_sequence

    @sequence.setter
    def sequence(self, value: int | None) -> None:
        if not self._reading:  # from_client hands over the sequence to resume from
            self._received = value or 0

    async def read(self) -> None:
        """Read until the connection ends; raises as `poll_event`, which this does without a coroutine per message."""
        receive = self.socket.receive
        try:
            while True:
                message = await receive()
                if message.type in _DATA:
                    await self.received_message(message.data)
                else:
                    await self.poll_event()  # finds the connection closed and raises the reason
        finally:
            self._release_threshold()

    async def received_message(self, msg: Any, /) -> None:
        """Read one message: events go to the listener, the rest to discord.py. A malformed one is skipped."""
        self._reading = True
        message = self._inflate.read(msg)
        if message is None:  # the rest of it is still to come
            return
        if self._keep_alive is not None:
            self._keep_alive.tick()
        if message["op"] != self.DISPATCH:
            await self._control(message)
            return
        try:
            event = read_dispatch(message, after=self._received, now=self.loop.time())
        except MalformedEventError as error:
            self.skipped.record(str(error))
            return
        self._received, self._event_at = event.sequence, time.perf_counter()
        self._begun |= event.name in SESSION_EVENTS
        self._mean_octets += (min(len(msg), MAX_COUNTED_OCTETS) - self._mean_octets) * _NEWEST_WEIGHT
        await self.listener.on_event(event)
        if self._unanswered_at is not None:
            self._extend_deadline(self.loop.time() - event.received_at)

    def _extend_deadline(self, waited_s: float) -> None:
        """Extend a heartbeat's deadline: its answer cannot be read while an event waits for room."""
        waited_s = min(waited_s, MAX_HEARTBEAT_GRACE_S - self._grace_s)
        if self._unanswered_at is not None and waited_s > 0:
            self._unanswered_at += waited_s
            self._grace_s += waited_s

    def gather(self, events: int) -> bool:
        """Leave what arrives unread until it is about this number of events; False if that is not possible now.

        While a heartbeat is unanswered, everything is read at once: the latency is measured.
        """
        if self._threshold is None or self._unanswered_at is not None:
            return False
        return self._threshold.set(round(events * self._mean_octets))

    def stop_gathering(self) -> None:
        """Read what has arrived, and further events as they arrive."""
        if self._threshold is not None:
            self._threshold.set(1)

    async def _control(self, message: dict[str, Any]) -> None:
        op = message["op"]
        if op == self.HELLO and self._keep_alive is None:
            message = {"op": op, "d": {"heartbeat_interval": hello_ms(message.get("d"))}}
        elif op == self.RECONNECT:
            self.close_reason = "Discord requested a reconnect"
        elif op == self.INVALIDATE_SESSION:
            self.close_reason = "session interrupted by Discord"
        elif op not in (self.HEARTBEAT, self.HEARTBEAT_ACK):
            self.skipped.record(f"message with opcode {str(op)[:20]}")
            return
        await super().received_message(orjson.dumps(message).decode())
        if op == self.HEARTBEAT_ACK and self._keep_alive is not None:
            self._unanswered_at = None
            await self.listener.on_heartbeat_ack(self._keep_alive.latency)

    async def send_as_json(self, data: Any) -> None:
        """Send a message; the first heartbeat, which the library sends at once, waits a part of the interval.

        Discord requires a random part (gateway, sending heartbeats): after an outage all bots connect at once.
        """
        if data.get("op") == self.HEARTBEAT and self._keep_alive is not None:
            if self._first_heartbeat is None:
                self._first_heartbeat = asyncio.create_task(
                    self._send_first_heartbeat(self._keep_alive), name="gateway-first-beat"
                )
                return
            self._record_heartbeat()
        await super().send_as_json(data)

    async def send_heartbeat(self, data: Any) -> None:
        """Send a heartbeat of the library's thread, which records the time too late for a quick answer."""
        self._record_heartbeat()
        await super().send_heartbeat(data)

    def _record_heartbeat(self) -> None:
        now = time.perf_counter()
        if self._keep_alive is not None:
            self._keep_alive._last_send = now  # noqa: SLF001 - pinned
        if self._unanswered_at is None:
            self._unanswered_at, self._grace_s = now, 0.0
            self.stop_gathering()

    async def _send_first_heartbeat(self, keep_alive: KeepAliveHandler) -> None:
        await asyncio.sleep(random.random() * (keep_alive.interval or 0.0))  # noqa: S311 - spreads load
        self._record_heartbeat()
        with contextlib.suppress(discord.ConnectionClosed, OSError):
            await super().send_as_json(keep_alive.get_payload())

    def prepare_reading(self) -> None:
        """Read without a time limit from now on; `watch` has one. A timer per message costs more than reading it."""
        self._silence_s, self._max_heartbeat_timeout = self._max_heartbeat_timeout, 0.0
        connection = self.socket._conn  # noqa: SLF001 - pinned
        if connection is not None and connection.transport is not None:
            self._threshold = ReceiveThreshold(connection.transport)

    async def watch(self) -> None:
        """Close a dead connection that neither side has closed; this ends the reading."""
        overdue = ""
        while (keep_alive := self._keep_alive) is not None:
            left_s, why = min(self._deadlines(keep_alive))
            if left_s <= 0 and why == overdue:
                self.close_reason = why
                await self.close_resumable()
                return
            overdue = why if left_s <= 0 else ""
            # A heartbeat that is sent meanwhile brings a new deadline, one interval away.
            await asyncio.sleep(min(left_s, WATCH_S, keep_alive.interval or WATCH_S) if left_s > 0 else STALL_S)

    def _deadlines(self, keep_alive: KeepAliveHandler) -> Iterator[tuple[float, str]]:
        """Yield the seconds until the connection counts as dead, with the reason."""
        now = time.perf_counter()
        yield keep_alive._last_recv + self._silence_s - now, f"nothing received for {self._silence_s:.0f} s"  # noqa: SLF001 - pinned
        if not self._begun:
            yield self._event_at + BEGIN_S - now, f"neither READY nor RESUMED for {BEGIN_S:.0f} s"
        if self._unanswered_at is not None and keep_alive.interval:
            # Discord: a heartbeat that is not answered before the next one is due means a dead connection.
            yield self._unanswered_at + keep_alive.interval - now, "heartbeat not answered"

    async def identify(self) -> None:
        """Send IDENTIFY after HELLO."""
        await self._await_hello()
        await super().identify()

    async def resume(self) -> None:
        """Send RESUME after HELLO, unless the lease was lost while the socket was opened."""
        await self._await_hello()
        await self.listener.before_resume()
        await super().resume()

    async def _await_hello(self) -> None:
        """Read on until HELLO, without which no heartbeat is sent; the bound of the handshake ends this."""
        while self._keep_alive is None:
            await self.poll_event()

    async def close_resumable(self, code: int = HAND_OVER) -> None:
        """Close with `code`, without confirmation if it does not come in time."""
        if self._first_heartbeat is not None:
            self._first_heartbeat.cancel()
        self._release_threshold()
        with contextlib.suppress(TimeoutError, OSError, discord.ConnectionClosed):
            async with asyncio.timeout(CLOSE_S):
                await self.close(code)

    def _release_threshold(self) -> None:
        if self._threshold is not None:
            self._threshold.set(1)  # what confirms the close is read at once
            self._threshold.close()
            self._threshold = None


def hello_ms(data: Any) -> int:
    """Return the heartbeat interval in ms for the data of HELLO, usable or not. Pure."""
    interval_ms = data.get("heartbeat_interval") if isinstance(data, dict) else None
    if isinstance(interval_ms, bool) or not isinstance(interval_ms, int | float) or not interval_ms > 0:
        log.warning("HELLO has no usable heartbeat interval; using %d ms", HELLO_MS)
        return HELLO_MS
    return round(min(max(interval_ms, MIN_HELLO_MS), MAX_HELLO_MS))
