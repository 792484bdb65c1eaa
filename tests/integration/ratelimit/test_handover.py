"""The effects of one worker's call reach another worker, even if the first one makes no further call."""

import asyncio

import pytest

from discordproxy_ratelimit.broker import Broker, Limits
from discordproxy_ratelimit.headers import Answer
from discordproxy_ratelimit.permit import Permit
from discordproxy_ratelimit.route import Route, route_of, route_of_path
from discordproxy_sandbox.limits.limits import FixedWindow
from fakes.virtual_time import VirtualClock, run
from processes.fleet import fleet
from processes.redis_servers import subscribers
from strategies.discord_limits import FakeDiscord

ROUTE = route_of_path("GET", "/channels/81384788765712384")
KNOWN = Answer(200, "h1", 5, 4, 1_790_000_001_000, 1.0)


@pytest.mark.parametrize("answer", [KNOWN, Answer(200)], ids=["bucket", "headerless"])
def test_a_place_that_comes_to_wait_for_the_global_limit_is_served_in_time(valkey: str, answer: Answer) -> None:
    async def story(clock: VirtualClock) -> float:
        async with fleet(valkey, FakeDiscord(), 2, clock=clock, limits=Limits(global_limit=1)) as them:
            first, second = them.brokers
            async with first.acquire(ROUTE) as permit:
                waiting = asyncio.create_task(wait(second))
                await asyncio.sleep(0.2)
                assert second.waiting == 1
                permit.sent()
                permit.complete(answer)  # the last the first worker has to say
                began = clock.now
            await waiting
            return clock.now - began

    async def wait(broker: Broker) -> None:
        async with broker.acquire(ROUTE) as permit:
            permit.cancel()

    clock = VirtualClock()
    assert run(story(clock), clock) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("route", [ROUTE, route_of("POST", "/channels/{channel_id}/messages", {"channel_id": "1"})])
def test_the_end_of_a_permit_is_reported_at_once_when_another_workers_call_waits_for_it(
    valkey: str, route: Route
) -> None:
    async def story(clock: VirtualClock) -> float:
        discord = FakeDiscord(limiter=lambda _: FixedWindow(2, 60.0))
        async with fleet(valkey, discord, 2, clock=clock) as them:
            first, second = them.brokers
            await them.send(0, route)
            if not route.ordered:
                for pause_s in (31, 31, 61):  # until Reset has been seen to return all calls
                    await asyncio.sleep(pause_s)
                    await them.send(1, route)
                await asyncio.sleep(61)
            held = await first.acquire(route)
            also_held = None if route.ordered else await second.acquire(route)
            await asyncio.sleep(0.1)
            waiting = asyncio.create_task(acquire(second))
            await asyncio.sleep(0.1)
            assert second.waiting == 1
            began = clock.now
            held.cancel() if also_held else complete(held)
            (await waiting).cancel()
            if also_held:
                also_held.cancel()
            return clock.now - began

    async def acquire(broker: Broker) -> Permit:
        return await broker.acquire(route)

    def complete(permit: Permit) -> None:
        permit.sent()
        permit.complete(Answer(200, "h1", 5, 4, 1_790_000_001_000, 1.0))

    clock = VirtualClock()
    assert run(story(clock), clock) <= 0.003


def test_an_end_that_nobody_waits_for_travels_with_the_next_acquire(valkey: str) -> None:
    async def story(clock: VirtualClock) -> int:
        discord = FakeDiscord(limiter=lambda _: FixedWindow(50, 60.0))
        async with fleet(valkey, discord, 1, clock=clock) as them:
            await them.send(0, ROUTE)
            await asyncio.sleep(0.1)
            before = them.script_calls
            for _ in range(10):
                await them.send(0, ROUTE)
                await asyncio.sleep(0.015)
            return them.script_calls - before

    clock = VirtualClock()
    assert run(story(clock), clock) == 10


async def test_a_worker_that_is_ready_receives_hints(valkey: str, key_prefix: str) -> None:
    """A hint before the subscription is lost, and the call that it grants a permit waits for its deadline."""
    async with fleet(valkey, FakeDiscord(), 2, clock=None, prefix=key_prefix):
        channels = [f"{key_prefix}:in:{worker}" for worker in ("w0", "w1", "all")]
        assert subscribers(valkey, channels) == [1, 1, 2]
