"""What every call passes on its way in, outermost first: identity and errors, the log, admission, the time limit.

Each layer is an async context manager around the handler; `Layer` puts it around all four kinds of handlers.
"""

import asyncio
import logging
import re
import secrets
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
from grpc import StatusCode
from grpc.aio import AbortError, ServerInterceptor

from discordproxy_api.access import audit
from discordproxy_api.calls import errors
from discordproxy_api.calls.call import CURRENT, Call
from discordproxy_api.calls.drain import Drain
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.log_budget import LogBudget
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.calls.principal import DEFAULT_APP, STRANGER
from discordproxy_api.calls.recent_stats import Failure
from discordproxy_api.contract.contract import SERVICE
from discordproxy_api.grpc_edge.error_details import render
from discordproxy_api.grpc_edge.wrapping import wrap
from discordproxy_api.pipeline.fair_start import FairStart
from discordproxy_api.pipeline.admission import Keyless, bound_of
from discordproxy_ratelimit.process.logs import FIELDS

log = logging.getLogger("discordproxy_api")
access_log = logging.getLogger("discordproxy_api.access")

LONGEST_CALL_S = 1_800.0
_SANE = re.compile(r"[A-Za-z0-9._:@/+-]{1,64}")


@dataclass(frozen=True, slots=True)
class Kind:
    """Which method is called, and whether it answers with a stream."""

    method: str
    streams: bool


class Layer(ServerInterceptor, ABC):
    """An interceptor that is a context manager around the handler, whatever the handler's kind."""

    def __init__(self) -> None:
        self._wrapped: dict[str, tuple[Any, Any]] = {}

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any) -> Any:
        """Return the handler with `around` around it; an unknown method has none and is answered by gRPC."""
        handler = await continuation(handler_call_details)
        if handler is None:
            return None
        method = handler_call_details.method
        known, wrapped = self._wrapped.get(method, (None, None))
        if known is not handler:  # the first call of this method
            kind = Kind(method, streams=handler.response_streaming)
            wrapped = wrap(handler, partial(self.around, kind))
            self._wrapped[method] = handler, wrapped
        return wrapped

    @abstractmethod
    def around(self, kind: Kind, context: Any) -> AbstractAsyncContextManager[None]:
        """Return what surrounds one call."""


class Identity(Layer):
    """Outermost: gives the call its name and turns whatever fails inside into a status and details, once."""

    @asynccontextmanager
    async def around(self, kind: Kind, context: Any) -> AsyncIterator[None]:
        """Serve one call; see `Layer.around`."""
        call = _call(kind, context)
        CURRENT.set(call)
        context.set_trailing_metadata((("x-request-id", call.request_id),))
        try:
            yield
        except (AbortError, asyncio.CancelledError):
            raise
        except ApiError as error:
            if error.reason == "INTERNAL":  # whose explanation refers to the log
                log.warning("%s: %s [%s]", call.rpc, error, call.request_id)
            await _abort(context, call, error)
        except Exception:
            log.exception("%s failed [%s]", call.rpc, call.request_id)
            await _abort(context, call, _internal(call))


class AccessLog(Layer):
    """Counts and logs each call with its outcome; never what it carried.

    Args:
        audited: whether calls that may change something are also told to the audit log.
    """

    def __init__(self, metrics: Metrics, *, audited: bool = False) -> None:
        super().__init__()
        self._metrics = metrics
        self._audited = audited
        self._strangers = LogBudget()

    @asynccontextmanager
    async def around(self, kind: Kind, context: Any) -> AsyncIterator[None]:
        """Serve one call; see `Layer.around`."""
        call = CURRENT.get()
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._metrics.calls_in_progress.inc()
        self._metrics.tally.in_progress += 1
        status, refused = StatusCode.OK, None
        try:
            yield
        except ApiError as error:
            status, refused = error.status, error
            if error.scope == "proxy":
                self._metrics.refusals.labels(error.reason).inc()
            raise
        except asyncio.CancelledError:
            status = StatusCode.CANCELLED if loop.time() < call.deadline_at else StatusCode.DEADLINE_EXCEEDED
            raise
        except AbortError:
            status = context.code() or StatusCode.UNKNOWN
            raise
        except Exception:
            status = StatusCode.INTERNAL
            raise
        finally:
            self._metrics.calls_in_progress.dec()
            self._metrics.tally.in_progress -= 1
            took_s, reason = loop.time() - began, refused.reason if refused else ""
            self._count(call, status, took_s)
            ours = kind.method.startswith(SERVICE)
            if ours and not kind.streams:
                self._tally(call, status, refused, took_s)
            if call.logged and (call.app != STRANGER or self._may_log(loop.time())):
                self._record(call, status, reason, took_s, logging.INFO if ours else logging.DEBUG)

    def _may_log(self, now: float) -> bool:
        left_out = self._strangers.take(now)
        if left_out:
            access_log.warning("%d calls without a good key left no line: there were too many", left_out)
        return left_out is not None

    def _record(self, call: Call, status: StatusCode, reason: str, took_s: float, level: int) -> None:
        if access_log.isEnabledFor(level):  # probes of balancers come every second
            _log(call, status, reason, took_s, level)
        if self._audited and call.deed is not None:
            audit.record(call, call.deed, status, reason)

    def _count(self, call: Call, status: StatusCode, took_s: float) -> None:
        self._metrics.calls.labels(call.rpc, status.name).inc()
        self._metrics.app_calls.labels(self._metrics.app(call.app), status.name).inc()
        self._metrics.call_seconds.labels(call.rpc).observe(took_s)

    def _tally(self, call: Call, status: StatusCode, refused: ApiError | None, took_s: float) -> None:
        tally, failed = self._metrics.tally, status not in {StatusCode.OK, StatusCode.CANCELLED}
        tally.ended(self._metrics.app(call.app), failed=failed, took_s=took_s)
        if failed:
            failure = Failure(call.rpc, status.name)
            if refused:
                failure = Failure(call.rpc, status.name, refused.reason, refused.http_status, refused.code)
            tally.failed(failure, app=call.app, request_id=call.request_id, at=time.time())


class Admission(Layer):
    """Bounds how many calls are served at once; a waiting call costs memory. Refuses what comes after the drain began.

    Calls begin in turn, connection by connection.

    Args:
        most: calls in total.
        most_per_app: calls of one application, so that a single one cannot use up the total.
        most_streams, most_streams_per_app: the same for streams, which are counted apart.
    """

    def __init__(
        self, drain: Drain, *, most: int, most_per_app: int, most_streams: int, most_streams_per_app: int
    ) -> None:
        super().__init__()
        self._drain = drain
        self._most = {False: most, True: most_streams}
        self._most_per_app = {False: most_per_app, True: most_streams_per_app}
        self._beginnings = FairStart()
        self._keyless = Keyless()
        self._total: Counter[bool] = Counter()
        self._apps: Counter[tuple[bool, str]] = Counter()

    @asynccontextmanager
    async def around(self, kind: Kind, context: Any) -> AsyncIterator[None]:
        """Serve one call; see `Layer.around`."""
        stream = kind.streams
        if not kind.method.startswith(SERVICE):  # health and reflection; their streams end with the service
            with self._keyless.place(bound_of(kind.method, streams=stream), context.peer()):
                async with self._drain.interruptible() if stream else _nothing():
                    yield
            return
        if self._drain.begun:
            raise errors.draining()
        call = CURRENT.get()
        app = stream, call.app
        if self._total[stream] >= self._most[stream] or self._apps[app] >= self._most_per_app[stream]:
            text = f"Too many {'streams are open' if stream else 'calls wait'} in this worker; call again later."
            raise errors.refusal(StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", text, retry_after_s=1.0)
        self._total[stream] += 1
        self._apps[app] += 1
        try:
            with self._drain.serving():
                try:
                    await self._beginnings.turn(call.peer)
                    yield
                finally:
                    await self._drain.may_answer()
        finally:
            self._total[stream] -= 1
            self._apps[app] -= 1
            if not self._apps[app]:
                del self._apps[app]


class TimeLimit(Layer):
    """Ends a call whose caller set no deadline, or one beyond the longest a call may take. Streams have no such end."""

    def __init__(self, longest_s: float = LONGEST_CALL_S) -> None:
        super().__init__()
        self._longest_s = longest_s

    @asynccontextmanager
    async def around(self, kind: Kind, context: Any) -> AsyncIterator[None]:  # noqa: ARG002 - same for all layers
        """Serve one call; see `Layer.around`."""
        call = CURRENT.get()
        bound = asyncio.get_running_loop().time() + self._longest_s
        if kind.streams or call.deadline_at < bound:
            yield  # gRPC itself keeps the caller's deadline
            return
        call.deadline_at = bound
        limit = asyncio.timeout_at(bound)
        try:
            async with limit:
                yield
        except TimeoutError:
            if not limit.expired():
                raise
            text = f"The call took longer than {self._longest_s:.0f} s, the longest the proxy allows."
            raise errors.refusal(StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", text) from None


@asynccontextmanager
async def _nothing() -> AsyncIterator[None]:
    yield


def _call(kind: Kind, context: Any) -> Call:
    metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
    request_id, app = metadata.get("x-request-id", ""), metadata.get("x-discordproxy-app", "")
    remaining = context.time_remaining()
    return Call(
        rpc=kind.method.rpartition("/")[2],
        request_id=request_id if _SANE.fullmatch(request_id) else secrets.token_hex(8),
        app=app if _SANE.fullmatch(app) else DEFAULT_APP,
        deadline_at=float("inf") if remaining is None else asyncio.get_running_loop().time() + remaining,
    )


async def _abort(context: Any, call: Call, error: ApiError) -> None:
    try:
        rendered = render(error, sent=call.sent, request_id=call.request_id)
    except Exception:
        log.exception("%r cannot be told [%s]", error, call.request_id)
        error = _internal(call)
        rendered = render(error, sent=call.sent, request_id=call.request_id)
    await context.abort(error.status, rendered.details, rendered.trailers)


def _internal(call: Call) -> ApiError:
    text = f"The proxy failed; its log names the cause under request id {call.request_id}."
    return errors.refusal(StatusCode.INTERNAL, "INTERNAL", text)


def _log(call: Call, status: grpc.StatusCode, reason: str, took_s: float, level: int) -> None:
    outcome = f"{status.name} {reason}".rstrip()
    http = f" http={call.answer_status}" if call.answer_status else ""
    facts = {"status": status.name, "reason": reason, "sent": call.sent, "requests": call.attempts}
    facts |= {"http": call.answer_status, "seconds": round(took_s, 6)}
    access_log.log(
        level,
        "%s %s app=%s sent=%s requests=%d%s %.3f s [%s]",
        *(call.rpc, outcome, call.app, call.sent, call.attempts, http, took_s, call.request_id),
        extra={FIELDS: facts},
    )
