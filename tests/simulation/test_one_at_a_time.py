"""Clients that send one message at a time to each of many channels, close to the global limit.

A call is charged to its bucket before it waits for a global slot, so its bucket's window may turn while it waits.
"""

import asyncio
import random

import pytest

from discordproxy_ratelimit.broker import Limits
from discordproxy_sandbox.limits.limits import FixedWindow, Gcra, GlobalLimit
from fakes.virtual_time import VirtualClock, run
from processes.fleet import Fleet, fleet
from strategies.discord_limits import FakeDiscord, Latency, around, message_in, role_in

KINDS = {"fixed": FixedWindow, "leaky": Gcra}
CHANNELS, MESSAGES = 16, 12
STORIES = ("ordered", "not ordered", "each way on its own", "a crowd", "lost hints", "any worker", "pauses")


def each_way(most_s: float) -> Latency:
    """A way there and a way back that have nothing to do with each other: one answer's way back may take no time."""
    return lambda rng: (rng.uniform(0.0005, most_s), rng.uniform(0.0005, most_s))


class Story:
    """Everything that varies, drawn from one seed."""

    def __init__(self, title: str, kind: str, seed: int) -> None:
        self.title, self.rng, self.clock = title, random.Random(seed), VirtualClock()
        rng = self.rng
        common = [
            around(0.13, 0.06),
            around(0.03, 0.01),
            around(0.01, 0.008),
            around(0.13, 0.06, 0.02),
            around(0.06, 0.05),
        ]
        latency = rng.choice(common)
        if title == "each way on its own":
            latency = each_way(rng.choice([0.01, 0.05, 0.1]))
        model = rng.choice(["sliding", "aligned", "first_request", "gcra"])
        self.most = rng.choice([16, 18, 20, 25, 30, 50])
        self.discord = FakeDiscord(
            seed=seed,
            latency=latency,
            limiter=lambda _: KINDS[kind](5, 5.0),
            global_limit=GlobalLimit(self.most, model),
        )
        self.clock.now += rng.random() * 3

    async def one(self, workers: Fleet, channel: int, messages: int) -> None:
        route = role_in(channel) if self.title == "not ordered" else message_in(channel)
        for number in range(messages):
            worker = self.rng.randrange(2) if self.title == "any worker" else channel % 2
            assert await workers.send(worker, route, (channel, number)) == 200
            if self.title == "pauses" and self.rng.random() < 0.2:
                await asyncio.sleep(self.rng.uniform(0, 1.5))

    def lose_hints(self, workers: Fleet) -> None:
        for broker in workers.brokers:
            on_hint = broker._on_hint
            broker._on_hint = lambda *hint, on_hint=on_hint: self.rng.random() < 0.7 and on_hint(*hint)

    async def tell(self, url: str) -> None:
        async with fleet(url, self.discord, 2, clock=self.clock, limits=Limits(global_limit=self.most)) as workers:
            if self.title == "lost hints":
                self.lose_hints(workers)
            jobs = [self.one(workers, channel, MESSAGES) for channel in range(CHANNELS)]
            if self.title == "a crowd":
                jobs += [self.one(workers, 100 + self.rng.randrange(60), 1) for _ in range(200)]
            await asyncio.gather(*jobs)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("title", "seed"),
    [
        *((title, number) for number, title in enumerate(STORIES)),
        *(("each way on its own", n) for n in (214, 219, 221)),
    ],
)
def test_no_message_is_refused(valkey, title, seed, kind):
    story = Story(title, kind, seed)
    run(story.tell(valkey), story.clock)
    assert story.discord.too_many == []
