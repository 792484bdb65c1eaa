"""Clients that wait for each response before their next call, beside a backlog of other applications."""

import asyncio
import itertools
from typing import Any

import pytest

from discordproxy_ratelimit.broker import Caller
from discordproxy_sandbox.limits.limits import FixedWindow, Gcra, GlobalLimit
from fakes.virtual_time import VirtualClock, run
from processes.fleet import Fleet, fleet
from strategies.discord_limits import FakeDiscord, message_in, role_in

KINDS = {"fixed": FixedWindow, "leaky": Gcra}
BULK_CHANNELS = 150
SPACING_S, RTT_S = 0.1, 0.04
"""Ten of the fifty slots are evenly spaced; the longest round trip of the fake Discord."""


def discord_of(kind: str) -> FakeDiscord:
    return FakeDiscord(limiter=lambda _: KINDS[kind](5, 5.0), global_limit=GlobalLimit(50, "sliding"))


def backlog(workers: Any, messages: int, *apps: str) -> list["asyncio.Task[int]"]:
    """Submit messages of applications to the same channels, all at once."""
    return [
        asyncio.create_task(workers.send(n % 2, message_in(n % BULK_CHANNELS), "bulk", caller=Caller(app)))
        for n, app in zip(range(messages), itertools.cycle(apps), strict=False)
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_that_waits_for_each_response_keeps_its_share(valkey, kind):
    """Slots that are free in one burst a second would leave it one or two calls a second."""
    clock, discord = VirtualClock(), discord_of(kind)

    async def one_at_a_time(workers: Any) -> None:
        for number in itertools.count(BULK_CHANNELS):
            await workers.send(1, message_in(number), "single", caller=Caller("single"))

    async def story() -> float:
        async with fleet(valkey, discord, 2, clock=clock) as workers:
            bulk = backlog(workers, 450, "one", "two")
            began = clock.now
            single = asyncio.create_task(one_at_a_time(workers))
            await asyncio.gather(*bulk)
            single.cancel()
            return began

    began = run(story(), clock)
    bulk_till = max(arrival.at for arrival in discord.arrivals if arrival.label == "bulk")
    seconds = [int(a.at - began) for a in discord.accepted() if a.label == "single" and a.at < bulk_till]
    assert all(seconds.count(second) >= 8 for second in range(2, int(bulk_till - began))), seconds
    assert bulk_till - began <= 450 / (50 * 2 / 3) + 1.5
    assert discord.too_many == []


@pytest.mark.parametrize("apps", [1, 2])
@pytest.mark.parametrize("priority", ["normal", "high"])
def test_a_call_passes_a_backlog_for_the_same_channels(valkey, priority, apps):
    """One call of each other application is ahead of it in its channel; none of them waits for the backlog."""
    clock, discord = VirtualClock(), discord_of("leaky")

    async def story() -> list[float]:
        async with fleet(valkey, discord, 2, clock=clock) as workers:
            bulk = backlog(workers, 1000, *(f"bulk {n}" for n in range(apps)))
            waits = []
            for number in range(6):
                await asyncio.sleep(1.13)  # another instant of each second
                began = clock.now
                await workers.send(1, message_in(number), caller=Caller("alert", priority))
                waits.append(clock.now - began)
            await asyncio.gather(*bulk)
            return waits

    waits = run(story(), clock)
    assert discord.too_many == []
    assert max(waits) <= (apps + 1) * (SPACING_S + RTT_S), waits


@pytest.mark.parametrize("weight", [1, 5])
@pytest.mark.parametrize("apps", [1, 2])
def test_many_calls_of_an_application_pass_a_backlog_for_the_same_channels(valkey, apps, weight):
    """It gets its share of the global limit, though each of its calls has calls of others ahead of it."""
    clock, discord = VirtualClock(), discord_of("leaky")
    names = [f"bulk {n}" for n in range(apps)]
    channels, shop_channels, each = 800, range(703, 723), 3

    async def shop(workers: Any, channel: int) -> None:
        await workers.send(1, message_in(channel), "shop", caller=Caller("shop"))

    async def story() -> float:
        async with fleet(valkey, discord, 2, clock=clock) as workers:
            bulk = [
                asyncio.create_task(
                    workers.send(n % 2, message_in(n % channels), "bulk", caller=Caller(app, weight=weight))
                )
                for n, app in zip(range(3 * channels), itertools.cycle(names), strict=False)
            ]
            await asyncio.sleep(1.5)
            began = clock.now
            calls = [asyncio.create_task(shop(workers, 10_000 + n)) for n in range(8)]
            calls += [asyncio.create_task(shop(workers, channel)) for _ in range(each) for channel in shop_channels]
            await asyncio.gather(*calls)
            shop_s = clock.now - began
            await asyncio.gather(*bulk)
            return shop_s

    share = 1 / (1 + apps * weight)
    assert run(story(), clock) <= (8 + each * len(shop_channels)) / (50 * share) * 1.15 + 1.5
    assert discord.too_many == []
    bulk_till = max(arrival.at for arrival in discord.arrivals if arrival.label == "bulk")
    assert bulk_till - discord.arrivals[0].at <= len(discord.arrivals) / 50 / 0.95


def test_a_backlog_of_one_application_still_leaves_in_bursts(valkey):
    """Evenly spaced slots cost up to a second at the end; nobody needs them here."""
    clock, discord = VirtualClock(), discord_of("leaky")

    async def story() -> float:
        async with fleet(valkey, discord, 2, clock=clock) as workers:
            began = clock.now
            calls = [
                asyncio.create_task(workers.send(n % 2, role_in(n % 150), caller=Caller("one"))) for n in range(600)
            ]
            await asyncio.gather(*calls)
            return clock.now - began

    assert run(story(), clock) <= 11.0 / 0.95
    assert discord.too_many == []


def test_redis_clock_steps_back_by_an_hour(valkey):
    """Instants of the former clock must not hold back the slots that are evenly spaced."""
    clock, discord = VirtualClock(), discord_of("leaky")
    step = {"us": 0}

    async def single(workers: Any) -> None:
        for number in range(BULK_CHANNELS, BULK_CHANNELS + 60):
            await workers.send(1, message_in(number), "single", caller=Caller("single"))

    async def story() -> float:
        workers = Fleet(valkey, discord, 2, clock=clock)
        for broker in workers.brokers:
            broker._clock = lambda: clock.us() + step["us"]
        await workers.start()
        began = clock.now
        calls = [*backlog(workers, 400, "one", "two"), asyncio.create_task(single(workers))]
        await asyncio.sleep(4)
        step["us"] = -3_600_000_000
        await asyncio.gather(*calls)
        await workers.aclose()
        return clock.now - began

    assert run(story(), clock) <= 460 / 40 + 5
    assert discord.too_many == []
