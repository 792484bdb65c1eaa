"""Warnings about a high share of failed calls, with the most frequent cause. Pure.

Two kinds of failed calls are not counted: calls cancelled by the client, and Discord's errors for an unknown member,
user, message or ban, which are normal results of lookups.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from discordproxy_api.calls.recent_stats import CALLS, CAUSE, Cause, cause_of
from discordproxy_api.status.explain import explain

LOOKUP_MISSES = frozenset({10007, 10008, 10013, 10026})
"""Discord's codes (topics/opcodes-and-status-codes): unknown member, message, user, ban."""

BOUNDS = ((5, 0.5), (20, 0.1))
"""Number of calls in five minutes and share of failures; each pair alone triggers a warning."""

MAX_APPS = 3


class FailureWarning(NamedTuple):
    """A high share of failed calls.

    Attributes:
        app: the application, "" for all together.
        calls, failures: number of calls, and of failed calls.
        commonest: number of failures with the most frequent cause.
        text: the problem with its cause.
        fix: the fix; may be empty.
    """

    app: str
    calls: int
    failures: int
    commonest: int
    text: str
    fix: str


def too_many(calls: int, failures: int) -> bool:
    """Return whether the share of failures exceeds a bound."""
    return any(calls >= least and failures >= share * calls for least, share in BOUNDS)


def failure_warnings(ticks: Sequence[Mapping[str, int]]) -> list[FailureWarning]:
    """Return the warnings: for all calls together, then for single applications, the most failures first.

    Args:
        ticks: the counters of five minutes.
    """
    calls, causes = Counter[str](), dict[str, Counter[Cause]]()
    for tick in ticks:
        for name, number in tick.items():
            if name.startswith(CALLS):
                calls[name[len(CALLS) :]] += number
            elif name.startswith(CAUSE) and (cause := cause_of(name)).code not in LOOKUP_MISSES:
                causes.setdefault(cause.app, Counter())[cause] += number
    apps = [_warning(app, calls[app], causes[app].items()) for app in causes]
    whole = _warning("", calls.total(), [pair for counts in causes.values() for pair in counts.items()])
    alone = sorted((one for one in apps if one), key=lambda one: (-one.failures, one.app))
    if whole and len(causes) == 1:
        return [whole]  # its text names the application
    return [*filter(None, [whole]), *alone[:MAX_APPS]]


def _warning(app: str, calls: int, causes: Iterable[tuple[Cause, int]]) -> FailureWarning | None:
    counts, apps = Counter[Cause](), set[str]()
    for cause, number in causes:
        counts[cause._replace(app="")] += number
        apps.add(cause.app)
    failures = min(counts.total(), calls)
    if not too_many(calls, failures):
        return None
    cause, count = counts.most_common(1)[0]
    explanation = explain(cause.status, cause.reason, cause.http_status, cause.code)
    whose = f" of {app}" if app else ""
    only = f", all of {apps.pop()}" if not app and len(apps) == 1 else ""
    text = (
        f"{100 * failures / calls:.0f} % of the calls{whose} failed in five minutes ({failures} of {calls}{only}); "
        f"most frequent cause ({count} times): {explanation.meaning} ({_codes(cause)})."
    )
    return FailureWarning(app, calls, failures, count, text, explanation.fix)


def _codes(cause: Cause) -> str:
    reason = "" if cause.reason == "DISCORD_ERROR" else cause.reason
    code: Any = cause.code and f"Discord's code {cause.code}"
    return ", ".join(filter(None, (cause.status, "" if reason == cause.status else reason, code)))
