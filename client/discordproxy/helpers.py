"""Parses the errors of calls that use the gRPC stub directly."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple, cast

if TYPE_CHECKING:
    import grpc


class GrpcErrorDetails(NamedTuple):
    """The details of a failed call.

    `type` is "HTTPException" for an error of Discord, "ProxyException" for a refusal of the proxy, and "Other" for
    all other errors, which have only `text`.
    """

    type: str
    status: int | None
    code: int | None
    text: str


def read_details(details: str | None) -> dict[str, Any] | None:
    """Return the JSON object in the details of a gRPC error; None if they are not one."""
    try:
        found = json.loads(details or "")
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def parse_error_details(ex: grpc.RpcError) -> GrpcErrorDetails:
    """Return the parsed details of a failed call; details in another form are returned as `text`."""
    details = cast("grpc.Call", ex).details()
    facts = read_details(details)
    if facts is None:
        return GrpcErrorDetails(type="Other", status=None, code=None, text=details or "")
    return GrpcErrorDetails(
        type=facts.get("type", "Other"),
        status=facts.get("status"),
        code=facts.get("code"),
        text=facts.get("text", ""),
    )
