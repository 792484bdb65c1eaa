"""Checks of a running Redis or Valkey server: availability, version, configuration, connected clients."""

import asyncio
import logging
import re
from collections.abc import Mapping
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from discordproxy_ratelimit.redis.client import connect
from discordproxy_ratelimit.redis.refusals import IS_REPLICA, failure_of, refusal_of
from discordproxy_ratelimit.redis.url import describe, is_encrypted, is_remote, parse

log = logging.getLogger("broker")

INSPECT_EVERY_S = 60.0
"""Interval at which a server that answers is inspected again: its memory may become full."""

_FULL = 0.95
"""Share of `maxmemory` that is reported: what remains is used in bursts."""

OLDEST = {"Redis": (7, 0), "Valkey": (7, 2)}
"""Lowest server versions that run the scripts."""


def version_of(info: Mapping[str, Any]) -> tuple[str, tuple[int, int], str]:
    """Return name, (major, minor) and full version from INFO. Valkey also reports a Redis version, for old clients."""
    name = "Valkey" if "valkey_version" in info else "Redis"
    full = str(info.get("valkey_version") or info.get("redis_version", "0.0"))
    major, minor, *_ = [*full.split("."), "0"]
    return name, (int(major), int(minor)), full


def problems_of(info: Mapping[str, Any], url: str) -> list[str]:
    """Return the problems that INFO shows, each as one sentence with its fix."""
    found = []
    name, version, full = version_of(info)
    if version < OLDEST[name]:
        found.append(
            f"{name} {full} is too old; {' or '.join(f'{n} {a}.{b}' for n, (a, b) in OLDEST.items())} is needed"
        )
    if (policy := info.get("maxmemory_policy", "noeviction")) != "noeviction":
        found.append(
            f"maxmemory-policy is {policy}: a full server would silently evict rate limits; set it to noeviction"
        )
    limit, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    if limit and used >= _FULL * limit:
        found.append(
            f"its memory is full ({used:,} of {limit:,} bytes), so it refuses writes or evicts rate limits; raise "
            "maxmemory, or remove data of other programs"
        )
    if info.get("role") == "slave" and parse(url).topology == "server":
        found.append(f"it {IS_REPLICA}")
    if is_remote(url) and not is_encrypted(url):
        found.append("the connection to another machine is not encrypted; use rediss:// or a private network")
    return found


async def inspect(client: Redis, url: str) -> tuple[str, list[str]]:
    """Return a label of the server, such as `Valkey 9.1.2`, and its problems.

    Raises:
        RedisError, OSError: it does not answer.
    """
    info = dict(await client.info("server"))
    info |= await client.info("memory")
    info |= await client.info("replication")
    found = problems_of(info, url)
    if refusal := await _script_refusal(client):
        found = [*(problem for problem in found if problem != refusal), refusal]
    name, _, full = version_of(info)
    return f"{name} {full}", found


async def _script_refusal(client: Redis) -> str:
    """Return why the server would refuse the broker's script, "" if it runs.

    The server decides that of a script with flags before its first command, so this one requires no key.
    """
    try:
        await client.eval("#!lua flags=allow-oom\nreturn 1", 0)  # type: ignore[no-untyped-call, misc, unused-ignore]
    except ResponseError as error:
        return f"it {refusal_of(error) or 'refuses scripts; see its log'}"
    return ""


async def inspect_url(url: str) -> tuple[str, list[str]] | None:
    """Return the result of `inspect` for the server at `url`, the refusal of one that refuses, None without answer."""
    client = connect(url)
    try:
        return await inspect(client, url)
    except (RedisError, OSError) as error:
        refusal = refusal_of(error)
        return ("Redis", [f"it {refusal}"]) if refusal else None
    finally:
        await client.aclose()


async def clients_gone(client: Redis, *, within_s: float) -> bool:
    """Wait until `client` has the server's only connection; return False if others remain after `within_s`."""
    try:
        async with asyncio.timeout(within_s):
            while (await client.info("clients"))["connected_clients"] > 1:  # noqa: ASYNC110 - the server offers no event
                await asyncio.sleep(0.05)
    except (TimeoutError, RedisError, OSError):
        return False
    return True


class Watch:
    """Pings a server; logs the changes of its state, and its problems."""

    def __init__(self, url: str, *, period_s: float = 1.0) -> None:
        self.answering: bool | None = None
        self._url = url
        self._period_s = period_s
        self._inspect_at = 0.0
        self._problems: list[str] = []

    async def run(self) -> None:
        """Ping until cancelled, whatever the server does."""
        client = connect(self._url)
        try:
            while True:
                await self.look(client)
                await asyncio.sleep(self._period_s)
        finally:
            await client.aclose()

    async def look(self, client: Redis) -> None:
        """Ping or inspect once; log a change of the state and new problems."""
        where, now = describe(self._url), asyncio.get_running_loop().time()
        try:
            if self.answering and now < self._inspect_at and await self._is_answered(client):
                return
            label, found = await inspect(client, self._url)
        except (RedisError, OSError) as error:
            if self.answering is not False:
                log.error("Redis at %s %s (nothing is sent meanwhile)", where, failure_of(error))  # noqa: TRY400
            self.answering = False
            return
        self._inspect_at = now + INSPECT_EVERY_S
        if not self.answering:
            self.answering, self._problems = True, []
            log.info("Redis at %s answers: %s", where, label)
        self._report(found, where)

    @staticmethod
    async def _is_answered(client: Redis) -> bool:
        """Return whether PING is answered; a server that cannot save refuses it and answers INFO."""
        try:
            await client.execute_command("PING")  # type: ignore[no-untyped-call]
        except ResponseError:
            return False
        return True

    def _report(self, found: list[str], where: str) -> None:
        """Log the problems that are new; their figures may change."""
        known = [_without_figures(problem) for problem in self._problems]
        for problem in found:
            if _without_figures(problem) not in known:
                log.log(_level_of(problem), "Redis at %s: %s", where, problem)
        self._problems = found


def _level_of(problem: str) -> int:
    """Return the level of a problem: `it does ...` prevents all calls, other sentences are about risks."""
    return logging.ERROR if problem.startswith("it ") else logging.WARNING


def _without_figures(problem: str) -> str:
    return re.sub(r"[0-9,]+", "", problem)
