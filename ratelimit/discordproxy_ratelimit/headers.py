"""Reads the rate-limit headers and the error body of Discord's responses. Pure; values are validated."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MAX_WAIT_S = 7 * 24 * 3600.0
"""Longer waits are implausible."""

IMPLAUSIBLE_WAIT_S = 3600.0
"""The wait in place of an implausible one: no flood of requests if it was meant, no block of a week if it was not."""

ERRORS = 400
"""Statuses from here on are errors."""

TOO_MANY = 429

MIN_BLOCK_S = 60.0
"""A block of this address by Discord's edge is taken to last as long at least, as in `circuit.lua`."""


@dataclass(slots=True)  # not frozen: that makes its creation five times as slow
class Answer:
    """The parts of one response that concern limits. Never changed.

    Attributes:
        status: HTTP status; 0 without a response.
        hash: Discord's bucket hash; None without valid bucket headers.
        limit, remaining: of that bucket.
        reset_ms: Discord's `Reset`, Unix time in ms, 0 without; distinguishes and orders windows, but is not used as a
            clock.
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


def read_answer(
    status: int, headers: Mapping[str, str], body: bytes = b"", *, lower_case_names: bool = False
) -> Answer:
    """Read a response; missing and malformed values are ignored.

    Args:
        status: HTTP status.
        headers: of the response, in any case.
        body: read only for error statuses.
        lower_case_names: whether all names of headers are in lower case, which saves the conversion.
    """
    lower = headers
    if not lower_case_names:
        lower = {name.lower(): value for name, value in headers.items() if name.lower() in WANTED}
    document = _document(body) if status >= ERRORS else {}
    return Answer(
        status=status,
        **_bucket(lower),
        retry_after_s=retry_after_s(lower, document) if status == TOO_MANY else None,
        scope=_scope(lower, document) if status == TOO_MANY else "",
        from_discord=is_from_discord(status, lower, document),
        code=code if isinstance(code := document.get("code"), int) and 0 <= code < 1 << 31 else 0,
    )


MAX_NUMBER = 1e12
"""A larger number in a header is broken."""

BUCKET_NUMBERS = ("x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset-after")

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


def _number(text: Any, *, maximum: float = MAX_NUMBER) -> float | None:
    try:
        number = float(text)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and 0 <= number <= maximum else None


def _is_endless(text: Any) -> bool:
    try:
        return float(text) > MAX_WAIT_S
    except OverflowError:
        return True
    except (TypeError, ValueError):
        return False


def _bucket(headers: Mapping[str, str]) -> dict[str, Any]:
    name = headers.get("x-ratelimit-bucket")
    if not name or not name.isascii() or "|" in name or name == "-" or name[0] in "?*":  # they mean no hash here
        return {}
    try:
        limit, remaining, after = (*map(float, map(headers.__getitem__, BUCKET_NUMBERS)),)
        reset = float(headers.get("x-ratelimit-reset", 0))
    except (LookupError, ValueError):
        return {}
    if not (1 <= limit <= MAX_NUMBER and 0 <= remaining <= MAX_NUMBER and 0 <= reset <= MAX_NUMBER):
        return {}
    if not 0 <= after <= MAX_NUMBER:
        return {}
    if after > MAX_WAIT_S:
        reset, after = reset - after + IMPLAUSIBLE_WAIT_S, IMPLAUSIBLE_WAIT_S
    return {
        "hash": name[:100],
        "limit": int(limit),
        "remaining": min(int(remaining), int(limit)),
        "reset_ms": max(0, round(reset * 1000)),
        "reset_after_s": after,
    }


def retry_after_s(headers: Mapping[str, str], document: Mapping[str, Any] | None = None) -> float | None:
    """Return the wait in seconds that a response advises; None if it advises none.

    Header and body can disagree a thousandfold; the larger one is right (observed on announcement edits). One of more
    than a week is not, unless it is the only one: then `IMPLAUSIBLE_WAIT_S` is returned.

    Args:
        headers: with names in lower case, or found in any case.
        document: the JSON object in the body, if there is one.
    """
    texts = headers.get("retry-after"), document.get("retry_after") if document else None
    header, precise = (_number(text, maximum=MAX_WAIT_S) for text in texts)
    if header is None and precise is None:
        return IMPLAUSIBLE_WAIT_S if any(map(_is_endless, texts)) else None
    if header is None or precise is None:
        return header if precise is None else precise
    return precise if header <= precise + 1 else header  # the header may be the same number, rounded up


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
