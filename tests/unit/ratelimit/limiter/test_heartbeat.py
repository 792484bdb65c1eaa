"""When a worker may trust its permits."""

import asyncio

from discordproxy_ratelimit.limiter.heartbeat import SURE, Heartbeat
from discordproxy_ratelimit.redis.batch import BatchItem

LEASE_S = 10.0


def heartbeat() -> Heartbeat:
    return Heartbeat(None, None, lease_s=LEASE_S, holds=lambda: True, each_lease=lambda: None)


async def test_a_permit_whose_hint_is_faster_than_the_first_reply_is_trusted() -> None:
    beat, now = heartbeat(), asyncio.get_running_loop().time()
    assert not beat.is_trusted(now, now)
    beat.about_to_call([BatchItem(["a"], [], None)], now)
    assert beat.is_trusted(now + 0.1, now + 0.1)
    assert not beat.is_trusted(now + 0.1, now + 0.1 + LEASE_S * SURE)


async def test_a_known_worker_trusts_its_permits_as_long_as_its_last_reply_says() -> None:
    beat, now = heartbeat(), asyncio.get_running_loop().time()
    beat.about_to_call([BatchItem(["a"], [], None)], now)
    assert not beat.called(now, was_expired=True)
    late = now + LEASE_S
    beat.about_to_call([BatchItem(["a"], [], None)], late)
    assert not beat.is_trusted(now + 0.1, late)
    assert beat.called(late, was_expired=True)
    assert not beat.is_trusted(now + 0.1, late)
    assert beat.is_trusted(late, late)
