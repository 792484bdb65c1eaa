"""Calls of an application with a rate of its own wait their turn, within what their callers accept."""

import asyncio

import pytest

from discordproxy_api.calls.call import Call
from discordproxy_api.calls.drain import Drain
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.principal import Principal
from discordproxy_api.discord.app_rate import MAX_WAIT_S, AppRateWaits
from discordproxy_ratelimit.errors import BrokerUnavailableError, WaitRefusedError
from fakes.broker import FakeAppRate


def call(per_s: float | None = 2.0, **fields) -> Call:
    return Call("SendChannelMessage", "id", app="srp", principal=Principal("srp", calls_per_s=per_s), **fields)


async def test_without_a_rate_nobody_is_asked():
    quota = FakeAppRate()
    await AppRateWaits(quota, Drain()).wait(call(None))
    assert quota.taken == []


async def test_the_caller_decides_how_long_it_may_take():
    quota, now = FakeAppRate(), asyncio.get_running_loop().time()
    turns = AppRateWaits(quota, Drain())
    for one in (call(), call(deadline_at=now + 50), call(deadline_at=now + 50, max_wait_s=3.0)):
        await turns.wait(one)
    patience = [taken[2] for taken in quota.taken]
    assert patience[0] == MAX_WAIT_S
    assert 40 < patience[1] <= 50
    assert patience[2] == 3.0
    assert quota.taken[0][:2] == ("srp", 2.0)


async def test_each_request_beyond_a_calls_first_takes_a_turn_of_its_own():
    quota, made = FakeAppRate(), call()
    turns = AppRateWaits(quota, Drain())
    await turns.wait(made)
    await turns.for_request(made)
    assert len(quota.taken) == 1
    await turns.for_request(made)
    await turns.for_request(made)
    assert len(quota.taken) == 3


async def test_the_wait_counts_as_waiting_for_a_limit():
    quota, waiting = FakeAppRate(), call(max_wait_s=3.0)
    quota.wait_s = 0.01
    await AppRateWaits(quota, Drain()).wait(waiting)
    assert waiting.max_wait_s == 2.99


async def test_a_turn_that_comes_too_late_is_refused_at_once():
    quota = FakeAppRate()
    quota.refusal = WaitRefusedError("too long", retry_after_s=7.0)
    with pytest.raises(ApiError) as refused:
        await AppRateWaits(quota, Drain()).wait(call())
    assert (refused.value.status, refused.value.retry_after_s) == ("RESOURCE_EXHAUSTED", 7.0)


async def test_without_redis_the_permit_decides():
    quota = FakeAppRate()
    quota.refusal = BrokerUnavailableError("away")
    await AppRateWaits(quota, Drain()).wait(call())


async def test_a_drain_sends_the_waiting_away():
    quota, drain = FakeAppRate(), Drain()
    quota.wait_s = 1_000.0
    waiting = asyncio.create_task(AppRateWaits(quota, drain).wait(call()))
    await asyncio.sleep(0)
    drain.begin()
    with pytest.raises(ApiError) as refused:
        await waiting
    assert refused.value.reason == "DRAINING"
