import asyncio

import pytest

from discordproxy_api.time_limit import expires_as
from fakes.virtual_time import VirtualClock, run


class OwnError(Exception):
    pass


def test_the_end_of_the_limit_is_the_callers_error():
    async def wait() -> None:
        async with expires_as(asyncio.timeout(10), OwnError):
            await asyncio.sleep(60)

    with pytest.raises(OwnError):
        run(wait(), VirtualClock())


def test_a_timeout_of_the_block_passes():
    async def wait() -> None:
        async with expires_as(asyncio.timeout(60), OwnError), asyncio.timeout(10):
            await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        run(wait(), VirtualClock())


def test_a_block_that_ends_in_time_is_not_affected():
    async def wait() -> str:
        async with expires_as(asyncio.timeout(60), OwnError):
            await asyncio.sleep(10)
        await asyncio.sleep(60)
        return "ended"

    assert run(wait(), VirtualClock()) == "ended"
