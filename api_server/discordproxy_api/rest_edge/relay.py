"""Sends requests whose answers are passed on, errors included; keeps what callers did not receive."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from http import HTTPStatus
from typing import Any

import orjson

from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.calls.retry import NONCE_WINDOW_S
from discordproxy_api.discord.request import Reply, RestRequest
from discordproxy_api.discord.rest import Rest
from discordproxy_ratelimit.errors import BrokerError
from discordproxy_ratelimit.headers import MIN_BLOCK_S, TOO_MANY, read_answer
from discordproxy_ratelimit.process.tasks import BackgroundTasks
from discordproxy_ratelimit.shared.claims import Claims

log = logging.getLogger("discordproxy_api.rest_edge.relay")

NOTED_AFTER_S = 2.0
"""A request that takes longer is noted: a library that gives up repeats it at once, perhaps at another worker.

It is shorter than the timeout of every library. Most requests are answered before.
"""

_FORGOTTEN, _IN_FLIGHT, _LOST = b"", b"in flight", b"lost"
_FORGOTTEN_S, _IN_FLIGHT_S = 0.001, 15.0
_POLL_S = 0.1


class RelayedError(ApiError):
    """A response of Discord other than 2xx, which the caller gets as it is.

    Attributes:
        reply: the response.
    """

    def __init__(self, error: ApiError, reply: Reply) -> None:
        super().__init__(error.status, error.reason, error.text)
        self.__dict__.update(error.__dict__)
        self.reply = reply

    @property
    def is_from_edge(self) -> bool:
        """Whether Discord's edge answered, not its API."""
        return errors.ANSWERED_BY in self.extras


class Relay:
    """Sends requests whose answers are passed on."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest

    async def send(self, request: RestRequest, call: Call) -> Reply:
        """Send a request; return Discord's answer.

        Raises:
            RelayedError: its status is 4xx or 5xx.
            ApiError: no permit, or no answer.
        """
        reply = await self._rest.send(request, call, any_status=True)
        if reply.status < HTTPStatus.BAD_REQUEST:
            return reply
        raise RelayedError(_error_of(reply), reply)


def _error_of(reply: Reply) -> ApiError:
    answer = read_answer(reply.status, reply.headers, reply.body)
    retry_after_s = answer.retry_after_s
    if answer.status == TOO_MANY and not answer.from_discord:  # as long as the broker refuses all calls
        retry_after_s = max(MIN_BLOCK_S, retry_after_s or 0.0)
    return errors.from_answer(answer, reply.headers, reply.body, retry_after_s=retry_after_s)


class UnansweredNotes:
    """Values of requests whose answer was not delivered, for all workers, for as long as Discord knows a nonce."""

    def __init__(self, claims: Claims) -> None:
        self._claims = claims

    async def get(self, fingerprint: str) -> bytes:
        """Return the value that is kept for a request, b"" if there is none."""
        try:
            return await self._claims.get(_key(fingerprint)) or _FORGOTTEN
        except BrokerError:
            return _FORGOTTEN

    async def keep(self, fingerprint: str, value: bytes, ttl_s: float = NONCE_WINDOW_S) -> None:
        """Keep a value for a request."""
        try:
            await self._claims.set(_key(fingerprint), value, ttl_s=ttl_s)
        except BrokerError as error:
            log.warning("The state of an unanswered request could not be kept: %s", error)

    async def forget(self, fingerprint: str) -> None:
        """Forget a request: its answer is about to be delivered."""
        await self.keep(fingerprint, _FORGOTTEN, _FORGOTTEN_S)


class SlowNote:
    """Keeps a value while a request is in flight for long.

    Args:
        keep: writes the value; repeated, so that it may expire soon.
        background: tasks that outlive their calls.
    """

    def __init__(self, keep: Callable[[], Coroutine[Any, Any, None]], call: Call, background: BackgroundTasks) -> None:
        self._keep = keep
        self._call = call
        self._background = background
        self._writing: asyncio.Task[None] | None = None
        self._wait()

    def write(self) -> None:
        """Write the value now."""
        self._writing = self._background.start(self._keep())

    async def close(self) -> bool:
        """Stop writing; return whether the value was written."""
        self._timer.cancel()
        if self._writing is None:
            return False
        await asyncio.wait({self._writing})
        return True

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(NOTED_AFTER_S, self._write_in_flight)

    def _write_in_flight(self) -> None:
        if self._call.sent != "no":
            self.write()
        self._wait()


class OnceRelay:
    """Sends requests that must not act twice: a repeat of one that was not answered in time gets its answer.

    Libraries repeat each request whose answer takes longer than their timeout, and Discord would make two channels.

    Args:
        background: tasks that outlive their calls.
    """

    def __init__(self, relay: Relay, notes: UnansweredNotes, metrics: Metrics, background: BackgroundTasks) -> None:
        self._relay = relay
        self._notes = notes
        self._metrics = metrics
        self._background = background

    async def send(self, request: RestRequest, call: Call, fingerprint: str) -> Reply:
        """Send a request, or return the answer of the same request before it; raises as `Relay.send`."""
        earlier = await self._answer_of_earlier(fingerprint, call)
        if earlier is not None:
            return earlier
        keep = partial(self._notes.keep, fingerprint, _IN_FLIGHT, _IN_FLIGHT_S)
        sending = self._background.start(self._relay.send(request, call))
        slow = SlowNote(keep, call, self._background)
        try:
            await asyncio.wait({sending})
        except asyncio.CancelledError:
            if call.sent == "no":
                sending.cancel()
            else:
                slow.write()
            self._background.start(self._keep_answer(sending, slow, call, fingerprint))
            raise
        if await slow.close():
            await self._notes.forget(fingerprint)
        return sending.result()

    async def keep(self, fingerprint: str, reply: Reply) -> None:
        """Keep an answer that its caller did not receive."""
        await self._notes.keep(fingerprint, pack(reply))

    async def _answer_of_earlier(self, fingerprint: str, call: Call) -> Reply | None:
        """Return the answer of the same request, once it has one; None if there was none.

        Raises:
            ApiError: its answer is lost.
        """
        while (found := await self._notes.get(fingerprint)) == _IN_FLIGHT:
            call.doubt()
            await asyncio.sleep(_POLL_S)
        if not found:
            call.trust()
            return None
        call.doubt()
        self._metrics.resent.labels("same_answer").inc()
        await self._notes.forget(fingerprint)
        if found == _LOST:
            text = "Discord did not answer the same request before this one; whether it took effect is unknown."
            raise errors.refusal("UNAVAILABLE", "DISCORD_UNREACHABLE", text)
        return unpack(found)

    async def _keep_answer(self, sending: asyncio.Task[Reply], slow: SlowNote, call: Call, fingerprint: str) -> None:
        """Keep the answer of a request whose caller has gone."""
        await asyncio.wait({sending})
        noted = await slow.close()
        if call.sent != "no":
            await self._notes.keep(fingerprint, _outcome_of(sending))
        elif noted:
            await self._notes.forget(fingerprint)


def _outcome_of(sending: asyncio.Task[Reply]) -> bytes:
    return _LOST if sending.cancelled() or sending.exception() is not None else pack(sending.result())


def pack(reply: Reply) -> bytes:
    """Return the bytes of a reply."""
    return orjson.dumps([reply.status, dict(reply.headers)]) + b"\n" + reply.body


def unpack(packed: bytes) -> Reply:
    """Return the reply of `pack`; raises ValueError for other bytes."""
    head, _, body = packed.partition(b"\n")
    status, headers = orjson.loads(head)
    return Reply(status, headers, body)


def _key(fingerprint: str) -> str:
    return f"unanswered:{fingerprint}"
