"""Reading the errors of calls that were made with the gRPC stub directly."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple, cast

if TYPE_CHECKING:
    import grpc


class GrpcErrorDetails(NamedTuple):
    """What the details of a failed call say.

    `type` is "HTTPException" for an error of Discord, "ProxyException" for a refusal of the proxy itself, and "Other"
    for anything else; then only `text` is filled.
    """

    type: str
    status: int | None
    code: int | None
    text: str


def read_details(details: str | None) -> dict[str, Any] | None:
    """Return the JSON object in the details of a gRPC error, None when they are anything else."""
    try:
        found = json.loads(details or "")
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def parse_error_details(ex: grpc.RpcError) -> GrpcErrorDetails:
    """Return what the details of a failed call say; never raises because of their form."""
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
