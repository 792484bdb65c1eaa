"""The registry of workers, and the state of limits as seen from outside."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry

from discordproxy_ratelimit.broker import Broker, Limits
from discordproxy_ratelimit.headers import Answer
from discordproxy_ratelimit.metrics import Decisions
from discordproxy_ratelimit.redis.client import connect
from discordproxy_ratelimit.redis.link import RedisLink
from discordproxy_ratelimit.route import route_of_path
from discordproxy_ratelimit.shared.registry import EXPIRES_S, TICK_S, TICKS, Registry
from fakes.eventually import eventually
from processes.fleet import in_real_time

NOON_MS = 1_790_000_000_000
CHANNEL = 81384788765712384


@asynccontextmanager
async def registry_of(url: str, prefix: str, now_ms: int):
    link = RedisLink(connect(url))
    try:
        await link.until_up()
        yield Registry(link, f"{{{prefix}:1}}:registry:", now_ms=now_ms)
    finally:
        await link.close()


async def test_a_document_lasts_as_long_as_its_worker_and_counts_add_up(valkey: str, key_prefix: str) -> None:
    async with AsyncExitStack() as stack:
        offsets = (0, 1, TICK_S, EXPIRES_S + 2)
        registries = [
            await stack.enter_async_context(registry_of(valkey, key_prefix, int(NOON_MS + 1000 * by))) for by in offsets
        ]
        await registries[0].publish("a", b"first", {"calls": 2})
        await registries[1].publish("b", b"other", {"calls": 3, "failures": 1})
        await registries[2].publish("b", b"newer", {"calls": 5})
        found = await registries[2].snapshot()
        assert found.documents == {"a": b"first", "b": b"newer"}
        assert found.ticks[-2:] == [{"calls": 5, "failures": 1}, {"calls": 5}]
        assert len(found.ticks) == TICKS + 1
        assert found.tick_at == NOON_MS // 1000 + TICK_S
        assert (await registries[3].snapshot()).documents == {"b": b"newer"}
        again = await registries[2].snapshot()  # most of it is remembered
        assert (again.ticks, again.documents) == (found.ticks, {"b": b"newer"})
        await registries[3].publish("b", b"", {})
        assert (await registries[3].snapshot()).documents == {}


@asynccontextmanager
async def brokers(url: str, prefix: str, *limits: Limits):
    async with AsyncExitStack() as stack:
        made = []
        for each in limits:
            decisions = Decisions(CollectorRegistry())
            broker = Broker(connect(url), prefix=prefix, bot_id="1", limits=in_real_time(each), decisions=decisions)
            await broker.start()
            await broker.ready()
            stack.push_async_callback(broker.close)
            made.append(broker)
        yield made


@pytest.mark.parametrize("after_s", [60.0, 0.0])
async def test_a_survey_shows_what_is_left_and_who_waits(valkey: str, key_prefix: str, after_s: float) -> None:
    route = route_of_path("PATCH", f"/channels/{CHANNEL}")
    async with brokers(valkey, key_prefix, Limits(global_limit=10), Limits(global_limit=10)) as (one, other):
        async with one.acquire(route) as permit:
            permit.sent()
            permit.complete(Answer(200, "abc", 5, 1, NOON_MS, after_s))
        await eventually(lambda: one.lanes(limit=5)[:1] and one.lanes(limit=5)[0].bucket.startswith("abc|"))
        lane = one.lanes(limit=5)[0]
        state = await other.inspect([lane.bucket])
        bucket = state.buckets[lane.bucket]
        assert (bucket.limit, bucket.granted) == (5, 0)
        assert bucket.remaining == (1 if after_s else 5)
        assert bucket.reset_after_s == pytest.approx(after_s, abs=20)
        assert state.global_limit == 10
        assert state.global_taken <= 1
        if not after_s:
            return

        async def hold(broker: Broker) -> None:
            async with broker.acquire(route):
                await asyncio.Event().wait()

        calls = [asyncio.create_task(hold(broker)) for broker in (one, one, other)]

        async def two_wait() -> bool:
            seen = (await other.inspect([lane.bucket])).buckets[lane.bucket]
            waiting = sum(each.waiting for broker in (one, other) for each in broker.lanes(limit=1))
            return (waiting, seen.remaining) == (2, 0)

        await eventually(two_wait)
        assert max(each.oldest_s for broker in (one, other) for each in broker.lanes(limit=1)) > 0
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)


async def test_a_lane_nobody_knows_is_unknown(valkey: str, key_prefix: str) -> None:
    async with brokers(valkey, key_prefix, Limits()) as (broker,):
        assert broker.lanes(limit=5) == []
        bucket = (await broker.inspect(["?GET /x|"])).buckets["?GET /x|"]
        assert (bucket.limit, bucket.remaining, bucket.granted) == (None, 0, 0)
        circuit = await broker.circuit()
        assert (circuit.state, circuit.open_for_s) == ("closed", 0.0)
