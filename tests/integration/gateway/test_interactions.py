"""Interactions that nobody answers in time."""

import asyncio

from discordproxy_gateway.events import Deferral, Interactions
from fakes.eventually import eventually

LATER = Deferral(5, "42")


async def test_an_unanswered_interaction_is_deferred_once(start, discord, redis, keys, caplog):
    start(defer_after_s=0.05, defer_privately=False)
    await discord.until(lambda: discord.live)
    interaction = {"id": "77", "application_id": "42", "token": "very-secret-token", "type": 2}
    await discord.emit("INTERACTION_CREATE", interaction)
    await discord.until(lambda: discord.callbacks)
    assert discord.callbacks == [("77", {"type": 5})]
    interactions = Interactions(redis, keys)

    async def given() -> bool:
        return await interactions.claim_response(77) == Deferral(5, "42", given=True)

    await eventually(given)
    assert "very-secret-token" not in caplog.text


async def test_an_answered_interaction_is_left_alone(start, discord, redis, keys):
    start(defer_after_s=0.2)
    await discord.until(lambda: discord.live)
    assert await Interactions(redis, keys).claim_response(78) is None
    await discord.emit("INTERACTION_CREATE", {"id": "78", "token": "t", "type": 2})
    await discord.emit("INTERACTION_CREATE", {"id": "79", "token": "t", "type": 3})
    await discord.until(lambda: discord.callbacks)
    assert discord.callbacks == [("79", {"type": 6})]


async def test_exactly_one_gives_the_first_response(redis, keys):
    interactions = Interactions(redis, keys)
    for number in range(100):
        answered, deferred = await asyncio.gather(
            interactions.claim_response(number), interactions.defer(number, LATER)
        )
        assert (answered is None) != deferred
        assert answered in {None, LATER}
        assert await interactions.claim_response(number) == answered  # asking again changes nothing
    await interactions.release(0)
    assert await interactions.claim_response(0) is None


async def test_a_claim_is_released_if_discord_rejects_the_response(start, discord, redis, keys, caplog):
    start(defer_after_s=0.01)
    await discord.until(lambda: discord.live)
    discord.callback_status = 404
    await discord.emit("INTERACTION_CREATE", {"id": "81", "token": "very-secret-token", "type": 2})
    await discord.until(lambda: discord.callbacks)

    async def free() -> bool:
        return await Interactions(redis, keys).claim_response(81) is None

    await eventually(free)
    assert "could not be deferred" in caplog.text
    assert "very-secret-token" not in caplog.text


async def test_a_refused_callback_does_not_end_the_connection(start, discord, redis, keys):
    start(defer_after_s=0.01)
    await discord.until(lambda: discord.live)
    await discord.emit("INTERACTION_CREATE", {"id": "unknown/../x", "token": "t", "type": 2})
    await discord.emit("INTERACTION_CREATE", {"id": "80", "token": "t", "type": 2})
    await eventually(lambda: ("80", {"type": 5, "data": {"flags": 64}}) in discord.callbacks)
    assert discord.seen["connections"] == 1


async def test_an_endpoint_that_takes_interactions_away_is_reported(start, discord, caplog):
    discord.interactions_endpoint = "https://example.org/interactions"
    start()
    await eventually(lambda: "interactions endpoint URL" in caplog.text)
    await discord.until(lambda: discord.live)
