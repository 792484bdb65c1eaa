"""Status and checks over gRPC and HTTP, read-only; gRPC for the command `discordproxy`.

gRPC service `discordproxy.Console`: `Status` and `Doctor` take nothing and return JSON in a
`google.protobuf.StringValue`, so that clients need no generated code.
"""

from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any

import grpc
import orjson
from aiohttp import web
from google.protobuf.empty_pb2 import Empty
from google.protobuf.wrappers_pb2 import StringValue

from discordproxy_api.calls import errors
from discordproxy_api.calls.call import CURRENT
from discordproxy_api.status.doctor import Doctor
from discordproxy_api.status.status_reader import StatusReader
from discordproxy_ratelimit.errors import BrokerError

SERVICE = "discordproxy.Console"

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_FILES = {
    "/": ("index.html", "text/html"),
    "/status.css": ("status.css", "text/css"),
    "/status.js": ("status.js", "text/javascript"),
    "/charts.js": ("charts.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}

Show = Callable[[], Awaitable[Any]]


class StatusService:
    """The handlers of both ports.

    Args:
        status: reads the status document.
        doctor: runs the checks.
    """

    def __init__(self, status: StatusReader, doctor: Doctor) -> None:
        self._status, self._doctor = status, doctor
        folder = files("discordproxy_api") / "status" / "page"
        self._files = {path: ((folder / name).read_bytes(), kind) for path, (name, kind) in _FILES.items()}

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

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to add to the HTTP port."""
        return [
            web.get("/status.json", self._json(self.show_status)),
            web.get("/doctor.json", self._json(self.show_findings)),
            *(web.get(path, self._file) for path in self._files),
        ]

    async def _file(self, request: web.Request) -> web.Response:
        body, kind = self._files[request.path]
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=_HEADERS)

    def _json(self, show: Show) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def answer(_request: web.Request) -> web.Response:
            try:
                status, found = 200, await show()
            except BrokerError as error:
                status, found = (
                    503,
                    {"problem": f"{error}, so there is no status and calls are not sent: make sure that it runs."},
                )
            return web.Response(
                body=orjson.dumps(found), status=status, content_type="application/json", headers=_HEADERS
            )

        return answer


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
