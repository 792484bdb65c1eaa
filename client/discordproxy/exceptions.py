"""Exceptions of the client, and how a failed gRPC call becomes one of them.

```
DiscordProxyException
├── DiscordProxyHttpError          Discord answered with an error: unknown user, no permission ...
├── DiscordProxyGrpcError          the call failed on the way: proxy down, refused by the proxy ...
│   └── DiscordProxyTimeoutError   the time for the call ran out, or would have
└── DiscordProxyGapError           events are lost; raised only if one asks for it
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
# How gRPC words it when it found nobody to give the call to; observed with grpcio 1.71 and 1.85, and pinned by a test.
_REQUEST_TOO_LARGE = "SERVER: Received message larger than max"
"""How gRPC itself begins the refusal of a request, before the proxy sees it."""

_NEVER_LEFT = (
    "failed to connect to all addresses",
    "connections to all backends failing",
    "DNS resolution failed",
    "errors resolving",
)


class DiscordProxyException(Exception):  # noqa: N818 -- the public name applications catch
    """Base class: one `except` for everything that can go wrong in a call.

    Attributes:
        sent: Whether the call took effect at Discord: "no", "yes" (at least in part) or "unknown".
            After "no" it is safe to call again or to fall back on another way.
        retry_after: Seconds until a repetition makes sense; None when not known.
        request_id: Finds the call in the log of the proxy; empty when not known.
        reason: Why the proxy refused, e.g. "WAIT_EXCEEDS_DEADLINE" or "DRAINING"; empty when not known.
        fields: What was wrong with the request: a list of objects with `path`, `code` and `message`.
        sent_message_ids: Messages that were posted before a call of several parts failed.
    """

    sent: Sent = "unknown"
    retry_after: float | None = None
    request_id: str = ""
    reason: str = ""
    fields: tuple[dict[str, str], ...] = ()
    sent_message_ids: tuple[int, ...] = ()


class DiscordProxyHttpError(DiscordProxyException):
    """Discord answered with an error.

    Attributes:
        status: HTTP status.
        code: Discord's JSON error code, 0 if there was none.
        text: What Discord said.
    """

    # On the class as well, so that Mock(spec=...) has them.
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
        details: gRPC's details as they came: plain text, or a JSON object when the proxy itself refused.
        text: The same for people: the text of the JSON object, if it is one.
        hint: Why there is no connection to the proxy, or why the request is too large for it, and what to do about it;
            empty for other errors.
    """

    status: grpc.StatusCode = grpc.StatusCode.UNKNOWN
    details: str = ""
    text: str = ""
    hint: str = ""

    def __init__(self, status: grpc.StatusCode, details: str) -> None:
        super().__init__(status, details)
        self.status = status
        self.details = details
        self.text = _fact(read_details(details) or {}, "text", str, details)

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"gRPC error. Status code: {self.status.name} - Error message: {self.details}{hint}"


class DiscordProxyTimeoutError(DiscordProxyGrpcError):
    """The call was not done in time, or could not have been and was refused at once.

    `sent` is "unknown" unless the proxy said otherwise: the message may still arrive.
    """


class DiscordProxyGapError(DiscordProxyException):
    """Events are lost: read anew from Discord what they would have told, then go on with the same iterator.

    Attributes:
        gap_from, gap_to: The span in which they happened, ISO 8601; empty where nobody knows.
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
    """Return the exception of this module for a failed gRPC call; `ex` itself when it is none."""
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
    if isinstance(error, DiscordProxyGrpcError) and details.startswith(_REQUEST_TOO_LARGE):
        error.hint = "the proxy takes requests of up to DISCORDPROXY_MAX_MESSAGE_BYTES, 32 MiB by default"
    return error


def _add_facts(error: DiscordProxyException, facts: dict[str, Any]) -> None:
    error.retry_after = _fact(facts, "retry_after", (int, float), None)
    error.request_id = _fact(facts, "request_id", str, "")
    error.reason = _fact(facts, "reason", str, "")
    error.fields = tuple(field for field in _fact(facts, "fields", list, []) if isinstance(field, dict))
    ids = _fact(facts, "sent_message_ids", list, [])
    error.sent_message_ids = tuple(int(one) for one in ids if str(one).isdecimal())


def _fact(facts: dict[str, Any], name: str, kind: type | tuple[type, ...], otherwise: Any) -> Any:
    """Return what the details say; something else than the proxy may have written them."""
    value = facts.get(name)
    return value if isinstance(value, kind) else otherwise


def _sent(error: DiscordProxyException, facts: dict[str, Any]) -> Sent:
    """Return what is certain: what the proxy said, else what HTTP or gRPC leave no doubt about."""
    said = facts.get("sent")
    if said in ("no", "yes", "unknown"):
        return cast("Sent", said)
    if isinstance(error, DiscordProxyHttpError):
        return "no" if _FIRST_CLIENT_ERROR <= error.status < _FIRST_SERVER_ERROR else "unknown"
    if isinstance(error, DiscordProxyGrpcError):
        refused = error.details.startswith(_REQUEST_TOO_LARGE)
        return "no" if refused or never_left(error.status, error.details) else "unknown"
    return "unknown"


def never_left(status: grpc.StatusCode, details: str) -> bool:
    """Return whether gRPC failed before it had a connection to write the call to."""
    return status is grpc.StatusCode.UNAVAILABLE and details.startswith(_NEVER_LEFT)
