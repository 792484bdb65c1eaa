"""Calls of an application with a rate of its own wait for their start time, within what their callers accept."""

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


async def test_without_a_rate_redis_is_not_called():
    rate = FakeAppRate()
    await AppRateWaits(rate, Drain()).wait(call(None))
    assert rate.taken == []


async def test_a_call_limits_its_wait():
    rate, now = FakeAppRate(), asyncio.get_running_loop().time()
    waits = AppRateWaits(rate, Drain())
    for one in (call(), call(deadline_at=now + 50), call(deadline_at=now + 50, max_wait_s=3.0)):
        await waits.wait(one)
    max_waits = [taken[2] for taken in rate.taken]
    assert max_waits[0] == MAX_WAIT_S
    assert 40 < max_waits[1] <= 50
    assert max_waits[2] == 3.0
    assert rate.taken[0][:2] == ("srp", 2.0)


async def test_each_request_beyond_a_calls_first_waits_for_a_time_of_its_own():
    rate, made = FakeAppRate(), call()
    waits = AppRateWaits(rate, Drain())
    await waits.wait(made)
    await waits.for_request(made)
    assert len(rate.taken) == 1
    await waits.for_request(made)
    await waits.for_request(made)
    assert len(rate.taken) == 3


async def test_the_wait_counts_as_waiting_for_a_limit():
    rate, waiting = FakeAppRate(), call(max_wait_s=3.0)
    rate.wait_s = 0.01
    await AppRateWaits(rate, Drain()).wait(waiting)
    assert waiting.max_wait_s == 2.99


async def test_a_wait_that_is_too_long_is_refused_at_once():
    rate = FakeAppRate()
    rate.refusal = WaitRefusedError("too long", retry_after_s=7.0)
    with pytest.raises(ApiError) as refused:
        await AppRateWaits(rate, Drain()).wait(call())
    assert (refused.value.status, refused.value.retry_after_s) == ("RESOURCE_EXHAUSTED", 7.0)


async def test_without_redis_a_call_does_not_wait_here_since_its_permit_is_refused_or_granted_later():
    rate, made = FakeAppRate(), call(max_wait_s=3.0)
    rate.refusal = BrokerUnavailableError("away")
    await AppRateWaits(rate, Drain()).wait(made)
    assert len(rate.taken) == 1
    assert made.max_wait_s == 3.0


async def test_a_drain_refuses_calls_that_wait():
    rate, drain = FakeAppRate(), Drain()
    rate.wait_s = 1_000.0
    waiting = asyncio.create_task(AppRateWaits(rate, drain).wait(call()))
    await asyncio.sleep(0)
    drain.begin()
    with pytest.raises(ApiError) as refused:
        await waiting
    assert refused.value.reason == "DRAINING"
