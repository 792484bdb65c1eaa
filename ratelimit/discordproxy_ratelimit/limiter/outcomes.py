"""Translates a response of Discord into the script's report of it. Pure."""

from typing import Any

from discordproxy_ratelimit.headers import ERRORS, TOO_MANY, Answer
from discordproxy_ratelimit.route import Route

UNAUTHORIZED, FORBIDDEN, NOT_FOUND = 401, 403, 404
UNKNOWN_WEBHOOK = 10015
DEFAULT_RETRY_S = 1.0
LONGER_S = 1.1
"""A 429 whose wait exceeds the bucket's Reset-After by more than this is not the bucket's own; `Retry-After` is in
whole seconds, rounded up."""


def retry_after_s(answer: Answer) -> float:
    """Return the wait that a 429 requires; a second if it names none."""
    return DEFAULT_RETRY_S if answer.retry_after_s is None else answer.retry_after_s


def outcome_of(answer: Answer, bucket: str) -> str:
    """Return which limit a response concerns: its headers describe one of several limits that apply.

    Args:
        answer: the response.
        bucket: name of the bucket the permit was charged to; `?...` while its hash is unknown.

    Returns:
        `answered`, `unknown` (no response, or not Discord's), `exhausted` (the bucket), `paused` (only this lane: a
        shared limit, a sub-limit or another limiter), `global`.
    """
    if answer.status != TOO_MANY:
        return "answered" if answer.status else "unknown"
    if not answer.from_discord:
        return "unknown"
    if answer.scope in {"global", "shared"}:
        return "global" if answer.scope == "global" else "paused"
    if answer.hash is None or answer.remaining > 0 or _has_another_hash(answer, bucket) or _outlasts_its_bucket(answer):
        return "paused"  # also without headers, which a known bucket would have sent
    return "exhausted"


def _outlasts_its_bucket(answer: Answer) -> bool:
    return retry_after_s(answer) > answer.reset_after_s + LONGER_S


def _has_another_hash(answer: Answer, bucket: str) -> bool:
    expected = _hash_of(bucket)
    return answer.hash is not None and not expected.startswith("?") and answer.hash != expected


def _hash_of(bucket: str) -> str:
    return bucket.partition("|")[0]


def report_of(route: Route, answer: Answer, bucket: str, outcome: str, rtt_us: int) -> dict[str, Any]:
    """Return the report of a response for lua/transitions/complete.lua; `bucket` is the one that was charged."""
    succeeded = 200 <= answer.status < 300  # noqa: PLR2004 - HTTP
    report: dict[str, Any] = {
        "outcome": outcome,
        "age_us": 0,  # set when it is sent
        "rtt_us": rtt_us if answer.status else 0,
        "status": answer.status,
        "code": answer.code,
    }
    if answer.status == TOO_MANY:
        report["retry_us"] = int(retry_after_s(answer) * 1e6)
    # A refusal by another limit shows our bucket, which has counted the call, or an unrelated one.
    if answer.hash and (outcome != "paused" or answer.hash == _hash_of(bucket)):
        report |= {"hash": answer.hash, "limit": answer.limit, "remaining": answer.remaining}
        report |= {"rid": answer.reset_ms, "after_us": int(answer.reset_after_s * 1e6)}
    elif succeeded:
        report["headerless"] = True
    elif outcome == "paused" and answer.remaining == 0 and _has_another_hash(answer, bucket):
        numbers = {"limit": answer.limit, "after_us": int(answer.reset_after_s * 1e6)}
        report["second"] = {"name": answer.hash, **numbers}
    if succeeded and route.credential != "ip":
        report["works"] = True
    elif answer.status >= ERRORS and (refusal := refusal_of(route, answer)):
        report["refusal"] = refusal
    return report


def refusal_of(route: Route, answer: Answer) -> str:
    """Return the name under which a refusal is stored, or an empty text."""
    if not answer.from_discord:
        return ""  # a refusal by the edge concerns neither the token nor the resource
    if answer.status == UNAUTHORIZED:
        if route.by_token:
            return f"gone {route.major}"
        if route.credential == "ip" or (route.of_user and route.credential == "bot"):
            return ""
        return "token"
    if answer.status == NOT_FOUND and route.by_token and answer.code == UNKNOWN_WEBHOOK:
        return f"gone {route.major}"
    return f"no {route.resource}" if answer.status == FORBIDDEN else ""


def refusal_to_respect(route: Route, *, careful: bool) -> str:
    """Return the name under which a refusal of this call may be stored.

    Args:
        route: of the call.
        careful: whether the budget of invalid requests is nearly used up, so that a 403 must not occur again.
    """
    if route.by_token:
        return f"gone {route.major}"
    return f"no {route.resource}" if careful else ""
