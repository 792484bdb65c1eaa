"""Judges what the doctor found out: each finding is good, or names its fix. Pure."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from discordproxy_api.status.document import Document

MAX_SKEW_S = 5.0
"""Clocks further apart make ids, ages of messages and certificates wrong; Discord tells whole seconds only."""

SLOW_S = 3.0

PORTAL = "https://discord.com/developers/applications"

_PRIVILEGED = {
    "presences": (1 << 12 | 1 << 13, "Presence Intent"),
    "members": (1 << 14 | 1 << 15, "Server Members Intent"),
    "message_content": (1 << 18 | 1 << 19, "Message Content Intent"),
}
"""Intent -> flags of the application that allow it (Discord: resources/application, application flags), its name."""


class Finding(NamedTuple):
    """The result of one check: what was looked at, whether it is as it should be, what was found, what to do."""

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
    """Judge the answer to the question who this bot is; status 0 means that no answer came.

    `edge`: Cloudflare's edge or a proxy on the way gave it, so that it says nothing about the token.
    """
    if edge:
        fix = "See whether Cloudflare blocks this machine's address, and what a proxy on the way allows."
        return _bad("token", f"not checked: Discord's edge or a proxy on the way answered {http_status}", fix)
    if 200 <= http_status < 300:  # noqa: PLR2004 - HTTP
        return _good("token", f"Discord knows the bot as {name}")
    if http_status == 401:  # noqa: PLR2004 - HTTP
        fix = f"Copy a new token from the bot's page of {PORTAL} into DISCORD_BOT_TOKEN and restart."
        return _bad("token", "Discord refuses the bot token", fix)
    if http_status:
        return _bad("token", f"Discord answered {http_status}", "Look at discordstatus.com, then try again.")
    return _bad("token", f"not checked: no answer within {took_s:.1f} s")


def reachability(http_status: int, reason: str, took_s: float, url: str) -> Finding:
    """Judge the way to Discord, the wait for a permit included."""
    if not http_status:
        fixes = {
            "BROKER_UNAVAILABLE": "Redis does not answer, so nothing is sent: see that it runs.",
            "CIRCUIT_OPEN": "Calls are held back for a while, see the circuit; it reopens by itself.",
        }
        fix = fixes.get(reason, "Check this machine's network, name service, HTTPS_PROXY and DISCORDPROXY_DISCORD_URL.")
        return _bad("discord", f"no answer from {url}" + (f" ({reason})" if reason else ""), fix)
    if took_s > SLOW_S:
        fix = "Calls wait for rate limits, or the network is slow: the status shows which."
        return _bad("discord", f"{url} answers, but only after {took_s:.1f} s", fix)
    return _good("discord", f"{url} answers within {took_s * 1000:.0f} ms")


def clock(skew_s: float | None, against: str) -> Finding:
    """Judge how far this machine's clock is ahead of another one; None is not known."""
    if skew_s is None:
        return _good("clock", f"{against} does not tell its time")
    if abs(skew_s) > MAX_SKEW_S:
        way = "ahead of" if skew_s > 0 else "behind"
        fix = "Let a time service set it, e.g. `timedatectl set-ntp true`."
        return _bad("clock", f"this machine's clock is {abs(skew_s):.0f} s {way} {against}'s", fix)
    return _good("clock", f"agrees with {against}'s")


def redis(label: str, problems: Iterable[str], where: str) -> list[Finding]:
    """Judge the server that all workers share; each problem is a sentence with its fix behind a semicolon or colon."""
    found = [_bad("redis", *_split(problem)) for problem in problems]
    return found or [_good("redis", f"{label} at {where}")]


def _split(problem: str) -> tuple[str, str]:
    text, _, fix = problem.rpartition("; ")
    return (text, f"{fix[:1].upper()}{fix[1:]}.") if text else (problem, "")


def no_redis(where: str) -> Finding:
    """Return the finding for a server that does not answer."""
    return _bad("redis", f"{where} does not answer", "Start it, or correct DISCORDPROXY_REDIS_URL.")


def gateway(state: Document, bot: str = "") -> Finding:
    """Judge the connection that fills a bot's caches and events; `bot` is its name among several."""
    subject = f"gateway {bot}".rstrip()
    if state["failure"]:
        fix = "If this names a setting or a switch, change it and restart the gateway; else it tries again by itself."
        return _bad(subject, state["failure"], fix)
    down = [shard for shard in state["shards"] if shard["state"] != "ready" or not shard["held"]]
    if not any(shard["held"] for shard in state["shards"]):
        fix = "Run one: `python -m discordproxy_gateway`. Messages are sent without it, caches and events stand still."
        return _bad(subject, "no gateway worker runs", fix)
    if down:
        told = "; ".join(filter(None, (shard["reason"] for shard in down))) or down[0]["state"]
        return _bad(subject, f"{len(down)} of {state['shard_count']} shards not connected: {told}")
    return _good(subject, f"connected, {_number(state['shard_count'], 'shard')}, {_number(state['guilds'], 'server')}")


def intents(wanted: Iterable[str], application: dict[str, Any] | None) -> Finding:
    """Judge whether Discord grants the privileged intents that the gateway asks for.

    Args:
        wanted: names of intents; none while the gateway has never connected.
        application: as Discord describes it, None if it did not.
    """
    names = list(wanted)
    if application is None or not names:
        return _good("intents", ", ".join(names) or "not known before the gateway has connected")
    flags = application.get("flags") or 0
    missing = [_PRIVILEGED[name][1] for name in names if name in _PRIVILEGED and not flags & _PRIVILEGED[name][0]]
    if missing:
        fix = f"Switch it on for the bot at {PORTAL}, or take it out of DISCORDPROXY_INTENTS."
        return _bad("intents", f"not granted by Discord: {', '.join(missing)}", fix)
    return _good("intents", ", ".join(names))


def interactions(application: dict[str, Any] | None) -> list[Finding]:
    """Judge where Discord sends slash commands and buttons; nothing to say if all is as it should be."""
    if application is None or not application.get("interactions_endpoint_url"):
        return []
    fix = f"Clear it at {PORTAL} if applications are to get interactions as events."
    return [_bad("interactions", "Discord sends them to a URL of the application, not to the gateway", fix)]


def circuit(document: Document) -> Finding:
    """Judge how near this address is to Discord's ban for invalid requests."""
    state = document["circuit"]
    if state["problems"]:
        fix = "It reopens by itself; look for callers with wrong tokens, ids or permissions among the recent errors."
        return _bad("circuit", " ".join(state["problems"]), fix)
    share = state["invalid"] / state["invalid_limit"]
    text = f"{state['invalid']} of {state['invalid_limit']} invalid requests used in ten minutes"
    if share > 0.5:  # noqa: PLR2004 - half
        return _bad("circuit", text, "Find the caller that earns 401, 403 and 429 among the recent errors.")
    return _good("circuit", text)


def workers(document: Document) -> Finding:
    """Judge whether all workers are of one version and serve."""
    found = document["workers"]
    versions = sorted({worker["version"] for worker in found})
    if len(versions) > 1:
        return _bad("workers", f"of different versions: {', '.join(versions)}", "Finish the upgrade.")
    silent = [f"{worker['host']}:{worker['pid']}" for worker in found if worker["state"] != "serving"]
    if silent:
        return _bad("workers", f"{len(silent)} of {len(found)} not serving: {', '.join(silent[:5])}")
    return _good("workers", f"{len(found)} serving")


def calls(document: Document) -> list[Finding]:
    """Judge how many calls fail."""
    if document["failing"]:
        return [_bad("calls", one["text"].removesuffix("."), one["fix"]) for one in document["failing"]]
    ticks = document["ticks"]
    return [
        _good("calls", f"{sum(ticks['failures'])} of {_number(sum(ticks['calls']), 'call')} failed in five minutes")
    ]


def exposure(host: str, *, local: bool, encrypted: bool, keys: bool) -> Finding:
    """Judge who can reach the proxy, and how."""
    if local:
        return _good("tls", f"not needed: only this machine reaches {host}")
    if not encrypted:
        fix = "Set DISCORDPROXY_TLS_CERT and DISCORDPROXY_TLS_KEY, unless something in front encrypts."
        return _bad("tls", f"{host} is reached without encryption", fix)
    if not keys:
        return _bad("tls", f"anybody may use the bot at {host}", "Set DISCORDPROXY_KEYS_FILE.")
    return _good("tls", f"{host} asks for encryption and for keys")
