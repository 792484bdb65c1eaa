"""One open connection to Discord: reads its socket into the writer until either ends."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from discordproxy_gateway.discord import bot_client
from discordproxy_gateway.discord.discord_socket import Socket
from discordproxy_gateway.discord.failures import SessionOutOfStepError
from discordproxy_gateway.discord.reconnect import ConnectionEnd
from discordproxy_gateway.shard.intake import Intake
from discordproxy_gateway.store import shard_status
from discordproxy_ratelimit.process.tasks import cancel, steadily

log = logging.getLogger(__name__)

DRAIN_S = 2.0
"""Time limit for storing what was read when the process stops; Discord repeats the rest on RESUME."""

HEALTHY_S = 60.0
"""A connection of this age resets the counts of earlier failures."""

_REPORT_S = 5.0


class ShardConnection:
    """Reads one socket until the connection ends, the lease is lost, or the process stops.

    Attributes:
        drained: everything that was read is stored.
    """

    def __init__(self, intake: Intake, socket: Socket, status: shard_status.ShardStatus) -> None:
        self._intake = intake
        self._writer = intake.writer
        self._socket = socket
        self._writer.queue.source = socket
        self._status = status
        self._start_reported = False
        self._reported_events = 0
        self._reported_fields: tuple[int, int, int] | None = None
        self.drained = True

    async def run(self, stop: asyncio.Future[Any]) -> ConnectionEnd | None:
        """Read until the connection ends and return how; None if `stop` was done first.

        Raises:
            LeaseLostError: a newer leader has written.
        """
        reading = asyncio.create_task(self._socket.read())
        writing = asyncio.create_task(self._writer.run())
        beside = [
            self._supervise(self._socket.watch, "the watch"),
            self._supervise(self._report, "the report"),
            self._supervise(self._fetch_members, "the requests for members"),
        ]
        try:
            await asyncio.wait({reading, writing, stop}, return_when=asyncio.FIRST_COMPLETED)
            return await self._finish(reading, writing, stop)
        finally:
            self.drained = writing.done() and not writing.cancelled() and writing.exception() is None
            await cancel(reading, writing, *beside)

    def _supervise(self, work: Callable[[], Awaitable[None]], name: str) -> asyncio.Task[None]:
        return asyncio.create_task(steadily(work, f"{name} of shard {self._intake.lease.slot}", until_done=True))

    async def close(self) -> None:
        """Close the socket so that a successor can resume the session; a closed one stays as it is."""
        await self._socket.close_resumable()

    async def _finish(
        self, reading: asyncio.Task[None], writing: asyncio.Task[None], stop: asyncio.Future[Any]
    ) -> ConnectionEnd | None:
        if not writing.done() and not self._intake.lease.lost.is_set():
            # Closing first: from now on Discord keeps events for the successor.
            if not reading.done():
                await cancel(reading)
                await self.close()
            await self._drain(writing, stop)
        if writing.done():
            try:
                writing.result()
            except SessionOutOfStepError as error:
                return ConnectionEnd(f"out of step with Redis ({error})")
        if reading.cancelled() or not reading.done():
            return None
        try:
            reading.result()
        except bot_client.CONNECTION_ERRORS as error:
            return bot_client.end_of(error, self._socket)
        return ConnectionEnd("reading stopped")

    async def _drain(self, writing: asyncio.Task[None], stop: asyncio.Future[Any]) -> None:
        """Store what was read: all of it after a lost connection, up to DRAIN_S when the process stops."""
        finishing = asyncio.create_task(self._writer.queue.put_end())
        await asyncio.wait({writing, stop}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({writing}, timeout=DRAIN_S)
        await cancel(finishing)

    async def _fetch_members(self) -> None:
        with contextlib.suppress(*bot_client.CONNECTION_ERRORS):  # reading fails as well and returns the reason
            if self._intake.chunker is not None:
                await self._intake.chunker.run(self._socket)

    async def _report(self) -> None:
        """Publish state and counters every few seconds, and as soon as the session has begun."""
        intake = self._intake
        if not self._start_reported:
            self._start_reported = True
            await self._status.add(**{"identifies" if intake.identified else "resumes": 1})
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_REPORT_S):
                    await intake.session_begun.wait()
            if intake.session_begun.is_set():
                intake.session_begun.clear()
                since = datetime.now(UTC).isoformat(timespec="seconds")
                await self._status.set(state=shard_status.READY, connected_since=since, reason=None)
            elif intake.up_for_s > HEALTHY_S:
                intake.works = True
            await intake.reset_resume_count()
            events, self._reported_events = intake.events - self._reported_events, intake.events
            await self._status.add(events=events)
            fields = (round(intake.latency_s * 1000), self._writer.backlog, self._skipped)
            if fields != self._reported_fields:
                latency_ms, backlog, skipped = fields
                is_stored = await self._status.set(latency_ms=latency_ms, backlog=backlog, bad_events=skipped)
                self._reported_fields = fields if is_stored else None

    @property
    def _skipped(self) -> int:
        return self._writer.skipped.count + self._socket.skipped.count
