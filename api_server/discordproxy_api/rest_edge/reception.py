"""Reads the heads of HTTP requests: each becomes a `Call` for the pipeline and an `Incoming` for its work."""

import asyncio
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.http.http1.head import MalformedError
from discordproxy_api.http.http1.request import HttpRequest
from discordproxy_api.pipeline.gzipped import is_gzip
from discordproxy_api.pipeline.idempotency import checked_key
from discordproxy_api.rest_edge.bot_tokens import SCHEME, WAYS
from discordproxy_api.rest_edge.credentials import Presented, present
from discordproxy_api.rest_edge.forward import CountPart, Incoming
from discordproxy_api.rest_edge.head import CallOptions, LimitHeaders, call_options
from discordproxy_api.rest_edge.target import parse_target
from discordproxy_api.rpcs.route_policy import RouteNames, request_line

log = logging.getLogger("discordproxy_api.rest_edge")

RECEIVE_S = 60.0
"""Time for a request's body to arrive, which the deadline of the call includes."""

SLOWEST_BYTES_PER_S = 100_000.0

_SINGLE = (
    *("authorization", "proxy-authorization", "content-type", "content-encoding", "host", "x-audit-log-reason"),
    *("idempotency-key", "expect"),
)
"""Headers that must not be repeated: servers would choose different ones."""

TAKE_OVER = "take-over"
"""Value of the option `commands`."""

_TRACE = ("traceparent", "tracestate")


@dataclass(frozen=True, slots=True)
class ReceptionOptions:
    """Defaults of requests.

    Attributes:
        wait_s: longest wait for a limit.
        limit_headers: which limits answers state.
        max_message_bytes: largest body.
        http_timeout_s: of one request to Discord.
    """

    wait_s: float
    limit_headers: LimitHeaders
    max_message_bytes: int
    http_timeout_s: float


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request whose head is valid.

    Attributes:
        bot: name in the option `bot`, "" for none.
    """

    call: Call
    incoming: Incoming
    options: CallOptions
    presented: Presented
    bot: str


class Reception:
    """Reads heads.

    Args:
        names: of the RPCs, by route.
    """

    def __init__(self, options: ReceptionOptions, names: RouteNames) -> None:
        self._options = options
        self._names = names

    def arrival(self, request: HttpRequest, request_id: str) -> Arrival:
        """Return a request as a call.

        Raises:
            ApiError: its head is invalid; nothing of its body has been read.
        """
        headers = request.headers
        target = parse_target(request.target)
        line = request_line(request.method, target.path)
        options = call_options(
            headers, target.options, wait_s=self._options.wait_s, limit_headers=self._options.limit_headers
        )
        presented = present(
            headers.get("authorization", ""),
            proxy_authorization=headers.get("proxy-authorization", ""),
            key=target.options.get("key", ""),
            path=line.path,
        )
        if presented.unreadable:
            text = f"The header Authorization is neither a bot's, a key nor an OAuth2 token; {WAYS}."
            raise errors.refusal("UNAUTHENTICATED", "UNAUTHENTICATED", text)
        compressed = _is_compressed(headers.get("content-encoding", ""))
        incoming = Incoming(
            line,
            query=target.query,
            content_type=_content_type(headers),
            reason=headers.get("x-audit-log-reason", "").encode("utf-8", "surrogateescape").decode("utf-8", "replace"),
            authorization=presented.own,
            version=target.version,
            read=_Reader(request, self._options.max_message_bytes, compressed=compressed).read,
            declared=self._declared(request),
            compressed=compressed,
            takes_over_commands=_takes_over(target.options.get("commands", "")),
        )
        call = self._call(request, request_id, headers, presented, options)
        call.rpc, call.route = self._names.of(line), line.route
        return Arrival(call, incoming, options, presented, target.options.get("bot", ""))

    def _declared(self, request: HttpRequest) -> int:
        """Return the size for which memory is reserved; a body that is too large is refused before it is read."""
        size = request.length
        return size if size <= self._options.max_message_bytes else 0

    def _call(
        self,
        request: HttpRequest,
        request_id: str,
        headers: Mapping[str, str],
        presented: Presented,
        options: CallOptions,
    ) -> Call:
        now = asyncio.get_running_loop().time()
        longest_s = RECEIVE_S + self._options.http_timeout_s + (request.length) / SLOWEST_BYTES_PER_S
        return Call(
            rpc="",
            request_id=request_id,
            door="http",
            metadata={name: headers[name] for name in _TRACE if name in headers}
            | {"authorization": _authorization(presented)},
            peer=request.connection.peer,
            claimed_app=options.app,
            deadline_at=now + options.wait_s + longest_s,
            priority=options.priority,
            max_wait_s=options.wait_s,
            idempotency_key=checked_key(options.idempotency_key, "Idempotency-Key"),
        )


class _Reader:
    """Reads one body within a limit, after the caller is known."""

    def __init__(self, request: HttpRequest, max_bytes: int, *, compressed: bool) -> None:
        self._request = request
        self._max_bytes = max_bytes
        self._compressed = compressed

    async def read(self, count_part: CountPart) -> bytes:
        """Return the body; raises ApiError if it is too large, does not arrive whole, or is not gzip as stated."""

        def check(size: int) -> None:
            self._check_size(size)
            count_part(size)

        self._check_size(self._request.length)
        try:
            data = await self._request.read(check)
        except MalformedError:
            raise _damaged() from None
        if data and self._compressed and not is_gzip(data):
            raise _damaged()
        return data

    def _check_size(self, size: int) -> None:
        if size > self._max_bytes:
            text = f"Request entity too large: this proxy takes {self._max_bytes} bytes at most."
            raise errors.refusal("RESOURCE_EXHAUSTED", "REQUEST_TOO_LARGE", text)


def _damaged() -> errors.ApiError:
    return errors.refusal("INVALID_ARGUMENT", "INVALID_REQUEST", "The request's body is damaged or broke off.")


def refuse_repeated(repeated: Collection[str]) -> None:
    """Raise ApiError if a header is repeated that must not be."""
    for name in _SINGLE:
        if name in repeated:
            text = f"The header {name.title()} is given twice."
            raise errors.refusal("INVALID_ARGUMENT", "INVALID_REQUEST", text)


def _authorization(presented: Presented) -> str:
    """Return the credential for the proxy."""
    if presented.key:
        return f"Bearer {presented.key}"
    return f"{SCHEME}{presented.bot_token}" if presented.bot_token else ""


def _content_type(headers: Mapping[str, str]) -> str:
    found = headers.get("content-type", "")
    if not found.isascii():  # other bytes cannot be sent as they came
        raise errors.invalid_field("Content-Type", "BASE_TYPE_CHOICES", "Must consist of ASCII characters.")
    return found


def _takes_over(value: str) -> bool:
    if value in {"", TAKE_OVER}:
        return value == TAKE_OVER
    raise errors.invalid_field("commands", "BASE_TYPE_CHOICES", f"Must be {TAKE_OVER}.")


def _is_compressed(encoding: str) -> bool:
    if encoding.strip().lower() in {"", "identity"}:
        return False
    if encoding.strip().lower() in {"gzip", "x-gzip"}:
        return True
    text = "Only gzip and no encoding are supported."
    raise errors.invalid_field("Content-Encoding", "BASE_TYPE_CHOICES", text)
