"""Serializes calls that change parts of the same object, across all workers.

Discord receives a member's roles, or a message's attachments, as one list. A caller that reads the list, changes it and
writes it back reverts concurrent changes, and Discord itself loses concurrent changes of one member
(discord-api-docs#6289). Therefore the calls run one after another: within a worker by a lock, between workers by a
lease in Redis.
"""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any
from weakref import WeakValueDictionary

from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.drain import Drain
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.time_limit import expires_as
from discordproxy_ratelimit.errors import BrokerError
from discordproxy_ratelimit.process.tasks import BackgroundTasks
from discordproxy_ratelimit.shared.claims import Claims

log = logging.getLogger("discordproxy_api.pipeline.in_order")

LEASE_S = 6.0
"""Duration of a lease; its worker renews it."""
MARGIN_S = 2.0
"""A request is sent only if the lease lasts this much longer, so that the request arrives within the lease."""
WAITING_S = 1.0
"""Lifetime of the record that a worker waits for a lease; a waiting worker renews it."""
_PAUSES_S = (0.01, 0.02, 0.05, 0.1)

Perform = Callable[[], Awaitable[Any]]


class InOrder:
    """Runs calls with the same name one after another.

    Args:
        claims: keeps the leases.
    """

    def __init__(self, claims: Claims, drain: Drain) -> None:
        self._claims = claims
        self._drain = drain
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks = BackgroundTasks()
        self._worker = uuid.uuid4().bytes

    async def finish(self) -> None:
        """Wait for requests in flight whose callers have disconnected."""
        await self._tasks.finish()

    async def run(self, name: str, call: Call, perform: Perform) -> Any:
        """Return the result of `perform`, which runs when all earlier calls with this name have ended.

        `perform` is called again if the lease is lost before a request was sent. If the caller disconnects, a request
        in flight is completed, and no further one is sent.
        """
        task = self._tasks.start(self._run_exclusively(name, call, perform))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if call.flying:
                call.deadline_at = asyncio.get_running_loop().time()
                call.continuation = task
            else:
                task.cancel()
            raise

    async def _run_exclusively(self, name: str, call: Call, perform: Perform) -> Any:
        lock = self._locks.setdefault(name, asyncio.Lock())
        queued = lock.locked()
        async with _turn(lock, call):
            if queued:
                await self._yield_to_other_workers(name)
            while True:
                lease = await self._lease(name, call)
                if lease is None:
                    return await perform()
                try:
                    return await lease.run(call, perform)
                except _LeaseLostError:
                    log.warning("A call lost its lease before its request was sent; it restarts [%s]", call.request_id)

    async def _lease(self, name: str, call: Call) -> "_Lease | None":
        """Return a lease; None without Redis, when the broker decides whether requests may be sent."""
        lease, pauses = _Lease(self._claims, f"order:{name}"), 0
        try:
            while not await lease.acquire():
                await self._claims.set(_waiting_key(name), self._worker, ttl_s=WAITING_S)
                async with _in_time(call), self._drain.interruptible():
                    await asyncio.sleep(_PAUSES_S[min(pauses, len(_PAUSES_S) - 1)])
                pauses += 1
            if pauses:
                await self._claims.set(_waiting_key(name), b"", ttl_s=WAITING_S)
        except BrokerError:
            return None
        except BaseException:
            await lease.release()  # Redis may have granted it although the reply was not received
            raise
        return lease

    async def _yield_to_other_workers(self, name: str) -> None:
        """Pause if another worker waits for the lease, so that a long queue in this worker does not starve it."""
        with suppress(BrokerError):
            if await self._claims.get(_waiting_key(name)) not in {None, b"", self._worker}:
                async with self._drain.interruptible():
                    await asyncio.sleep(2 * _PAUSES_S[-1])


@asynccontextmanager
async def _turn(lock: asyncio.Lock, call: Call) -> AsyncIterator[None]:
    """Hold a lock. Raises as `_in_time`."""
    async with _in_time(call):
        await lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _in_time(call: Call) -> AbstractAsyncContextManager[None]:
    """End a wait before the caller's own timer; raises ApiError then."""
    ends_at = call.waits_until(asyncio.get_running_loop().time())
    return expires_as(asyncio.timeout_at(None if ends_at == float("inf") else ends_at), _too_late)


def _too_late() -> ApiError:
    text = "The deadline passed while the call waited for earlier changes of the same object."
    return errors.refusal("DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", text, retry_after_s=1.0)


def _waiting_key(name: str) -> str:
    return f"order:{name}:wanted"


class _LeaseLostError(Exception):
    """The lease ended before this worker could renew it; nothing has been sent since."""


class _Lease:
    """A lease in Redis, renewed while its call runs."""

    def __init__(self, claims: Claims, key: str) -> None:
        self._claims = claims
        self._key = key
        self._owner = uuid.uuid4().hex
        self._expires_at = 0.0

    async def acquire(self) -> bool:
        """Acquire or renew the lease; return whether this worker has it."""
        requested_at = asyncio.get_running_loop().time()
        claim = await self._claims.claim(self._key, "", owner=self._owner, lease_s=LEASE_S)
        if claim.state == "ours":
            self._expires_at = requested_at + LEASE_S
        return claim.state == "ours"

    async def run(self, call: Call, perform: Perform) -> Any:
        """Run a call within the lease, and release it."""
        renewal = asyncio.create_task(self._renew())
        call.before_each_effect = self._require
        try:
            return await perform()
        finally:
            call.before_each_effect = None
            renewal.cancel()
            await asyncio.wait([renewal])
            await self.release()

    async def release(self) -> None:
        """Release the lease, if this worker has it."""
        with suppress(BrokerError):  # it then expires
            await asyncio.shield(self._claims.release(self._key, owner=self._owner))

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(LEASE_S / 3)
            with suppress(BrokerError):  # the lease lasts until the next attempt
                await self.acquire()

    async def _require(self) -> None:
        """Raise `_LeaseLostError` unless the lease lasts until the request has arrived."""
        loop = asyncio.get_running_loop()
        if self._expires_at - loop.time() < MARGIN_S and not await self.acquire():
            raise _LeaseLostError
