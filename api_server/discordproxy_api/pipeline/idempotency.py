"""Idempotency keys: the first call with a key does the work, later calls with the same key get its result.

Keys and results are kept in Redis, where all workers see them. Later calls wait as long as the first one renews its
claim, also while it waits in a queue. A call whose caller disconnects continues once a request has been sent, because
the caller may call again with the same key. A call with an unknown outcome fails and is not repeated.
"""

import asyncio
import hashlib
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.drain import Drain
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.calls.retry import NONCE_WINDOW_S, Repeat
from discordproxy_api.contract.rules.limits import IDEMPOTENCY_KEY
from discordproxy_ratelimit.errors import BrokerError
from discordproxy_ratelimit.process.tasks import BackgroundTasks
from discordproxy_ratelimit.shared.claims import ClaimQuota, Claims

log = logging.getLogger("discordproxy_api.pipeline.idempotency")

LEASE_S = 15.0
_DONE, _IN_DOUBT = b"=", b"?"
"""First byte of a kept result: the response follows, or the outcome is unknown."""
_PAUSES_S = (0.05, 0.1, 0.2, 0.5, 1.0)

Perform = Callable[[], Awaitable[bytes]]


class _ClaimLostError(Exception):
    """The claim ended before this call could renew it, and another call has it now; nothing has been sent."""


@dataclass(frozen=True, slots=True)
class LogicalCall:
    """The identity of all calls with one idempotency key.

    Attributes:
        key: the caller's key, made unique per application and RPC.
        request: fingerprint of the request.
        repeat: whether the call can be repeated.
        app: application of the caller.
    """

    key: str
    request: str
    repeat: Repeat
    app: str = ""

    @classmethod
    def of(cls, call: Call, request: bytes, repeat: Repeat) -> "LogicalCall":
        """Return the identity of `call`; `request` is the serialized request without its options."""
        key = hashlib.sha256(f"{call.app}\0{call.rpc}\0{call.idempotency_key}".encode()).hexdigest()
        return cls(key, hashlib.sha256(request).hexdigest(), repeat, call.app)


def checked_key(key: str, name: str) -> str:
    """Return a caller's key; raises ApiError, which names the field or header, if it is too long."""
    if len(key) > IDEMPOTENCY_KEY:
        raise errors.invalid_field(name, "BASE_TYPE_MAX_LENGTH", f"Must be {IDEMPOTENCY_KEY} or fewer in length.")
    return key


class Idempotency:
    """Runs each logical call once.

    Args:
        claims: keeps claims and results.
        kept_s: how long a result is kept, in seconds.
        max_bytes: maximum size of the keys and results of one application.
        wall_clock: Unix time in seconds; the clocks of the workers may differ by a minute.
    """

    def __init__(
        self,
        claims: Claims,
        *,
        kept_s: float,
        max_bytes: int = 128 * 2**20,
        drain: Drain,
        metrics: Metrics,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._claims = claims
        self._kept_s = kept_s
        self._max_bytes = max_bytes
        self._drain = drain
        self._metrics = metrics
        self._wall_clock = wall_clock
        self._tasks = BackgroundTasks()

    async def finish(self) -> None:
        """Wait for the calls that continue without their callers."""
        await self._tasks.finish()

    async def run(self, logical: LogicalCall, call: Call, perform: Perform) -> bytes:
        """Return the result of the first call with this key, which may be this one.

        Raises:
            ApiError: `perform` failed; the key was used for another request; or the first call's outcome is unknown.
        """
        while True:
            owner = uuid.uuid4().hex
            try:
                result = await self._claim(logical, call, owner)
            except BrokerError as error:
                raise errors.from_broker(error) from None
            if result is not None:
                self._metrics.idempotent_calls.labels("kept").inc()
                return result
            self._metrics.idempotent_calls.labels("first").inc()
            try:
                return await self._run_in_task(logical, call, owner, perform)
            except _ClaimLostError:
                log.warning("Another call claimed an idempotency key after its lease had ended [%s]", call.request_id)

    async def _run_in_task(self, logical: LogicalCall, call: Call, owner: str, perform: Perform) -> bytes:
        """Run the first call in a task, which continues without its caller once a request has been sent."""
        task = self._tasks.start(self._run_first(logical, call, owner, perform))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if call.attempts:
                call.continuation = task
            else:
                task.cancel()
            raise

    async def _claim(self, logical: LogicalCall, call: Call, owner: str) -> bytes | None:
        """Return the kept result; None if this call has to do the work."""
        pauses = 0
        while True:
            claim = await self._claims.claim(
                logical.key, logical.request, owner=owner, lease_s=LEASE_S, keeper=self._quota(logical)
            )
            if claim.state == "full":
                raise self._quota_exceeded(logical)
            if claim.state == "other":
                text = "This idempotency key was used for another request."
                raise errors.invalid_field("options.idempotency_key", "IDEMPOTENCY_KEY_REUSED", text)
            if claim.result.startswith(_DONE):
                return claim.result[len(_DONE) :]
            if claim.state == "ours":
                call.trust()
                return None
            call.doubt()  # the first call may have taken effect, or may still do so after this one has ended
            if claim.state == "settled":
                if self._may_take_over(logical, claim.result):
                    return None
                raise _outcome_unknown()
            async with self._drain.interruptible():
                await asyncio.sleep(_PAUSES_S[min(pauses, len(_PAUSES_S) - 1)])
            pauses += 1

    def _quota(self, logical: LogicalCall) -> ClaimQuota:
        return ClaimQuota(logical.app, self._max_bytes, self._kept_s)

    def _quota_exceeded(self, logical: LogicalCall) -> errors.ApiError:
        text = (
            f"The idempotency keys of the application {logical.app} and their results use all the memory they may use "
            f"({self._max_bytes / 2**20:.0f} MiB within {self._kept_s / 3600:.0f} h). Use keys for fewer calls, or "
            "let the operator raise DISCORDPROXY_IDEMPOTENCY_BYTES or lower DISCORDPROXY_IDEMPOTENCY_TTL."
        )
        return errors.refusal("RESOURCE_EXHAUSTED", "IDEMPOTENCY_KEYS_FULL", text, retry_after_s=self._kept_s / 24)

    def _may_take_over(self, logical: LogicalCall, result: bytes) -> bool:
        """Return whether a call with an unknown outcome can be repeated: while Discord recognizes its nonce."""
        sent_at = float(result[len(_IN_DOUBT) :] or 0)
        return logical.repeat is Repeat.NONCE and self._wall_clock() - sent_at < NONCE_WINDOW_S

    async def _run_first(self, logical: LogicalCall, call: Call, owner: str, perform: Perform) -> bytes:
        inherited = call.in_doubt  # the doubt of an earlier call remains until there is a result
        if logical.repeat is not Repeat.ALWAYS and not inherited:  # an inherited doubt is already recorded
            call.before_effect = partial(self._mark_in_doubt, logical, owner)
        try:
            async with self._claims.hold(logical.key, logical.request, owner=owner, lease_s=LEASE_S):
                result = await perform()
        except _ClaimLostError:
            raise
        except BaseException:
            if not inherited:
                await self._record_failure(logical, call, owner)
            raise
        await self._complete(logical, owner, _DONE + result)
        return result

    async def _mark_in_doubt(self, logical: LogicalCall, owner: str) -> None:
        """Record that a request will be sent: if this worker dies, only a nonce permits a repeat."""
        doubt = _IN_DOUBT + (str(self._wall_clock()).encode() if logical.repeat is Repeat.NONCE else b"")
        claim = await self._claims.mark_in_doubt(
            logical.key, logical.request, owner=owner, result=doubt, lease_s=LEASE_S, ttl_s=self._kept_s
        )
        if claim.state != "ours":
            raise _ClaimLostError

    async def _record_failure(self, logical: LogicalCall, call: Call, owner: str) -> None:
        """Let the next call with this key run, unless the effect of this one could be repeated."""
        if call.sent == "no" or logical.repeat is Repeat.ALWAYS:
            await self._log_broker_errors(self._claims.release(logical.key, owner=owner, keeper=self._quota(logical)))
        elif logical.repeat is Repeat.NEVER:
            await self._complete(logical, owner, _IN_DOUBT)
        else:
            age_s = 0.0 if call.left_at is None else asyncio.get_running_loop().time() - call.left_at
            await self._complete(logical, owner, _IN_DOUBT + str(self._wall_clock() - age_s).encode())

    async def _complete(self, logical: LogicalCall, owner: str, result: bytes) -> None:
        completion = self._claims.complete(
            logical.key, logical.request, owner=owner, result=result, ttl_s=self._kept_s, keeper=self._quota(logical)
        )
        await self._log_broker_errors(completion)

    async def _log_broker_errors(self, change: Awaitable[None]) -> None:
        try:
            await change
        except BrokerError as error:  # the response to the caller does not depend on the record
            log.warning("The record of an idempotency key could not be updated: %s", error)


def _outcome_unknown() -> errors.ApiError:
    text = (
        "An earlier call with this idempotency key may have taken effect; its outcome is unknown. "
        "Check its effect before you call again with a new key."
    )
    return errors.refusal("ABORTED", "OUTCOME_UNKNOWN", text)
