"""Reads the heads of HTTP requests: each becomes a `Call` for the pipeline and an `Incoming` for its work."""

import asyncio
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial

from discordproxy_api.calls import errors
from discordproxy_api.calls.call import Call
from discordproxy_api.http.http1.head import MalformedError
from discordproxy_api.http.http1.request import HttpRequest
from discordproxy_api.pipeline.idempotency import checked_key
from discordproxy_api.pipeline.receiving.gzipped import is_gzip
from discordproxy_api.pipeline.receiving.uploads import SMALL
from discordproxy_api.rest_edge.bot_tokens import SCHEME, WAYS
from discordproxy_api.rest_edge.credentials import Presented, present
from discordproxy_api.rest_edge.forward import CountPart, Incoming
from discordproxy_api.rest_edge.head import OPTION_HEADERS, CallOptions, LimitHeaders, call_options
from discordproxy_api.rest_edge.target import RequestTarget, parse_target
from discordproxy_api.rpcs.route_policy import RequestLine, RouteNames, request_line
from discordproxy_ratelimit.route import names_token

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

MAX_KNOWN, MAX_KNOWN_LENGTH = 1_024, 300
"""Targets whose parts are remembered, about 1 KB each, and the length of each."""


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


@dataclass(slots=True)  # not frozen: that makes its creation five times as slow
class Arrival:
    """A request whose head is valid. Never changed.

    Attributes:
        bot: name in the option `bot`, "" for none.
    """

    call: Call
    incoming: Incoming
    options: CallOptions
    presented: Presented
    bot: str


class KnownTargets:
    """Reads targets, and remembers the parts of those that come again and again.

    Args:
        names: of the RPCs, by route.
    """

    def __init__(self, names: RouteNames) -> None:
        self._names = names
        self._known: dict[tuple[str, str], tuple[RequestTarget, RequestLine, str]] = {}

    def read(self, method: str, raw: str) -> tuple[RequestTarget, RequestLine, str]:
        """Return a target's parts, the request's line and the name of its RPC.

        Raises:
            ApiError: the target is invalid.
        """
        known = self._known.get((method, raw))
        if known is not None:
            return known
        target = parse_target(raw)
        line = request_line(method, target.path)
        found = target, line, self._names.of(line)
        if not (target.query or "key" in target.options or names_token(line.template)) and len(raw) < MAX_KNOWN_LENGTH:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[method, raw] = found
        return found


class Reception:
    """Reads heads.

    Args:
        names: of the RPCs, by route.
    """

    def __init__(self, options: ReceptionOptions, names: RouteNames) -> None:
        self._options = options
        self._targets = KnownTargets(names)
        self._defaults = call_options({}, {}, wait_s=options.wait_s, limit_headers=options.limit_headers)

    def arrival(self, request: HttpRequest, request_id: str) -> Arrival:
        """Return a request as a call.

        Raises:
            ApiError: its head is invalid; nothing of its body has been read.
        """
        headers = request.headers
        target, line, rpc = self._targets.read(request.method, request.target)
        options = self._call_options(headers, target.options)
        presented = present(
            headers.get("authorization", ""),
            proxy_authorization=headers.get("proxy-authorization", ""),
            key=target.options.get("key", ""),
            path=line.path,
        )
        if presented.unreadable:
            text = f"The header Authorization is neither a bot's, a key nor an OAuth2 token; {WAYS}."
            raise errors.refusal("UNAUTHENTICATED", "UNAUTHENTICATED", text)
        incoming = self._incoming(request, target, line, presented)
        call = self._call(request, request_id, presented, options)
        call.rpc, call.route = rpc, line.route
        return Arrival(call, incoming, options, presented, target.options.get("bot", ""))

    def _call_options(self, headers: Mapping[str, str], options: Mapping[str, str]) -> CallOptions:
        if not options and OPTION_HEADERS.isdisjoint(headers):
            return self._defaults
        defaults = self._options
        return call_options(headers, options, wait_s=defaults.wait_s, limit_headers=defaults.limit_headers)

    def _incoming(
        self, request: HttpRequest, target: RequestTarget, line: RequestLine, presented: Presented
    ) -> Incoming:
        headers, body, limit = request.headers, request.body, self._options.max_message_bytes
        compressed = "content-encoding" in headers and _is_compressed(headers["content-encoding"])
        reason = headers.get("x-audit-log-reason", "")
        content_type = headers.get("content-type", "")
        if not content_type.isascii():  # other bytes cannot be sent as they came
            raise errors.invalid_field("Content-Type", "BASE_TYPE_CHOICES", "Must consist of ASCII characters.")
        return Incoming(
            line,
            query=target.query,
            content_type=content_type,
            reason=reason.encode("utf-8", "surrogateescape").decode("utf-8", "replace") if reason else "",
            authorization=presented.own,
            version=target.version,
            read=partial(_read, request, limit, compressed=compressed),
            small_body=None if compressed or body is None or len(body) > min(SMALL, limit) else body,
            declared=request.length if request.length <= limit else 0,  # a larger one is refused before it is read
            compressed=compressed,
            takes_over_commands="commands" in target.options and _takes_over(target.options["commands"]),
        )

    def _call(self, request: HttpRequest, request_id: str, presented: Presented, options: CallOptions) -> Call:
        headers = request.headers
        metadata = {"authorization": _authorization(presented)}
        for name in _TRACE:
            if name in headers:
                metadata[name] = headers[name]
        now = asyncio.get_running_loop().time()
        longest_s = RECEIVE_S + self._options.http_timeout_s + request.length / SLOWEST_BYTES_PER_S
        return Call(
            rpc="",
            request_id=request_id,
            door="http",
            metadata=metadata,
            peer=request.connection.peer,
            claimed_app=options.app,
            deadline_at=now + options.wait_s + longest_s,
            priority=options.priority,
            max_wait_s=options.wait_s,
            idempotency_key=options.idempotency_key and _checked_key(options.idempotency_key),
        )


def _checked_key(key: str) -> str:
    if not key.isprintable():  # bytes that are not UTF-8, or a tab
        raise errors.invalid_field("Idempotency-Key", "BASE_TYPE_CHOICES", "Must be printable text in UTF-8.")
    return checked_key(key, "Idempotency-Key")


async def _read(request: HttpRequest, max_bytes: int, count_part: CountPart, *, compressed: bool) -> bytes:
    """Return a body; raises ApiError if it is too large, does not arrive whole, or is not gzip as stated."""

    def check(size: int) -> None:
        _check_size(size, max_bytes)
        count_part(size)

    _check_size(request.length, max_bytes)
    try:
        data = await request.read(check)
    except MalformedError:
        raise _damaged() from None
    if data and compressed and not is_gzip(data):
        raise _damaged()
    return data


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        text = f"Request entity too large: this proxy takes {max_bytes} bytes at most."
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
