"""The error of a failed call: gRPC status, reason and Discord's own text, by the published table.

The transport encodes it; the `Call` records whether the call took effect.
"""

from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

import orjson

from discordproxy_api.calls.call import Status
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
"""Discord's JSON error code for a request with invalid fields."""

INVALID_API_VERSION = 50041
"""Discord's JSON error code for an API version that does not exist."""

ANSWERED_BY = "answered_by"
"""Key of the details; its value is "edge" if the response is not from Discord's API."""

_MAX_FIELD_DEPTH = 64

_BY_HTTP_STATUS: dict[int, Status] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "INVALID_ARGUMENT",
    409: "FAILED_PRECONDITION",
    412: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    502: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}

_BY_BROKER_ERROR: dict[type[BrokerError], Status] = {
    WaitRefusedError: "RESOURCE_EXHAUSTED",
    BrokerUnavailableError: "UNAVAILABLE",
    CircuitOpenError: "UNAVAILABLE",
    ShareUsedError: "RESOURCE_EXHAUSTED",
    DrainingError: "UNAVAILABLE",
    TokenRejectedError: "UNAUTHENTICATED",
}


class ApiError(Exception):
    """The error of a failed call, as its caller receives it.

    Attributes:
        status: gRPC status.
        reason: one of the contract's reasons, for programs.
        http_status: HTTP status of Discord's response, or of the expected one; 0 for a refusal by the proxy.
        code: Discord's JSON error code, 0 if none.
        retry_after_s: seconds after which the same call can succeed, None if unknown.
        scope: of the rate limit, "user", "global" or "shared"; "proxy" if the proxy responded without Discord.
        bucket: Discord's bucket hash, "" if unknown.
        fields: the invalid fields of a request.
        sent_message_ids: messages that were created although the call failed.
        extras: additional keys of the details, for programs.
    """

    def __init__(
        self,
        status: Status,
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

    def copy(self) -> "ApiError":
        """Return an equal error for another call: a raised error belongs to one call."""
        other = ApiError(self.status, self.reason, self.text)
        other.__dict__.update(self.__dict__, extras=self.extras.copy())
        return other

    def __repr__(self) -> str:
        """Return status, reason and codes; the text may quote the request, which must not be logged."""
        return f"ApiError({self.status}, {self.reason}, http_status={self.http_status}, code={self.code})"


class AnsweredError(Exception):
    """The handler of a library's service has already ended its call with an error status."""

    def __init__(self, status: Status) -> None:
        super().__init__(status)
        self.status = status


def relocate(error: ApiError, fields: Iterable[FieldError]) -> None:
    """Replace the fields of an error, and the lines about them in its text."""
    error.fields = tuple(fields)
    head = error.text.partition("\n")[0]
    error.text = "\n".join((head, *(f"In {_dotted(field.path)}: {field.message}" for field in error.fields)))


def status_of(http_status: int) -> Status:
    """Return the gRPC status for an HTTP error status."""
    if http_status in _BY_HTTP_STATUS:
        return _BY_HTTP_STATUS[http_status]
    return "INVALID_ARGUMENT" if http_status < HTTPStatus.INTERNAL_SERVER_ERROR else "INTERNAL"


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
    """Return the refusal of a request that Discord would refuse, too; in the shape of Discord's error 50035."""
    fields = tuple(fields)
    lines = (f"In {_dotted(field.path)}: {field.message}" if field.path else field.message for field in fields)
    return ApiError(
        "INVALID_ARGUMENT",
        "INVALID_REQUEST",
        "\n".join(("Invalid Form Body", *lines)),
        http_status=HTTPStatus.BAD_REQUEST,
        code=INVALID_FORM_BODY,
        scope="proxy",
        fields=fields,
    )


def invalid_field(path: str, code: str, message: str) -> ApiError:
    """Return `invalid_request` for one field."""
    return invalid_request([FieldError(path, code, message)])


def invalid_version(version: str, oldest: int) -> ApiError:
    """Return the refusal of a version of Discord's API."""
    text = f"Invalid API version: v{version} is no longer available; use v{oldest} or a newer one."
    error = refusal("INVALID_ARGUMENT", "INVALID_REQUEST", text)
    error.http_status, error.code = HTTPStatus.BAD_REQUEST, INVALID_API_VERSION
    return error


def from_broker(error: BrokerError) -> ApiError:
    """Return the error for a permit that was not granted."""
    if isinstance(error, KnownRefusalError):
        return _remembered(error, error.status, error.code)
    if isinstance(error, TokenRejectedError):
        return _remembered(error, HTTPStatus.UNAUTHORIZED, 0)
    status: Status = next((known for kind, known in _BY_BROKER_ERROR.items() if isinstance(error, kind)), "INTERNAL")
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


def refusal(status: Status, reason: str, text: str, *, retry_after_s: float | None = None) -> ApiError:
    """Return a refusal by the proxy."""
    return ApiError(status, reason, text, retry_after_s=retry_after_s, scope="proxy")


def unexpected_answer() -> ApiError:
    """Return the error for a response that does not fit the contract, although the request took effect."""
    text = "Discord accepted the request, but its response has an unexpected form."
    return refusal("INTERNAL", "INTERNAL", text)


def draining() -> ApiError:
    """Return the error for calls that a stopping worker refuses."""
    text = "This worker of the proxy is stopping; call again to reach another worker or its successor."
    return refusal("UNAVAILABLE", "DRAINING", text, retry_after_s=1.0)


def _plain(value: str) -> str:
    """Return a header's value; "" if it contains bytes that are not ASCII."""
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
    """Return the path in the form of 1.5.1's error texts: "embeds.0.title"."""
    return path.replace("[", ".").replace("]", "").lstrip(".")


def internal(request_id: str) -> ApiError:
    """Return the error for an unexpected failure; only the log contains its cause."""
    text = f"The proxy failed; its log contains the cause under request id {request_id}."
    return refusal("INTERNAL", "INTERNAL", text)
