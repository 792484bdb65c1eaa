"""Waits end when the drain begins, and only those."""

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
        assert (refused.value.reason, refused.value.status.name) == ("DRAINING", "UNAVAILABLE")
        assert refused.value.retry_after_s


async def test_nobody_begins_to_wait_afterwards():
    drain = Drain()
    drain.begin()
    assert drain.begun
    with pytest.raises(ApiError):
        async with drain.interruptible():
            pytest.fail("must not be entered")


async def test_what_has_ended_is_left_alone():
    drain = Drain()
    async with drain.interruptible():
        pass
    drain.begin()
    await asyncio.sleep(0)


async def test_other_timeouts_and_cancellations_keep_their_meaning():
    drain = Drain()
    with pytest.raises(TimeoutError):
        async with drain.interruptible():
            raise TimeoutError
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0), drain.interruptible():
            await asyncio.Event().wait()


async def test_answers_are_held_back_while_connections_are_told_to_go():
    drain = Drain()
    await drain.may_answer()
    with drain.silence():
        answering = asyncio.create_task(drain.may_answer())
        await asyncio.sleep(0)
        assert not answering.done()
    await answering
    with pytest.raises(ZeroDivisionError), drain.silence():
        raise ZeroDivisionError
    await drain.may_answer()
