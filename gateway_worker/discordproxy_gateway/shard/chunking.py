"""Requests missing member lists at Discord's rate limit: guilds with readers first, then small ones.

It runs as a task of its own, so that waiting here delays no event. The planner processes the chunks.
"""

import asyncio
import contextlib
import logging
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from aiolimiter import AsyncLimiter
from redis.asyncio import Redis
from redis.exceptions import RedisError

from discordproxy_gateway.plan.member_operations import GuildState

log = logging.getLogger(__name__)

BURST, PER_MINUTE = 10, 90
"""Discord allows 120 sends per 60 s and connection (gateway, rate limiting): at most 100 of them are for lists."""

PER_GUILD_S = 30.0
"""Discord answers one full list per guild and 30 s (gateway events, request guild members)."""

CHUNK_TIMEOUT_S = 60.0
"""A list without a new chunk for this long is requested again."""

MIN_REFUSED_S, MAX_REFUSED_S = 1.0, 3600.0
"""Bounds of the wait after a refused request; it doubles with each refusal in a row."""

CHUNKER_EVENTS = frozenset({"READY", "RESUMED", "GUILD_CREATE", "GUILD_MEMBERS_CHUNK", "RATE_LIMITED"})
"""The events that concern requests for member lists."""

_IDLE_S = 5.0
_MAX_WANTED = 1000


def next_guild(
    guilds: Mapping[str, GuildState], *, wanted: Iterable[str], not_before: Mapping[str, float], now: float
) -> str | None:
    """Return the guild to request next, or None if no missing list may be requested now. Pure.

    Args:
        guilds: their states.
        wanted: guilds with readers, most urgent first.
        not_before: when a guild may be requested again.
        now: on the same clock.
    """

    def missing(guild_id: str) -> bool:
        state = guilds.get(guild_id)
        return (
            state is not None
            and str(guild_id).isdecimal()  # other ids are invalid
            and state.current
            and state.available
            and not state.complete
            and state.request is None
            and not_before.get(guild_id, now) <= now
        )

    urgent = next(filter(missing, wanted), None)
    if urgent is not None:
        return urgent
    return min(filter(missing, guilds), key=lambda guild_id: guilds[guild_id].size, default=None)


def refused_wait_s(retry_after: Any, refusals: int) -> float:
    """Return the wait in seconds after a refusal, the `refusals` + 1st in a row. Pure."""
    usable = isinstance(retry_after, int | float) and 0 <= retry_after < float("inf")
    advised_s = min(retry_after, MAX_REFUSED_S) if usable else PER_GUILD_S
    return max(advised_s, min(MIN_REFUSED_S * 2.0 ** min(refusals, 20), MAX_REFUSED_S))


class MemberRequester(Protocol):
    """The part of the socket that requests members."""

    async def request_chunks(self, guild_id: int, query: str | None = None, *, limit: int, nonce: str | None) -> None:
        """Send op 8."""


class Chunker:
    """Requests the missing member lists of one connection.

    Args:
        redis: client.
        wanted_key: sorted set of guilds with readers.
        guilds: the planner's state, which chunks and events change.
        record_request: called with guild id and nonce of each request before it is sent.
    """

    def __init__(
        self,
        redis: Redis,
        wanted_key: str,
        guilds: Mapping[str, GuildState],
        record_request: Callable[[str, str], None],
    ) -> None:
        self._redis = redis
        self._wanted_key = wanted_key
        self._guilds = guilds
        self._record_request = record_request
        self._limiter = AsyncLimiter(BURST, BURST * 60 / PER_MINUTE)
        self._wanted: list[str] = []
        self._not_before: dict[str, float] = {}
        self._progress_at: dict[str, float] = {}
        self._refusals: Counter[str] = Counter()
        self._changed = asyncio.Event()

    def on_event(self, name: str, data: Any) -> None:
        """Process a stored event; a malformed one may raise anything."""
        if name == "GUILD_MEMBERS_CHUNK":
            self._progress_at[data["guild_id"]] = asyncio.get_running_loop().time()
            self._refusals.pop(data["guild_id"], None)
        elif name == "RATE_LIMITED" and data.get("opcode") == 8:  # noqa: PLR2004 - request guild members
            meta = data.get("meta")
            self._refused(str(meta.get("guild_id")) if isinstance(meta, dict) else "", data.get("retry_after"))
        elif name in {"READY", "GUILD_CREATE", "RESUMED"}:
            self._changed.set()

    def _refused(self, guild_id: str, retry_after: Any) -> None:
        if guild_id in self._guilds:
            wait_s = refused_wait_s(retry_after, self._refusals[guild_id])
            self._refusals[guild_id] += 1
            self._guilds[guild_id].request = None
            self._not_before[guild_id] = asyncio.get_running_loop().time() + wait_s
            self._changed.set()

    async def run(self, socket: MemberRequester) -> None:
        """Request missing lists, forever."""
        clock = asyncio.get_running_loop().time
        while True:
            self._drop_stalled_requests(clock())
            await self._read_wanted()
            if self._next(clock()) is None:
                await self._wait_for_work(clock())
                continue
            await self._limiter.acquire()
            if (guild_id := self._next(clock())) is not None:  # another one may be more urgent by now
                await self._request(socket, guild_id, clock())

    def _next(self, now: float) -> str | None:
        return next_guild(self._guilds, wanted=self._wanted, not_before=self._not_before, now=now)

    async def _request(self, socket: MemberRequester, guild_id: str, now: float) -> None:
        nonce = secrets.token_hex(8)
        self._record_request(guild_id, nonce)
        self._not_before[guild_id] = now + PER_GUILD_S
        self._progress_at[guild_id] = now
        await socket.request_chunks(int(guild_id), "", limit=0, nonce=nonce)

    def _drop_stalled_requests(self, now: float) -> None:
        for guild_id, state in self._guilds.items():
            if state.request is not None and self._progress_at.get(guild_id, now) + CHUNK_TIMEOUT_S < now:
                log.warning("no members of guild %s for %.0f s, requesting again", guild_id, CHUNK_TIMEOUT_S)
                state.request = None

    async def _read_wanted(self) -> None:
        try:
            popped: list[Any] = await self._redis.zpopmin(self._wanted_key, 100)
        except (RedisError, OSError):
            return
        wanted = dict.fromkeys([*self._wanted, *(member.decode() for member, _ in popped)])
        # An unknown guild may still be announced.
        self._wanted = [each for each in wanted if each not in self._guilds or self._is_incomplete(each)][:_MAX_WANTED]

    def _is_incomplete(self, guild_id: str) -> bool:
        state = self._guilds.get(guild_id)
        return state is not None and not state.complete

    async def _wait_for_work(self, now: float) -> None:
        """Wait for a change, for a guild that may be requested again, or for the next check of `wanted_key`."""
        self._changed.clear()
        again = [at - now for guild_id, at in self._not_before.items() if at > now and self._is_incomplete(guild_id)]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(min([_IDLE_S, *again])):
                await self._changed.wait()
