"""Single commands: a cancellation ends them, a stall of this process does not, and none takes a connection with it."""

import asyncio
import time
from contextlib import suppress

import pytest
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import ResponseError

from discordproxy_ratelimit.redis import client as redis_client
from discordproxy_ratelimit.redis.refusals import LOGIN_REFUSED, refusal_of
from fakes.eventually import eventually

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
    client = redis_client.connect(valkey, timeout_s=30)
    try:
        under_way = []
        for turns in range(TURNS):
            assert await client.ping()  # so that the command needs no new connection
            under_way.append(await cancelled_after(client, turns))
        assert under_way[:2] == [True, True]
    finally:
        await client.aclose()


async def test_a_reply_that_came_while_this_process_stood_still_is_taken(valkey):
    client = redis_client.connect(valkey, timeout_s=0.2)
    try:
        assert await client.ping()
        command = asyncio.create_task(client.get("discordproxy-no-such-key"))
        for _ in range(5):  # it has been written by then, as the test above shows
            await asyncio.sleep(0)
        time.sleep(0.5)  # noqa: ASYNC251 - that is the accident
        assert await command is None
    finally:
        await client.aclose()


async def test_a_cancelled_or_failed_command_takes_no_place_with_it(valkey):
    """With room for one connection, a lost place would be the end."""
    client = redis_client.connect(f"{valkey}?max_connections=1", timeout_s=30)
    try:
        for turns in range(TURNS):
            await cancelled_after(client, turns)
            assert await client.ping()
        with pytest.raises(ResponseError):
            await client.evalsha("0" * 40, 0)
        waiting = [asyncio.create_task(client.blpop("discordproxy-no-such-list", 20)) for _ in range(3)]
        await asyncio.sleep(0)
        for command in waiting:
            command.cancel()
        await asyncio.wait(waiting)
        assert await asyncio.gather(*(client.ping() for _ in range(3))) == [True] * 3
    finally:
        await client.aclose()


async def test_a_connection_that_the_server_closed_is_opened_anew(valkey):
    client, other = redis_client.connect(f"{valkey}?max_connections=1"), redis_client.connect(valkey)

    async def answers():
        with suppress(ConnectionLost):  # while nobody knows yet
            return await client.client_id()

    try:
        for _ in range(3):
            number = await client.client_id()
            assert await other.client_kill_filter(_id=str(number)) == 1
            await eventually(answers)
            assert await client.client_id() != number
    finally:
        await client.aclose()
        await other.aclose()


async def test_a_refused_database_is_not_replaced_by_another(own_valkey):
    """redis-py alone keeps such a connection to a unix socket open: the next command runs in database 0."""
    client = redis_client.connect(f"{own_valkey.url}?db=99")
    try:
        for _ in range(2):
            with pytest.raises(ConnectionLost, match="DB index is out of range") as caught:
                await client.set("discordproxy-no-such-key", "x")
        assert "has no database of this number" in refusal_of(caught.value)
    finally:
        await client.aclose()


async def test_a_refused_login_is_not_replaced_by_that_of_everybody(own_valkey):
    client = redis_client.connect(f"{own_valkey.url}?username=nobody&password=wr0ng")
    try:
        for _ in range(2):
            with pytest.raises(ConnectionLost) as caught:
                await client.set("discordproxy-no-such-key", "x")
            assert refusal_of(caught.value) == LOGIN_REFUSED
    finally:
        await client.aclose()
