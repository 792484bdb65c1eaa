"""Timeouts with stalls of the event loop."""

import asyncio
import socket
import time

import pytest

from discordproxy_ratelimit.redis.timeouts import StallTolerantTimeout

BOUND_S = 0.1


@pytest.fixture
async def ends():
    """The two ends of a connection: ours to read with asyncio, theirs to write to without."""
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)
    with theirs:
        yield reader, theirs
    writer.close()
    await writer.wait_closed()


def stand_still():
    time.sleep(BOUND_S * 2)


async def test_an_answer_that_came_while_the_loop_stood_still_is_taken(ends):
    reader, theirs = ends
    loop = asyncio.get_running_loop()
    loop.call_soon(lambda: (theirs.send(b"x"), stand_still()))
    async with StallTolerantTimeout(BOUND_S):
        assert await reader.read(1) == b"x"


async def test_silence_is_silence_even_after_a_stall(ends):
    reader, _theirs = ends
    asyncio.get_running_loop().call_soon(stand_still)
    with pytest.raises(TimeoutError):
        async with StallTolerantTimeout(BOUND_S):
            await reader.read(1)


async def test_a_loop_that_always_stands_still_comes_to_an_end():
    loop = asyncio.get_running_loop()
    stalls = []

    def again():
        stalls.append(stand_still())
        loop.call_later(0, again)

    loop.call_soon(again)
    with pytest.raises(TimeoutError):
        async with StallTolerantTimeout(BOUND_S):
            await asyncio.Event().wait()
    stalls_until_the_end = len(stalls)
    assert 1 < stalls_until_the_end < 20


async def test_none_waits_and_what_ends_in_time_is_not_disturbed():
    for bound_s in (None, 60.0):
        async with StallTolerantTimeout(bound_s):
            await asyncio.sleep(0)
    with pytest.raises(ValueError, match="mine"):
        async with StallTolerantTimeout(60.0):
            raise ValueError("mine")


async def test_a_cancellation_from_outside_stays_one():
    async def wait():
        async with StallTolerantTimeout(60.0):
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
