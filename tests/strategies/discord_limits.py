"""A fake Discord that only applies limits: decides on each request at its arrival and records it."""

import asyncio
import random
import zlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from discordproxy_ratelimit.headers import Answer
from discordproxy_ratelimit.route import Route, route_of
from discordproxy_sandbox.limits.limits import Gcra, GlobalLimit, Limiter

Latency = Callable[[random.Random], tuple[float, float]]


def message_in(channel: int | str) -> Route:
    """Return the route of a new message: ordered, one bucket per channel."""
    return route_of("POST", "/channels/{channel_id}/messages", {"channel_id": str(channel)})


def role_in(guild: int | str) -> Route:
    """Return the route that gives a member a role: not ordered, one bucket per guild."""
    return route_of("PUT", "/guilds/{guild_id}/members/{user_id}/roles/{role_id}", {"guild_id": str(guild)})


def around(mean_s: float, jitter_s: float, spike: float = 0.0, spike_s: float = 0.3) -> Latency:
    """Return a latency (there, back) whose sum is `mean_s` +- `jitter_s`, with rare spikes."""

    def draw(rng: random.Random) -> tuple[float, float]:
        total = rng.uniform(mean_s - jitter_s, mean_s + jitter_s)
        there = total * rng.uniform(0.3, 0.7)
        extra = spike_s if rng.random() < spike else 0.0
        return there + (extra if rng.random() < 0.5 else 0.0), total - there + extra

    return draw


@dataclass(slots=True)
class Arrival:
    at: float
    route: Route
    status: int
    scope: str
    label: object


@dataclass
class Hidden:
    """A limiter that headers of successes do not show. Its 429s have `hash` and its own numbers, or `shown`."""

    limiter: Limiter
    hash: str = ""
    scope: str = "user"
    applies: Callable[[Route], bool] = lambda _: True
    shown: tuple[Any, ...] = ()

    def refusal(self, now: float) -> Answer | None:
        decision = self.limiter.hit(now)
        if decision.allowed:
            return None
        numbers = self.shown
        if self.hash:
            numbers = (self.hash, decision.limit, 0, round(decision.reset * 1000), round(decision.reset_after, 3))
        return Answer(429, *numbers, retry_after_s=decision.retry_after, scope=self.scope)


@dataclass
class FakeDiscord:
    """A Discord with one limiter per (hash, major) and a global one, and hidden ones beside them."""

    seed: int = 0
    latency: Latency = field(default_factory=lambda: around(0.03, 0.01))
    limiter: Callable[[Route], Limiter | None] = lambda _: Gcra(5, 5.0)
    hash_of: Callable[[Route], str] = lambda route: f"h{(zlib.crc32(route.name.encode()))}"
    counter_of: Callable[[Route], str] = lambda _: ""  # a route that counts apart from others with its hash
    global_limit: GlobalLimit = field(default_factory=lambda: GlobalLimit(10_000))
    clock_offset_s: float = 0.0
    hidden: list[Hidden] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.buckets: dict[tuple[str, str], Limiter | None] = {}
        self.arrivals: list[Arrival] = []
        self.in_flight: defaultdict[str, int] = defaultdict(int)
        self.faults: list[Callable[[Route], Answer | BaseException | None]] = []

    @property
    def too_many(self) -> list[Arrival]:
        return [arrival for arrival in self.arrivals if arrival.status == 429]

    def accepted(self) -> list[Arrival]:
        return [arrival for arrival in self.arrivals if arrival.status == 200]

    async def request(self, route: Route, label: object = None) -> Answer:
        there, back = self.latency(self.rng)
        await asyncio.sleep(there)
        answer = self._judge(route, asyncio.get_running_loop().time() + self.clock_offset_s, label)
        await asyncio.sleep(back)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def _judge(self, route: Route, now: float, label: object) -> Answer | BaseException:
        for fault in self.faults:
            result = fault(route)
            if result is not None:
                status = result.status if isinstance(result, Answer) else 0
                self.arrivals.append(Arrival(now, route, status, "injected", label))
                return result
        if not route.exempt and route.credential == "bot":
            decision = self.global_limit.hit(now)
            if not decision.allowed:
                self.arrivals.append(Arrival(now, route, 429, "global", label))
                return Answer(429, retry_after_s=decision.retry_after, scope="global")
        if refusal := next(filter(None, (one.refusal(now) for one in self.hidden if one.applies(route))), None):
            self.arrivals.append(Arrival(now, route, 429, "hidden", label))
            return refusal
        name = self.hash_of(route)
        key = (self.counter_of(route) or name, route.major)
        if key not in self.buckets:
            self.buckets[key] = self.limiter(route)
        limiter = self.buckets[key]
        if limiter is None:
            self.arrivals.append(Arrival(now, route, 200, "", label))
            return Answer(200)
        decision = limiter.hit(now)
        status = 200 if decision.allowed else 429
        self.arrivals.append(Arrival(now, route, status, "" if decision.allowed else "user", label))
        return Answer(
            status,
            name,
            decision.limit,
            decision.remaining,
            round(decision.reset * 1000),
            round(decision.reset_after, 3),
            retry_after_s=None if decision.allowed else decision.retry_after,
            scope="" if decision.allowed else "user",
        )


class WithoutReset(FakeDiscord):
    """Sends no X-RateLimit-Reset."""

    async def request(self, route: Route, label: object = None) -> Answer:
        return replace(await super().request(route, label), reset_ms=0)
