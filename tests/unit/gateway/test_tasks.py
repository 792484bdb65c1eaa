import asyncio
import logging
from itertools import pairwise

import pytest

from discordproxy_gateway.tasks import supervise
from fakes.virtual_time import VirtualClock, run


def test_work_that_fails_says_why_and_starts_again_ever_later(caplog):
    starts: list[float] = []

    async def work() -> None:
        starts.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.5)
        if len(starts) < 12:
            raise LookupError("what happened")

    run(supervise("the work", work), VirtualClock())
    pauses = [later - earlier - 0.5 for earlier, later in pairwise(starts)]
    assert [round(pause) for pause in pauses] == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60]
    assert caplog.text.count("the work failed and starts again in") == 11
    assert "what happened" in caplog.text


def test_a_failure_after_a_long_time_is_a_first_one():
    starts: list[float] = []

    async def work() -> None:
        starts.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.5 if len(starts) < 3 else 3600)
        if len(starts) < 5:
            raise LookupError

    run(supervise("the work", work), VirtualClock())
    assert [round(later - earlier) for earlier, later in pairwise(starts)] == [2, 2, 3601, 3601]


def test_what_is_to_be_raised_is_raised():
    async def work() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        run(supervise("the work", work, but=(LookupError,)), VirtualClock())


def test_work_that_ends_is_not_started_again(caplog):
    caplog.set_level(logging.INFO)

    async def work() -> None:
        pass

    run(supervise("the work", work), VirtualClock())
    assert caplog.text == ""
