"""The caller's idempotency key: the first call with it does the work, the others get its result.

The result is kept where all workers see it. The others wait for as long as the first shows signs of life, also while it
is still in a queue. A call whose caller went away goes on once something has left, because the caller will come back
with the same key. What may have happened without anybody knowing is said so, not repeated.
"""

import asyncio
import hashlib
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from grpc import StatusCode

from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.drain import Drain
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.calls.retry import NONCE_WINDOW_S, Repeat
from discordproxy_ratelimit.errors import BrokerError
from discordproxy_ratelimit.process.tasks import BackgroundTasks
from discordproxy_ratelimit.shared.claims import ClaimQuota, Claims

log = logging.getLogger("discordproxy_api.pipeline.idempotency")

LEASE_S = 15.0
MAX_KEY_LENGTH = 256
_DONE, _DOUBT = b"=", b"?"
_PAUSES_S = (0.05, 0.1, 0.2, 0.5, 1.0)

Perform = Callable[[], Awaitable[bytes]]


class _OvertakenError(Exception):
    """The claim ended while this call could not renew it, and another call has it now; nothing has been sent."""


@dataclass(frozen=True, slots=True)
class Once:
    """One logical call.

    Attributes:
        key: names it, unique per application and RPC.
        request: fingerprint of what is asked.
        repeat: what a second run would do to Discord.
        app: whose call it is.
    """

    key: str
    request: str
    repeat: Repeat
    app: str = ""

    @classmethod
    def of(cls, call: Call, request: bytes, repeat: Repeat) -> "Once":
        """Return the identity of `call`; `request` are its bytes without the options."""
        key = hashlib.sha256(f"{call.app}\0{call.rpc}\0{call.idempotency_key}".encode()).hexdigest()
        return cls(key, hashlib.sha256(request).hexdigest(), repeat, call.app)


def checked_key(key: str, name: str) -> str:
    """Return a caller's key; raises ApiError, which names the field or header, if it is too long."""
    if len(key) > MAX_KEY_LENGTH:
        raise errors.invalid_field(name, "BASE_TYPE_MAX_LENGTH", f"Must be {MAX_KEY_LENGTH} or fewer in length.")
    return key


class Idempotency:
    """Runs each logical call once.

    Args:
        notes: where claims and results are kept.
        kept_s: how long a result is kept, in seconds.
        most_bytes: what keys and results of one application may take.
        wall_clock: Unix time in seconds; workers compare it to the minute only.
    """

    def __init__(
        self,
        notes: Claims,
        *,
        kept_s: float,
        most_bytes: int = 128 * 2**20,
        drain: Drain,
        metrics: Metrics,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._notes = notes
        self._kept_s = kept_s
        self._most_bytes = most_bytes
        self._drain = drain
        self._metrics = metrics
        self._wall_clock = wall_clock
        self._tasks = BackgroundTasks()

    async def finish(self) -> None:
        """Wait for the calls that go on without their callers."""
        await self._tasks.finish()

    async def run(self, once: Once, call: Call, perform: Perform) -> bytes:
        """Return the result of the first call with this key, which may be this one.

        Raises:
            ApiError: `perform` failed; the key was used for another request; or the first call's outcome is unknown.
        """
        while True:
            owner = uuid.uuid4().hex
            try:
                result = await self._claim(once, call, owner)
            except BrokerError as error:
                raise errors.from_broker(error) from None
            if result is not None:
                self._metrics.idempotent_calls.labels("kept").inc()
                return result
            self._metrics.idempotent_calls.labels("first").inc()
            try:
                return await self._be_first(once, call, owner, perform)
            except _OvertakenError:
                log.warning("An idempotency key was claimed by another call meanwhile [%s]", call.request_id)

    async def _be_first(self, once: Once, call: Call, owner: str, perform: Perform) -> bytes:
        task = self._tasks.start(self._first(once, call, owner, perform))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not call.attempts:
                task.cancel()
            raise

    async def _claim(self, once: Once, call: Call, owner: str) -> bytes | None:
        """Return the kept result, or None when this call is to do the work."""
        turn = 0
        while True:
            claim = await self._notes.claim(
                once.key, once.request, owner=owner, lease_s=LEASE_S, keeper=self._keeper(once)
            )
            if claim.state == "full":
                raise self._full(once)
            if claim.state == "other":
                text = "This idempotency key was used for another request."
                raise errors.invalid_field("options.idempotency_key", "IDEMPOTENCY_KEY_REUSED", text)
            if claim.result.startswith(_DONE):
                return claim.result[len(_DONE) :]
            if claim.state == "ours":
                call.trust()
                return None
            call.doubt()  # the first may have taken effect or may still do, whatever becomes of this call
            if claim.state == "settled":
                if self._may_take_over(once, claim.result):
                    return None
                raise _unknown()
            async with self._drain.interruptible():
                await asyncio.sleep(_PAUSES_S[min(turn, len(_PAUSES_S) - 1)])
            turn += 1

    def _keeper(self, once: Once) -> ClaimQuota:
        return ClaimQuota(once.app, self._most_bytes, self._kept_s)

    def _full(self, once: Once) -> errors.ApiError:
        text = (
            f"The idempotency keys of the application {once.app} and their results take as much memory as they may "
            f"({self._most_bytes / 2**20:.0f} MiB within {self._kept_s / 3600:.0f} h). Give keys to fewer calls, or "
            "let the operator raise DISCORDPROXY_IDEMPOTENCY_BYTES or lower DISCORDPROXY_IDEMPOTENCY_TTL."
        )
        return errors.refusal(
            StatusCode.RESOURCE_EXHAUSTED, "IDEMPOTENCY_KEYS_FULL", text, retry_after_s=self._kept_s / 24
        )

    def _may_take_over(self, once: Once, note: bytes) -> bool:
        """Whether running a call again whose outcome is unknown cannot double it: Discord still knows the nonce."""
        left_at = float(note[len(_DOUBT) :] or 0)
        return once.repeat is Repeat.NONCE and self._wall_clock() - left_at < NONCE_WINDOW_S

    async def _first(self, once: Once, call: Call, owner: str, perform: Perform) -> bytes:
        inherited = call.in_doubt  # an earlier call's doubt is older than ours, and only a result ends it
        if once.repeat is not Repeat.ALWAYS and not inherited:  # what is inherited has been noted
            call.before_effect = partial(self._leave, once, owner)
        try:
            async with self._notes.hold(once.key, once.request, owner=owner, lease_s=LEASE_S):
                result = await perform()
        except _OvertakenError:
            raise
        except BaseException:
            if not inherited:
                await self._failed(once, call, owner)
            raise
        await self._note(once, owner, _DONE + result)
        return result

    async def _leave(self, once: Once, owner: str) -> None:
        """Should this worker die from here on, nobody may run the call again, unless Discord still knows the nonce."""
        doubt = _DOUBT + (str(self._wall_clock()).encode() if once.repeat is Repeat.NONCE else b"")
        claim = await self._notes.leave(
            once.key, once.request, owner=owner, result=doubt, lease_s=LEASE_S, ttl_s=self._kept_s
        )
        if claim.state != "ours":
            raise _OvertakenError

    async def _failed(self, once: Once, call: Call, owner: str) -> None:
        """Let the next call with this key try, unless that could double what this one did."""
        if call.sent == "no" or once.repeat is Repeat.ALWAYS:
            await self._quietly(self._notes.release(once.key, owner=owner, keeper=self._keeper(once)))
        elif once.repeat is Repeat.NEVER:
            await self._note(once, owner, _DOUBT)
        else:
            age_s = 0.0 if call.left_at is None else asyncio.get_running_loop().time() - call.left_at
            await self._note(once, owner, _DOUBT + str(self._wall_clock() - age_s).encode())

    async def _note(self, once: Once, owner: str, result: bytes) -> None:
        settled = self._notes.settle(
            once.key, once.request, owner=owner, result=result, ttl_s=self._kept_s, keeper=self._keeper(once)
        )
        await self._quietly(settled)

    async def _quietly(self, change: Awaitable[None]) -> None:
        try:
            await change
        except BrokerError as error:  # the caller's own answer does not depend on it
            log.warning("An idempotency key could not be kept up to date: %s", error)


def _unknown() -> errors.ApiError:
    text = (
        "An earlier call with this idempotency key may have taken effect; its outcome is unknown. "
        "Look before you ask again, with a new key."
    )
    return errors.refusal(StatusCode.ABORTED, "OUTCOME_UNKNOWN", text)
