"""The status page and its data, for the HTTP port.

Imported only with an HTTP port, as `http/server.py`: aiohttp's server side costs memory and start-up time.
"""

from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any

import orjson
from aiohttp import web

from discordproxy_api.status.endpoints import StatusService
from discordproxy_ratelimit.errors import BrokerError

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


class StatusPages:
    """The routes of the status page.

    Args:
        status: returns what the pages show.
    """

    def __init__(self, status: StatusService) -> None:
        self._status = status
        folder = files("discordproxy_api") / "status" / "page"
        self._files = {path: ((folder / name).read_bytes(), kind) for path, (name, kind) in _FILES.items()}

    def routes(self) -> list[web.RouteDef]:
        """Return the routes to add to the HTTP port."""
        return [
            web.get("/status.json", _as_json(self._status.show_status)),
            web.get("/doctor.json", _as_json(self._status.show_findings)),
            *(web.get(path, self._send_file) for path in self._files),
        ]

    async def _send_file(self, request: web.Request) -> web.Response:
        body, kind = self._files[request.path]
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=_HEADERS)


def _as_json(show: Callable[[], Awaitable[Any]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def respond(_request: web.Request) -> web.Response:
        try:
            status, found = 200, await show()
        except BrokerError as error:
            status, found = (
                503,
                {"problem": f"{error}, so there is no status and calls are not sent: make sure that it runs."},
            )
        return web.Response(body=orjson.dumps(found), status=status, content_type="application/json", headers=_HEADERS)

    return respond
