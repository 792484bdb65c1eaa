"""Reads the rate-limit headers and the error body of Discord's responses. Pure; values are validated."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_WAIT_S = 7 * 24 * 3600.0
"""Longer waits are invalid."""

ERRORS = 400
"""Statuses from here on are errors."""

TOO_MANY = 429


@dataclass(frozen=True, slots=True)
class Answer:
    """The parts of one response that concern limits.

    Attributes:
        status: HTTP status; 0 without a response.
        hash: Discord's bucket hash; None without valid bucket headers.
        limit, remaining: of that bucket.
        reset_ms: Discord's `Reset`, Unix time in ms; distinguishes and orders windows, but is not used as a clock.
        reset_after_s: until all tokens are back.
        retry_after_s: of a 429, the larger of header and body; None without either.
        scope: of a 429: `user`, `global`, `shared`; empty otherwise.
        from_discord: False for a response of Cloudflare's edge or of a proxy; see `is_from_discord`.
        code: Discord's JSON error code, 0 if none.
    """

    status: int
    hash: str | None = None
    limit: int = 0
    remaining: int = 0
    reset_ms: int = 0
    reset_after_s: float = 0.0
    retry_after_s: float | None = None
    scope: str = ""
    from_discord: bool = True
    code: int = 0

    @property
    def is_invalid(self) -> bool:
        """Whether it counts towards Discord's limit of invalid requests per address."""
        return self.status in {401, 403} or (self.status == TOO_MANY and self.scope != "shared")


NO_ANSWER = Answer(0)


def read_answer(status: int, headers: Mapping[str, str], body: bytes = b"") -> Answer:
    """Read a response; missing and malformed values are ignored.

    Args:
        status: HTTP status.
        headers: of the response, in any case.
        body: read only for error statuses.
    """
    lower = {name.lower(): value for name, value in headers.items() if name.lower() in WANTED}
    document = _document(body) if status >= ERRORS else {}
    return Answer(
        status=status,
        **_bucket(lower),
        retry_after_s=_retry_after_s(lower, document) if status == TOO_MANY else None,
        scope=_scope(lower, document) if status == TOO_MANY else "",
        from_discord=is_from_discord(status, lower, document),
        code=code if isinstance(code := document.get("code"), int) and 0 <= code < 1 << 31 else 0,
    )


WANTED = {
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-ratelimit-reset-after",
    "x-ratelimit-bucket",
    "x-ratelimit-global",
    "x-ratelimit-scope",
    "retry-after",
    "via",
}


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _number(text: Any, *, maximum: float = 1e12) -> float | None:
    try:
        number = float(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and 0 <= number <= maximum else None


def _bucket(headers: Mapping[str, str]) -> dict[str, Any]:
    name = headers.get("x-ratelimit-bucket", "")
    limit, remaining = _number(headers.get("x-ratelimit-limit")), _number(headers.get("x-ratelimit-remaining"))
    reset = _number(headers.get("x-ratelimit-reset"))
    after = _number(headers.get("x-ratelimit-reset-after"), maximum=MAX_WAIT_S)
    is_a_name = bool(name) and name.isascii() and "|" not in name
    if not is_a_name or limit is None or remaining is None or reset is None or after is None or limit < 1:
        return {"hash": None}
    return {
        "hash": name[:100],
        "limit": int(limit),
        "remaining": min(int(remaining), int(limit)),
        "reset_ms": round(reset * 1000),
        "reset_after_s": after,
    }


def _retry_after_s(headers: Mapping[str, str], document: Mapping[str, Any]) -> float | None:
    """Header and body can disagree a thousandfold; the larger one is right (observed on announcement edits)."""
    found = [
        _number(headers.get("retry-after"), maximum=MAX_WAIT_S),
        _number(document.get("retry_after"), maximum=MAX_WAIT_S),
    ]
    precise = found[1]
    if precise is not None and found[0] is not None and precise <= found[0] <= precise + 1:
        return precise  # the header is the same number rounded up
    return max((number for number in found if number is not None), default=None)


def _scope(headers: Mapping[str, str], document: Mapping[str, Any]) -> str:
    if headers.get("x-ratelimit-global", "").lower() == "true" or document.get("global") is True:
        return "global"
    scope = headers.get("x-ratelimit-scope", "user").lower()
    return scope if scope in {"user", "global", "shared"} else "user"


def is_from_discord(status: int, headers: Mapping[str, str], document: Mapping[str, Any]) -> bool:
    """Return whether Discord itself sent this response, rather than Cloudflare's edge or a proxy.

    Headers have precedence: a body of Discord can be empty, truncated or replaced. `CF-RAY` and `Server: cloudflare`
    prove nothing, because every response passes through Cloudflare and carries them.

    Args:
        status: HTTP status.
        headers: with lower-case names.
        document: the JSON object in the body; empty without a valid one.
    """
    if status < ERRORS or any(name.startswith("x-ratelimit-") for name in headers):
        return True
    if document.get("cloudflare_error") or "error_code" in document:
        return False
    if "via" not in headers:
        # Discord's own 429 names `retry_after`, its other errors a message and a code.
        return "retry_after" in document or (status != TOO_MANY and {"message", "code"} <= document.keys())
    return status != TOO_MANY or not _is_ban(headers, document)


def _is_ban(headers: Mapping[str, str], document: Mapping[str, Any]) -> bool:
    """A ban of the address can also be JSON: code 0, without a time to retry (discord-api-docs#5810)."""
    return document.get("code") == 0 and "retry_after" not in document and "retry-after" not in headers
