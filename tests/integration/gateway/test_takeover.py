"""One worker leads, one stands by, and the leader meets with every kind of end while events pour in."""

import asyncio
import contextlib
import signal

import pytest

from discordproxy_gateway.keys import Slot
from fakes.eventually import eventually

SLOT = Slot(0, 1)
EVENTS = 2000
LEASE_S = "1"


@pytest.fixture
async def pair(spawn, discord, redis, keys):
    """A leader and a standby that has logged in."""
    leader = await spawn(DISCORDPROXY_GATEWAY_LEASE=LEASE_S)
    await eventually(lambda: redis.hexists(keys.status(SLOT), "state"))
    await discord.until(lambda: discord.live)
    standby = await spawn(DISCORDPROXY_GATEWAY_LEASE=LEASE_S)
    await discord.until(lambda: discord.seen["logins"] == 2)
    return leader, standby


async def terminate(leader):
    leader.send_signal(signal.SIGTERM)


async def kill(leader):
    leader.kill()


async def pause(leader):
    """Longer than the lease; woken up, it must not disturb the new leader."""
    leader.send_signal(signal.SIGSTOP)


@pytest.mark.parametrize("end", [terminate, kill, pause])
async def test_a_takeover_loses_and_doubles_nothing(pair, discord, streamed, redis, keys, end):
    leader, standby = pair

    async def pour() -> None:
        for number in range(1, EVENTS + 1):
            await discord.emit("MESSAGE_CREATE", {"channel_id": str(number), "content": "x" * 200})
            if number == EVENTS // 2:
                await end(leader)
                if end is pause:  # nobody reads its socket any more
                    for session in discord.live:
                        session.socket = None

    await pour()
    await discord.until(lambda: discord.seen["resumes"] >= 1)

    async def all_there() -> bool:
        return len(await streamed()) >= EVENTS

    await eventually(all_there, within_s=20)
    if end is pause:
        leader.send_signal(signal.SIGCONT)
        # It finds the lease lost and stands by: it connects no more.
        await eventually(lambda: connection_closed(discord))
    with contextlib.suppress(ProcessLookupError):
        standby.send_signal(signal.SIGTERM)
    await standby.communicate()
    assert await streamed() == list(range(1, EVENTS + 1))
    assert discord.seen["identifies"] == 1
    assert int(await redis.get(keys.fence(SLOT))) >= 2


async def connection_closed(discord) -> bool:
    await asyncio.sleep(0)
    return len(discord.close_codes) >= 1
