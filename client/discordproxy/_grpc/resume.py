"""Reads the gap of lost events from the error that ends a stream. Pure."""

from __future__ import annotations

from typing import cast

import grpc

from discordproxy.events_pb2 import Event
from discordproxy.helpers import read_details


def gap_of(ex: grpc.RpcError) -> Event | None:
    """Return the gap that an error reports, with the cursor after it; None for other errors."""
    call = cast("grpc.Call", ex)
    if call.code() is not grpc.StatusCode.OUT_OF_RANGE:
        return None
    facts = read_details(call.details()) or {}
    if not facts.get("cursor"):
        return None
    return Event(
        kind=Event.GAP,
        cursor=facts["cursor"],
        gap_from=facts.get("gap_from", ""),
        gap_to=facts.get("gap_to", ""),
    )
