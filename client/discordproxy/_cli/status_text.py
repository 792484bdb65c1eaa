"""Formats the status document for a terminal. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_BUCKETS, _MAX_ERRORS = 10, 10


def problems_of(document: dict[str, Any]) -> list[str]:
    """Return the problems in the document as sentences."""
    found = [
        f"Worker {worker['host']}:{worker['pid']} is {worker['state']}."
        for worker in document["workers"]
        if worker["state"] != "serving"
    ]
    found += [
        f"Worker {worker['host']}:{worker['pid']}: the REST port {worker['rest']} is closed."
        for worker in document["workers"]
        if worker["state"] == "serving" and worker.get("rest") and not worker["rest_open"]
    ]
    found += document["circuit"].get("problems", [])
    for bot in document["bots"]:
        found += [f"{_of(bot)}{problem}" for problem in _problems_of_bot(bot)]
    found += [f"{one['text']} {one['fix']}".rstrip() for one in document.get("failing", ())]
    return found


def _of(bot: dict[str, Any]) -> str:
    return f"Bot {bot['bot']}: " if bot["bot"] else ""


def _problems_of_bot(bot: dict[str, Any]) -> Iterator[str]:
    blocked_for_s, gateway = bot["global"]["blocked_for_s"], bot["gateway"]
    if blocked_for_s > 0:
        yield f"Discord's global limit was hit; nothing is sent for {duration(blocked_for_s)}."
    if gateway["failure"]:
        yield gateway["failure"]
    elif not gateway["ready"]:
        yield "The gateway is not connected: messages are sent, but caches and events are not updated."


def text_of(document: dict[str, Any]) -> Iterator[str]:
    """Yield the lines of the status, without the problems."""
    yield from _overview(document)
    yield from _workers(document)
    for bot in document["bots"]:
        yield from _gateway(_of(bot), bot["gateway"])
    left_out = document.get("left_out", {})  # an earlier release of the proxy does not send it
    yield from _buckets(document["buckets"], left_out.get("buckets", 0))
    yield from _apps(document, left_out)
    yield from _errors(document["errors"], left_out.get("errors", 0))


def duration(seconds: float) -> str:
    """Return a duration as text, such as "3.2 s" or "5 min"."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:  # noqa: PLR2004 -- a minute
        return f"{seconds:.1f} s"
    minutes = int(seconds // 60)
    if minutes < 60:  # noqa: PLR2004 -- an hour
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min" if minutes < 24 * 60 else f"{minutes // 1440} d"


def _overview(document: dict[str, Any]) -> Iterator[str]:
    ticks = document["ticks"]
    calls, failures = sum(ticks["calls"]), sum(ticks["failures"])
    latest = ticks["calls"][-4:-1]
    rate = sum(latest) / len(latest) / ticks["every_s"] if latest else 0.0
    yield f"  calls    {rate:.1f} per second; {calls} in five minutes, {failures} failed"
    yield f"  latency  median {_latest(ticks['p50_ms'])}, 95 % within {_latest(ticks['p95_ms'])}"
    oldest = max((bucket["oldest_s"] for bucket in document["buckets"]), default=0.0)
    waits = f", the oldest for {duration(oldest)}" if document["waiting"] else ""
    yield f"  waiting  {_number(document['waiting'], 'call')}{waits}"
    for bot in document["bots"]:
        limit, of = bot["global"], f" ({bot['bot']})" if bot["bot"] else ""
        yield f"  global   {limit['taken']} of {limit['limit']} slots taken, {limit['waiting']} waiting for one{of}"
    circuit = document["circuit"]
    used = f"{circuit['invalid']} of {circuit['invalid_limit']} invalid requests in ten minutes"
    yield f"  circuit  {circuit['state'].replace('_', ' ')}, {used}"
    yield from _rest(document)
    if document["limited"]:
        scopes = ", ".join(f"{count} {scope}" for scope, count in document["limited"].items())
        yield f"  429s     {scopes} in five minutes"


def _rest(document: dict[str, Any]) -> Iterator[str]:
    rest = document.get("rest")  # an earlier release of the proxy does not send it
    if rest:
        calls, all_calls = document["doors"].get("http", 0), sum(document["doors"].values())
        where = f"{', '.join(rest['addresses'])}, open on {rest['open']} of {_number(rest['workers'], 'worker')}"
        yield f"  REST     {where}; {calls} of {_number(all_calls, 'call')} in five minutes"


def _latest(values: list[float | None]) -> str:
    found = next((value for value in reversed(values) if value is not None), None)
    return "unknown" if found is None else duration(found / 1000)


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _workers(document: dict[str, Any]) -> Iterator[str]:
    yield "Workers"
    for worker in document["workers"]:
        name = f"{worker['host']} #{worker['number']} (pid {worker['pid']})"
        up = duration(document["at"] - worker["started_at"])
        busy = f"{_number(worker['in_progress'], 'call')}, {worker['waiting']} waiting"
        yield f"  {name:32} {worker['state']:11} {busy}, up {up}, {worker['rss_mib']:.0f} MiB, {worker['version']}"


def _gateway(of: str, gateway: dict[str, Any]) -> Iterator[str]:
    left = gateway["identifies_left"]
    sessions = "" if left is None else f", {left} new sessions left today"
    yield f"{of}Gateway: {_number(gateway['guilds'], 'guild')} in the cache{sessions}"
    for shard in gateway["shards"]:
        state = shard["state"] if shard["held"] else "no leader"
        facts = [f"led by {shard['leader']}"] if shard["held"] else []
        facts += [f"{shard['latency_ms']} ms"] if "latency_ms" in shard else []
        facts += [_number(shard.get("events", 0), "event"), shard["reason"]]
        yield f"  shard {shard['shard']:<4} {state:11} {', '.join(filter(None, facts))}"
    yield from _more(gateway.get("shard_count", 0) - len(gateway["shards"]), 0)


def _buckets(buckets: list[dict[str, Any]], left_out: int) -> Iterator[str]:
    if buckets:
        yield "Buckets, busiest first"
    for bucket in buckets[:_MAX_BUCKETS]:
        known = bucket["limit"] is not None
        left = f"{bucket['remaining']} of {bucket['limit']} left" if known else "limit unknown"
        resets = f", full in {duration(bucket['reset_after_s'])}" if bucket["reset_after_s"] else ""
        waits = f", {bucket['waiting']} waiting for {duration(bucket['oldest_s'])}" if bucket["waiting"] else ""
        name = f"({_shown(bucket['name'])})" if bucket.get("name") else ""
        what = " ".join(filter(None, (bucket["bot"], bucket["route"], bucket["major"], name)))
        yield f"  {what}: {left}{resets}{waits}"
    yield from _more(len(buckets) - _MAX_BUCKETS, left_out)


def _shown(name: str) -> str:
    """Return a user-defined name without control characters, which a terminal might interpret."""
    return "".join(character for character in name if character.isprintable())


def _more(cut: int, left_out: int) -> Iterator[str]:
    if (count := max(0, cut) + left_out) > 0:
        yield f"  and {count} more"


def _apps(document: dict[str, Any], left_out: dict[str, int]) -> Iterator[str]:
    if document["apps"]:
        yield "Applications, in five minutes"
    for app in document["apps"]:
        yield f"  {app['app']:32} {_number(app['calls'], 'call')}, {app['failures']} failed"
    if count := left_out.get("apps", 0):
        yield f"  {f'and {count} more':32} {_number(left_out['calls'], 'call')}, {left_out['failures']} failed"


def _errors(errors: list[dict[str, Any]], left_out: int) -> Iterator[str]:
    if errors:
        yield "Recent errors"
    for error in errors[:_MAX_ERRORS]:
        code = f" code {error['code']}" if error["code"] else ""
        what = f"{error['rpc']} {error['status']} {error['reason']}".strip() + code
        yield f"  {what}: {error['count']} x, {duration(error['ago_s'])} ago, {error['app']} [{error['request_id']}]"
        yield f"    {error['meaning']}. {error['fix']}".rstrip()
    yield from _more(len(errors) - _MAX_ERRORS, left_out)
