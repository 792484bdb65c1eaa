"""The broker in real time on a real Valkey: permits, and no state left by abandoned calls."""

import asyncio
import copy
from contextlib import asynccontextmanager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from discordproxy_ratelimit.broker import Broker, Caller, Limits
from discordproxy_ratelimit.errors import DrainingError, WaitRefusedError
from discordproxy_ratelimit.metrics import Decisions
from discordproxy_ratelimit.redis.client import connect
from discordproxy_sandbox.limits.limits import FixedWindow, Gcra, GlobalLimit
from fakes.eventually import eventually
from fakes.tapped_pipeline import open_tapped
from fakes.virtual_time import VirtualClock, run
from processes.fleet import Fleet, fleet
from strategies.discord_limits import FakeDiscord, around, message_in, role_in

KINDS = {"fixed": FixedWindow, "leaky": Gcra}
RTT_S = 0.04
QUICK = around(0.004, 0.002)


def world(kind: str = "fixed", limit: int = 5, window_s: float = 1.0, **options) -> FakeDiscord:
    return FakeDiscord(limiter=lambda _: KINDS[kind](limit, window_s), **options)


@asynccontextmanager
async def redis_of(fleet_: Fleet):
    """The server, asked behind the broker's back."""
    client = connect(fleet_.url, timeout_s=10)
    try:
        yield client
    finally:
        await client.aclose()


async def held(fleet_: Fleet, count: int) -> None:
    """Return once Redis knows of so many places and permits of this bot."""
    async with redis_of(fleet_) as client:

        async def as_many() -> bool:
            return await client.hlen(f"{{{fleet_.prefix}:{fleet_.bot_id}}}:rl3:held") == count

        await eventually(as_many)


async def queue(fleet_: Fleet, route, count: int, *, besides: int = 0) -> list[asyncio.Task]:
    """Let calls wait in a lane, each placed before the next is submitted, while so many others hold something."""
    calls = []
    for number in range(count):
        calls.append(asyncio.create_task(fleet_.send(number % len(fleet_.brokers), route, number)))
        await held(fleet_, besides + number + 1)
    return calls


async def give_up(calls: list[asyncio.Task]) -> None:
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)


async def test_first_message_takes_one_round_trip(valkey):
    async with fleet(valkey, world(), 1, clock=None) as workers:
        await eventually(lambda: workers.script_calls == 1 and not workers.brokers[0]._accounts["bot"]._batch.is_busy)
        assert await workers.send(0, message_in(1)) == 200
        assert workers.script_calls == 2, "the answer is reported behind the caller's back"
        await held(workers, 0)


@pytest.mark.parametrize("kind", KINDS)
async def test_burst_on_a_route_never_seen(valkey, kind):
    discord = world(kind, 50)
    async with fleet(valkey, discord, 4, clock=None, limits=Limits(global_limit=1000)) as workers:
        statuses = await asyncio.gather(*(workers.send(n % 4, role_in(1), n) for n in range(100)))
    assert statuses == [200] * 100
    assert discord.too_many == []
    assert sorted(arrival.label for arrival in discord.arrivals) == list(range(100))


@pytest.mark.parametrize("ahead", [0, 3])
@pytest.mark.parametrize("kind", KINDS)
async def test_deadline_that_cannot_be_met_is_refused_with_the_true_wait(valkey, kind, ahead):
    discord = world(kind, 2, 60.0)
    async with fleet(valkey, discord, 2, clock=None) as workers:
        for _ in range(2):
            await workers.send(0, role_in(1))
        calls = await queue(workers, role_in(1), ahead)
        with pytest.raises(WaitRefusedError) as refused:
            await workers.send(1, role_in(1), deadline_s=1.0)
        assert refused.value.reason == "WAIT_EXCEEDS_DEADLINE"
        assert refused.value.retry_after_s == pytest.approx(_true_wait(discord, ahead), rel=0.1)
        await held(workers, ahead)
        assert len(discord.arrivals) == 2, "a refused call sends nothing"
        await give_up(calls)


def _true_wait(discord: FakeDiscord, ahead: int) -> float:
    """How long a call must wait behind others, found out with a copy of the limiter."""
    (limiter,) = (copy.deepcopy(limiter) for limiter in discord.buckets.values())
    began = now = asyncio.get_running_loop().time()
    for _ in range(ahead + 1):
        while not (decision := limiter.hit(now)).allowed:
            now += decision.retry_after
    return now - began


async def test_max_wait_is_a_bound_of_its_own(valkey):
    discord = world("fixed", 1, 60.0)
    async with fleet(valkey, discord, 1, clock=None) as workers:
        await workers.send(0, message_in(1))
        with pytest.raises(WaitRefusedError) as refused:
            await workers.send(0, message_in(1), deadline_s=600, max_wait_s=5)
        assert refused.value.reason == "WAIT_EXCEEDS_MAX_WAIT"
        assert "deadline" not in str(refused.value), "the caller set none that matters"
        assert refused.value.retry_after_s == pytest.approx(60, rel=0.1)
        assert await workers.send(0, message_in(2), max_wait_s=1) == 200, "who need not wait is not refused"


class FarRedis:
    """A Redis client whose commands take their time to get there."""

    def __init__(self, url: str) -> None:
        self._client = connect(url)

    def __getattr__(self, name: str):
        return getattr(self._client, name)

    async def open_pipeline(self, **options: Any):
        return await open_tapped(self._client, self._far, **options)

    async def evalsha(self, *arguments: object):
        return await self._far(self._client.evalsha, *arguments)

    async def _far(self, send, *command: object):
        await asyncio.sleep(0.02)  # the way to the server
        return await send(*command)


async def test_who_need_not_wait_passes_though_redis_is_far_away(valkey, key_prefix):
    broker = Broker(FarRedis(valkey), prefix=key_prefix, bot_id="1", decisions=Decisions(CollectorRegistry()))
    await broker.start()
    try:
        async with broker.acquire(message_in(1), max_wait_s=0):
            pass
    finally:
        await broker.close()


async def test_full_queue_refuses_one_more(valkey):
    discord = world("fixed", 1, 60.0)
    async with fleet(valkey, discord, 1, clock=None, limits=Limits(max_waiting=3)) as workers:
        await workers.send(0, message_in(1))
        calls = await queue(workers, message_in(1), 3)
        with pytest.raises(WaitRefusedError) as refused:
            await workers.send(0, message_in(1))
        assert refused.value.reason == "QUEUE_FULL"
        assert refused.value.retry_after_s is not None
        await give_up(calls)


async def test_draining_worker_sends_what_it_may_and_hands_the_rest_back(valkey):
    async with fleet(valkey, world(), 2, clock=None, limits=Limits(lease_s=600.0)) as workers:
        leaving, staying = workers.brokers
        async with leaving.acquire(message_in(1)) as permit:
            calls = [asyncio.create_task(workers.send(0, message_in(1))) for _ in range(3)]
            await held(workers, 4)
            leaving.drain()
            for call in calls:
                with pytest.raises(DrainingError):
                    await call
            with pytest.raises(DrainingError):
                await workers.send(0, message_in(2))
            permit.sent()
            permit.complete(await workers.discord.request(message_in(1)))
        async with asyncio.timeout(60), staying.acquire(message_in(1)):
            pass
        await held(workers, 0)


async def test_cancelled_call_gives_its_place_to_the_next(valkey):
    discord = world()
    async with fleet(valkey, discord, 2, clock=None) as workers:
        async with workers.brokers[0].acquire(message_in(1)):
            calls = await queue(workers, message_in(1), 4, besides=1)
            await give_up(calls[:2])
            await held(workers, 3)
        await asyncio.gather(*calls[2:])
        await held(workers, 0)
    assert [arrival.label for arrival in discord.arrivals] == [2, 3]


async def test_nine_of_ten_thousand_waiting_give_up(valkey):
    discord = world("leaky", 1000, latency=QUICK)
    async with fleet(valkey, discord, 2, clock=None) as workers:
        async with workers.brokers[0].acquire(message_in(1)):
            calls = [asyncio.create_task(workers.send(n % 2, message_in(1), n)) for n in range(10_000)]
            await held(workers, 10_001)
            gone = [call for number, call in enumerate(calls) if number % 10]
            await give_up(gone)
            await held(workers, 1_001)
            assert sum(broker.waiting for broker in workers.brokers) == 1_000
        await asyncio.gather(*calls[:500:10])
        await give_up(calls)
        await held(workers, 0)
    assert {arrival.label % 10 for arrival in discord.arrivals} == {0}
    assert discord.too_many == []


async def test_two_bots_on_one_server_do_not_meet(valkey, key_prefix):
    busy, calm = world("fixed", 1, 60.0), world("fixed", 1, 60.0)
    async with (
        fleet(valkey, busy, 1, clock=None, prefix=key_prefix, bot_id="1") as one,
        fleet(valkey, calm, 1, clock=None, prefix=key_prefix, bot_id="2", limits=Limits(global_limit=1)) as other,
    ):
        await one.send(0, message_in(1))
        calls = await queue(one, message_in(1), 5)
        assert await other.send(0, message_in(1), deadline_s=0.5) == 200
        assert await one.send(0, message_in(2), deadline_s=0.5) == 200, "the other bot's global limit is not ours"
        await give_up(calls)


async def test_apps_share_a_bucket_whoever_came_first(valkey):
    discord = world("leaky", 1000, latency=QUICK)
    async with fleet(valkey, discord, 2, clock=None) as workers:
        async with workers.brokers[0].acquire(message_in(1)):
            many = [workers.send(0, message_in(1), "many", caller=Caller("many")) for _ in range(60)]
            calls = [asyncio.create_task(call) for call in many]
            await held(workers, 61)
            calls += [
                asyncio.create_task(workers.send(1, message_in(1), "few", caller=Caller("few"))) for _ in range(20)
            ]
            await held(workers, 81)
        await asyncio.gather(*calls)
    first = [arrival.label for arrival in discord.arrivals[:40]]
    assert first.count("few") in {19, 20}


async def test_priorities_within_one_app(valkey):
    discord = world("leaky", 1000, latency=QUICK)
    async with fleet(valkey, discord, 1, clock=None) as workers:
        async with workers.brokers[0].acquire(message_in(1)):
            calls = []
            for number, priority in enumerate(("low", "normal", "normal", "high", "normal", "high")):
                caller = Caller("one", priority)
                calls.append(asyncio.create_task(workers.send(0, message_in(1), (priority, number), caller=caller)))
                await held(workers, number + 2)
        await asyncio.gather(*calls)
    order = [arrival.label for arrival in discord.arrivals]
    assert order == [("high", 3), ("high", 5), ("normal", 1), ("normal", 2), ("normal", 4), ("low", 0)]


def test_urgent_call_does_not_queue_behind_a_thousand_of_another_app(valkey):
    clock, discord = VirtualClock(), world("fixed", 5, 5.0, global_limit=GlobalLimit(50, "sliding"))

    async def story() -> list[float]:
        waits = []
        async with fleet(valkey, discord, 2, clock=clock) as workers:
            bulk = [
                asyncio.create_task(workers.send(n % 2, message_in(n % 250), caller=Caller("bulk")))
                for n in range(1000)
            ]
            for number in range(5):
                await asyncio.sleep(1.13)  # another instant of each second
                began = clock.now
                await workers.send(1, message_in(1000 + number), caller=Caller("alert", "high"))
                waits.append(clock.now - began)
            await give_up(bulk)
        return waits

    assert max(run(story(), clock)) <= 0.1 + RTT_S
    assert discord.too_many == []


def test_urgent_call_just_after_a_thousand_were_queued(valkey):
    clock, discord = VirtualClock(), world("fixed", 5, 5.0, global_limit=GlobalLimit(50, "sliding"))

    async def story() -> float:
        async with fleet(valkey, discord, 2, clock=clock) as workers:
            bulk = [
                asyncio.create_task(workers.send(n % 2, message_in(n % 250), caller=Caller("bulk")))
                for n in range(1000)
            ]
            await asyncio.sleep(0.05)
            began = clock.now
            await workers.send(1, message_in(1000), caller=Caller("alert", "high"))
            waited = clock.now - began
            await give_up(bulk)
            return waited

    assert run(story(), clock) <= 0.1 + RTT_S
