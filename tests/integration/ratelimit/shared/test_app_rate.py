"""An application's rate is shared by all workers, on a real server."""

import asyncio

import pytest

from discordproxy_ratelimit.errors import WaitRefusedError
from discordproxy_ratelimit.redis.client import connect
from discordproxy_ratelimit.redis.link import RedisLink
from discordproxy_ratelimit.shared.app_rate import AppRate


@pytest.fixture
async def quotas(valkey: str, key_prefix: str):
    """Two workers."""
    links = [RedisLink(connect(valkey)) for _ in range(2)]
    yield [AppRate(link, f"{{{key_prefix}:1}}:quota:") for link in links]
    for link in links:
        await link.close()


async def test_turns_of_all_workers_are_one_interval_apart(quotas):
    loop = asyncio.get_running_loop()
    began = loop.time()
    waits = [await quotas[number % 2].reserve("srp", per_s=0.5, max_wait_s=60) for number in range(5)]
    took_s = loop.time() - began
    assert waits[0] == 0
    for number, wait_s in enumerate(waits):
        assert 2 * number - took_s - 0.01 <= wait_s <= 2 * number


async def test_a_second_is_made_up_for(quotas):
    waits = [await quotas[0].reserve("srp", per_s=100, max_wait_s=60) for _ in range(100)]
    assert max(waits) == 0
    assert await quotas[0].reserve("other", per_s=100, max_wait_s=0) == 0


async def test_a_wait_too_long_takes_no_turn(quotas):
    await quotas[0].reserve("srp", per_s=0.01, max_wait_s=0)
    for _ in range(3):
        with pytest.raises(WaitRefusedError) as refused:
            await quotas[1].reserve("srp", per_s=0.01, max_wait_s=5)
        assert 5 < refused.value.retry_after_s <= 100
    assert 5 < await quotas[0].reserve("srp", per_s=0.01, max_wait_s=100) <= 100
