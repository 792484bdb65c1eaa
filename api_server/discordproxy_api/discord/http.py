"""HTTP to Discord: one request, one response, no rate limits, no repeats."""

from collections.abc import Callable
from typing import Self
from urllib.parse import quote

from discordproxy_api.discord.form import form_of
from discordproxy_api.discord.http1.client import Http1Client, Http1Exchange, HttpOptions
from discordproxy_api.discord.request import RestRequest

__all__ = ["DiscordHttp", "HttpOptions"]

SLOWEST_UPLOAD = 128 * 1024
"""Bytes per second that extend the timeout of an upload; a fixed timeout would end large ones."""


class DiscordHttp:
    """A pool of connections to Discord, opened with `async with`. The bot's token is removed from all responses."""

    def __init__(self, options: HttpOptions, *, token: str) -> None:
        self._options = options
        self._authorization = f"Bot {token}"
        self._client = Http1Client(options, secret=token.encode())

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.__aexit__()

    def exchange(self, request: RestRequest, before_write: Callable[[], None]) -> Http1Exchange:
        """Return the exchange of a request for its response; it begins when its response is awaited.

        Args:
            request: the request.
            before_write: called with a connection at hand, right before the first byte is written. If it raises,
                nothing is sent, and `Http1Exchange.response` raises the same.

        Raises:
            ValueError: method, target or headers would not be the same on the wire.
        """
        authorization = self._authorization if request.authorization is None else request.authorization
        headers = {"Authorization": authorization} if authorization else {}
        if request.reason:
            headers["X-Audit-Log-Reason"] = quote(request.reason, safe="")
        body: bytes | list[bytes] | None = request.body
        if request.files:
            headers["Content-Type"], body = form_of(request)
        elif body is not None and request.content_type:
            headers["Content-Type"] = request.content_type
        return self._client.exchange(
            request.method,
            request.target,
            headers,
            body,
            before_write=before_write,
            timeout_s=self._options.timeout_s + request.size / SLOWEST_UPLOAD,
            version=request.version,
        )
