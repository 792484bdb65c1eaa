"""Builds the status document from the status of workers, limits and gateways. Pure.

Names of numbers include the unit; instants are Unix seconds of Redis' clock. All lists are bounded by `MAX_*`.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from discordproxy_api.calls.recent_stats import CALLS, DOORS, FAILURES, LATENCY, LATENCY_BOUNDS_MS, LIMITED, REQUESTS
from discordproxy_api.status.explain import explain
from discordproxy_api.status.failure_warnings import failure_warnings
from discordproxy_gateway.cache import GatewayState, ShardState
from discordproxy_ratelimit.circuit import BUDGET, CircuitState
from discordproxy_ratelimit.inspection import AccountState
from discordproxy_ratelimit.shared.registry import TICK_S, Snapshot

FORMAT = 1
"""Version of a worker's published status. Two releases may run side by side during an upgrade."""

MAX_BUCKETS, MAX_APPS, MAX_ERRORS, MAX_SHARDS = 40, 8, 20, 64
MAX_LATENCY_MS = 2 * LATENCY_BOUNDS_MS[-1]
"""Upper bound assumed for the class of the longest latencies."""

Tick = Mapping[str, int]
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Queue:
    """The queue of a lane, summed over all workers.

    Attributes:
        bot: name of the bot, empty for the only or first one.
        credential: limits of the `bot` or the `ip`.
        lane: route and major parameter.
        bucket: bucket of the lane.
        waiting: number of waiting calls.
        oldest_s: wait of the oldest call.
    """

    bot: str
    credential: str
    lane: str
    bucket: str
    waiting: int
    oldest_s: float


def readable(post: Document) -> Document:
    """Return a post without the parts that this release cannot read."""
    return post if post.get("format") == FORMAT else post | {"lanes": [], "failures": []}


def queues(posts: Iterable[Document], limit: int = MAX_BUCKETS) -> list[Queue]:
    """Return the lanes of all workers, the most crowded ones first, at most `limit`."""
    found: dict[tuple[str, str, str], Queue] = {}
    for post in posts:
        for bot, credential, lane, bucket, waiting, oldest_s in post["lanes"]:
            known = found.get((bot, credential, lane))
            found[bot, credential, lane] = (
                Queue(bot, credential, lane, bucket, known.waiting + waiting, max(known.oldest_s, oldest_s))
                if known
                else Queue(bot, credential, lane, bucket, waiting, oldest_s)
            )
    return sorted(found.values(), key=lambda queue: (-queue.waiting, queue.bot, queue.lane))[:limit]


def document(
    notices: Snapshot,
    posts: Sequence[Document],
    lanes: Sequence[Queue],
    accounts: Mapping[tuple[str, str], AccountState],
    circuit: CircuitState,
    gateways: Mapping[str, GatewayState],
    names: Mapping[tuple[str, str], str] | None = None,
) -> Document:
    """Return the whole document.

    Args:
        notices: snapshot of the registry, with the counters of all time windows.
        posts: the workers' published status, parsed.
        lanes: as returned by `queues`.
        accounts: by name of the bot and credential.
        circuit: the circuit of this machine.
        gateways: by name of the bot, the first bot first.
        names: names of channels and guilds, by name of the bot and major parameter.
    """
    ticks, every_queue = notices.ticks, queues(posts, limit=sys.maxsize)
    apps, errors = _apps(ticks), _errors(posts, notices.at)
    bots = [
        {"bot": name, "global": _global(accounts[name, "bot"]), "gateway": _gateway(gateway)}
        for name, gateway in gateways.items()
    ]
    return {
        "at": notices.at,
        "version": posts[0]["version"] if posts else "",
        "workers": [_worker(post) for post in sorted(posts, key=lambda post: (post["host"], post["number"]))],
        "bots": bots,
        "circuit": _circuit(circuit),
        "waiting": sum(post["waiting"] for post in posts),
        "held": sum(account.held for account in accounts.values()),
        "buckets": [_bucket(lane, accounts[lane.bot, lane.credential], names or {}) for lane in lanes],
        "limited": _by_name(ticks, LIMITED),
        "rest": _rest(posts),
        "doors": _by_name(ticks, DOORS),
        "apps": apps[:MAX_APPS],
        "ticks": _ticks(notices),
        "failing": [one._asdict() for one in failure_warnings(ticks)],
        "errors": errors[:MAX_ERRORS],
        "left_out": {
            "buckets": max(0, len(every_queue) - len(lanes)),
            "apps": len(apps[MAX_APPS:]),
            "calls": sum(app["calls"] for app in apps[MAX_APPS:]),
            "failures": sum(app["failures"] for app in apps[MAX_APPS:]),
            "errors": len(errors[MAX_ERRORS:]),
        },
    }


def _worker(post: Document) -> Document:
    return {name: value for name, value in post.items() if name not in {"format", "lanes", "failures"}}


def _rest(posts: Iterable[Document]) -> Document | None:
    """Return the addresses of the REST port and the number of workers that have and serve it; None without one."""
    own = [post for post in posts if post.get("rest")]  # an earlier release does not publish it
    if not own:
        return None
    return {
        "addresses": sorted({post["rest"] for post in own}),
        "workers": len(own),
        "open": sum(post["rest_open"] for post in own),
    }


def _circuit(circuit: CircuitState) -> Document:
    return {
        "state": circuit.state,
        "reason": circuit.reason,
        "open_for_s": circuit.open_for_s,
        "since_s": circuit.since_s,
        "invalid": circuit.invalid,
        "invalid_limit": BUDGET,
        "apps": [asdict(share) for share in circuit.apps[:MAX_APPS]],
        "problems": list(_circuit_problems(circuit)),
    }


def _circuit_problems(circuit: CircuitState) -> Iterator[str]:
    """Yield the reasons why calls are held back, in sentences with duration and applications."""
    if circuit.state != "closed":
        why = {
            "blocked": "Discord's edge blocks this machine's IP address",
            "spent": "nearly all invalid requests that Discord allows this machine's IP address are used up",
        }.get(circuit.reason, "calls are held back")
        worst = ", ".join(f"{share.app} ({share.invalid})" for share in circuit.apps[:3])
        worst_apps = f" Most invalid requests of the last ten minutes came from {worst}." if worst else ""
        state = circuit.state.replace("_", " ")
        yield f"The circuit has been {state} for {_span(circuit.since_s)}: {why}.{worst_apps}"
    for share in circuit.apps:
        if share.stopped:
            yield (
                f"The application {share.app} is stopped: its {share.invalid} invalid requests of the last ten minutes "
                "are its share of the limit for this machine's IP address; other applications continue."
            )


def _span(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < 120 else f"{minutes} min"  # noqa: PLR2004 - two minutes


def _global(account: AccountState) -> Document:
    return {
        "limit": account.global_limit,
        "taken": account.global_taken,
        "waiting": account.global_waiting,
        "blocked_for_s": account.blocked_for_s,
    }


def _gateway(state: GatewayState) -> Document:
    return {
        "ready": state.ready,
        "failure": state.login_problem,
        "identifies_left": state.identifies_left,
        "guilds": state.guilds,
        "channels": state.channels,
        "intents": list(state.intents),
        "shard_count": len(state.shards),
        "shards": [_shard(shard) for shard in state.shards[:MAX_SHARDS]],
    }


def _shard(shard: ShardState) -> Document:
    return {
        "shard": shard.slot.shard_id,
        "state": shard.state or "never started",
        "held": shard.held,
        "leader": shard.owner,
        "age_s": shard.age_s,
        "connected_since": shard.connected_since,
        "reason": shard.reason,
        **shard.counters,
    }


def _bucket(lane: Queue, account: AccountState, names: Mapping[tuple[str, str], str]) -> Document:
    route, _, major = lane.lane.partition("|")
    found = account.buckets[lane.bucket]
    return {
        "bot": lane.bot,
        "route": route,
        "major": major,
        "name": names.get((lane.bot, major), ""),
        "bucket": lane.bucket.partition("|")[0] if not lane.bucket.startswith("?") else "",
        "waiting": lane.waiting,
        "oldest_s": lane.oldest_s,
        **asdict(found),
    }


def _by_name(ticks: Iterable[Tick], kind: str) -> dict[str, int]:
    """Sum the counters with this prefix by the rest of their names, the largest first."""
    total: Counter[str] = Counter()
    for tick in ticks:
        total.update({name[len(kind) :]: number for name, number in tick.items() if name.startswith(kind)})
    return dict(total.most_common())


def _apps(ticks: Sequence[Tick]) -> list[Document]:
    failures = _by_name(ticks, FAILURES)
    return [
        {
            "app": app,
            "calls": calls,
            "failures": failures.get(app, 0),
            "series": [tick.get(CALLS + app, 0) for tick in ticks],
        }
        for app, calls in _by_name(ticks, CALLS).items()
    ]


def _ticks(notices: Snapshot) -> Document:
    """Return the series: one number per tick. The last tick is incomplete; latencies are None without calls."""
    ticks = notices.ticks
    latencies = [_classes(tick) for tick in ticks]
    return {
        "every_s": TICK_S,
        "last_at": notices.tick_at,
        "calls": [_sum(tick, CALLS) for tick in ticks],
        "failures": [_sum(tick, FAILURES) for tick in ticks],
        "requests": [tick.get(REQUESTS, 0) for tick in ticks],
        "limited": [_sum(tick, LIMITED) for tick in ticks],
        "p50_ms": [percentile(classes, 0.5) for classes in latencies],
        "p95_ms": [percentile(classes, 0.95) for classes in latencies],
    }


def _sum(tick: Tick, kind: str) -> int:
    return sum(number for name, number in tick.items() if name.startswith(kind))


def _classes(tick: Tick) -> list[int]:
    return [tick.get(f"{LATENCY}{index}", 0) for index in range(len(LATENCY_BOUNDS_MS) + 1)]


def percentile(classes: Sequence[int], share: float) -> float | None:
    """Return the latency in ms that `share` of the calls do not exceed, interpolated within its class."""
    left = share * sum(classes)
    if not left:
        return None
    bounds = (0, *LATENCY_BOUNDS_MS, MAX_LATENCY_MS)
    for count, low, high in zip(classes, bounds, bounds[1:], strict=True):
        if count >= left:
            return round(low + (high - low) * left / count, 1)
        left -= count
    return float(MAX_LATENCY_MS)  # rounding


def _errors(posts: Iterable[Document], now: float) -> list[Document]:
    merged: dict[tuple[Any, ...], Document] = {}
    for post in posts:
        for *kind, count, at, app, request_id in post["failures"]:
            known = merged.setdefault(tuple(kind), {"count": 0, "at": 0.0})
            known["count"] += count
            if at >= known["at"]:
                known |= {"at": at, "app": app, "request_id": request_id}
    latest = sorted(merged.items(), key=lambda item: -item[1]["at"])
    return [_error(*kind, seen=seen, now=now) for kind, seen in latest]


def _error(rpc: str, status: str, reason: str, http_status: int, code: int, *, seen: Document, now: float) -> Document:
    explanation = explain(status, reason, http_status, code)
    return {
        "rpc": rpc,
        "status": status,
        "reason": reason,
        "http_status": http_status,
        "code": code,
        "count": seen["count"],
        "app": seen["app"],
        "request_id": seen["request_id"],
        "ago_s": max(0.0, now - seen["at"]),
        **explanation._asdict(),
    }
