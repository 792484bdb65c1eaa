"""The layer that asks every call who it is from, and refuses what its application may never do, before reading it."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from grpc_health.v1 import health

from discordproxy_api.access.gate import Credentials, Gate, certificate_names
from discordproxy_api.access.permission import check_rpc, is_read
from discordproxy_api.call import CURRENT, Deed
from discordproxy_api.contract import Rpc
from discordproxy_api.interceptors import SERVICE, Kind, Layer

STRANGER = "unauthenticated"
"""Name in metrics and logs of callers that are not let in: what they call themselves counts for nothing."""

_OPEN = f"/{health.SERVICE_NAME}/"
"""Health is for balancers, which have no key; it tells nothing but whether the worker serves."""


class Authentication(Layer):
    """Names the caller of each call.

    Args:
        certificates: whether callers are asked for certificates.
    """

    def __init__(self, gate: Gate, contract: Mapping[str, Rpc], *, certificates: bool = False) -> None:
        super().__init__()
        self._gate = gate
        self._rpcs = {f"{SERVICE}{name}": rpc for name, rpc in contract.items()}
        self._certificates = certificates

    @asynccontextmanager
    async def around(self, kind: Kind, context: Any) -> AsyncIterator[None]:
        """Serve one call; see `Layer.around`."""
        if not kind.method.startswith(_OPEN):
            self._admit(kind, context)
        yield

    def _admit(self, kind: Kind, context: Any) -> None:
        call, rpc = CURRENT.get(), self._rpcs.get(kind.method)
        if rpc is not None and not is_read(rpc):
            call.deed = Deed(rpc.name)
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
            check_rpc(call.principal, rpc)


def _header(context: Any, name: str) -> str:
    value = next((value for key, value in context.invocation_metadata() if key == name), "")
    return value if isinstance(value, str) else ""
