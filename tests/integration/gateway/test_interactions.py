"""Interactions that nobody answers in time."""

import asyncio

from discordproxy_gateway.events import APPLICATION, DEFERRED, Interactions
from fakes.eventually import eventually


async def test_an_unanswered_interaction_is_deferred_once(start, discord, redis, keys, caplog):
    start(defer_after_s=0.05, defer_privately=False)
    await discord.until(lambda: discord.live)
    await discord.emit("INTERACTION_CREATE", {"id": "77", "token": "very-secret-token", "type": 2})
    await discord.until(lambda: discord.callbacks)
    assert discord.callbacks == [("77", {"type": 5})]
    assert await Interactions(redis, keys).claim(77, APPLICATION) == DEFERRED
    assert "very-secret-token" not in caplog.text


async def test_an_answered_interaction_is_left_alone(start, discord, redis, keys):
    start(defer_after_s=0.2)
    await discord.until(lambda: discord.live)
    assert await Interactions(redis, keys).claim(78, APPLICATION) is None
    await discord.emit("INTERACTION_CREATE", {"id": "78", "token": "t", "type": 2})
    await discord.emit("INTERACTION_CREATE", {"id": "79", "token": "t", "type": 3})
    await discord.until(lambda: discord.callbacks)
    assert discord.callbacks == [("79", {"type": 6})]


async def test_exactly_one_gives_the_first_response(redis, keys):
    interactions = Interactions(redis, keys)
    for number in range(100):
        answers = await asyncio.gather(interactions.claim(number, APPLICATION), interactions.claim(number, DEFERRED))
        assert answers.count(None) == 1
    await interactions.give_back(0)
    assert await interactions.claim(0, APPLICATION) is None


async def test_a_refused_callback_does_not_end_the_connection(start, discord, redis, keys):
    start(defer_after_s=0.01)
    await discord.until(lambda: discord.live)
    await discord.emit("INTERACTION_CREATE", {"id": "unknown/../x", "token": "t", "type": 2})
    await discord.emit("INTERACTION_CREATE", {"id": "80", "token": "t", "type": 2})
    await eventually(lambda: ("80", {"type": 5, "data": {"flags": 64}}) in discord.callbacks)
    assert discord.seen["connections"] == 1
