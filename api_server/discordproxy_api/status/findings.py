"""Evaluates the results of the checks: each finding is good or contains a fix. Pure."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from discordproxy_api.status.document import Document

MAX_SKEW_S = 5.0
"""Larger differences break ages of messages and certificates. Discord's Date header has whole seconds."""

SLOW_S = 3.0

PORTAL = "https://discord.com/developers/applications"

_PRIVILEGED = {
    "presences": (1 << 12 | 1 << 13, "Presence Intent"),
    "members": (1 << 14 | 1 << 15, "Server Members Intent"),
    "message_content": (1 << 18 | 1 << 19, "Message Content Intent"),
}
"""Intent -> application flags that grant it (Discord: resources/application), its name in the portal."""


class Finding(NamedTuple):
    """The result of one check: its subject, whether it is good, the finding and the fix."""

    subject: str
    good: bool
    text: str
    fix: str = ""


def _good(subject: str, text: str) -> Finding:
    return Finding(subject, good=True, text=text)


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _bad(subject: str, text: str, fix: str = "") -> Finding:
    return Finding(subject, good=False, text=text, fix=fix)


def token(http_status: int, name: str, took_s: float, *, edge: bool = False) -> Finding:
    """Evaluate the response to a request for the bot's own user.

    Args:
        http_status: 0 for no response.
        name: the bot's user name.
        took_s: duration of the request.
        edge: the response came from Discord's edge or a proxy, which does not check the token.
    """
    if edge:
        fix = "Check whether Cloudflare blocks this machine's IP address, and what the HTTP proxy allows."
        return _bad("token", f"not checked: Discord's edge or an HTTP proxy answered {http_status}", fix)
    if 200 <= http_status < 300:  # noqa: PLR2004 - HTTP
        return _good("token", f"valid, the bot is {name}")
    if http_status == 401:  # noqa: PLR2004 - HTTP
        fix = f"Set DISCORD_BOT_TOKEN to a new token from the bot's page at {PORTAL}, and restart."
        return _bad("token", "Discord rejects the bot token", fix)
    if http_status:
        return _bad("token", f"Discord answered {http_status}", "Check discordstatus.com, then try again.")
    return _bad("token", f"not checked: no answer within {took_s:.1f} s", "See the finding about discord.")


def reachability(http_status: int, reason: str, took_s: float, url: str, problem: str = "") -> Finding:
    """Evaluate the response time of Discord, including the wait for a permit; `problem` is the text of a failure."""
    if not http_status:
        fixes = {
            "BROKER_UNAVAILABLE": "Redis does not answer, so no calls are sent: make sure that it runs.",
            "CIRCUIT_OPEN": "The circuit holds calls back; it closes again by itself.",
        }
        if reason not in fixes and "; " in problem:
            text, fix = _split(problem.removesuffix("."))
            return _bad("discord", f"no answer from {url}: {text}", fix)
        fix = fixes.get(reason, "Check the network, DNS, HTTPS_PROXY and DISCORDPROXY_DISCORD_URL.")
        return _bad("discord", f"no answer from {url}" + (f" ({reason})" if reason else ""), fix)
    if took_s > SLOW_S:
        fix = "Calls wait for rate limits, or the network is slow; the status shows the queues."
        return _bad("discord", f"{url} answers only after {took_s:.1f} s", fix)
    return _good("discord", f"{url} answers within {took_s * 1000:.0f} ms")


def clock(skew_s: float | None, against: str) -> Finding:
    """Evaluate how far this machine's clock is ahead of another one; None if unknown."""
    if skew_s is None:
        return _good("clock", f"{against} sent no time")
    if abs(skew_s) > MAX_SKEW_S:
        way = "ahead of" if skew_s > 0 else "behind"
        fix = "Synchronize it, for example with `timedatectl set-ntp true`."
        return _bad("clock", f"this machine's clock is {abs(skew_s):.0f} s {way} {against}'s", fix)
    return _good("clock", f"agrees with {against}'s")


def redis(label: str, problems: Iterable[str], where: str) -> list[Finding]:
    """Evaluate the shared server; each problem is a text with its fix after the last semicolon."""
    found = [_bad("redis", *_split(problem)) for problem in problems]
    return found or [_good("redis", f"{label} at {where}")]


def _split(problem: str) -> tuple[str, str]:
    text, _, fix = problem.rpartition("; ")
    return (text, f"{fix[:1].upper()}{fix[1:]}.") if text else (problem, "")


def no_redis(where: str) -> Finding:
    """Return the finding for a server that does not answer."""
    return _bad("redis", f"{where} does not answer", "Start it, or correct DISCORDPROXY_REDIS_URL.")


def gateway(state: Document, bot: str = "") -> Finding:
    """Evaluate the gateway of a bot; `bot` is its name if there are several."""
    subject = f"gateway {bot}".rstrip()
    if state["failure"]:
        fix = "If this names a setting, change it and restart the gateway; otherwise it retries by itself."
        return _bad(subject, state["failure"], fix)
    down = [shard for shard in state["shards"] if shard["state"] != "ready" or not shard["held"]]
    if not any(shard["held"] for shard in state["shards"]):
        fix = (
            "Start one: `python -m discordproxy_gateway`. Calls work without it, but caches and events are not updated."
        )
        return _bad(subject, "no gateway worker runs", fix)
    if down:
        reasons = "; ".join(filter(None, (shard["reason"] for shard in down))) or down[0]["state"]
        text = f"{len(down)} of {state['shard_count']} shards not connected: {reasons}"
        return _bad(subject, text, "They reconnect by themselves; if this lasts, see the log of the gateway.")
    return _good(subject, f"connected, {_number(state['shard_count'], 'shard')}, {_number(state['guilds'], 'guild')}")


def intents(wanted: Iterable[str], application: dict[str, Any] | None) -> Finding:
    """Evaluate whether Discord grants the configured privileged intents.

    Args:
        wanted: names of intents; empty if the gateway has never connected.
        application: Discord's application object, None if unknown.
    """
    names = list(wanted)
    if application is None or not names:
        return _good("intents", ", ".join(names) or "unknown until the gateway has connected")
    flags = application.get("flags") or 0
    missing = [_PRIVILEGED[name][1] for name in names if name in _PRIVILEGED and not flags & _PRIVILEGED[name][0]]
    if missing:
        fix = f"Enable it for the bot at {PORTAL}, or remove it from DISCORDPROXY_INTENTS."
        return _bad("intents", f"not granted by Discord: {', '.join(missing)}", fix)
    return _good("intents", ", ".join(names))


def interactions(application: dict[str, Any] | None) -> list[Finding]:
    """Return a finding if Discord sends interactions to a URL instead of the gateway."""
    if application is None or not application.get("interactions_endpoint_url"):
        return []
    fix = f"Remove the interactions endpoint URL at {PORTAL} to receive interactions as events."
    return [_bad("interactions", "Discord sends them to the application's endpoint URL, not to the gateway", fix)]


def circuit(document: Document) -> Finding:
    """Evaluate the share of invalid requests that this IP address has used."""
    state = document["circuit"]
    if state["problems"]:
        fix = "It closes again by itself. Find callers with wrong tokens, IDs or permissions in the recent errors."
        return _bad("circuit", " ".join(state["problems"]), fix)
    share = state["invalid"] / state["invalid_limit"]
    text = f"{state['invalid']} of {state['invalid_limit']} invalid requests used in ten minutes"
    if share > 0.5:  # noqa: PLR2004 - half
        return _bad("circuit", text, "Find the caller that causes 401, 403 and 429 in the recent errors.")
    return _good("circuit", text)


def workers(document: Document) -> Finding:
    """Evaluate whether all workers serve and have the same version."""
    found = document["workers"]
    versions = sorted({worker["version"] for worker in found})
    if len(versions) > 1:
        return _bad("workers", f"different versions: {', '.join(versions)}", "Finish the upgrade.")
    not_serving = [f"{worker['host']}:{worker['pid']}" for worker in found if worker["state"] != "serving"]
    if not_serving:
        text = f"{len(not_serving)} of {len(found)} not serving: {', '.join(not_serving[:5])}"
        return _bad("workers", text, "See their state with `discordproxy status`, and their lines in the log.")
    return _good("workers", f"{len(found)} serving")


def calls(document: Document) -> list[Finding]:
    """Evaluate the share of failed calls."""
    if document["failing"]:
        return [_bad("calls", one["text"].removesuffix("."), one["fix"]) for one in document["failing"]]
    ticks = document["ticks"]
    return [
        _good("calls", f"{sum(ticks['failures'])} of {_number(sum(ticks['calls']), 'call')} failed in five minutes")
    ]


def rest(host: str, port: int, *, is_open: bool, encrypted: bool, calls: int) -> Finding:
    """Evaluate the REST port; `calls` came through it in five minutes."""
    address = address_of(host, port)
    if not is_open:
        return _bad("rest", f"the REST port {address} accepts no connections", "Restart the worker.")
    base = f"http{'s' if encrypted else ''}://HOST:{port}/api/v10"
    text = f"the REST port {address} is open; base URL of a library: {base}; {_number(calls, 'call')} in five minutes"
    return _good("rest", text)


def address_of(host: str, port: int) -> str:
    """Return host and port as text."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def files(problems: Iterable[str]) -> list[Finding]:
    """Return the findings about files of certificates and keys whose content is not in use."""
    found = map(_split, problems)
    return [_bad("files", text, fix or "Correct the file; its previous content stays in use.") for text, fix in found]


def tls(host: str, *, local: bool, encrypted: bool, keys: bool) -> Finding:
    """Evaluate encryption and authentication on the network."""
    if local:
        return _good("tls", f"not needed: {host} is a loopback address")
    if not encrypted:
        fix = "Set DISCORDPROXY_TLS_CERT and DISCORDPROXY_TLS_KEY, unless a load balancer terminates TLS."
        return _bad("tls", f"connections to {host} are not encrypted", fix)
    if not keys:
        return _bad("tls", f"anyone can use the bot at {host}", "Set DISCORDPROXY_KEYS_FILE.")
    return _good("tls", f"connections to {host} are encrypted and authenticated")
