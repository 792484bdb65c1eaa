"""A beginning drain ends waits, and nothing else."""

import asyncio

import pytest

from discordproxy_api.calls.drain import Drain
from discordproxy_api.calls.errors import ApiError


async def test_waits_end_at_once():
    drain = Drain()

    async def wait():
        async with drain.interruptible():
            await asyncio.Event().wait()

    tasks = [asyncio.ensure_future(wait()) for _ in range(3)]
    await asyncio.sleep(0)
    drain.begin()
    for task in tasks:
        with pytest.raises(ApiError) as refused:
            await task
        assert (refused.value.reason, refused.value.status) == ("DRAINING", "UNAVAILABLE")
        assert refused.value.retry_after_s


async def test_a_wait_after_the_beginning_is_refused():
    drain = Drain()
    drain.begin()
    assert drain.begun
    with pytest.raises(ApiError):
        async with drain.interruptible():
            pytest.fail("must not be entered")


async def test_a_drain_does_not_cancel_the_task_of_a_wait_that_has_ended():
    drain, task = Drain(), asyncio.current_task()
    async with drain.interruptible():
        pass
    drain.begin()
    await asyncio.sleep(0)
    assert task.cancelling() == 0


async def test_other_timeouts_and_cancellations_keep_their_meaning():
    drain = Drain()
    with pytest.raises(TimeoutError):
        async with drain.interruptible():
            raise TimeoutError
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0), drain.interruptible():
            await asyncio.Event().wait()


async def test_responses_are_held_back_while_connections_are_being_closed():
    drain = Drain()
    await drain.until_responses_are_released()
    with drain.hold_responses():
        response = asyncio.create_task(drain.until_responses_are_released())
        await asyncio.sleep(0)
        assert drain.are_responses_held
        assert not response.done()
    await response
    with pytest.raises(ZeroDivisionError), drain.hold_responses():
        raise ZeroDivisionError
    await drain.until_responses_are_released()
