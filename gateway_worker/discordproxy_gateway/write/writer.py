"""Applies events in batches: caches, stream and sequence in one fenced script call.

A batch is what the queue holds when the next one is due, up to a bound that keeps Redis responsive.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgpack  # type: ignore[import-untyped] # the package ships no types
from redis.exceptions import OutOfMemoryError, ReadOnlyError, RedisError, ResponseError

from discordproxy_gateway.discord.dispatch import Dispatch
from discordproxy_gateway.discord.failures import LeaseLostError, SessionOutOfStepError
from discordproxy_gateway.discord.session import Session, begun_by
from discordproxy_gateway.discord.skip_log import SkipLog
from discordproxy_gateway.keys import Keys
from discordproxy_gateway.options import GatewayOptions
from discordproxy_gateway.plan.event_planner import EventPlanner
from discordproxy_gateway.store.lease import Lease
from discordproxy_gateway.store.operations import Operation, pack
from discordproxy_gateway.store.scripts import Scripts
from discordproxy_gateway.write.batch import EventBatch, PlannedEvent
from discordproxy_gateway.write.event_queue import EventQueue, Followers

log = logging.getLogger(__name__)

_MAX_PAUSE_S = 1.0


class Writer:
    """The only writer of one shard's caches and stream, for one connection.

    Args:
        session: the session to resume, None before READY has begun one.
        fingerprint: what a new session is recorded with.
        planner: turns events into operations; it has no other user meanwhile.
        on_stored: called with the events of each batch once they are stored.
        options: how much of the stream is kept.
        covered_until_ms: time until which the streams of earlier eras are complete; see `SessionStore`.
    """

    def __init__(
        self,
        scripts: Scripts,
        keys: Keys,
        lease: Lease,
        *,
        session: Session | None,
        fingerprint: str,
        planner: EventPlanner,
        on_stored: Callable[[Sequence[Dispatch]], None],
        options: GatewayOptions,
        covered_until_ms: int | None = None,
    ) -> None:
        self.planner = planner
        self.skipped = SkipLog()
        self._scripts = scripts
        self._lease = lease
        self._session = session
        self._fingerprint = fingerprint
        self._on_stored = on_stored
        # A deferral follows interactions, in its own time.
        self._min_followers = Followers.EVENTS if options.defer_after_s else Followers.NONE
        self._retention = (options.retention_s * 1000, options.max_events)
        self.queue = EventQueue()
        slot = lease.slot
        self._era = (lease.era, slot.shard_id, slot.shard_count)
        self._covered = "" if covered_until_ms is None else covered_until_ms
        self._keys = [
            keys.fence(lease.slot),
            keys.session(lease.slot),
            keys.status(lease.slot),
            keys.stream(slot.shard_id, lease.era),
            keys.stream_meta(slot.shard_id, lease.era),
            keys.eras,
            keys.followers(slot.shard_id, lease.era),
            keys.interaction_followers(slot.shard_id, lease.era),
        ]

    @property
    def backlog(self) -> int:
        """Events read from the socket and not yet on their way to Redis."""
        return len(self.queue)

    def plan(self, event: Dispatch) -> PlannedEvent:
        """Plan the writes of the next event; one that is malformed is stored without them."""
        begins = None
        operations: list[Operation] = []
        try:
            if event.name == "READY":
                begins = begun_by(event.data, event.sequence, self._fingerprint)
            operations = self.planner.plan(event.name, event.data, event.sequence)
        except Exception as error:  # noqa: BLE001 - one malformed event must not stop the next
            self.skipped.record_event(event.name, error)
            with contextlib.suppress(AttributeError, TypeError, ValueError):
                operations = self.planner.append_only(event.name, event.data, event.sequence)
        return PlannedEvent(event.received_at, event, operations, begins)

    async def run(self) -> None:
        """Apply queued events up to the end of the queue.

        Raises:
            LeaseLostError: a newer leader writes now; nothing of the current batch was written.
            SessionOutOfStepError: Redis lost the session or went back in time; same.
        """
        while batch := await self.queue.next_batch():
            await self._apply(batch)

    async def _apply(self, batch: EventBatch) -> None:
        if self._session is None and batch.begins is None:
            if batch.events:
                raise SessionOutOfStepError("an event came before READY")
            return
        try:
            await self._store(batch)
        except ResponseError as error:
            await self._apply_singly(batch, error)
        else:
            self._on_stored(batch.events)

    async def _apply_singly(self, batch: EventBatch, error: ResponseError) -> None:
        """Find the event whose operations Redis refuses, and skip them."""
        if len(batch.planned) > 1:
            for planned in batch.planned:
                await self._apply(EventBatch(planned))
            return
        names = ", ".join(event.name for event in batch.events)
        self.skipped.record(f"Redis refused the write of event {names or 'none'} ({type(error).__name__})")
        planned = batch.planned[0]
        passed_on = [operation for operation in planned.operations if operation[0] == "APPEND"]
        try:
            await self._store(EventBatch(planned.with_operations(passed_on)))
        except ResponseError:
            await self._store(EventBatch(planned.with_operations(())))
        self._on_stored(batch.events)

    async def _store(self, batch: EventBatch) -> None:
        """Run the script, several times for an event with many operations; the last call advances the sequence."""
        new = batch.begins or self._session
        if new is None:
            raise SessionOutOfStepError("no session has begun")
        sequence = batch.events[-1].sequence if batch.events else new.sequence
        # A session counts from 0 until READY is stored completely: Discord refuses to resume it from there.
        expected: int | str = "" if batch.begins else new.sequence
        calls = batch.calls()
        for number, operations in enumerate(calls, 1):
            after = sequence if number == len(calls) else (0 if batch.begins else new.sequence)
            await self._call(batch, new, operations, expected, after)
            expected = after
        self._session = replace(new, sequence=sequence)

    async def _call(
        self, batch: EventBatch, session: Session, operations: Sequence[Operation], expected: int | str, after: int
    ) -> None:
        """Run the script until its outcome is known; the lease ends this if it takes too long."""
        keys, packed = pack(operations, self._keys)
        begin = _session_fields(session) if expected == "" else ("", "")
        pause_s = 0.05
        while True:
            waited_ms = round((asyncio.get_running_loop().time() - batch.current_at) * 1000)
            arguments = [
                self._lease.fence,
                session.id,
                expected,
                after,
                max(0, waited_ms),
                packed,
                *begin,
                *self._retention,
            ]
            arguments += [self._covered, *self._era]
            try:
                reply = await self._scripts.run("apply", keys, arguments)
            except (RedisError, OSError) as error:
                if isinstance(error, ResponseError) and not _is_temporary(error):
                    raise
                log.warning("events of shard %s wait for Redis: %s", self._lease.slot, type(error).__name__)
            else:
                followers = _verify(reply, expected, after)
                if followers is not None:
                    self.queue.follow(max(followers, self._min_followers))
                return
            await asyncio.sleep(pause_s)
            pause_s = min(_MAX_PAUSE_S, pause_s * 2)


def _session_fields(session: Session) -> tuple[bytes, str]:
    """Return the script's arguments that begin a session: its record, and an epoch for a new stream."""
    fields = ["id", session.id, "resume_url", session.resume_url, "fingerprint", session.fingerprint]
    return msgpack.packb(fields, use_bin_type=False), secrets.token_hex(6)


def _verify(reply: list[Any], expected: int | str, after: int) -> Followers | None:
    """Return who follows the events; None if an earlier attempt, whose reply was lost, has applied the call.

    Raises:
        LeaseLostError, SessionOutOfStepError: as `Writer.run`.
    """
    match reply[0]:
        case b"OK":
            return Followers(reply[1])
        case b"STALE":
            raise LeaseLostError
        case b"SEQ_MISMATCH" if expected != after and int(reply[1]) == after:
            return None
        case verdict:
            raise SessionOutOfStepError(verdict.decode())


_SERVER_STATES = ("OOM", "MISCONF", "BUSY", "NOREPLICAS", "READONLY", "CLUSTERDOWN", "TRYAGAIN")


def _is_temporary(error: ResponseError) -> bool:
    """Whether the server refuses all writes for now, rather than this one for good."""
    return isinstance(error, OutOfMemoryError | ReadOnlyError) or str(error).startswith(_SERVER_STATES)
