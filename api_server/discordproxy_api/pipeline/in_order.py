"""Calls that change parts of the same thing go one after another, whichever worker serves them.

Discord takes a member's roles, or a message's attachments, as a whole list. Who reads a list, changes it and writes it
back undoes what others wrote in between, and Discord itself mixes up changes of one member that come at once
(discord-api-docs#6289). So the calls take turns: within a worker by a lock, between workers by a lease in Redis.
"""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress
from weakref import WeakValueDictionary

from google.protobuf.message import Message

from discordproxy_api.calls.call import Call
from discordproxy_api.calls.drain import Drain
from discordproxy_ratelimit.errors import BrokerError
from discordproxy_ratelimit.process.tasks import BackgroundTasks
from discordproxy_ratelimit.shared.claims import Claims

log = logging.getLogger("discordproxy_api.pipeline.in_order")

LEASE_S = 6.0
"""How long the turn of a worker that died is kept; a living one renews it."""
MARGIN_S = 2.0
"""A request leaves only if its turn lasts this much longer; it has the time to arrive."""
WISH_S = 1.0
"""How long it is known that a worker wants the turn; it says so again as long as it waits."""
_PAUSES_S = (0.01, 0.02, 0.05, 0.1)

Perform = Callable[[], Awaitable[Message]]


class InOrder:
    """Runs calls with the same name one after another.

    Args:
        notes: where the workers see whose turn it is.
    """

    def __init__(self, notes: Claims, drain: Drain) -> None:
        self._notes = notes
        self._drain = drain
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks = BackgroundTasks()
        self._worker = uuid.uuid4().bytes

    async def finish(self) -> None:
        """Wait for the requests that have left and whose callers have gone."""
        await self._tasks.finish()

    async def run(self, name: str, call: Call, perform: Perform) -> Message:
        """Return what `perform` returns, which runs when all earlier calls with this name have ended.

        `perform` starts anew if the turn was lost, so it must do no harm when it runs twice. When the caller goes away,
        a request that has left is waited for and nothing else leaves.
        """
        task = self._tasks.start(self._in_turn(name, call, perform))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if call.flying:
                call.deadline_at = asyncio.get_running_loop().time()
            else:
                task.cancel()
            raise

    async def _in_turn(self, name: str, call: Call, perform: Perform) -> Message:
        lock = self._locks.setdefault(name, asyncio.Lock())
        queued = lock.locked()
        async with lock:
            if queued:
                await self._let_others_in(name)
            while True:
                lease = await self._lease(name)
                if lease is None:
                    return await perform()
                try:
                    return await lease.during(call, perform)
                except _LostTurnError:
                    log.warning("A call lost its turn before its request left; it begins anew [%s]", call.request_id)

    async def _lease(self, name: str) -> "_Lease | None":
        """Return the lease of this turn; None without Redis: then the broker decides whether anything may be sent."""
        lease, pause = _Lease(self._notes, f"order:{name}"), 0
        try:
            while not await lease.claim():
                await self._notes.set(_wish(name), self._worker, ttl_s=WISH_S)
                async with self._drain.interruptible():
                    await asyncio.sleep(_PAUSES_S[min(pause, len(_PAUSES_S) - 1)])
                pause += 1
            if pause:
                await self._notes.set(_wish(name), b"", ttl_s=WISH_S)
        except BrokerError:
            return None
        except BaseException:
            await lease.give_back()  # a claim may have been made whose answer nobody heard
            raise
        return lease

    async def _let_others_in(self, name: str) -> None:
        """Give another worker that wants the turn the time to take it: a long queue here must not keep it out."""
        with suppress(BrokerError):
            if await self._notes.get(_wish(name)) not in {None, b"", self._worker}:
                async with self._drain.interruptible():
                    await asyncio.sleep(2 * _PAUSES_S[-1])


def _wish(name: str) -> str:
    return f"order:{name}:wanted"


class _LostTurnError(Exception):
    """The lease ended while this worker could not renew it; nothing has left since."""


class _Lease:
    """One turn, renewed for as long as the call runs."""

    def __init__(self, notes: Claims, key: str) -> None:
        self._notes = notes
        self._key = key
        self._owner = uuid.uuid4().hex
        self._until = 0.0

    async def claim(self) -> bool:
        asked_at = asyncio.get_running_loop().time()
        claim = await self._notes.claim(self._key, "", owner=self._owner, lease_s=LEASE_S)
        if claim.state == "ours":
            self._until = asked_at + LEASE_S
        return claim.state == "ours"

    async def during(self, call: Call, perform: Perform) -> Message:
        renewal = asyncio.create_task(self._renew())
        call.before_each_effect = self._check
        try:
            return await perform()
        finally:
            call.before_each_effect = None
            renewal.cancel()
            await asyncio.wait([renewal])
            await self.give_back()

    async def give_back(self) -> None:
        with suppress(BrokerError):  # then it ends by itself
            await asyncio.shield(self._notes.release(self._key, owner=self._owner))

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(LEASE_S / 3)
            with suppress(BrokerError):  # there is time for another try
                await self.claim()

    async def _check(self) -> None:
        """Return if nobody else can have the turn until the request has arrived."""
        loop = asyncio.get_running_loop()
        if self._until - loop.time() < MARGIN_S and not await self.claim():
            raise _LostTurnError
