"""The receiving end of one connection: passes events to the writer and records how the session goes."""

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from redis.exceptions import RedisError

from discordproxy_gateway.discord.dispatch import SESSION_EVENTS, Dispatch
from discordproxy_gateway.discord.failures import LeaseLostError
from discordproxy_gateway.discord.session import Session
from discordproxy_gateway.plan.event_planner import EventPlanner
from discordproxy_gateway.shard.chunking import CHUNKER_EVENTS, Chunker
from discordproxy_gateway.shard.context import ShardContext
from discordproxy_gateway.shard.interaction_deferral import Deferrer
from discordproxy_gateway.store.lease import Lease
from discordproxy_gateway.write.batch import PlannedEvent
from discordproxy_gateway.write.writer import Writer

log = logging.getLogger(__name__)

_CONNECTION_EVENTS = SESSION_EVENTS | CHUNKER_EVENTS | {"INTERACTION_CREATE"}
"""Events that the objects of a connection act on; all others are only stored."""


class Intake:
    """The socket's listener. It exists before the socket, which reports its handshake here.

    Args:
        context: of the process.
        lease: under which events are stored.
        session: the session to resume; None begins one.
        fingerprint: recorded with a new session.
        planner: plans the writes of events.
        deferrer: gets interactions once they are stored.
        chunker: gets events that concern member lists; None without the members intent.
        covered_until_ms: time until which the streams of earlier eras are complete; see `SessionStore`.

    Attributes:
        stored_sequence: sequence of the last stored event; None before the first one of a new session.
        identified: IDENTIFY was sent, or may have been.
        works: an event of the session was stored, or the session is healthy otherwise.
        latency_s: of the last heartbeat.
        events: number of stored events.
        session_begun: set when READY or RESUMED is stored.
    """

    def __init__(
        self,
        context: ShardContext,
        lease: Lease,
        *,
        session: Session | None,
        fingerprint: str,
        planner: EventPlanner,
        deferrer: Deferrer,
        chunker: Chunker | None = None,
        covered_until_ms: int | None = None,
    ) -> None:
        self.lease = lease
        self.session = session
        self.chunker = chunker
        self.stored_sequence = session.sequence if session else None
        self.identified = False
        self.works = False
        self.latency_s = 0.0
        self.events = 0
        self.session_begun = asyncio.Event()
        self.writer = Writer(
            context.scripts,
            context.keys,
            lease,
            session=session,
            fingerprint=fingerprint,
            planner=planner,
            on_stored=self.on_stored,
            options=context.options,
            covered_until_ms=covered_until_ms,
        )
        self._store = context.store
        self._group = context.identify_group(lease.slot)
        self._deferrer = deferrer
        self._resumed = False
        self._resumes_reset = False
        self._begun_at: float | None = None

    async def on_event(self, event: Dispatch) -> None:
        """Plan an event and queue it for the writer; waits while the queue is full, which stops the reading."""
        planned = self.writer.plan(event)
        if event.name not in _CONNECTION_EVENTS:
            event.data = None  # contained in the operations: the next event gets its memory while that is cached
        if not self.writer.queue.put_nowait(planned):
            await self.writer.queue.put(planned)

    async def on_heartbeat_ack(self, latency_s: float) -> None:
        """Count the connection as current once all events before this are stored."""
        self.latency_s = latency_s
        await self.writer.queue.put(PlannedEvent(asyncio.get_running_loop().time()))

    async def before_resume(self) -> None:
        """Count the RESUME; raises LeaseLostError if a newer leader may own the session."""
        self.lease.ensure_held()
        await self._store.count_resume(self.lease)
        self._resumed = True
        self.lease.ensure_held()

    async def before_identify(self) -> None:
        """Charge the IDENTIFY; raises LeaseLostError if a newer leader may own the shard."""
        self.lease.ensure_held()
        await self._store.charge_identify(self.lease, self._group)
        self.identified = True
        self.lease.ensure_held()

    def on_stored(self, events: Sequence[Dispatch]) -> None:
        """Record stored events: heartbeats confirm them, chunker and deferrer act on them."""
        if not events:
            return
        self.events += len(events)
        self.stored_sequence = events[-1].sequence
        for event in events:
            if event.name in _CONNECTION_EVENTS:
                self._record(event)
            else:
                self.works = True

    def _record(self, event: Dispatch) -> None:
        if event.name in SESSION_EVENTS:
            self._begun_at = asyncio.get_running_loop().time()
            log.info("%s shard %s", event.name, self.lease.slot)
            self.session_begun.set()
        else:
            self.works = True
        try:
            if event.name == "INTERACTION_CREATE":
                self._deferrer.on_interaction(event.data, event.received_at)
            if self.chunker is not None:
                self.chunker.on_event(event.name, event.data)
        except Exception as error:  # noqa: BLE001 - one odd event must not affect the next
            self.writer.skipped.record_event(event.name, error)

    @property
    def began(self) -> bool:
        """Whether the session began or was resumed on this connection."""
        return self._begun_at is not None

    @property
    def up_for_s(self) -> float:
        """Seconds since the session began or was resumed on this connection; 0 if it never was."""
        return asyncio.get_running_loop().time() - self._begun_at if self._begun_at is not None else 0.0

    async def reset_resume_count(self) -> None:
        """Reset the stored number of RESUMEs once the session has shown that it works."""
        if self._resumed and self.works and not self._resumes_reset:
            with contextlib.suppress(RedisError, OSError, LeaseLostError):  # the next event detects a lost lease
                await self._store.reset_resume_count(self.lease)
                self._resumes_reset = True
