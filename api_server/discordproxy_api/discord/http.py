"""HTTP to Discord: sends one request and returns the response. It applies no rate limits and repeats nothing.

Requests without files go through the lean client, which costs a fifth of aiohttp's CPU; aiohttp sends the forms.
"""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from types import SimpleNamespace
from typing import Any, Self

import aiohttp
import orjson
from aiohttp.http_exceptions import ContentEncodingError
from yarl import URL

from discordproxy_api.discord.http1 import Http1Client, Http1Options
from discordproxy_api.discord.http1_response import Headers, HttpResponse, NoAnswerError, UnreadableAnswerError
from discordproxy_api.discord.request import RestRequest
from discordproxy_ratelimit.process.http_proxy import HttpProxy
from discordproxy_ratelimit.process.redaction import HIDDEN

SLOWEST_UPLOAD = 128 * 1024
"""Bytes per second that are granted to an upload on top of the timeout: a fixed limit would cut large ones."""

MAX_HEADER_LINE, MAX_HEADERS = 64 * 1024, 256
"""Bounds of what is read of an answer's headers; an answer beyond them is `UnreadableAnswerError`."""

PAYLOAD = "payload_json"
"""The field of a form that holds the JSON of a request with files."""

STICKER_FILE = "file"
"""Stickers name their file so, and their other fields are fields of the form, too."""


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """How to reach Discord.

    Attributes:
        url: base of the API, version included.
        user_agent: Discord asks for `DiscordBot (url, version)`.
        timeout_s: longest a request without files may take.
        connect_timeout_s: longest a new connection may take.
        answer_limit_bytes: what is longer is not read.
        http_proxy: what leads to Discord, None for a direct connection.
    """

    url: str
    user_agent: str
    timeout_s: float = 30.0
    connect_timeout_s: float = 5.0
    answer_limit_bytes: int = 8 * 1024 * 1024
    http_proxy: HttpProxy | None = None


class DiscordHttp:
    """A pool of connections to Discord, opened with `async with`. No answer leaves it with the bot's token inside."""

    def __init__(self, options: HttpOptions, *, token: str) -> None:
        self._options = options
        self._token = token
        self._authorization = f"Bot {token}"
        self._plain = Http1Client(
            Http1Options(
                url=options.url,
                user_agent=options.user_agent,
                timeout_s=options.timeout_s,
                connect_timeout_s=options.connect_timeout_s,
                answer_limit_bytes=options.answer_limit_bytes,
                http_proxy=options.http_proxy,
            )
        )
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
            proxy=proxy.url if proxy else None,  # `trust_env` would also read .netrc and send what it finds to Discord
        )
        await self._plain.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._plain.__aexit__()
        await self._session.close()

    async def exchange(self, request: RestRequest, leaves: Callable[[], None]) -> HttpResponse:
        """Send `request` and return the response, of any status.

        Args:
            request: what to send.
            leaves: called when a connection stands and the first byte is about to go out.

        Raises:
            UnreadableAnswerError: the answer is not HTTP within our bounds.
            NoAnswerError: no connection, a broken one, or a timeout.
        """
        headers = request.headers
        if request.authorization is None:
            headers["Authorization"] = self._authorization
        timeout_s = self._options.timeout_s + request.size / SLOWEST_UPLOAD
        if request.files:
            response = await self._upload(request, headers, leaves, timeout_s)
        else:
            response = await self._plain.request(
                request.method, request.target, headers, request.body, before_write=leaves, timeout_s=timeout_s
            )
        self._hide_token(response)
        return response

    async def _upload(
        self, request: RestRequest, headers: dict[str, str], leaves: Callable[[], None], timeout_s: float
    ) -> HttpResponse:
        try:
            async with self._session.request(
                request.method,
                URL(self._options.url + request.target, encoded=True),
                headers=headers,
                data=_form(request),
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=self._options.connect_timeout_s),
                trace_request_ctx=leaves,
            ) as response:
                body, cut = await self._body(response)
                found = Headers((name.lower(), response.headers[name]) for name in response.headers)
                return HttpResponse(response.status, found, body, cut)
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
        return bytes(body), ""

    def _hide_token(self, response: HttpResponse) -> None:
        if not self._token:
            return
        response.body = response.body.replace(self._token.encode(), HIDDEN.encode())
        for name, value in response.headers.items():
            if self._token in value:
                response.headers[name] = value.replace(self._token, HIDDEN)


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
