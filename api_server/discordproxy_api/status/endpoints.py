"""Status and checks, read-only: over gRPC for the command `discordproxy`, over HTTP by `http.pages`.

gRPC service `discordproxy.Console`: `Status` and `Doctor` take nothing and return JSON in a
`google.protobuf.StringValue`, so that clients need no generated code.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import orjson
from google.protobuf.empty_pb2 import Empty
from google.protobuf.wrappers_pb2 import StringValue

from discordproxy_api.calls import errors
from discordproxy_api.calls.call import CURRENT
from discordproxy_api.status.doctor import Doctor
from discordproxy_api.status.status_reader import StatusReader
from discordproxy_ratelimit.errors import BrokerError

SERVICE = "discordproxy.Console"

Show = Callable[[], Awaitable[Any]]


class StatusService:
    """The handlers of gRPC, and what the pages of the HTTP port show.

    Args:
        status: reads the status document.
        doctor: runs the checks.
    """

    def __init__(self, status: StatusReader, doctor: Doctor) -> None:
        self._status, self._doctor = status, doctor

    async def show_status(self) -> Any:
        """Return the status document; raises BrokerError if Redis does not answer."""
        return await self._status.read()

    async def show_findings(self) -> Any:
        """Return the findings of the checks."""
        return [finding._asdict() for finding in await self._doctor.examine()]

    def handler(self) -> grpc.GenericRpcHandler:
        """Return the handler to add to a gRPC server."""
        shows = {"Status": self.show_status, "Doctor": self.show_findings}
        methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            name: grpc.unary_unary_rpc_method_handler(_serve(show), Empty.FromString, StringValue.SerializeToString)
            for name, show in shows.items()
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)


def _serve(show: Show) -> Callable[[Any, Any], Awaitable[StringValue]]:
    async def serve(_request: Any, _context: Any) -> StringValue:
        if not CURRENT.get().principal.status:
            text = "This key may not see the status; set status = true in its entry of the key file."
            raise errors.refusal("PERMISSION_DENIED", "PERMISSION_DENIED", text)
        try:
            return StringValue(value=orjson.dumps(await show()).decode())
        except BrokerError as error:
            raise errors.from_broker(error) from None

    return serve
