"""The error of a failed call: gRPC status, reason and Discord's own text, by the published table.

The transport encodes it; the `Call` records whether the call took effect.
"""

from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

import orjson
from grpc import StatusCode

from discordproxy_api.calls.field_errors import FieldError
from discordproxy_ratelimit.errors import (
    BrokerError,
    BrokerUnavailableError,
    CircuitOpenError,
    DrainingError,
    KnownRefusalError,
    ShareUsedError,
    TokenRejectedError,
    WaitRefusedError,
)
from discordproxy_ratelimit.headers import Answer

INVALID_FORM_BODY = 50035
"""Discord's JSON error code for a request with wrong fields."""

INVALID_API_VERSION = 50041
"""Discord's JSON error code for an API version that does not exist."""

ANSWERED_BY = "answered_by"
"""Key of the details that says "edge" when Discord itself did not answer."""

_MAX_FIELD_DEPTH = 64

_BY_HTTP_STATUS = {
    400: StatusCode.INVALID_ARGUMENT,
    401: StatusCode.UNAUTHENTICATED,
    403: StatusCode.PERMISSION_DENIED,
    404: StatusCode.NOT_FOUND,
    405: StatusCode.INVALID_ARGUMENT,
    409: StatusCode.FAILED_PRECONDITION,
    412: StatusCode.FAILED_PRECONDITION,
    429: StatusCode.RESOURCE_EXHAUSTED,
    502: StatusCode.UNAVAILABLE,
    504: StatusCode.DEADLINE_EXCEEDED,
}

_BY_BROKER_ERROR: dict[type[BrokerError], StatusCode] = {
    WaitRefusedError: StatusCode.RESOURCE_EXHAUSTED,
    BrokerUnavailableError: StatusCode.UNAVAILABLE,
    CircuitOpenError: StatusCode.UNAVAILABLE,
    ShareUsedError: StatusCode.RESOURCE_EXHAUSTED,
    DrainingError: StatusCode.UNAVAILABLE,
    TokenRejectedError: StatusCode.UNAUTHENTICATED,
}


class ApiError(Exception):
    """A failure, as its caller sees it.

    Attributes:
        status: gRPC status.
        reason: stable for programs, one of the contract's reasons.
        http_status: HTTP status Discord gave, or would have given; 0 when the refusal is the proxy's own.
        code: Discord's JSON error code, 0 if none.
        retry_after_s: seconds after which the same call can succeed, None when unknown.
        scope: "user", "global", "shared", or "proxy" when the proxy answered in Discord's place.
        bucket: Discord's bucket hash, "" if unknown.
        fields: the wrong fields of an invalid request.
        sent_message_ids: messages that exist although the call failed.
        extras: further keys of the details, for programs.
    """

    def __init__(
        self,
        status: StatusCode,
        reason: str,
        text: str,
        *,
        http_status: int = 0,
        code: int = 0,
        retry_after_s: float | None = None,
        scope: str = "",
        bucket: str = "",
        fields: Iterable[FieldError] = (),
        sent_message_ids: Iterable[int] = (),
    ) -> None:
        super().__init__(text)
        self.status = status
        self.reason = reason
        self.text = text
        self.http_status = http_status
        self.code = code
        self.retry_after_s = retry_after_s
        self.scope = scope
        self.bucket = bucket
        self.fields = tuple(fields)
        self.sent_message_ids = tuple(sent_message_ids)
        self.extras: dict[str, str] = {}

    def __repr__(self) -> str:
        """Name status, reason and codes; the text may quote what the caller sent, so it stays out of logs."""
        return f"ApiError({self.status.name}, {self.reason}, http_status={self.http_status}, code={self.code})"


class AnsweredError(Exception):
    """The handler of a service that is not ours has answered its call with an error status by itself."""

    def __init__(self, status: StatusCode) -> None:
        super().__init__(status.name)
        self.status = status


def status_of(http_status: int) -> StatusCode:
    """Return the gRPC status for an HTTP error status (the table of the developer guide)."""
    if http_status in _BY_HTTP_STATUS:
        return _BY_HTTP_STATUS[http_status]
    return StatusCode.INVALID_ARGUMENT if http_status < HTTPStatus.INTERNAL_SERVER_ERROR else StatusCode.INTERNAL


def from_answer(
    answer: Answer, headers: Mapping[str, str], body: bytes, *, retry_after_s: float | None = None
) -> ApiError:
    """Return the error for an answer of any status but 2xx; a body that is not Discord's JSON is not quoted."""
    http_status, from_discord = answer.status, answer.from_discord
    document = _document(body) if from_discord else {}
    fields = tuple(_flatten(document.get("errors")))
    text = str(document.get("message") or _phrase(http_status))
    if not from_discord:
        text = f"{text} (answered by Cloudflare's edge or a proxy on the way, not by Discord's API)"
    lines = (f"In {_dotted(field.path)}: {field.message}" if field.path else field.message for field in fields)
    error = ApiError(
        status_of(http_status),
        "DISCORD_ERROR",
        "\n".join((text, *lines)),
        http_status=http_status,
        code=answer.code if from_discord else 0,
        retry_after_s=retry_after_s,
        scope=_plain(headers.get("X-RateLimit-Scope", "")),
        bucket=_plain(headers.get("X-RateLimit-Bucket", "")),
        fields=fields,
    )
    if not from_discord:
        error.extras[ANSWERED_BY] = "edge"
    return error


def invalid_request(fields: Iterable[FieldError]) -> ApiError:
    """Return the refusal of a request that Discord would not take either, shaped like Discord's own 50035."""
    fields = tuple(fields)
    lines = (f"In {_dotted(field.path)}: {field.message}" if field.path else field.message for field in fields)
    return ApiError(
        StatusCode.INVALID_ARGUMENT,
        "INVALID_REQUEST",
        "\n".join(("Invalid Form Body", *lines)),
        http_status=HTTPStatus.BAD_REQUEST,
        code=INVALID_FORM_BODY,
        scope="proxy",
        fields=fields,
    )


def invalid_field(path: str, code: str, message: str) -> ApiError:
    """Return `invalid_request` for a single field."""
    return invalid_request([FieldError(path, code, message)])


def invalid_version(version: str, oldest: int) -> ApiError:
    """Return the refusal of a version of Discord's API."""
    text = f"Invalid API version: v{version} is no longer available; use v{oldest} or a newer one."
    error = refusal(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST", text)
    error.http_status, error.code = HTTPStatus.BAD_REQUEST, INVALID_API_VERSION
    return error


def from_broker(error: BrokerError) -> ApiError:
    """Return the error for a permit that was not granted."""
    if isinstance(error, KnownRefusalError):
        return _remembered(error, error.status, error.code)
    if isinstance(error, TokenRejectedError):
        return _remembered(error, HTTPStatus.UNAUTHORIZED, 0)
    status = next((known for kind, known in _BY_BROKER_ERROR.items() if isinstance(error, kind)), StatusCode.INTERNAL)
    return ApiError(status, error.reason, str(error), retry_after_s=error.retry_after_s, scope="proxy")


def _remembered(error: BrokerError, http_status: int, code: int) -> ApiError:
    return ApiError(
        status_of(http_status),
        error.reason,
        str(error),
        http_status=http_status,
        code=code,
        retry_after_s=error.retry_after_s,
        scope="proxy",
    )


def refusal(status: StatusCode, reason: str, text: str, *, retry_after_s: float | None = None) -> ApiError:
    """Return a refusal of the proxy itself."""
    return ApiError(status, reason, text, retry_after_s=retry_after_s, scope="proxy")


def draining() -> ApiError:
    """Return the error for calls that a stopping worker does not serve any more."""
    text = "This worker of the proxy is stopping; call again, another one or its successor will answer."
    return refusal(StatusCode.UNAVAILABLE, "DRAINING", text, retry_after_s=1.0)


def _plain(value: str) -> str:
    """Return a header's value, or nothing if it holds bytes that no text can carry."""
    return value if value.isascii() else ""


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def _phrase(http_status: int) -> str:
    try:
        return HTTPStatus(http_status).phrase
    except ValueError:
        return f"HTTP status {http_status}"


def _flatten(errors: Any, path: str = "", depth: int = 0) -> Iterator[FieldError]:
    """Yield the leaves of Discord's nested `errors` object."""
    if not isinstance(errors, dict) or depth > _MAX_FIELD_DEPTH:
        return
    for key, value in errors.items():
        if key == "_errors" and isinstance(value, list):
            leaves = (leaf for leaf in value if isinstance(leaf, dict))
            yield from (FieldError(path, str(leaf.get("code", "")), str(leaf.get("message", ""))) for leaf in leaves)
        elif key.isdigit():
            yield from _flatten(value, f"{path}[{key}]", depth + 1)
        else:
            yield from _flatten(value, f"{path}.{key}" if path else key, depth + 1)


def _dotted(path: str) -> str:
    """Return the path in the form 1.5.1 had in its text: "embeds.0.title"."""
    return path.replace("[", ".").replace("]", "").lstrip(".")


def internal(request_id: str) -> ApiError:
    """Return the error for an unexpected failure, whose text stays in the log."""
    text = f"The proxy failed; its log names the cause under request id {request_id}."
    return refusal(StatusCode.INTERNAL, "INTERNAL", text)
