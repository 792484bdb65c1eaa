"""HTTP to Discord: one request, one response, no rate limits, no repeats.

The lean client sends requests without files for a fourth of aiohttp's CPU time; aiohttp sends forms with files.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from io import BytesIO
from types import SimpleNamespace
from typing import Any, Protocol, Self
from urllib.parse import quote

import aiohttp
import orjson
from aiohttp.http_exceptions import ContentEncodingError
from yarl import URL

from discordproxy_api.discord.http1.client import Http1Client, HttpOptions
from discordproxy_api.discord.http1.response import (
    HttpResponse,
    NoAnswerError,
    UnreadableAnswerError,
    headers_of,
    without,
)
from discordproxy_api.discord.request import RestRequest
from discordproxy_ratelimit.process.tasks import BackgroundTasks

__all__ = ["DiscordHttp", "Exchange", "HttpOptions"]

SLOWEST_UPLOAD = 128 * 1024
"""Bytes per second that extend the timeout of an upload; a fixed timeout would end large ones."""

MAX_HEADER_LINE, MAX_HEADERS = 64 * 1024, 256
"""Bounds of a response's headers; a larger response is an `UnreadableAnswerError`."""

PAYLOAD = "payload_json"
"""The field of a form that holds the JSON of a request with files."""

STICKER_FILE = "file"
"""The field of a sticker's file; a sticker's other fields are fields of the form, too."""


class Exchange(Protocol):
    """A request that is being sent, and its response."""

    async def response(self) -> HttpResponse:
        """Send the request and return the response, of any status.

        Cancelled before `before_write` was called, nothing is sent. Cancelled later, the exchange goes on: await
        `response` again, since the connection is occupied until then.

        Raises:
            UnreadableAnswerError: the response is not HTTP within our bounds.
            NoAnswerError: no connection, a broken one, or a timeout.
        """


class DiscordHttp:
    """A pool of connections to Discord, opened with `async with`. The bot's token is removed from all responses."""

    def __init__(self, options: HttpOptions, *, token: str) -> None:
        self._options = options
        self._token = token.encode()
        self._authorization = f"Bot {token}"
        self._plain = Http1Client(options, secret=self._token)
        self._uploads = BackgroundTasks()
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(_connected)
        trace.on_connection_reuseconn.append(_connected)
        proxy = self._options.http_proxy
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),  # the broker is the bound; a permit must not queue again
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": self._options.user_agent},
            middlewares=(_once,),
            trace_configs=[trace],
            max_line_size=MAX_HEADER_LINE,
            max_field_size=MAX_HEADER_LINE,
            max_headers=MAX_HEADERS,
            proxy=proxy.url if proxy else None,  # `trust_env` would also read .netrc and send its passwords to Discord
        )
        await self._plain.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._plain.__aexit__()
        await self._session.close()

    def exchange(self, request: RestRequest, before_write: Callable[[], None]) -> Exchange:
        """Return the exchange of a request for its response; it begins when its response is awaited.

        Args:
            request: the request.
            before_write: called with a connection at hand, right before the first byte is written. If it raises,
                nothing is sent, and `Exchange.response` raises the same.

        Raises:
            ValueError: method, target or headers would not be the same on the wire.
        """
        authorization = self._authorization if request.authorization is None else request.authorization
        headers = {"Authorization": authorization} if authorization else {}
        if request.reason:
            headers["X-Audit-Log-Reason"] = quote(request.reason, safe="")
        timeout_s = self._options.timeout_s + request.size / SLOWEST_UPLOAD
        if request.files:
            return _UploadExchange(partial(self._upload, request, headers, timeout_s), before_write, self._uploads)
        if request.body is not None and request.content_type:
            headers["Content-Type"] = request.content_type
        return self._plain.exchange(
            request.method,
            request.target,
            headers,
            request.body,
            before_write=before_write,
            timeout_s=timeout_s,
            version=request.version,
        )

    async def _upload(
        self, request: RestRequest, headers: dict[str, str], timeout_s: float, before_write: Callable[[], None]
    ) -> HttpResponse:
        try:
            async with self._session.request(
                request.method,
                URL(self._options.url + request.target, encoded=True),
                headers=headers,
                data=_form(request),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=self._options.connect_timeout_s),
                trace_request_ctx=before_write,
            ) as response:
                body, cut = await self._body(response)
                raw: dict[bytes, bytes] = {}
                for name, value in response.raw_headers:
                    raw.setdefault(name, value)
                return HttpResponse(response.status, headers_of(raw, self._token), body, cut)
        except aiohttp.ClientHttpProxyError as error:
            raise NoAnswerError(f"the HTTP proxy answered {error.status}") from None
        except aiohttp.ClientResponseError as error:
            raise UnreadableAnswerError(type(error.__cause__ or error).__name__) from None
        except _BrokenAnswerError as error:
            raise NoAnswerError(type(error.__cause__).__name__) from None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise NoAnswerError(type(error).__name__) from None

    async def _body(self, response: aiohttp.ClientResponse) -> tuple[bytes, str]:
        body = bytearray()
        try:
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > self._options.answer_limit_bytes:
                    response.close()
                    return b"", "large"
        except aiohttp.ClientPayloadError as error:
            return b"", "unreadable" if isinstance(error.__cause__, ContentEncodingError) else "lost"
        except (aiohttp.ClientError, TimeoutError):
            return b"", "lost"
        return without(self._token, bytes(body)), ""


class _UploadExchange:
    """An exchange in a task of its own, because aiohttp ends a request whose caller is cancelled."""

    def __init__(
        self,
        send: Callable[[Callable[[], None]], Coroutine[Any, Any, HttpResponse]],
        before_write: Callable[[], None],
        tasks: BackgroundTasks,
    ) -> None:
        self._send = send
        self._before_write = before_write
        self._tasks = tasks
        self._task: asyncio.Task[HttpResponse] | None = None
        self._written = False

    async def response(self) -> HttpResponse:
        """Send the request and return the response; see `Exchange`."""
        task = self._task
        if task is None:
            task = self._task = self._tasks.start(self._send(self._begin_write))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if not self._written:
                task.cancel()
            raise

    def _begin_write(self) -> None:
        if self._task is None or self._task.cancelling():
            raise asyncio.CancelledError  # in case a library has suppressed the first one
        self._before_write()
        self._written = True


class _BrokenAnswerError(Exception):
    """A connection broke; not an error of aiohttp, which would repeat the request by itself."""


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending an idempotent request a second time under the same permit."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _BrokenAnswerError from error


async def _connected(_session: aiohttp.ClientSession, context: SimpleNamespace, _params: Any) -> None:
    context.trace_request_ctx()


def _form(request: RestRequest) -> aiohttp.FormData:
    """Return the form for aiohttp; made anew for each attempt, because sending uses it up."""
    form = aiohttp.FormData(quote_fields=False)  # Discord takes UTF-8 file names as they are
    if request.body is not None and [file.field for file in request.files] == [STICKER_FILE]:
        for name, text in _form_fields(request.body).items():
            form.add_field(name, text)
    elif request.body is not None:
        form.add_field(PAYLOAD, request.body.decode(), content_type="application/json")
    for file in request.files:
        form.add_field(
            file.field,
            BytesIO(file.content),  # shares the bytes and is sent in pieces
            filename=file.filename,
            content_type=file.content_type or "application/octet-stream",
        )
    return form


def _form_fields(body: bytes) -> dict[str, str]:
    document = orjson.loads(body)
    if not isinstance(document, dict):
        return {PAYLOAD: body.decode()}
    return {name: each if isinstance(each, str) else orjson.dumps(each).decode() for name, each in document.items()}
