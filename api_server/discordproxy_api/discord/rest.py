"""Discord's REST API behind the broker: one permit per attempt, and every response is learned from.

Only harmless repeats are made. A request that has been written is finished even if its caller is cancelled.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.drain import Drain
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.calls.retry import NONCE_WINDOW_S, Outcome, Repeat, RetryPolicy, pause_before_repeat
from discordproxy_api.discord.app_rate import AppRateWaits
from discordproxy_api.discord.attempt import (
    Attempt,
    FailedAttempt,
    accepted_without_body,
    announce_effect,
    refused,
    without_answer,
)
from discordproxy_api.discord.clock import DiscordClock
from discordproxy_api.discord.http import DiscordHttp
from discordproxy_api.discord.http1.client import Http1Exchange
from discordproxy_api.discord.http1.response import MULTIPLE_CHOICES, OK, HttpResponse, NoAnswerError
from discordproxy_api.discord.nonces import Nonces
from discordproxy_api.discord.request import Reply, RestRequest
from discordproxy_ratelimit.broker import Broker
from discordproxy_ratelimit.errors import BrokerError
from discordproxy_ratelimit.headers import TOO_MANY, read_answer
from discordproxy_ratelimit.permit import Caller, Permit
from discordproxy_ratelimit.process.tasks import BackgroundTasks
from discordproxy_ratelimit.process.trace import Trace, no_trace

log = logging.getLogger("discordproxy_api.discord.rest")

OnAccepted = Callable[[RestRequest, Reply, float], Coroutine[Any, Any, None] | None]
"""Request, reply, seconds since the request was sent -> work to be done before the caller gets the reply, or None."""

UNAUTHORIZED = 401

_caller = lru_cache(maxsize=4096)(Caller)


def _do_nothing(_request: RestRequest, _reply: Reply, _took_s: float) -> None:
    """Accept a request without further work."""


@dataclass(slots=True)
class _Tries:
    """The attempts of one request so far."""

    failed: int = 0
    limited: int = 0
    waited_s: float = 0.0
    first_sent_at: float | None = None
    permit: Permit | None = None
    retry_of: Permit | None = None

    def count(self, outcome: Outcome) -> int:
        """Count one attempt; return how many have ended with this kind of outcome."""
        if outcome is Outcome.LIMITED:
            self.limited += 1
            return self.limited
        self.failed += 1
        return self.failed


class Rest:
    """Discord's REST API behind the broker.

    Args:
        app_rate: delays the requests of applications with a rate of their own.
        nonces: makes the nonces of messages, for the modules that compose them.
        jitter: random numbers from 0 to 1 that spread repeats.
        trace: times the wait for a permit and Discord's response.
        on_accepted: called with every request that Discord accepted, even if its caller has gone; the caller gets the
            reply when the returned work is done.

    Attributes:
        token_refused: whether Discord's last response to the bot's token was 401.
        clock: Discord's time.
    """

    def __init__(
        self,
        *,
        http: DiscordHttp,
        broker: Broker,
        drain: Drain,
        metrics: Metrics,
        app_rate: AppRateWaits,
        nonces: Nonces,
        policy: RetryPolicy | None = None,
        jitter: Callable[[], float] = random.random,
        trace: Trace = no_trace,
        on_accepted: OnAccepted = _do_nothing,
    ) -> None:
        self._http = http
        self._broker = broker
        self._drain = drain
        self._metrics = metrics
        self._app_rate = app_rate
        self._policy = policy or RetryPolicy()
        self._jitter = jitter
        self._trace = trace
        self._traced = trace is not no_trace
        self._on_accepted = on_accepted
        self._background = BackgroundTasks()
        self._in_progress = 0
        self._idle: asyncio.Event | None = None
        self.nonces = nonces
        self.token_refused = False
        self.clock = DiscordClock()

    async def finish(self) -> None:
        """Wait until every request that was sent has been answered and learned from."""
        while self._in_progress:
            self._idle = self._idle or asyncio.Event()
            await self._idle.wait()
        await self._background.finish()

    async def send(self, request: RestRequest, call: Call, *, any_status: bool = False) -> Reply:
        """Send a request as soon as the limits allow it, and return Discord's reply.

        Cancelled before the request was written, nothing is sent. Cancelled later, the attempt is finished in the
        background and not repeated.

        Args:
            request: the request.
            call: for whom; records the effect.
            any_status: return the last response of any status, instead of raising for all but 2xx.

        Raises:
            ApiError: no permit, no response, or a response other than 2xx. `call.sent` is whether it took effect.
        """
        tries = _Tries()
        while True:
            await self._app_rate.for_request(call)
            try:
                end = await self._attempt(request, call, tries)
            except BrokerError as error:
                raise errors.from_broker(error) from None
            if isinstance(end, Reply):
                return end
            pause_s = self._pause_s(end, request, call, tries)
            if pause_s is None:
                if any_status and end.response is not None:
                    return Reply(end.response.status, end.response.headers, end.response.body)
                raise end.as_error()
            log.info("%s %s: repeated in %.2f s [%s]", request.route.name, end.outcome, pause_s, call.request_id)
            await self._sleep(pause_s)

    async def pause(self, attempt: int, call: Call) -> bool:
        """Wait before a request with an unknown outcome is made anew; return False if no time or attempt is left.

        Args:
            attempt: number of requests that have ended so.
            call: its deadline counts.
        """
        pause_s = pause_before_repeat(
            Outcome.LOST,
            Repeat.ALWAYS,
            self._policy,
            attempt=attempt,
            since_first_s=0.0,
            time_left_s=call.deadline_at - asyncio.get_running_loop().time(),
            jitter=self._jitter(),
        )
        if pause_s is None:
            return False
        await self._sleep(pause_s)
        return True

    async def wait(self, seconds: float, call: Call) -> bool:
        """Wait before a request that had no effect is made anew; return False if the deadline is earlier."""
        if seconds >= call.deadline_at - asyncio.get_running_loop().time():
            return False
        await self._sleep(seconds)
        return True

    async def _sleep(self, seconds: float) -> None:
        async with self._drain.interruptible():
            await asyncio.sleep(seconds)

    def _pause_s(self, end: FailedAttempt, request: RestRequest, call: Call, tries: _Tries) -> float | None:
        if end.outcome is None:
            return None
        now = asyncio.get_running_loop().time()
        limited = end.outcome is Outcome.LIMITED
        tries.retry_of = tries.permit if limited else None
        time_left_s = call.deadline_at - now
        if limited and call.max_wait_s is not None:
            time_left_s = min(time_left_s, call.max_wait_s - tries.waited_s)
        pause_s = pause_before_repeat(
            end.outcome,
            request.repeat,
            self._policy,
            attempt=tries.count(end.outcome),
            since_first_s=0.0 if tries.first_sent_at is None else now - tries.first_sent_at,
            time_left_s=time_left_s,
            retry_after_s=end.retry_after_s or 0.0,
            jitter=self._jitter(),
        )
        if pause_s is not None:
            self._metrics.repeats.labels(end.outcome.value).inc()
            tries.waited_s += pause_s if limited else 0.0
        return pause_s

    async def _attempt(self, request: RestRequest, call: Call, tries: _Tries) -> Reply | FailedAttempt:
        """Make one attempt. Raises `BrokerError`: no permit, or it expired before the first byte."""
        loop = asyncio.get_running_loop()
        queued_at = loop.time()
        permit = await self._permit(request, call, tries)
        now = loop.time()
        tries.waited_s += now - queued_at
        tries.permit = permit
        if tries.first_sent_at is None:
            tries.first_sent_at = now
        attempt = Attempt(request, call, permit, tries.first_sent_at)
        exchange, finished = None, True
        self._in_progress += 1
        try:
            if request.effect and (call.before_effect or call.before_each_effect):
                await announce_effect(call)
            attempt.started_at = loop.time()
            exchange = self._http.exchange(request, attempt.before_write)
            return await self._respond(attempt, exchange)
        except asyncio.CancelledError:
            if exchange is not None and attempt.written and not attempt.answered:
                finished = False
                call.continuation = self._background.start(self._finish(attempt, exchange))
            raise
        finally:
            if finished and not attempt.answered:
                permit.release()
            self._in_progress -= 1
            if self._idle is not None and not self._in_progress:
                self._idle.set()
                self._idle = None

    def _permit(self, request: RestRequest, call: Call, tries: _Tries) -> Awaitable[Permit]:
        deadline = call.waits_until(asyncio.get_running_loop().time())
        if request.repeat is Repeat.NONCE and call.in_doubt and tries.first_sent_at is not None:
            deadline = min(deadline, tries.first_sent_at + NONCE_WINDOW_S)
        permit = self._broker.acquire(
            request.route,
            deadline=None if deadline == float("inf") else deadline,
            caller=_caller(call.app, call.priority, call.principal.share),
            max_wait_s=None if call.max_wait_s is None else max(0.0, call.max_wait_s - tries.waited_s),
            retry_of=tries.retry_of,
        )
        return self._timed_permit(permit, request) if self._traced else permit

    async def _timed_permit(self, permit: Awaitable[Permit], request: RestRequest) -> Permit:
        with self._trace("wait for a permit", discordproxy_route=request.route.name):
            return await permit

    async def _timed_response(self, attempt: Attempt, exchange: Http1Exchange) -> HttpResponse:
        request = attempt.request
        with self._trace(f"discord {request.route.name}", http_request_method=request.method) as span:
            response = await exchange.response()
            span.record(http_response_status__code=response.status)
        return response

    async def _finish(self, attempt: Attempt, exchange: Http1Exchange) -> None:
        """Finish an attempt whose caller has gone."""
        try:
            await self._respond(attempt, exchange)
        except Exception:
            log.exception("A response whose caller has gone was not processed [%s]", attempt.call.request_id)
        finally:
            if not attempt.answered:
                attempt.permit.release()

    async def _respond(self, attempt: Attempt, exchange: Http1Exchange) -> Reply | FailedAttempt:
        """Wait for the response of an attempt, learn from it and judge it."""
        request, call = attempt.request, attempt.call
        try:
            response = await (self._timed_response(attempt, exchange) if self._traced else exchange.response())
        except NoAnswerError as error:
            self._observe(attempt, 0)
            return without_answer(attempt, error)
        status = response.status
        self._observe(attempt, status)
        answer = read_answer(status, dict(response.headers), response.body, lower_case_names=True)
        if answer.from_discord:
            self.clock.observe(response.headers.get("date"))
            if status < TOO_MANY and request.route.credential == "bot" and not request.route.of_user:
                self.token_refused = status == UNAUTHORIZED
        attempt.answered = True
        if OK <= status < MULTIPLE_CHOICES:
            asyncio.get_running_loop().call_soon(attempt.permit.complete, answer)  # the caller gets its reply first
            call.succeeded(status, effect=request.effect)
            if response.cut:
                return accepted_without_body(response.cut)
            body = request.as_asked(response.body) if request.own_nonce else response.body
            reply = Reply(status, response.headers, body)
        else:
            verdict = attempt.permit.complete(answer)
            gone = status == HTTPStatus.NOT_FOUND and answer.from_discord and answer.code  # not a page of the edge
            if not (gone and request.method == "DELETE" and call.in_doubt):
                return refused(attempt, response, answer, verdict.retry_after_s)
            call.succeeded(status, effect=request.effect)  # by an earlier attempt, whose response was lost
            reply = Reply(HTTPStatus.NO_CONTENT, response.headers, b"")
        work = self._on_accepted(request, reply, asyncio.get_running_loop().time() - attempt.first_sent_at)
        if work is not None:
            await asyncio.shield(self._background.start(work))
        return reply

    def _observe(self, attempt: Attempt, status: int) -> None:
        took_s = asyncio.get_running_loop().time() - attempt.started_at
        self._metrics.requested(attempt.request.route.name, status, took_s)
