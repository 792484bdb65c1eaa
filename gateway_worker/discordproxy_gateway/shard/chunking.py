"""Fills member lists at Discord's pace: guilds somebody reads first, then the small ones.

A task of its own, never part of reading: waiting here delays no event. What the chunks contain is the planner's
business; this decides only what to ask for next, and when.
"""

import asyncio
import contextlib
import logging
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from aiolimiter import AsyncLimiter
from redis.asyncio import Redis
from redis.exceptions import RedisError

from discordproxy_gateway.plan.member_operations import GuildMemory

log = logging.getLogger(__name__)

BURST, PER_MINUTE = 10, 90
"""Discord allows 120 sends per 60 s and connection (gateway, rate limiting): at most 100 of them are for lists."""

PER_GUILD_S = 30.0
"""Discord answers one full list per guild and 30 s (gateway events, request guild members)."""

PATIENCE_S = 60.0
"""A list without a new chunk for so long is asked for again."""

LEAST_REFUSED_S, LONGEST_REFUSED_S = 1.0, 3600.0
"""A guild whose request was refused is left alone for so long at least, and for longer with each refusal in a row."""

_IDLE_S = 5.0
_MOST_WISHES = 1000


def next_guild(
    guilds: Mapping[str, GuildMemory], *, wanted: Iterable[str], not_before: Mapping[str, float], now: float
) -> str | None:
    """Return the guild to ask for, or None if no list is missing that may be asked for now. Pure.

    Args:
        guilds: what is remembered of each.
        wanted: guilds somebody reads, most urgent first.
        not_before: when a guild may be asked for again.
        now: on the same clock.
    """

    def missing(guild_id: str) -> bool:
        memory = guilds.get(guild_id)
        return (
            memory is not None
            and str(guild_id).isdecimal()  # another id is none of Discord's
            and memory.current
            and memory.available
            and not memory.complete
            and memory.request is None
            and not_before.get(guild_id, now) <= now
        )

    urgent = next(filter(missing, wanted), None)
    if urgent is not None:
        return urgent
    return min(filter(missing, guilds), key=lambda guild_id: guilds[guild_id].size, default=None)


def refused_wait_s(retry_after: Any, refusals: int) -> float:
    """Return how long a guild is left alone after a refusal, the `refusals` + 1st in a row. Pure."""
    usable = isinstance(retry_after, int | float) and 0 <= retry_after < float("inf")
    asked_s = min(retry_after, LONGEST_REFUSED_S) if usable else PER_GUILD_S
    return max(asked_s, min(LEAST_REFUSED_S * 2.0 ** min(refusals, 20), LONGEST_REFUSED_S))


class Requests(Protocol):
    """The part of the socket that asks for members."""

    async def request_chunks(self, guild_id: int, query: str | None = None, *, limit: int, nonce: str | None) -> None:
        """Send op 8."""


class Chunker:
    """Asks for the member lists that are missing on one connection.

    Args:
        guilds: the planner's memory, which chunks and events change.
        wanted_key: sorted set of guilds somebody reads.
    """

    def __init__(self, redis: Redis, wanted_key: str, guilds: Mapping[str, GuildMemory], request: Any) -> None:
        self._redis = redis
        self._wanted_key = wanted_key
        self._guilds = guilds
        self._note_request = request
        self._limiter = AsyncLimiter(BURST, BURST * 60 / PER_MINUTE)
        self._wanted: list[str] = []
        self._not_before: dict[str, float] = {}
        self._progress_at: dict[str, float] = {}
        self._refusals: Counter[str] = Counter()
        self._news = asyncio.Event()

    def on_event(self, name: str, data: Any) -> None:
        """Look at an event that was stored; raises whatever an odd one causes."""
        if name == "GUILD_MEMBERS_CHUNK":
            self._progress_at[data["guild_id"]] = asyncio.get_running_loop().time()
            self._refusals.pop(data["guild_id"], None)
        elif name == "RATE_LIMITED" and data.get("opcode") == 8:  # noqa: PLR2004 - request guild members
            meta = data.get("meta")
            self._refused(str(meta.get("guild_id")) if isinstance(meta, dict) else "", data.get("retry_after"))
        elif name in {"READY", "GUILD_CREATE", "RESUMED"}:
            self._news.set()

    def _refused(self, guild_id: str, retry_after: Any) -> None:
        if guild_id in self._guilds:
            wait_s = refused_wait_s(retry_after, self._refusals[guild_id])
            self._refusals[guild_id] += 1
            self._guilds[guild_id].request = None
            self._not_before[guild_id] = asyncio.get_running_loop().time() + wait_s
            self._news.set()

    async def run(self, socket: Requests) -> None:
        """Request missing lists, forever."""
        clock = asyncio.get_running_loop().time
        while True:
            self._give_up_on_silent(clock())
            await self._read_wanted()
            if self._next(clock()) is None:
                await self._rest(clock())
                continue
            await self._limiter.acquire()
            if (guild_id := self._next(clock())) is not None:  # another one may be more urgent by now
                await self._request(socket, guild_id, clock())

    def _next(self, now: float) -> str | None:
        return next_guild(self._guilds, wanted=self._wanted, not_before=self._not_before, now=now)

    async def _request(self, socket: Requests, guild_id: str, now: float) -> None:
        nonce = secrets.token_hex(8)
        self._note_request(guild_id, nonce)
        self._not_before[guild_id] = now + PER_GUILD_S
        self._progress_at[guild_id] = now
        await socket.request_chunks(int(guild_id), "", limit=0, nonce=nonce)

    def _give_up_on_silent(self, now: float) -> None:
        for guild_id, memory in self._guilds.items():
            if memory.request is not None and self._progress_at.get(guild_id, now) + PATIENCE_S < now:
                log.warning("no members of guild %s for %.0f s, asking again", guild_id, PATIENCE_S)
                memory.request = None

    async def _read_wanted(self) -> None:
        try:
            popped: list[Any] = await self._redis.zpopmin(self._wanted_key, 100)
        except (RedisError, OSError):
            return
        wanted = dict.fromkeys([*self._wanted, *(member.decode() for member, _ in popped)])
        # A guild we know nothing of may still be announced.
        self._wanted = [each for each in wanted if each not in self._guilds or self._misses(each)][:_MOST_WISHES]

    def _misses(self, guild_id: str) -> bool:
        memory = self._guilds.get(guild_id)
        return memory is not None and not memory.complete

    async def _rest(self, now: float) -> None:
        """Wait for news, for a guild that may be asked for again, or for readers' wishes."""
        self._news.clear()
        again = [at - now for guild_id, at in self._not_before.items() if at > now and self._misses(guild_id)]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min([_IDLE_S, *again])):
                await self._news.wait()
