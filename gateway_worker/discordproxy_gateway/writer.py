"""Takes events off the socket and applies them in batches: caches, stream and sequence in one fenced step.

Batching is what arrives while the previous batch is on its way, up to a bound that keeps Redis responsive.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import msgpack  # type: ignore[import-untyped] # the package ships no types
from redis.exceptions import OutOfMemoryError, ReadOnlyError, RedisError, ResponseError

from discordproxy_gateway.failures import LeaseLost, SessionOutOfStep
from discordproxy_gateway.keys import Keys
from discordproxy_gateway.leader import Lease
from discordproxy_gateway.operations import Planner
from discordproxy_gateway.pump import Dispatch
from discordproxy_gateway.scripts import Operation, Scripts, pack
from discordproxy_gateway.session import Session

log = logging.getLogger(__name__)

QUEUE_LENGTH = 1000
BATCH_WEIGHT = 100
_LONGEST_PAUSE_S = 1.0

Item = Dispatch | float | None
"""In the queue: an event, the loop time at which the connection was known to be current, or the end."""


@dataclass(slots=True)
class Batch:
    """What one script call applies."""

    events: list[Dispatch] = field(default_factory=list)
    operations: list[Sequence[Operation]] = field(default_factory=list)  # one list per event
    weight: int = 0
    begins: Session | None = None
    confirmed_at: float = 0.0  # loop time at which the connection was known to be current


@dataclass(frozen=True, slots=True)
class Retention:
    """How much of the stream is kept for subscribers that were away."""

    age_ms: int = 15 * 60_000
    entries: int = 200_000


class Writer:
    """The only writer of one shard's caches and stream, for one connection.

    Args:
        session: the session to resume, None before READY has begun one.
        fingerprint: what a new session is recorded with.
        planner: turns events into operations; its memory belongs to this writer.
        applied: called with the events of each batch once they are stored.
    """

    def __init__(
        self,
        scripts: Scripts,
        keys: Keys,
        lease: Lease,
        *,
        session: Session | None,
        fingerprint: str,
        planner: Planner,
        applied: Callable[[Sequence[Dispatch]], None],
        retention: Retention,
    ) -> None:
        self._scripts = scripts
        self._lease = lease
        self._session = session
        self._fingerprint = fingerprint
        self._planner = planner
        self._applied = applied
        self._retention = retention
        self._queue: asyncio.Queue[Item] = asyncio.Queue(QUEUE_LENGTH)
        self._held: list[Item] = []  # at most one: taken from the queue, but meant for the next batch
        shard_id = lease.slot.shard_id
        self._keys = [
            keys.fence(lease.slot),
            keys.session(lease.slot),
            keys.status(lease.slot),
            keys.stream(shard_id),
            keys.stream_meta(shard_id),
        ]
        self.bad_events = 0

    @property
    def backlog(self) -> int:
        """Events read from the socket and not yet stored."""
        return self._queue.qsize() + len(self._held)

    async def put(self, event: Dispatch) -> None:
        """Queue an event; waits while the queue is full."""
        await self._queue.put(event)

    async def confirm(self, at: float) -> None:
        """Note that the connection was current at loop time `at`, once everything read before is stored."""
        await self._queue.put(at)

    async def finish(self) -> None:
        """Have `run` return once everything queued so far is stored."""
        await self._queue.put(None)

    async def run(self) -> None:
        """Apply what is queued until told to finish.

        Raises:
            LeaseLost: a newer leader writes now; nothing of the current batch was written.
            SessionOutOfStep: Redis lost the session or went back in time; same.
        """
        while (item := await self._next()) is not None:
            await self._apply(self._collect(item))

    async def _next(self) -> Item:
        if self._held:
            return self._held.pop()
        return await self._queue.get()

    def _collect(self, item: Dispatch | float) -> Batch:
        """Gather a batch from what has arrived. READY begins one of its own."""
        batch = Batch()
        self._add(batch, item)
        while not batch.begins and batch.weight < BATCH_WEIGHT and not self._queue.empty():
            following = self._queue.get_nowait()
            if following is None or (isinstance(following, Dispatch) and following.name == "READY"):
                self._held.append(following)
                break
            self._add(batch, following)
        return batch

    def _add(self, batch: Batch, item: Dispatch | float) -> None:
        if not isinstance(item, Dispatch):
            batch.confirmed_at = item
            return
        batch.confirmed_at = item.received_at
        batch.events.append(item)
        try:
            if item.name == "READY":
                batch.begins = self._begin(item)
            operations = self._planner.plan(item.name, item.data, item.sequence)
        except Exception as error:  # noqa: BLE001 - whatever it is, the next event may be fine
            # One event we do not understand must not end the connection; its content stays out of the log.
            self.bad_events += 1
            log.error("event %s not understood (%s), skipped", item.name, type(error).__name__)  # noqa: TRY400 - its content
            operations = []
        batch.operations.append(operations)
        batch.weight += 1 + len(operations) // 10

    def _begin(self, ready: Dispatch) -> Session:
        data = ready.data
        return Session(data["session_id"], ready.sequence, data["resume_gateway_url"], self._fingerprint)

    async def _apply(self, batch: Batch) -> None:
        if self._session is None and not batch.begins:
            if batch.events:
                raise SessionOutOfStep("an event came before READY")
            return
        try:
            await self._store(batch)
        except ResponseError as error:
            await self._apply_singly(batch, error)
        else:
            self._applied(batch.events)

    async def _apply_singly(self, batch: Batch, error: ResponseError) -> None:
        """Find the event whose operations Redis refuses, and go on without them."""
        if len(batch.events) > 1:
            for event, operations in zip(batch.events, batch.operations, strict=True):
                await self._apply(Batch([event], [operations], begins=None, confirmed_at=batch.confirmed_at))
            return
        self.bad_events += 1
        names = ", ".join(event.name for event in batch.events)
        log.error("Redis refused what event %s writes (%s); skipped", names or "none", type(error).__name__)
        await self._store(Batch(batch.events, begins=batch.begins, confirmed_at=batch.confirmed_at))
        self._applied(batch.events)

    async def _store(self, batch: Batch) -> None:
        """Run the script until its outcome is known; the lease ends this if it takes too long."""
        sequence = batch.events[-1].sequence if batch.events else self._sequence
        pause_s = 0.05
        while True:
            try:
                reply = await self._send(batch, sequence)
                break
            except (RedisError, OSError) as error:
                if isinstance(error, ResponseError) and not _passes(error):
                    raise
                log.warning("events of shard %s wait for Redis: %s", self._lease.slot, type(error).__name__)
            await asyncio.sleep(pause_s)
            pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)
        self._check(reply, sequence)
        self._session = replace(batch.begins or self._held_session, sequence=sequence)

    @property
    def _held_session(self) -> Session:
        if self._session is None:
            raise SessionOutOfStep("no session has begun")
        return self._session

    @property
    def _sequence(self) -> int:
        return self._session.sequence if self._session else 0

    async def _send(self, batch: Batch, sequence: int) -> list[bytes]:
        session = batch.begins or self._held_session
        operations = [operation for planned in batch.operations for operation in planned]
        keys, packed = pack(operations, self._keys)
        waited_s = asyncio.get_running_loop().time() - batch.confirmed_at
        fields = ["id", session.id, "resume_url", session.resume_url, "fingerprint", session.fingerprint]
        arguments = [
            self._lease.fence,
            session.id,
            "" if batch.begins else session.sequence,
            sequence,
            max(0, round(waited_s * 1000)),
            packed,
            msgpack.packb(fields, use_bin_type=False),
            secrets.token_hex(6),
            self._retention.age_ms,
            self._retention.entries,
        ]
        reply: list[bytes] = await self._scripts.run("apply", keys, arguments)
        return reply

    def _check(self, reply: list[bytes], sequence: int) -> None:
        match reply[0]:
            case b"OK":
                return
            case b"STALE":
                raise LeaseLost
            case b"SEQ_MISMATCH" if int(reply[1]) == sequence:
                return  # an earlier attempt was applied, only its reply was lost
            case verdict:
                raise SessionOutOfStep(verdict.decode())


def _passes(error: ResponseError) -> bool:
    """Tell whether the server refuses every write for now, rather than this one for good."""
    return isinstance(error, OutOfMemoryError | ReadOnlyError) or str(error).startswith(_SERVER_STATES)


_SERVER_STATES = ("OOM", "MISCONF", "BUSY", "NOREPLICAS", "READONLY", "CLUSTERDOWN", "TRYAGAIN")
