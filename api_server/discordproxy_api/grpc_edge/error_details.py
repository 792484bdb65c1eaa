"""Encodes an error as gRPC details and trailers: the JSON of `details()`, and google.rpc.Status.

Both are headers, so their size is bounded.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from discordproxy.common_pb2 import SENT_NO, SENT_UNKNOWN, SENT_YES, DiscordError
from discordproxy_api.calls.call import STATUS_NUMBERS, Sent
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.field_errors import FieldError

DOMAIN = "discordproxy"
MAX_BYTES = 7_500
"""Maximum size of both forms together; many peers refuse more than 8 kB of trailing headers."""

RETRIED_BY_GRPC = frozenset({"DRAINING", "STREAM_ENDED"})
"""Reasons after which an immediate repeat can succeed, with another worker.

All others disable gRPC's own retries: the proxy has already retried where that is safe, and the attempts of both ends
would multiply.
"""

_SENT = {"no": SENT_NO, "yes": SENT_YES, "unknown": SENT_UNKNOWN}
_CUT = "..."

Trailers = tuple[tuple[str, str | bytes], ...]


@dataclass(frozen=True, slots=True)
class Rendered:
    """The arguments of `context.abort` for an error."""

    details: str
    trailers: Trailers


def render(error: ApiError, *, sent: Sent, request_id: str) -> Rendered:
    """Return details and trailers of `error`; text and lists are cut until they fit `MAX_BYTES`."""
    text_length, items = 2_000, 50
    while True:
        text = _cut(error.text, text_length)
        fields = [
            FieldError(_cut(field.path, 200), _cut(field.code, 100), _cut(field.message, max(40, text_length // 4)))
            for field in error.fields[:items]
        ]
        ids = error.sent_message_ids[: 2 * items]
        details = _details(error, text, fields, ids, sent, request_id)
        status = _status(error, details, text, fields, ids, sent, request_id).SerializeToString()
        if _header_bytes(details, status) <= MAX_BYTES or not (items or text_length):
            return Rendered(details, _trailers(status, sent, request_id, retried=error.reason in RETRIED_BY_GRPC))
        text_length, items = text_length // 2, items // 2


def _details(
    error: ApiError, text: str, fields: Sequence[FieldError], ids: Sequence[int], sent: Sent, request_id: str
) -> str:
    """Return the JSON: the four keys of 1.5.1 first, then the others that have a value."""
    document: dict[str, Any] = {"type": "HTTPException", "status": error.http_status, "code": error.code, "text": text}
    if not error.http_status:
        document = {"type": "ProxyException", "text": text}
    extras = {
        "sent": sent,
        "retry_after": error.retry_after_s if error.retry_after_s is None else round(error.retry_after_s, 3),
        "request_id": request_id,
        "scope": error.scope,
        "bucket": error.bucket,
        "reason": error.reason,
        "fields": [{"path": field.path, "code": field.code, "message": field.message} for field in fields],
        "sent_message_ids": [str(message_id) for message_id in ids],
        **error.extras,
    }
    document.update((key, value) for key, value in extras.items() if value not in ("", None, []))
    return json.dumps(document)  # ASCII: gRPC percent-encodes other characters


def _status(
    error: ApiError,
    details: str,
    text: str,
    fields: Sequence[FieldError],
    ids: Sequence[int],
    sent: Sent,
    request_id: str,
) -> Status:
    """Return the rich form; its message must equal `details`, since grpc_status rejects it otherwise."""
    parts: list[Any] = [ErrorInfo(reason=error.reason, domain=DOMAIN, metadata={"request_id": request_id})]
    if error.retry_after_s is not None:
        parts.append(RetryInfo())
        parts[-1].retry_delay.FromNanoseconds(int(error.retry_after_s * 1e9))
    if fields:
        violations = [BadRequest.FieldViolation(field=field.path, description=field.message) for field in fields]
        parts.append(BadRequest(field_violations=violations))
    parts.append(
        DiscordError(
            status=error.http_status,
            code=error.code,
            message=text,
            fields=[DiscordError.FieldError(path=f.path, code=f.code, message=f.message) for f in fields],
            retry_after=error.retry_after_s or 0.0,
            scope=error.scope,
            bucket=error.bucket,
            sent_message_ids=ids,
            sent=_SENT[sent],
            request_id=request_id,
        )
    )
    return Status(code=STATUS_NUMBERS[error.status], message=details, details=[_packed(part) for part in parts])


def _trailers(status: bytes, sent: Sent, request_id: str, *, retried: bool) -> Trailers:
    trailers: Trailers = (("grpc-status-details-bin", status), ("x-request-id", request_id))
    if not retried or sent != "no":
        trailers += (("grpc-retry-pushback-ms", "-1"),)
    return trailers


def _packed(part: Any) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(part)
    return packed


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: max(0, length - len(_CUT))] + _CUT


def _header_bytes(details: str, status: bytes) -> int:
    """Return the size of both as headers: control characters and "%" take three bytes, binary values are base64."""
    encoded = sum(1 if " " <= char <= "~" and char != "%" else 3 for char in details)
    return encoded + len(status) * 4 // 3
