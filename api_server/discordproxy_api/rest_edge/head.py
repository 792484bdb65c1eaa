"""The heads of HTTP messages: the caller's options for the proxy, and the headers of an answer. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import Literal

from discordproxy_api.calls import errors
from discordproxy_api.calls.scopes import PRIORITIES

LimitHeaders = Literal["own", "discord", "none"]

VIA = "1.1 discordproxy"
MAX_WAIT_S = 1_500.0
"""The longest wait that a caller can ask for; below the longest time of a call."""

OWN_LIMIT, OWN_REMAINING, OWN_WINDOW_S = 500, 250, 0.1
"""The limit that the proxy states as its own. With these numbers no library waits by itself; the proxy's queue does.

hikari gains one request per Reset-After / (Limit - Remaining). nextcord and Discord.Net gain all requests when no
response has come for Reset-After. discord.py sends Remaining requests at once, each with a connection, and delays
responses by Reset-After if Remaining exceeds half of Limit.
"""

LIMIT_HEADERS = ("own", "discord", "none")
JSON = "application/json"
"""Exactly this: several libraries compare it as text."""

OPTION_HEADERS = frozenset({"prefer", "x-discordproxy-priority", "x-discordproxy-app", "idempotency-key"})
"""Headers that hold options."""

_WAIT = re.compile(r"(?:^|[,;]\s*)wait\s*=\s*\"?([0-9]{1,6}(?:\.[0-9]{1,3})?)\"?(?=$|[,;\s])")
_NUMBER = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,3})?")
_PRINTABLE = re.compile(r"[\t -~\x80-\xff]*")

_REMOVED = frozenset(
    {
        *("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer"),
        *("transfer-encoding", "upgrade", "content-encoding", "content-length", "set-cookie", "alt-svc", "server"),
        *("strict-transport-security", "nel", "report-to", "reporting-endpoints", "content-security-policy"),
        *("content-security-policy-report-only", "retry-after", "via", "x-request-id", "vary"),
    }
)
_LIMIT_PREFIX = "x-ratelimit-"
_REMOVED_PREFIXES = (_LIMIT_PREFIX, "access-control-", "x-discordproxy-", "x-discord-ratelimit-")


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What a caller asks of the proxy.

    Attributes:
        wait_s: longest wait for a limit.
        preference_applied: the wait came from the header Prefer.
        limit_headers: which limits the answer states.
    """

    wait_s: float
    preference_applied: bool
    priority: str
    app: str
    limit_headers: LimitHeaders
    idempotency_key: str


def call_options(
    headers: Mapping[str, str], options: Mapping[str, str], *, wait_s: float, limit_headers: LimitHeaders
) -> CallOptions:
    """Return the options of a request; those in its path precede its headers, which precede the defaults.

    Args:
        headers: by lower-case name.
        options: of the path.
        wait_s: the default.
        limit_headers: the default.

    Raises:
        ApiError: a value is invalid.
    """
    preferred = _WAIT.search(headers.get("prefer", ""))
    text = options.get("wait", preferred[1] if preferred else "")
    priority = options.get("priority", headers.get("x-discordproxy-priority", "normal")).lower()
    shown = options.get("headers", limit_headers)
    if text and not _NUMBER.fullmatch(text):
        raise errors.invalid_field("wait", "NUMBER_TYPE_COERCE", "Must be a number of seconds.")
    if priority not in PRIORITIES:
        raise errors.invalid_field("priority", "BASE_TYPE_CHOICES", f"Must be one of {', '.join(PRIORITIES)}.")
    if shown not in LIMIT_HEADERS:
        raise errors.invalid_field("headers", "BASE_TYPE_CHOICES", f"Must be one of {', '.join(LIMIT_HEADERS)}.")
    return CallOptions(
        wait_s=min(float(text), MAX_WAIT_S) if text else wait_s,
        preference_applied=preferred is not None and "wait" not in options,
        priority=priority,
        app=options.get("app", headers.get("x-discordproxy-app", "")),
        limit_headers=shown,  # type: ignore[arg-type] # checked above
        idempotency_key=headers.get("idempotency-key", ""),
    )


def passed_headers(discord: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of Discord's answer that the caller gets unchanged, by lower-case name."""
    passed = {
        name: value
        for name, value in discord.items()
        if _passes(name) and ((value.isascii() and value.isprintable()) or _PRINTABLE.fullmatch(value))
    }
    if "connection" in discord:
        for name in discord["connection"].split(","):
            passed.pop(name.strip().lower(), None)
    return passed


@lru_cache(maxsize=1024)
def _passes(name: str) -> bool:
    return name not in _REMOVED and not name.startswith(_REMOVED_PREFIXES)


def proxy_headers(request_id: str, sent: str, waited_s: float, via: str = "") -> dict[str, str]:
    """Return the headers of every answer.

    Args:
        request_id: of the call.
        sent: whether the request took effect at Discord.
        waited_s: time of the wait for a limit in seconds.
        via: value of that header in Discord's answer, "" without.
    """
    return {
        "Via": f"{via}, {VIA}" if via and _PRINTABLE.fullmatch(via) else VIA,
        "X-Request-Id": request_id,
        "X-Discordproxy-Sent": sent,
        "X-Discordproxy-Waited": f"{max(0.0, waited_s):.3f}",
    }


def limit_headers(discord: Mapping[str, str], shown: LimitHeaders, now: float) -> dict[str, str]:
    """Return the rate-limit headers of an answer; none if Discord's has none. `now` is Unix time."""
    bucket = discord.get("x-ratelimit-bucket", "")
    if not bucket or shown == "none":
        return {}
    prefix = _LIMIT_PREFIX if shown == "discord" else "x-discord-ratelimit-"
    found = {}
    for name, value in discord.items():
        if name.startswith(_LIMIT_PREFIX):
            found[prefix + name[len(_LIMIT_PREFIX) :]] = value
    if shown == "discord":
        return found | _moved(discord.get("x-ratelimit-reset-after", ""), now)
    return found | own_headers(bucket, now)


def own_headers(bucket: str, now: float) -> dict[str, str]:
    """Return the proxy's own limit; `now` is Unix time."""
    return {
        "X-RateLimit-Limit": str(OWN_LIMIT),
        "X-RateLimit-Remaining": str(OWN_REMAINING),
        "X-RateLimit-Reset": f"{now + OWN_WINDOW_S:.3f}",
        "X-RateLimit-Reset-After": f"{OWN_WINDOW_S:.3f}",
        "X-RateLimit-Bucket": bucket,
    }


def exhausted_headers(retry_after_s: float, *, bucket: str, scope: str, now: float) -> dict[str, str]:
    """Return the complete headers of a 429, which every library can read."""
    return {
        "Retry-After": str(max(1, ceil(retry_after_s))),
        "X-RateLimit-Limit": str(OWN_LIMIT),
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": f"{now + retry_after_s:.3f}",
        "X-RateLimit-Reset-After": f"{retry_after_s:.3f}",
        "X-RateLimit-Bucket": bucket,
        "X-RateLimit-Scope": scope,
        **({"X-RateLimit-Global": "true"} if scope == "global" else {}),
    }


def _moved(reset_after: str, now: float) -> dict[str, str]:
    """Return the end of Discord's window by this machine's clock."""
    try:
        return {"x-ratelimit-reset": f"{now + float(reset_after):.3f}"}
    except ValueError:
        return {}
