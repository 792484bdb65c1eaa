"""One connection to Discord: its socket, the writer behind it, and how it comes to an end."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from redis.exceptions import RedisError

from discordproxy_gateway.discord import bot_client
from discordproxy_gateway.discord.discord_socket import Socket
from discordproxy_gateway.discord.dispatch import OF_SESSIONS, Dispatch
from discordproxy_gateway.discord.failures import LeaseLostError, SessionOutOfStepError
from discordproxy_gateway.discord.reconnect import End
from discordproxy_gateway.shard.chunking import Chunker  # noqa: TC001 - types are real here
from discordproxy_gateway.shard.interaction_deferral import Deferrer  # noqa: TC001 - types are real here
from discordproxy_gateway.store import shard_status as status
from discordproxy_gateway.store.lease import Lease
from discordproxy_gateway.store.session_store import SessionStore
from discordproxy_gateway.write.writer import Writer  # noqa: TC001 - types are real here
from discordproxy_ratelimit.process.tasks import cancel, steadily

log = logging.getLogger(__name__)

DRAIN_S = 2.0
"""Bound of storing what was read when the process stops; the rest is repeated by Discord on RESUME."""

HEALTHY_S = 60.0
"""A connection that lived so long wipes out the failures before it."""

_REPORT_S = 5.0


class ShardConnection:
    """Reads one socket into one writer until either ends, the lease is lost, or the process stops.

    Args:
        store, group: charge an IDENTIFY in this concurrency group.
        told: fields of the status are written through it.
    """

    def __init__(self, lease: Lease, store: SessionStore, group: int, told: status.ShardStatus) -> None:
        self._lease = lease
        self._store = store
        self._group = group
        self._status = told
        self.socket: Socket | None = None
        self._up_at: float | None = None
        self._events = 0
        self._latency_s = 0.0
        self._news = asyncio.Event()
        self.identified = False
        self.resumed = False  # RESUME was sent
        self.works = False  # an event of the session was stored, or it is healthy otherwise
        self._cleared = self._reported = False
        self._told_events = 0
        self.drained = True  # nothing that was read remained unstored
        self.writer: Writer
        self.chunker: Chunker | None = None
        self.deferrer: Deferrer | None = None

    async def receive(self, event: Dispatch) -> None:
        """Queue an event for the writer; a full queue stops the reading."""
        if not self.writer.queue.put_nowait(event):
            await self.writer.queue.put(event)

    async def alive(self, latency_s: float) -> None:
        """Count the connection as current once all that was read before is stored."""
        self._latency_s = latency_s
        await self.writer.queue.put_confirmation(asyncio.get_running_loop().time())

    async def resuming(self) -> None:
        """Refuse to steal the session from a newer leader, else count the RESUME."""
        self._lease.require()
        await self._store.note_try(self._lease)
        self.resumed = True
        self._lease.require()

    async def identifying(self) -> None:
        """Refuse as `resuming`, else charge the IDENTIFY."""
        self._lease.require()
        await self._store.identified(self._lease, self._group)
        self.identified = True
        self._lease.require()

    def applied(self, events: Sequence[Dispatch]) -> None:
        """Let heartbeats confirm what is stored, and note that the session began or was resumed."""
        if not events:
            return
        self._events += len(events)
        if self.socket is not None:
            self.socket.stored(events[-1].sequence)
        for event in events:
            self._note(event)

    def _note(self, event: Dispatch) -> None:
        if event.name in OF_SESSIONS:
            self._up_at = asyncio.get_running_loop().time()
            log.info("%s shard %s", event.name, self._lease.slot)
            self._news.set()
        else:
            self.works = True
        try:
            self._tell_helpers(event)
        except Exception as error:  # noqa: BLE001 - whatever is odd about it, the next event may be fine
            self.writer.skipped.event(event.name, error)

    def _tell_helpers(self, event: Dispatch) -> None:
        if event.name == "INTERACTION_CREATE" and self.deferrer is not None:
            self.deferrer.note(event.data, event.received_at)
        if self.chunker is not None:
            self.chunker.note(event.name, event.data)

    @property
    def began(self) -> bool:
        """Whether the session began or was resumed on this connection."""
        return self._up_at is not None

    @property
    def up_for_s(self) -> float:
        """Seconds since the session began or was resumed on this connection; 0 if it never was."""
        return asyncio.get_running_loop().time() - self._up_at if self._up_at is not None else 0.0

    async def run(self, over: asyncio.Future[Any]) -> End | None:
        """Read until the connection ends, and return how; None when `over` came first, or no socket was opened.

        Raises:
            LeaseLostError: a newer leader has written.
        """
        if self.socket is None:
            return None
        reading = asyncio.create_task(self._read(self.socket))
        writing = asyncio.create_task(self.writer.run())
        shared: dict[str, Callable[[], Coroutine[Any, Any, None]]] = {
            "the watch": self.socket.watch,
            "the report": self._report,
            "the requests for members": partial(self._chunk, self.socket),
        }
        slot = self._lease.slot
        beside = [
            asyncio.create_task(steadily(work, f"{name} of shard {slot}", until_done=True))
            for name, work in shared.items()
        ]
        try:
            await asyncio.wait({reading, writing, over}, return_when=asyncio.FIRST_COMPLETED)
            return await self._finish(self.socket, reading, writing, over)
        finally:
            self.drained = writing.done() and not writing.cancelled() and writing.exception() is None
            await cancel(reading, writing, *beside)

    async def close(self) -> None:
        """Close the socket so that the session stays for a successor; nothing happens if that was done."""
        if self.socket is not None:
            await self.socket.leave()

    async def _finish(
        self, socket: Socket, reading: asyncio.Task[None], writing: asyncio.Task[None], over: asyncio.Future[Any]
    ) -> End | None:
        if not writing.done() and not self._lease.lost.is_set():
            # Closing first: from now on Discord keeps what comes for the successor.
            if not reading.done():
                await cancel(reading)
                await socket.leave()
            await self._drain(writing, over)
        if writing.done():
            try:
                writing.result()
            except SessionOutOfStepError as error:
                return End(f"out of step with Redis ({error})")
        if reading.cancelled() or not reading.done():
            return None
        try:
            reading.result()
        except bot_client.ENDINGS as error:
            return bot_client.end_of(error, socket)
        return End("reading stopped")

    async def _drain(self, writing: asyncio.Task[None], over: asyncio.Future[Any]) -> None:
        """Store what was read: all of it after a lost connection, what can be done in time when the process stops."""
        finishing = asyncio.create_task(self.writer.queue.put_end())
        await asyncio.wait({writing, over}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({writing}, timeout=DRAIN_S)
        await cancel(finishing)

    async def _read(self, socket: Socket) -> None:
        while True:
            await socket.poll_event()

    async def _chunk(self, socket: Socket) -> None:
        with contextlib.suppress(*bot_client.ENDINGS):  # reading notices the end, too, and says why
            if self.chunker is not None:
                await self.chunker.run(socket)

    async def _report(self) -> None:
        """Tell state and counters now and then, and at once when the session has begun."""
        if not self._reported:
            self._reported = True
            await self._status.count(**{"identifies" if self.identified else "resumes": 1})
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), _REPORT_S)
            if self._news.is_set():
                self._news.clear()
                since = datetime.now(UTC).isoformat(timespec="seconds")
                await self._status.tell(state=status.READY, connected_since=since, reason=None)
            elif self.up_for_s > HEALTHY_S:
                self.works = True
            await self.note_progress()
            events, self._told_events = self._events - self._told_events, self._events
            await self._status.tell(
                latency_ms=round(self._latency_s * 1000), backlog=self.writer.backlog, bad_events=self._bad_events
            )
            await self._status.count(events=events)

    @property
    def _bad_events(self) -> int:
        return self.writer.skipped.count + (self.socket.skipped.count if self.socket else 0)

    async def note_progress(self) -> None:
        """Have the tries to resume counted from 0 again, once the session has shown that it works."""
        if self.resumed and self.works and not self._cleared:
            with contextlib.suppress(RedisError, OSError, LeaseLostError):  # the next event notices the last
                await self._store.note_progress(self._lease)
                self._cleared = True
