"""Whether so many calls fail that somebody should look, and why most of them do. Pure.

Every failed call counts but two kinds: the caller hung up, or Discord said that there is no such member, user, message
or ban, which is the answer to a question.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from discordproxy_api.calls.recent_stats import CALLS, CAUSE, Cause, cause_of
from discordproxy_api.status.explain import explain

ANSWERS = frozenset({10007, 10008, 10013, 10026})
"""Discord's codes (topics/opcodes-and-status-codes): unknown member, message, user, ban."""

BOUNDS = ((5, 0.5), (20, 0.1))
"""So many calls in five minutes, and this share of them failed: each pair alone is reason enough."""

MAX_APPS = 3


class Failing(NamedTuple):
    """Calls of which too many failed.

    Attributes:
        app: whose calls, empty for those of all.
        calls, failures: how many there were, and how many of them failed.
        commonest: how many of these for the commonest cause.
        text: what to tell the operator, the cause included.
        fix: what helps; may be empty.
    """

    app: str
    calls: int
    failures: int
    commonest: int
    text: str
    fix: str


def too_many(calls: int, failures: int) -> bool:
    """Tell whether so many failures of so many calls need attention."""
    return any(calls >= least and failures >= share * calls for least, share in BOUNDS)


def failing(ticks: Sequence[Mapping[str, int]]) -> list[Failing]:
    """Return what to warn of: the calls of all, and applications that fail by themselves, the worst first.

    Args:
        ticks: the counts of five minutes.
    """
    calls, causes = Counter[str](), dict[str, Counter[Cause]]()
    for tick in ticks:
        for name, number in tick.items():
            if name.startswith(CALLS):
                calls[name[len(CALLS) :]] += number
            elif name.startswith(CAUSE) and (cause := cause_of(name)).code not in ANSWERS:
                causes.setdefault(cause.app, Counter())[cause] += number
    apps = [_judged(app, calls[app], causes[app].items()) for app in causes]
    whole = _judged("", calls.total(), [pair for counts in causes.values() for pair in counts.items()])
    alone = sorted((one for one in apps if one), key=lambda one: (-one.failures, one.app))
    if whole and len(causes) == 1:
        return [whole]  # it names the application
    return [*filter(None, [whole]), *alone[:MAX_APPS]]


def _judged(app: str, calls: int, causes: Iterable[tuple[Cause, int]]) -> Failing | None:
    counts, apps = Counter[Cause](), set[str]()
    for cause, number in causes:
        counts[cause._replace(app="")] += number
        apps.add(cause.app)
    failures = min(counts.total(), calls)
    if not too_many(calls, failures):
        return None
    cause, count = counts.most_common(1)[0]
    told = explain(cause.status, cause.reason, cause.http_status, cause.code)
    whose = f" of {app}" if app else ""
    only = f", all of {apps.pop()}" if not app and len(apps) == 1 else ""
    text = (
        f"{100 * failures / calls:.0f} % of the calls{whose} failed in five minutes ({failures} of {calls}{only}); "
        f"the commonest cause, {count} times: {told.meaning} ({_codes(cause)})."
    )
    return Failing(app, calls, failures, count, text, told.fix)


def _codes(cause: Cause) -> str:
    reason = "" if cause.reason == "DISCORD_ERROR" else cause.reason
    code: Any = cause.code and f"Discord's code {cause.code}"
    return ", ".join(filter(None, (cause.status, "" if reason == cause.status else reason, code)))
