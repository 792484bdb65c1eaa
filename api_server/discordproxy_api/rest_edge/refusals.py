"""Errors as HTTP answers: status, headers and a document that every Discord library can read. Pure."""

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.field_errors import FieldError
from discordproxy_api.calls.retry import Repeat
from discordproxy_api.rest_edge.head import exhausted_headers

LIMITED_TEXT = "The resource is being rate limited."
"""Discord's own text; a library waits by it."""

DEFAULT_RETRY_S = 1.0
OUTAGE_S = 5.0
"""A failure of Redis that lasts longer is reported as an outage; until then callers are asked to come back."""

TOO_LARGE_CODE = 40005
IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"

_UNPROCESSED = (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE)
"""Discord documents a 502 as not processed: libraries may repeat it."""

_COME_BACK = (
    *("WAIT_EXCEEDS_DEADLINE", "WAIT_EXCEEDS_MAX_WAIT", "QUEUE_FULL", "DRAINING", "BROKER_UNAVAILABLE"),
    *("CIRCUIT_OPEN", "INVALID_BUDGET_USED", "APP_RATE_EXCEEDED", "IDEMPOTENCY_KEYS_FULL"),
    "DEADLINE_EXCEEDED",
)
_STATUSES = {
    **dict.fromkeys(_COME_BACK, 429),
    "UNAUTHENTICATED": 401,
    "LOCKED_OUT": 401,
    "FORBIDDEN_BY_OPERATOR": 403,
    "PERMISSION_DENIED": 403,
    "REQUEST_TOO_LARGE": 413,
    "INVALID_REQUEST": 400,
    "INTERACTION_DEFERRED": 400,
    "DISCORD_UNREACHABLE": 502,
    "COMMAND_EXISTS": 409,
    "COMMANDS_CHANGED": 409,
    "COMMANDS_FULL": 400,
}


@dataclass(frozen=True, slots=True)
class FailedCall:
    """A failed call, as far as its answer depends on it.

    Attributes:
        sent: whether it took effect at Discord: "no", "yes" or "unknown".
        repeat: what a second one would do.
        route: identifies its bucket when Discord's is unknown.
        outage_s: how long Redis has not answered.
        own_credential: the caller sent the credential that Discord sees.
    """

    request_id: str
    sent: str = "no"
    repeat: Repeat = Repeat.ALWAYS
    route: str = "discordproxy"
    outage_s: float = 0.0
    own_credential: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer of the proxy itself.

    Attributes:
        retry_after_s: seconds until the same call can succeed, None if it never can.
        scope: of a 429: "global" or "shared".
    """

    status: int
    message: str
    reason: str
    code: int = 0
    retry_after_s: float | None = None
    scope: str = "shared"
    bucket: str = ""
    fields: tuple[FieldError, ...] = field(default=(), repr=False)

    def headers(self, now: float) -> dict[str, str]:
        """Return the headers that belong to the status; `now` is Unix time."""
        headers = {"X-Discordproxy-Reason": self.reason}
        if self.status == HTTPStatus.TOO_MANY_REQUESTS:
            wait_s = self.retry_after_s or 0.0
            return headers | exhausted_headers(wait_s, bucket=self.bucket, scope=self.scope, now=now)
        if self.retry_after_s is not None:
            headers["Retry-After"] = str(max(1, -int(-self.retry_after_s // 1)))
        return headers

    def document(self, call: FailedCall) -> dict[str, Any]:
        """Return the JSON body."""
        details: dict[str, Any] = {"reason": self.reason, "sent": call.sent, "request_id": call.request_id}
        if self.retry_after_s is not None:
            details["retry_after"] = round(self.retry_after_s, 3)
        document: dict[str, Any] = {"message": self.message, "code": self.code, "discordproxy": details}
        if self.fields:
            document["errors"] = nested(self.fields)
        if self.status == HTTPStatus.TOO_MANY_REQUESTS:
            limited = {"retry_after": round(self.retry_after_s or 0.0, 3), "global": self.scope == "global"}
            details["text"], document["message"] = self.message, LIMITED_TEXT
            document |= limited
        return document


def refusal_of(error: ApiError, call: FailedCall) -> Refusal:
    """Return the answer to a failed call."""
    status = _status(error, call)
    retry_after_s = error.retry_after_s
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.SERVICE_UNAVAILABLE}:
        retry_after_s = DEFAULT_RETRY_S if retry_after_s is None else retry_after_s
    return Refusal(
        status,
        "Invalid Form Body" if error.fields else error.text,
        error.reason,
        code=TOO_LARGE_CODE if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE else error.code,
        retry_after_s=retry_after_s,
        scope="global" if error.reason == "CIRCUIT_OPEN" or error.scope == "global" else "shared",
        bucket=error.bucket or call.route,
        fields=error.fields,
    )


def _status(error: ApiError, call: FailedCall) -> int:
    if any(each.code == IDEMPOTENCY_KEY_REUSED for each in error.fields):
        return HTTPStatus.UNPROCESSABLE_ENTITY
    if error.http_status:
        return _status_of_discord(error.http_status, call)
    if error.reason == "BROKER_UNAVAILABLE" and call.outage_s >= OUTAGE_S:
        return HTTPStatus.SERVICE_UNAVAILABLE
    if call.sent != "no":
        return _status_in_doubt(call)
    return _STATUSES.get(error.reason, HTTPStatus.INTERNAL_SERVER_ERROR)


def _status_of_discord(status: int, call: FailedCall) -> int:
    """Return the status with which Discord's error is passed on."""
    if status == HTTPStatus.UNAUTHORIZED and not call.own_credential:
        # Else the bot's token is wrong, and a library would take its key for wrong.
        return HTTPStatus.SERVICE_UNAVAILABLE
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and status not in _UNPROCESSED:
        # A channel may exist although Discord answered 500, and libraries repeat a 500.
        return HTTPStatus.REQUEST_TIMEOUT if call.repeat is Repeat.NEVER else status
    return status


def _status_in_doubt(call: FailedCall) -> int:
    """Return the status of a request that may have taken effect: no library repeats a 408, many repeat a 504."""
    harmful = call.repeat is Repeat.NEVER
    return HTTPStatus.REQUEST_TIMEOUT if harmful else HTTPStatus.GATEWAY_TIMEOUT


def nested(fields: tuple[FieldError, ...]) -> dict[str, Any]:
    """Return wrong fields in the form of Discord's `errors`."""
    root: dict[str, Any] = {}
    for each in fields:
        place = root
        for part in each.path.replace("[", ".").replace("]", "").split("."):
            place = place.setdefault(part, {})
        place.setdefault("_errors", []).append({"code": each.code, "message": each.message})
    return root
