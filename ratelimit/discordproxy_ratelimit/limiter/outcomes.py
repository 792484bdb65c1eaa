"""From an answer to what the script is told about it. Pure."""

from typing import Any

from discordproxy_ratelimit.headers import ERRORS, TOO_MANY, Answer
from discordproxy_ratelimit.route import Route

UNAUTHORIZED, FORBIDDEN, NOT_FOUND = 401, 403, 404
UNKNOWN_WEBHOOK = 10015
DEFAULT_RETRY_S = 1.0


def retry_after_s(answer: Answer) -> float:
    """Return how long a 429 wants us to wait; a second when it does not say."""
    return DEFAULT_RETRY_S if answer.retry_after_s is None else answer.retry_after_s


def outcome_of(answer: Answer, bucket: str) -> str:
    """Say which limit an answer speaks of: Discord's headers describe one of several that apply at once.

    Args:
        answer: of Discord.
        bucket: name of the bucket the permit was charged to; `?...` while its hash is unknown.

    Returns:
        `answered`, `unknown` (no answer, or not Discord's), `exhausted` (the bucket), `paused` (only this lane: a
        shared limit, a sub-limit or another limiter), `global`.
    """
    if answer.status != TOO_MANY:
        return "answered" if answer.status else "unknown"
    if not answer.from_discord:
        return "unknown"
    if answer.scope in {"global", "shared"}:
        return "global" if answer.scope == "global" else "paused"
    if answer.hash is None or answer.remaining > 0 or _is_anothers(answer, bucket):
        return "paused"  # without headers, too: a bucket that shows itself would have done so
    return "exhausted"


def _is_anothers(answer: Answer, bucket: str) -> bool:
    expected = _hash_of(bucket)
    return answer.hash is not None and not expected.startswith("?") and answer.hash != expected


def _hash_of(bucket: str) -> str:
    return bucket.partition("|")[0]


def report_of(route: Route, answer: Answer, bucket: str, outcome: str, rtt_us: int) -> dict[str, Any]:
    """Return an answer as lua/transitions/complete.lua takes it; `bucket` is the one the permit was charged to."""
    succeeded = 200 <= answer.status < 300  # noqa: PLR2004 - HTTP
    report: dict[str, Any] = {
        "outcome": outcome,
        "age_us": 0,  # told when it is sent
        "rtt_us": rtt_us if answer.status else 0,
        "status": answer.status,
        "code": answer.code,
    }
    if answer.status == TOO_MANY:
        report["retry_us"] = int(retry_after_s(answer) * 1e6)
    # Another limit's refusal shows our bucket, which has counted the call, or a bucket that is no business of ours.
    if answer.hash and (outcome != "paused" or answer.hash == _hash_of(bucket)):
        report |= {"hash": answer.hash, "limit": answer.limit, "remaining": answer.remaining}
        report |= {"rid": answer.reset_ms, "after_us": int(answer.reset_after_s * 1e6)}
    elif succeeded:
        report["headerless"] = True
    elif outcome == "paused" and answer.remaining == 0 and _is_anothers(answer, bucket):
        numbers = {"limit": answer.limit, "after_us": int(answer.reset_after_s * 1e6)}
        report["second"] = {"name": answer.hash, **numbers}
    if succeeded and route.credential != "ip":
        report["works"] = True
    elif answer.status >= ERRORS and (refusal := refusal_of(route, answer)):
        report["refusal"] = refusal
    return report


def refusal_of(route: Route, answer: Answer) -> str:
    """Return the name of what need not be asked again for a while, or an empty text."""
    if not answer.from_discord:
        return ""  # the edge refuses everything alike: that says nothing about the token or the resource
    if answer.status == UNAUTHORIZED:
        return f"gone {route.major}" if route.by_token else "token" if route.credential != "ip" else ""
    if answer.status == NOT_FOUND and route.by_token and answer.code == UNKNOWN_WEBHOOK:
        return f"gone {route.major}"
    return f"no {route.resource}" if answer.status == FORBIDDEN else ""


def refusal_to_respect(route: Route, *, careful: bool) -> str:
    """Return the name under which this call may have been refused a moment ago.

    Args:
        route: of the call.
        careful: whether the budget of invalid requests is nearly used up, so that a 403 is not earned twice.
    """
    if route.by_token:
        return f"gone {route.major}"
    return f"no {route.resource}" if careful else ""
