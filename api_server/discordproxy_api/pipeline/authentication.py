"""Authenticates the caller of each call, and refuses RPCs that its application may never call."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

from discordproxy_api.access.authenticator import LOCKED_OUT, Credentials
from discordproxy_api.access.permission import denied, is_read
from discordproxy_api.calls import errors
from discordproxy_api.calls.call import AuditEntry, Call
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.principal import UNAUTHENTICATED, Principal
from discordproxy_api.calls.scopes import REQUEST
from discordproxy_api.contract.contract import Rpc
from discordproxy_api.time_limit import expires_as

MAX_DELAYED, DELAY_S = 200, 1.0
"""The answer to a locked-out address is delayed, so that it cannot keep the worker busy by repeating its call at once.
Only so many answers at a time, because each takes memory."""

RECHECK_S = 2.0
"""Seconds between two checks of a stream's key."""

log = logging.getLogger("discordproxy_api.access")


class Authenticates(Protocol):
    """Maps credentials to principals."""

    @property
    def requires_keys(self) -> bool:
        """Whether callers need a credential."""

    def admit(self, shown: Credentials) -> Principal:
        """Return the principal of a caller; raises ApiError."""

    def still_admits(self, shown: Credentials, principal: Principal) -> bool:
        """Return whether the credentials still belong to the same principal."""


class Authentication:
    """Names the caller of each call.

    Args:
        contract: the RPCs that scopes apply to, empty for a service without scopes.
        audited: whether there is an audit log.
    """

    def __init__(self, authenticator: Authenticates, contract: Mapping[str, Rpc], *, audited: bool = False) -> None:
        self._authenticator = authenticator
        self._reads = {name: is_read(rpc) for name, rpc in contract.items()}
        self._audited = audited
        self._delayed = 0

    @property
    def requires_keys(self) -> bool:
        """Whether callers need a key or a certificate."""
        return self._authenticator.requires_keys

    async def authenticate(self, call: Call) -> None:
        """Set the principal and the application of a call.

        Raises:
            ApiError: the caller is unknown, or its application may not call the RPC.
        """
        reads = self._reads.get(call.rpc, True)
        if self._audited and not reads:
            call.audit_entry = AuditEntry(call.rpc)
        credentials, call.app = _credentials(call), UNAUTHENTICATED
        try:
            principal = call.principal = self._authenticator.admit(credentials)
        except ApiError as error:
            if error.reason == LOCKED_OUT:
                call.logged = False
                await self._delay()
            raise
        call.app = principal.app
        if self._reads and not principal.scopes.allows_rpc(call.rpc, reads=reads):
            if not principal.scopes.allows_as_request(call.route):
                raise denied(principal, f"may not call {call.rpc}; add it to the key's rpcs")
            call.rpc = REQUEST  # so a route that becomes an RPC in a later release stays allowed

    @asynccontextmanager
    async def watch(self, call: Call) -> AsyncIterator[None]:
        """Run a stream, which may last for an hour, until its key is withdrawn or changed.

        Raises:
            ApiError: UNAUTHENTICATED.
        """
        limit = asyncio.timeout(None)
        async with expires_as(limit, _withdrawn):
            watching = asyncio.create_task(self._end_when_withdrawn(_credentials(call), call.principal, limit))
            try:
                yield
            finally:
                watching.cancel()

    async def _end_when_withdrawn(self, shown: Credentials, principal: Principal, limit: asyncio.Timeout) -> None:
        try:
            while self._authenticator.still_admits(shown, principal):  # noqa: ASYNC110 - a file announces no change
                await asyncio.sleep(RECHECK_S)
        except Exception:
            log.exception("the keys cannot be read; the stream of %s ends", principal)
        limit.reschedule(asyncio.get_running_loop().time())

    async def _delay(self) -> None:
        if self._delayed < MAX_DELAYED:
            self._delayed += 1
            try:
                await asyncio.sleep(DELAY_S)
            finally:
                self._delayed -= 1


def _withdrawn() -> ApiError:
    text = "The key of this stream was withdrawn or changed; subscribe again."
    return errors.refusal("UNAUTHENTICATED", "UNAUTHENTICATED", text)


def _credentials(call: Call) -> Credentials:
    return Credentials(call.metadata.get("authorization", ""), call.claimed_app, call.peer, call.certificate)
