"""Nonces of messages whose answer did not reach the caller: the library's own repeat must not double them."""

import logging

from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.calls.retry import NONCE_WINDOW_S
from discordproxy_ratelimit.errors import BrokerError
from discordproxy_ratelimit.shared.claims import Claims

log = logging.getLogger("discordproxy_api.rest_edge.nonce_notes")

_FORGOTTEN = b""
_FORGOTTEN_S = 0.001


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
