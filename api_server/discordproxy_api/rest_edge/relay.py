"""Sends requests whose answers are passed on, errors included; keeps the nonces of messages whose answer was lost."""

import logging
from http import HTTPStatus

from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.calls.retry import NONCE_WINDOW_S
from discordproxy_api.discord.request import Reply, RestRequest
from discordproxy_api.discord.rest import Rest
from discordproxy_ratelimit.errors import BrokerError
from discordproxy_ratelimit.headers import MIN_BLOCK_S, TOO_MANY, read_answer
from discordproxy_ratelimit.shared.claims import Claims

log = logging.getLogger("discordproxy_api.rest_edge.relay")

_FORGOTTEN = b""
_FORGOTTEN_S = 0.001


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


class NonceNotes:
    """Keeps the nonces of unanswered messages for all workers, for as long as Discord knows a nonce."""

    def __init__(self, claims: Claims, metrics: Metrics) -> None:
        self._claims = claims
        self._metrics = metrics

    async def nonce_of(self, fingerprint: str) -> str:
        """Return the nonce with which the same request was sent without an answer, "" if it was not."""
        try:
            found = await self._claims.get(_key(fingerprint))
        except BrokerError:
            return ""
        if found:
            self._metrics.resent.labels("same_nonce").inc()
        return found.decode() if found else ""

    async def keep(self, fingerprint: str, nonce: str) -> None:
        """Keep the nonce of a request whose answer is lost."""
        await self._set(fingerprint, nonce.encode(), NONCE_WINDOW_S)

    async def forget(self, fingerprint: str) -> None:
        """Forget a request: its answer is about to be delivered."""
        await self._set(fingerprint, _FORGOTTEN, _FORGOTTEN_S)

    async def _set(self, fingerprint: str, value: bytes, ttl_s: float) -> None:
        try:
            await self._claims.set(_key(fingerprint), value, ttl_s=ttl_s)
        except BrokerError as error:
            log.warning("The nonce of an unanswered message could not be kept: %s", error)


def _key(fingerprint: str) -> str:
    return f"unanswered:{fingerprint}"
