"""The layer that asks every call who it is from, and refuses what its application may never do, before reading it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from grpc import StatusCode
from grpc_health.v1 import health

from discordproxy_api.access.authenticator import LOCKED_OUT, Authenticator, Credentials, certificate_names
from discordproxy_api.access.permission import authorize_rpc, is_read
from discordproxy_api.calls import errors
from discordproxy_api.calls.call import CURRENT, AuditEntry
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.principal import STRANGER, Principal
from discordproxy_api.contract.contract import SERVICE, Rpc
from discordproxy_api.pipeline.pipeline import Kind, Layer

_OPEN = f"/{health.SERVICE_NAME}/"
"""Health is for balancers, which have no key; it tells nothing but whether the worker serves."""


SLOW_S, MOST_SLOWED = 1.0, 200
"""A locked-out address waits for its answers, so that it cannot keep the worker busy by asking again at once; but only
so many at a time wait, since waiting takes memory."""

log = logging.getLogger("discordproxy_api.access")

LOOK_AGAIN_S = 2.0
"""How soon a stream ends whose key is withdrawn or changed."""


class Authentication(Layer):
    """Names the caller of each call.

    Args:
        certificates: whether callers are asked for certificates.
    """

    def __init__(self, gate: Authenticator, contract: Mapping[str, Rpc], *, certificates: bool = False) -> None:
        super().__init__()
        self._gate = gate
        self._rpcs = {f"{SERVICE}{name}": rpc for name, rpc in contract.items()}
        self._certificates = certificates
        self._slowed = 0

    @asynccontextmanager
    async def around(self, kind: Kind, context: Any) -> AsyncIterator[None]:
        """Serve one call; see `Layer.around`."""
        if kind.method.startswith(_OPEN):
            yield
            return
        try:
            shown = self._admit(kind, context)
        except ApiError as error:
            if error.reason == LOCKED_OUT:
                CURRENT.get().logged = False
                await self._slow_down()
            raise
        if not (kind.streams and self._gate.requires_keys):
            yield
            return
        async with self._while_admitted(shown, CURRENT.get().principal):
            yield

    def _admit(self, kind: Kind, context: Any) -> Credentials:
        call, rpc = CURRENT.get(), self._rpcs.get(kind.method)
        if rpc is not None and not is_read(rpc):
            call.deed = AuditEntry(rpc.name)
        call.peer = context.peer()
        shown = Credentials(
            authorization=_header(context, "authorization"),
            app=call.app,
            peer=call.peer,
            certificate=certificate_names(context.auth_context()) if self._certificates else (),
        )
        call.app = STRANGER
        call.principal = self._gate.admit(shown)
        call.app = call.principal.app
        if rpc is not None:
            authorize_rpc(call.principal, rpc)
        return shown

    async def _slow_down(self) -> None:
        if self._slowed < MOST_SLOWED:
            self._slowed += 1
            try:
                await asyncio.sleep(SLOW_S)
            finally:
                self._slowed -= 1

    @asynccontextmanager
    async def _while_admitted(self, shown: Credentials, principal: Principal) -> AsyncIterator[None]:
        """Run a stream, which may last for an hour, until its caller is somebody else than when it began."""
        scope = asyncio.timeout(None)
        try:
            async with scope:
                watching = asyncio.create_task(self._end_when_withdrawn(shown, principal, scope))
                try:
                    yield
                finally:
                    watching.cancel()
        except TimeoutError:
            if not scope.expired():
                raise
            text = "The key of this stream was withdrawn or changed; subscribe again."
            raise errors.refusal(StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED", text) from None

    async def _end_when_withdrawn(self, shown: Credentials, principal: Principal, scope: asyncio.Timeout) -> None:
        try:
            while self._gate.still_admits(shown, principal):  # noqa: ASYNC110 - a file announces no change
                await asyncio.sleep(LOOK_AGAIN_S)
        except Exception:
            log.exception("the keys could not be looked at; the stream of %s ends", principal)
        scope.reschedule(asyncio.get_running_loop().time())


def _header(context: Any, name: str) -> str:
    value = next((value for key, value in context.invocation_metadata() if key == name), "")
    return value if isinstance(value, str) else ""
