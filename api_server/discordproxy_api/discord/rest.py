"""Discord's REST API as the rest of the server sees it: one permit per attempt, every answer learned from.

Repeats only what does no harm. A request that has left is finished even when its caller goes away.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from grpc import StatusCode

from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.drain import Drain
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.calls.retry import NONCE_WINDOW_S, Outcome, Repeat, RetryPolicy, pause_before_repeat
from discordproxy_api.discord.app_rate import AppRateWaits
from discordproxy_api.discord.clock import DiscordClock
from discordproxy_api.discord.http import DiscordHttp
from discordproxy_api.discord.http1_response import HttpResponse, NoAnswerError, UnreadableAnswerError
from discordproxy_api.discord.nonces import Nonces
from discordproxy_api.discord.request import Reply, RestRequest
from discordproxy_ratelimit.broker import Broker
from discordproxy_ratelimit.errors import BrokerError
from discordproxy_ratelimit.headers import Answer, read_answer
from discordproxy_ratelimit.permit import Caller, Permit
from discordproxy_ratelimit.process.trace import Trace, no_trace

log = logging.getLogger("discordproxy_api.discord.rest")

Landed = Callable[[RestRequest, Reply, float], Awaitable[None]]


async def unnoticed(_request: RestRequest, _reply: Reply, _took_s: float) -> None:
    """Do nothing about an accepted request."""


@dataclass(slots=True)
class _Tries:
    """What the attempts of one request have used up so far."""

    failed: int = 0
    limited: int = 0
    waited_s: float = 0.0
    first_left_at: float | None = None
    retry_of: Permit | None = None

    def count(self, outcome: Outcome) -> int:
        """Count one attempt; return how many have ended like it."""
        if outcome is Outcome.LIMITED:
            self.limited += 1
            return self.limited
        self.failed += 1
        return self.failed


@dataclass(slots=True)
class _Landing:
    """How an attempt ended: with a reply; with an error for good; or with an outcome that may allow a repeat."""

    reply: Reply | None = None
    error: ApiError | None = None
    outcome: Outcome | None = None
    permit: Permit | None = None
    retry_after_s: float = 0.0
    last: HttpResponse | None = None


class _Flight:
    """One attempt that holds a permit, from take-off to landing."""

    def __init__(self, request: RestRequest, call: Call) -> None:
        self.request = request
        self.call = call
        self.permit: Permit | None = None
        self.left = False

    async def prepare(self) -> None:
        """Let others know what is about to happen, where it may happen once only."""
        if not self.request.effect:
            return
        if self.call.before_each_effect is not None:
            await self.call.before_each_effect()
        prepare, self.call.before_effect = self.call.before_effect, None
        if prepare is not None:
            await prepare()

    def leaves(self) -> None:
        """Take note that the first byte is about to go out."""
        assert self.permit is not None, "nothing is sent without a permit"  # noqa: S101 - a broken promise of ours
        self.permit.sent()
        self.left = True
        self.call.left(asyncio.get_running_loop().time(), effect=self.request.effect)


class Rest:
    """Discord's REST API behind the broker.

    Args:
        chance: random numbers from 0 to 1, for the jitter of repeats.
        trace: times the wait for a permit and Discord's answer.
        nonces: what tells apart the messages of applications, for those who compose them.
        turns: what applications with a rate of their own wait for, request by request.
        landed: told of every request that Discord accepted, before the caller is, and for how many seconds it was under
            way; also when the caller has gone.

    Attributes:
        token_refused: whether Discord's last word on the bot's token was that it is not valid.
        clock: Discord's time.
    """

    def __init__(
        self,
        *,
        http: DiscordHttp,
        broker: Broker,
        drain: Drain,
        metrics: Metrics,
        turns: AppRateWaits,
        nonces: Nonces,
        policy: RetryPolicy | None = None,
        chance: Callable[[], float] = random.random,
        trace: Trace = no_trace,
        landed: Landed = unnoticed,
    ) -> None:
        self._http = http
        self._broker = broker
        self._drain = drain
        self._metrics = metrics
        self._turns = turns
        self._policy = policy or RetryPolicy()
        self._chance = chance
        self._trace = trace
        self._landed = landed
        self._departed: set[asyncio.Task[_Landing]] = set()
        self.nonces = nonces
        self.token_refused = False
        self.clock = DiscordClock()

    async def finish(self) -> None:
        """Wait until every request that has left is answered and learned from."""
        while self._departed:
            await asyncio.wait(self._departed)

    async def send(self, request: RestRequest, call: Call, *, any_status: bool = False) -> Reply:
        """Send a request as soon as the limits allow it, and return Discord's 2xx answer.

        Cancelling gives the place in the queue back; what has left already is finished in the background.

        Args:
            request: the request.
            call: for whom; records the effect.
            any_status: return the last response of any status, instead of raising for all but 2xx.

        Raises:
            ApiError: no permit, no answer, or an answer other than 2xx; `call.sent` tells whether it took effect.
        """
        tries = _Tries()
        while True:
            await self._turns.for_request(call)
            landing = await self._detached(_Flight(request, call), tries)
            if landing.reply is not None:
                return landing.reply
            assert landing.error is not None, "an attempt ends with a reply or an error"  # noqa: S101 - for the reader
            pause_s = self._pause_s(landing, request, call, tries)
            if pause_s is None:
                if any_status and landing.last is not None:
                    return Reply(landing.last.status, landing.last.headers, landing.last.body)
                raise landing.error
            log.info("%s %s: repeated in %.2f s [%s]", request.route.name, landing.outcome, pause_s, call.request_id)
            async with self._drain.interruptible():
                await asyncio.sleep(pause_s)

    async def pause(self, attempt: int, call: Call) -> bool:
        """Wait before a request with an unknown outcome is made anew; False if there is no time or try left.

        Args:
            attempt: how many requests have ended so.
            call: whose deadline counts.
        """
        pause_s = pause_before_repeat(
            Outcome.LOST,
            Repeat.ALWAYS,
            self._policy,
            attempt=attempt,
            since_first_s=0.0,
            time_left_s=call.deadline_at - asyncio.get_running_loop().time(),
            chance=self._chance(),
        )
        if pause_s is None:
            return False
        async with self._drain.interruptible():
            await asyncio.sleep(pause_s)
        return True

    def _pause_s(self, landing: _Landing, request: RestRequest, call: Call, tries: _Tries) -> float | None:
        if landing.outcome is None:
            return None
        now = asyncio.get_running_loop().time()
        tries.retry_of = landing.permit if landing.outcome is Outcome.LIMITED else None
        pause_s = pause_before_repeat(
            landing.outcome,
            request.repeat,
            self._policy,
            attempt=tries.count(landing.outcome),
            since_first_s=0.0 if tries.first_left_at is None else now - tries.first_left_at,
            time_left_s=call.deadline_at - now,
            retry_after_s=landing.retry_after_s,
            chance=self._chance(),
        )
        if pause_s is not None:
            self._metrics.repeats.labels(landing.outcome.value).inc()
        return pause_s

    async def _detached(self, flight: _Flight, tries: _Tries) -> _Landing:
        """Run an attempt so that cancelling the caller stops it only as long as nothing has left."""
        task = asyncio.create_task(self._fly(flight, tries))
        self._departed.add(task)
        task.add_done_callback(self._forget)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not flight.left:
                task.cancel()
            raise

    def _forget(self, task: asyncio.Task[_Landing]) -> None:
        self._departed.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not report what nobody waits for any more

    async def _fly(self, flight: _Flight, tries: _Tries) -> _Landing:
        loop = asyncio.get_running_loop()
        asked_at = loop.time()
        async with AsyncExitStack() as stack:
            try:
                with self._trace("wait for a permit", discordproxy_route=flight.request.route.name):
                    permit = flight.permit = await stack.enter_async_context(self._acquire(flight, tries))
            except BrokerError as error:
                return _Landing(error=errors.from_broker(error))
            tries.waited_s += loop.time() - asked_at
            left_at = tries.first_left_at = loop.time() if tries.first_left_at is None else tries.first_left_at
            landing = await self._exchange(flight, permit)
        if landing.reply is not None:
            await self._landed(flight.request, landing.reply, loop.time() - left_at)
        return landing

    def _acquire(self, flight: _Flight, tries: _Tries) -> AbstractAsyncContextManager[Permit]:
        call, request = flight.call, flight.request
        deadline: float | None = call.deadline_at
        if request.repeat is Repeat.NONCE and call.in_doubt and tries.first_left_at is not None:
            deadline = min(call.deadline_at, tries.first_left_at + NONCE_WINDOW_S)
        return self._broker.acquire(
            request.route,
            deadline=None if deadline == float("inf") else deadline,
            caller=Caller(app=call.app, priority=call.priority, weight=call.principal.share),
            max_wait_s=None if call.max_wait_s is None else max(0.0, call.max_wait_s - tries.waited_s),
            retry_of=tries.retry_of,
        )

    async def _exchange(self, flight: _Flight, permit: Permit) -> _Landing:
        request, call = flight.request, flight.call
        try:
            await flight.prepare()
            began = asyncio.get_running_loop().time()
            with self._trace(f"discord {request.route.name}", http_request_method=request.method) as span:
                answer = await self._http.exchange(request, flight.leaves).response()
                span.tell(http_response_status__code=answer.status)
        except BrokerError as error:  # the permit ran out before the first byte
            return _Landing(error=errors.from_broker(error))
        except UnreadableAnswerError as error:
            self._observe(request, 0, began)
            return _unreadable(flight, str(error))
        except NoAnswerError as error:
            self._observe(request, 0, began)
            return _unanswered(flight, str(error))
        self._observe(request, answer.status, began)
        said = read_answer(answer.status, answer.headers, answer.body)
        if said.from_discord:
            self.clock.heard(answer.headers.get("Date"))
        if request.route.credential == "bot" and said.from_discord and said.status < HTTPStatus.TOO_MANY_REQUESTS:
            self.token_refused = said.status == HTTPStatus.UNAUTHORIZED
        verdict = permit.complete(said)
        return _judge(answer, said, request, call, permit, verdict.retry_after_s)

    def _observe(self, request: RestRequest, status: int, began: float) -> None:
        template = self._metrics.template(request.route.name.partition(" ")[2])
        self._metrics.recent_stats.requested()
        self._metrics.discord_requests.labels(request.method, template, str(status)).inc()
        self._metrics.discord_seconds.labels(request.method).observe(asyncio.get_running_loop().time() - began)


def _unanswered(flight: _Flight, why: str) -> _Landing:
    if flight.left:
        flight.call.lost(effect=flight.request.effect)
        text = f"Discord did not answer ({why}); whether the request took effect is unknown."
        return _Landing(error=_unreachable(text), outcome=Outcome.LOST)
    text = (
        f"Discord could not be reached ({why}); check the machine's network, HTTPS_PROXY and DISCORDPROXY_DISCORD_URL."
    )
    return _Landing(error=_unreachable(text), outcome=Outcome.UNSENT)


def _unreadable(flight: _Flight, why: str) -> _Landing:
    """Return the end of a request whose answer cannot be read: a repeat would only be answered like it."""
    flight.call.lost(effect=flight.request.effect)
    text = f"Discord's answer cannot be read ({why}); whether the request took effect is unknown."
    return _Landing(error=errors.refusal(StatusCode.INTERNAL, "INTERNAL", text))


def _unreachable(text: str) -> ApiError:
    return errors.refusal(StatusCode.UNAVAILABLE, "DISCORD_UNREACHABLE", text, retry_after_s=1.0)


def _judge(
    answer: HttpResponse,
    said: Answer,
    request: RestRequest,
    call: Call,
    permit: Permit,
    retry_after_s: float | None,
) -> _Landing:
    """Note in `call` what the answer means for it, and return the landing."""
    status, effect = answer.status, request.effect
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        call.succeeded(status, effect=effect)
        return _accepted(answer, request)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        call.lost(status, effect=effect)
        error = errors.from_answer(said, answer.headers, answer.body)
        return _Landing(error=error, outcome=Outcome.FAILED, retry_after_s=_seconds(answer.headers), last=answer)
    if status == HTTPStatus.NOT_FOUND and request.method == "DELETE" and call.in_doubt:
        call.succeeded(status, effect=effect)  # an earlier attempt, whose answer was lost, has done it
        return _Landing(reply=Reply(HTTPStatus.NO_CONTENT, dict(answer.headers), b""))
    call.refused(status, effect=effect)
    error = errors.from_answer(said, answer.headers, answer.body, retry_after_s=retry_after_s)
    limited = (
        status == HTTPStatus.TOO_MANY_REQUESTS and said.from_discord
    )  # a 429 of Discord's edge is a block, no limit
    outcome = Outcome.LIMITED if limited else None
    return _Landing(error=error, outcome=outcome, permit=permit, last=answer)


def _accepted(answer: HttpResponse, request: RestRequest) -> _Landing:
    if not answer.cut:
        return _Landing(reply=Reply(answer.status, dict(answer.headers), request.as_asked(answer.body)))
    if answer.cut == "lost":
        text = "Discord accepted the request, but its answer broke off."
        return _Landing(error=_unreachable(text), outcome=Outcome.LOST)
    if answer.cut == "unreadable":
        text = "Discord accepted the request, but its answer cannot be decompressed."
        return _Landing(error=errors.refusal(StatusCode.INTERNAL, "INTERNAL", text))
    text = "Discord accepted the request, but its answer is larger than the proxy passes on; ask for smaller pages."
    return _Landing(error=errors.refusal(StatusCode.RESOURCE_EXHAUSTED, "INTERNAL", text))


def _seconds(headers: Any) -> float:
    try:
        return min(max(float(headers.get("Retry-After", 0)), 0.0), 3600.0)
    except ValueError:
        return 0.0
