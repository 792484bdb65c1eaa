"""What one worker's call sets in motion for another one reaches it, though the first never calls again."""

import asyncio

import pytest

from discordproxy_ratelimit.broker import Broker, Limits
from discordproxy_ratelimit.headers import Answer
from discordproxy_ratelimit.route import route_of_path
from fakes.virtual_time import VirtualClock, run
from processes.fleet import fleet
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
