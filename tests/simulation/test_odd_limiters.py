"""Limiters that Discord does not describe: their Reset does not return all calls, or others use their bucket."""

import asyncio
import itertools

import pytest

from discordproxy_ratelimit.route import route_of
from discordproxy_sandbox.limits.limits import FixedWindow, Gcra, SlidingWindow
from fakes.virtual_time import VirtualClock, run
from processes.fleet import fleet
from strategies.discord_limits import FakeDiscord, WithoutReset, around, message_in, role_in
from strategies.odd_limits import NextToken, OldestHit

MANY = 1000  # tries: a call fails by its deadline alone
CAUTION_S = 600.0
KINDS = {"next token": NextToken, "oldest hit": OldestHit, "sliding": SlidingWindow}
LIMITS = [(3, 1.0), (5, 2.0), (5, 5.0), (30, 20.0)]


def discord_with(kind: type, limit: int, window_s: float, *, with_reset: bool = True) -> FakeDiscord:
    discord = FakeDiscord if with_reset else WithoutReset
    return discord(limiter=lambda _: kind(limit, window_s), latency=around(0.1, 0.05))


@pytest.mark.parametrize("with_reset", [True, False], ids=["with Reset", "without"])
@pytest.mark.parametrize("limit", LIMITS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_an_odd_limiter_refuses_nothing(valkey, kind, limit, with_reset):
    clock = VirtualClock()
    discord = discord_with(KINDS[kind], *limit, with_reset=with_reset)
    calls, windows = 15 * limit[0], 15

    async def one(send, number: int, apart_s: float) -> int:
        await asyncio.sleep(number * apart_s)
        return await send(number % 2, role_in(1), number, tries=MANY)

    async def story() -> list[float]:
        async with fleet(valkey, discord, 2, clock=clock) as workers:
            took_s = []
            for apart_s in (0.0, 0.8 * limit[1] / limit[0]):  # all at once, and a little faster than the limit
                began = clock.now
                sending = [one(workers.send, number, apart_s) for number in range(calls)]
                assert await asyncio.gather(*sending) == [200] * calls
                took_s.append(clock.now - began)
            return took_s

    took_s = run(story(), clock)
    assert discord.too_many == []
    assert max(took_s) <= 1.25 * windows * limit[1]


@pytest.mark.parametrize("kind", ["next token", "oldest hit"])
def test_a_bucket_that_turns_odd_costs_the_calls_of_one_window(valkey, kind):
    clock = VirtualClock()
    discord = discord_with(FixedWindow, 5, 50.0)

    async def story() -> None:
        async with fleet(valkey, discord, 2, clock=clock) as workers:

            async def busy(n: int) -> None:
                while clock.now < ends_at:
                    assert await workers.send(n % 2, role_in(1), n, tries=MANY) == 200

            for kind_, lasts_s in ((FixedWindow, 300.0), (KINDS[kind], 3 * CAUTION_S)):
                discord.buckets = dict.fromkeys(discord.buckets, kind_(5, 50.0))
                ends_at = clock.now + lasts_s
                await asyncio.gather(*(busy(n) for n in range(12)))

    run(story(), clock)
    assert 0 < len(discord.too_many) <= 5


@pytest.mark.parametrize("apart_s", [2.0, 8.0])
@pytest.mark.parametrize("kind", [FixedWindow, Gcra])
def test_a_usual_bucket_that_another_program_uses_is_still_used_up(valkey, kind, apart_s):
    clock = VirtualClock()
    discord, calls = discord_with(kind, 5, 5.0), 200
    others = itertools.count()

    async def another_program() -> None:
        while True:
            await asyncio.sleep(apart_s)
            for bucket in discord.buckets.values():
                if bucket.hit(clock.now).allowed:
                    next(others)

    async def story() -> float:
        async with fleet(valkey, discord, 2, clock=clock) as workers:
            began, another = clock.now, asyncio.create_task(another_program())
            sending = [workers.send(n % 2, role_in(1), n, tries=MANY) for n in range(calls)]
            assert await asyncio.gather(*sending) == [200] * calls
            another.cancel()
            return clock.now - began

    took_s = run(story(), clock)
    assert len(discord.too_many) <= 20
    assert (calls + next(others)) / (5 + took_s) >= 0.95


def test_messages_of_a_channel_need_no_caution(valkey):
    clock = VirtualClock()
    discord = discord_with(NextToken, 5, 5.0)

    async def story() -> float:
        async with fleet(valkey, discord, 2, clock=clock) as workers:
            began = clock.now
            sending = [workers.send(n % 2, message_in(1), n) for n in range(50)]
            assert await asyncio.gather(*sending) == [200] * 50
            return clock.now - began

    assert run(story(), clock) <= 47.0
    assert discord.too_many == []


@pytest.mark.parametrize("kind", [FixedWindow, Gcra])
@pytest.mark.parametrize("limits", [(3, 30), (3, 5)], ids=str)
def test_routes_that_share_a_hash_and_count_apart(valkey, kind, limits):
    clock = VirtualClock()
    add, remove = (
        route_of(method, "/guilds/{guild_id}/bans/{user_id}", {"guild_id": "1"}) for method in ("PUT", "DELETE")
    )
    discord = discord_with(kind, 5, 5.0)
    discord.hash_of, discord.counter_of = lambda _: "shared", lambda route: route.name
    discord.limiter = lambda route: kind(limits[route.name == remove.name], 5.0)

    async def story() -> list[int]:
        async with fleet(valkey, discord, 2, clock=clock) as workers:
            refused = []
            for _ in range(3):
                routes = [add] * 12 * limits[0] + [remove] * 12 * limits[1]
                began, before = clock.now, len(discord.too_many)
                sending = [workers.send(n % 2, route, n, tries=MANY) for n, route in enumerate(routes)]
                assert await asyncio.gather(*sending) == [200] * len(routes)
                assert clock.now - began <= 2.2 * 60.0  # as if they counted together
                refused.append(len(discord.too_many) - before)
            return refused

    first, *later = run(story(), clock)
    assert first <= 15  # a burst of the larger one grows to half of it
    assert sum(later) <= 4
