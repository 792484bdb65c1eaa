"""Exceptions of the client, and their creation from failed gRPC calls.

```
DiscordProxyException
├── DiscordProxyHttpError          Discord returned an error: unknown user, missing permission ...
├── DiscordProxyGrpcError          the call failed before Discord: proxy unreachable, refused by the proxy ...
│   └── DiscordProxyTimeoutError   the deadline of the call was or would have been exceeded
└── DiscordProxyGapError           events are lost; raised only with on_gap="raise"
```
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast, overload

import grpc
from grpc import StatusCode as GrpcStatusCode

from discordproxy.helpers import parse_error_details, read_details

if TYPE_CHECKING:
    from typing import Literal

    Sent = Literal["no", "yes", "unknown"]

__all__ = [
    "DiscordProxyException",
    "DiscordProxyGapError",
    "DiscordProxyGrpcError",
    "DiscordProxyHttpError",
    "DiscordProxyTimeoutError",
    "GrpcStatusCode",
    "parse_error_details",
    "to_discord_proxy_exception",
]

_FIRST_CLIENT_ERROR, _FIRST_SERVER_ERROR = 400, 500
_STATUS_OF_TEXT = {text: status for status in GrpcStatusCode for text in (repr(status), str(status), status.name)}

_REQUEST_TOO_LARGE = "SERVER: Received message larger than max"
"""Start of the details if the proxy's gRPC library rejects a request because of its size."""

_UNKNOWN_CALL = "Method not found!"
"""Details, with the status UNIMPLEMENTED, of a Python server without the called method."""

# Start of the details if gRPC had no connection for the call; grpcio 1.71 and 1.85, checked by a test.
_NEVER_LEFT = (
    "failed to connect to all addresses",
    "connections to all backends failing",
    "DNS resolution failed",
    "errors resolving",
)

_NO_CHANNEL = "Failed to create channel"
"""Start of the details, with the status UNKNOWN, if gRPC cannot connect to such an address at all."""


class DiscordProxyException(Exception):  # noqa: N818 -- the public name applications catch
    """Base class of all errors of a call.

    Attributes:
        sent: Whether the call took effect at Discord: "no", "yes" (at least in part) or "unknown".
            After "no" a retry or a fallback is safe.
        retry_after: Seconds until a retry can succeed; None: unknown.
        request_id: Identifies the call in the log of the proxy; empty: unknown.
        reason: Reason of the proxy's refusal, such as "WAIT_EXCEEDS_DEADLINE" or "DRAINING"; empty: unknown.
        fields: Invalid fields of the request: dictionaries with `path`, `code` and `message`.
        sent_message_ids: Ids of the messages that were posted before a call of several parts failed.
    """

    sent: Sent = "unknown"
    retry_after: float | None = None
    request_id: str = ""
    reason: str = ""
    fields: tuple[dict[str, str], ...] = ()
    sent_message_ids: tuple[int, ...] = ()


class DiscordProxyHttpError(DiscordProxyException):
    """Discord returned an error.

    Attributes:
        status: HTTP status.
        code: Discord's JSON error code; 0: none.
        text: Discord's error message.
    """

    # Class attributes too, for Mock(spec=...).
    status: int = 0
    code: int = 0
    text: str = ""

    def __init__(self, status: int, code: int, text: str) -> None:
        super().__init__(status, code, text)
        self.status = status
        self.code = code
        self.text = text

    def __str__(self) -> str:
        return (
            "HTTP error from the Discord API. "
            f"HTTP status code: {self.status} - JSON error code: {self.code} - Error message: {self.text}"
        )


class DiscordProxyGrpcError(DiscordProxyException):
    """The call failed between the application and Discord.

    Attributes:
        status: gRPC status.
        details: gRPC's details: a JSON object if the proxy refused the call, otherwise plain text.
        text: The readable part of the details: `text` of the JSON object, or the plain text.
        hint: Cause and fix if there is no connection to the proxy, the request is too large, or the proxy does not
            have the call; empty for other errors.
    """

    status: grpc.StatusCode = grpc.StatusCode.UNKNOWN
    details: str = ""
    text: str = ""
    hint: str = ""

    def __init__(self, status: grpc.StatusCode, details: str) -> None:
        status = _status(status)
        super().__init__(status, details)
        self.status = status
        self.details = details
        self.text = _text_of(details)

    def __str__(self) -> str:
        more = self.hint or self._facts()
        shown = _text_of(self.details)  # not `text`: programs for 1.5.1 may assign `details`
        text = f"gRPC error. Status code: {self.status.name} - Error message: {shown}"
        return f"{text} ({more})" if more else text

    def _facts(self) -> str:
        """Return what the proxy reported about a refusal besides its text; empty for errors of gRPC."""
        if not self.reason:
            return ""
        wait = "" if self.retry_after is None else f", retry after {self.retry_after:g} s"
        request = f", request {self.request_id}" if self.request_id else ""
        return f"{self.reason}, sent: {self.sent}{wait}{request}"


def _status(status: grpc.StatusCode | str) -> grpc.StatusCode:
    """Return a status, also of the text that Celery stores with JSON in its place."""
    return _STATUS_OF_TEXT.get(status, GrpcStatusCode.UNKNOWN) if isinstance(status, str) else status


class DiscordProxyTimeoutError(DiscordProxyGrpcError):
    """The call exceeded its deadline, or was refused because it would have.

    `sent` is "unknown" unless the proxy reports otherwise: the message may still arrive.
    """


class DiscordProxyGapError(DiscordProxyException):
    """Events are lost. Read the affected data from Discord again, then continue with the same iterator.

    Attributes:
        gap_from, gap_to: Start and end of the gap, ISO 8601; empty: unknown.
    """

    gap_from: str = ""
    gap_to: str = ""

    def __init__(self, gap_from: str, gap_to: str) -> None:
        super().__init__(gap_from, gap_to)
        self.gap_from = gap_from
        self.gap_to = gap_to

    def __str__(self) -> str:
        return f"Events between {self.gap_from or 'an unknown time'} and {self.gap_to or 'now'} are lost."


@overload
def to_discord_proxy_exception(ex: grpc.RpcError) -> DiscordProxyException: ...
@overload
def to_discord_proxy_exception(ex: Exception) -> Exception: ...
def to_discord_proxy_exception(ex: Exception) -> Exception:
    """Return the exception of this module for a failed gRPC call; other exceptions are returned unchanged."""
    if not hasattr(ex, "details"):
        return ex
    status: grpc.StatusCode = cast("grpc.Call", ex).code()
    details = cast("grpc.Call", ex).details() or ""
    facts = read_details(details) or {}
    error: DiscordProxyException
    if facts.get("type") == "HTTPException":
        status_code, code = _fact(facts, "status", int, 0), _fact(facts, "code", int, 0)
        error = DiscordProxyHttpError(status_code, code, _fact(facts, "text", str, ""))
    elif status is grpc.StatusCode.DEADLINE_EXCEEDED or facts.get("reason") == "WAIT_EXCEEDS_DEADLINE":
        error = DiscordProxyTimeoutError(status, details)
    else:
        error = DiscordProxyGrpcError(status, details)
    _add_facts(error, facts)
    error.sent = _sent(error, facts)
    if isinstance(error, DiscordProxyGrpcError):
        error.hint = _refusal_hint(error)
    return error


def _refusal_hint(error: DiscordProxyGrpcError) -> str:
    """Return cause and fix of a refusal by gRPC itself; empty for other errors."""
    if error.details.startswith(_REQUEST_TOO_LARGE):
        return "the proxy accepts requests of up to DISCORDPROXY_MAX_MESSAGE_BYTES (default 32 MiB)"
    if error.details.startswith(_UNKNOWN_CALL):
        return "the server does not have this call; upgrade the proxy, which is older than this client"
    return ""


def _add_facts(error: DiscordProxyException, facts: dict[str, Any]) -> None:
    error.retry_after = _fact(facts, "retry_after", (int, float), None)
    error.request_id = _fact(facts, "request_id", str, "")
    error.reason = _fact(facts, "reason", str, "")
    error.fields = tuple(field for field in _fact(facts, "fields", list, []) if isinstance(field, dict))
    ids = _fact(facts, "sent_message_ids", list, [])
    error.sent_message_ids = tuple(int(one) for one in ids if str(one).isdecimal())


def _fact(facts: dict[str, Any], name: str, kind: type | tuple[type, ...], otherwise: Any) -> Any:
    """Return a value of the details if it has the expected type: they may come from another server."""
    value = facts.get(name)
    return value if isinstance(value, kind) else otherwise


def _text_of(details: str) -> str:
    """Return the readable part of gRPC's details."""
    return cast("str", _fact(read_details(details) or {}, "text", str, details))


def _sent(error: DiscordProxyException, facts: dict[str, Any]) -> Sent:
    """Return `sent` as the proxy reports it, otherwise what the HTTP or gRPC status proves."""
    said = facts.get("sent")
    if said in ("no", "yes", "unknown"):
        return cast("Sent", said)
    if isinstance(error, DiscordProxyHttpError):
        return "no" if _FIRST_CLIENT_ERROR <= error.status < _FIRST_SERVER_ERROR else "unknown"
    if isinstance(error, DiscordProxyGrpcError):
        refused = error.details.startswith(_REQUEST_TOO_LARGE) or error.status is grpc.StatusCode.UNIMPLEMENTED
        return "no" if refused or never_left(error.status, error.details) else "unknown"
    return "unknown"


def never_left(status: grpc.StatusCode, details: str) -> bool:
    """Return whether gRPC failed without a connection, so that the call was not sent."""
    if details.startswith(_NO_CHANNEL):
        return True
    return status is grpc.StatusCode.UNAVAILABLE and details.startswith(_NEVER_LEFT)
