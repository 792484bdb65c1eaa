"""Single commands: a cancellation ends them, a stall of this process does not."""

import asyncio
import time

import pytest

from discordproxy_ratelimit import connection

TURNS = 40
"""Of the event loop; a command to a server on the same machine needs fewer."""


async def cancelled_after(client, turns):
    """Begin a command, cancel it after some turns of the loop; return whether it was still under way."""
    command = asyncio.create_task(client.get("discordproxy-no-such-key"))
    for _ in range(turns):
        await asyncio.sleep(0)
    if not command.cancel():
        assert await command is None
        return False
    with pytest.raises(asyncio.CancelledError):
        await command
    return True


async def test_a_command_obeys_a_cancellation_in_each_turn_of_the_loop(valkey):
    """Before Python 3.12 the library alone loses one that comes just as the command was written."""
    client = connection.connect(valkey, timeout_s=30)
    try:
        under_way = []
        for turns in range(TURNS):
            assert await client.ping()  # so that the command needs no new connection
            under_way.append(await cancelled_after(client, turns))
        assert under_way[:2] == [True, True]
    finally:
        await client.aclose()


async def test_a_reply_that_came_while_this_process_stood_still_is_taken(valkey):
    client = connection.connect(valkey, timeout_s=0.2)
    try:
        assert await client.ping()
        command = asyncio.create_task(client.get("discordproxy-no-such-key"))
        for _ in range(5):  # it has been written by then, as the test above shows
            await asyncio.sleep(0)
        time.sleep(0.5)  # noqa: ASYNC251 - that is the accident
        assert await command is None
    finally:
        await client.aclose()
