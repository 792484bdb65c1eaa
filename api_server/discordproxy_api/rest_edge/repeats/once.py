"""Sends requests that must not act twice: a repeat of one that was not answered in time gets its answer."""

import asyncio
from functools import partial

from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.discord.request import Reply, RestRequest
from discordproxy_api.rest_edge.relay import Relay, pack, unpack
from discordproxy_api.rest_edge.repeats.unanswered import SlowRequest, SlowRequests, UnansweredRequests, Value
from discordproxy_ratelimit.process.tasks import BackgroundTasks

_IN_FLIGHT, _LOST = b"in flight", b"lost"
_IN_FLIGHT_S = 15.0
_POLL_S = 0.1


class _RepeatError(Exception):
    """The same request was made before; this one was not sent."""


class OnceRelay:
    """Sends requests that must not act twice: a repeat of one that was not answered in time gets its answer.

    Libraries repeat each request whose answer takes longer than their timeout, and Discord would make two channels.

    Args:
        background: tasks that outlive their calls.
    """

    def __init__(
        self,
        relay: Relay,
        unanswered: UnansweredRequests,
        slow: SlowRequests,
        metrics: Metrics,
        background: BackgroundTasks,
    ) -> None:
        self._relay = relay
        self._unanswered = unanswered
        self._slow = slow
        self._metrics = metrics
        self._background = background

    async def send(self, request: RestRequest, call: Call, fingerprint: str) -> Reply:
        """Send a request, or return the answer of the same request before it; raises as `Relay.send`."""
        while True:
            reply = await self._send(request, call, fingerprint) or await self._answer_of_earlier(fingerprint, call)
            if reply is not None:
                return reply

    async def _send(self, request: RestRequest, call: Call, fingerprint: str) -> Reply | None:
        """Send a request; return None if it is a repeat, which was not sent."""
        value = self._unanswered.begin(fingerprint)  # read while the request waits for its permit: it costs no time
        call.before_effect = partial(self._require_first, fingerprint, value, call)
        sending = self._background.start(self._relay.send(request, call))
        slow = self._slow.begin(partial(self._unanswered.keep, fingerprint, _IN_FLIGHT, _IN_FLIGHT_S), call)
        try:
            await asyncio.wait({sending})
            if await self._slow.end(slow):
                await self._unanswered.forget(fingerprint)
        except asyncio.CancelledError:
            if call.sent == "no":
                sending.cancel()
            else:
                self._slow.write(slow)
            call.continuation = self._background.start(self._keep_answer(sending, slow, call, fingerprint))
            raise
        finally:
            value.drop()
        try:
            return None if isinstance(sending.exception(), _RepeatError) else sending.result()
        finally:
            del sending  # an error refers to this frame, which would refer to the error: a cycle that keeps the body

    async def _require_first(self, fingerprint: str, value: Value, call: Call) -> None:
        """Raise `_RepeatError` if the same request was made before."""
        if await self._unanswered.finish(fingerprint, value):
            raise _RepeatError
        call.trust()

    async def keep(self, fingerprint: str, reply: Reply) -> None:
        """Keep an answer that its caller did not receive."""
        await self._unanswered.keep(fingerprint, pack(reply))

    async def _answer_of_earlier(self, fingerprint: str, call: Call) -> Reply | None:
        """Return the answer of the same request, once it has one; None if there was none.

        Raises:
            ApiError: its answer is lost.
        """
        while (found := await self._unanswered.get(fingerprint)) == _IN_FLIGHT:
            call.doubt()
            await asyncio.sleep(_POLL_S)
        if not found:
            call.trust()
            return None
        call.doubt()
        self._metrics.resent.labels("same_answer").inc()
        await self._unanswered.forget(fingerprint)
        if found == _LOST:
            text = "Discord did not answer the same request before this one; whether it took effect is unknown."
            raise errors.refusal("UNAVAILABLE", "DISCORD_UNREACHABLE", text)
        return unpack(found)

    async def _keep_answer(self, sending: asyncio.Task[Reply], slow: SlowRequest, call: Call, fingerprint: str) -> None:
        """Keep the answer of a request whose caller has gone."""
        await asyncio.wait({sending})
        was_kept = await self._slow.end(slow)
        if call.sent != "no":
            await self._unanswered.keep(fingerprint, _outcome_of(sending))
        elif was_kept:
            await self._unanswered.forget(fingerprint)


def _outcome_of(sending: asyncio.Task[Reply]) -> bytes:
    return _LOST if sending.cancelled() or sending.exception() is not None else pack(sending.result())
