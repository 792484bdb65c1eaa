"""The answer to GET /gateway/bot, with a default for each unusable value. Pure."""

from dataclasses import dataclass
from typing import Any

import yarl

from discordproxy_gateway.ids import MAX_SHARDS

DAY_MS = 86_400_000
"""Discord counts IDENTIFYs per 24 hours (gateway, session start limit object)."""

MIN_RESET_MS = 60_000
"""Minimum time until the next request for the budget, whatever the answer contains."""

_MAX_IDENTIFIES = 1_000_000
_TOTAL = 1000


@dataclass(frozen=True, slots=True)
class GatewayInfo:
    """The validated answer.

    Attributes:
        url: where to connect.
        shards: recommended number of connections.
        max_concurrency: number of IDENTIFY groups.
        total, remaining: IDENTIFYs per day, and those that are left.
        reset_after_ms: when the budget is full again; never less than `MIN_RESET_MS`.
        replaced: names of the fields that were missing or unusable.
    """

    url: str
    shards: int
    max_concurrency: int
    total: int
    remaining: int
    reset_after_ms: int
    replaced: tuple[str, ...] = ()


class GatewayInfoError(ValueError):
    """The answer has no usable address."""


def read_info(answer: Any, *, url: str = "") -> GatewayInfo:
    """Read the answer.

    Args:
        answer: the JSON document.
        url: used instead of Discord's.

    Raises:
        GatewayInfoError: it is no object, or has no websocket URL and `url` is empty.
    """
    if not isinstance(answer, dict):
        raise GatewayInfoError("the answer is no JSON object")
    url = url or websocket_url(answer.get("url")) or ""
    if not url:
        raise GatewayInfoError("the answer has no websocket URL")
    limit = answer.get("session_start_limit")
    limit = limit if isinstance(limit, dict) else {}
    replaced: list[str] = []

    def whole(source: dict[str, Any], name: str, default: int, minimum: int, maximum: int) -> int:
        value = source.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
            replaced.append(name)
            return default
        return min(value, maximum)

    total = whole(limit, "total", _TOTAL, 1, _MAX_IDENTIFIES)
    remaining = whole(limit, "remaining", total, 0, _MAX_IDENTIFIES)
    reset_after_ms = whole(limit, "reset_after", DAY_MS, 0, DAY_MS)
    if not reset_after_ms and remaining:  # a rested bot: its day begins with the first IDENTIFY
        reset_after_ms = DAY_MS
    return GatewayInfo(
        url=url,
        shards=whole(answer, "shards", 1, 1, MAX_SHARDS),
        max_concurrency=whole(limit, "max_concurrency", 1, 1, MAX_SHARDS),
        total=total,
        remaining=remaining,
        reset_after_ms=max(reset_after_ms, MIN_RESET_MS),
        replaced=tuple(replaced),
    )


def websocket_url(value: Any) -> str | None:
    """Return `value` if a websocket can be opened there, else None."""
    try:
        url = yarl.URL(value)
    except (TypeError, ValueError):
        return None
    return str(value) if url.scheme in {"ws", "wss"} and url.host else None
