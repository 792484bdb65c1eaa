"""The local pace without Redis: one call per lane, never above this worker's share; in virtual time."""

import asyncio
import contextlib
import math
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discordproxy_ratelimit.degraded import LocalPace
from discordproxy_ratelimit.errors import DrainingError, WaitRefusedError
from discordproxy_ratelimit.headers import NO_ANSWER, Answer
from discordproxy_ratelimit.route import Route
from fakes.virtual_time import TickingClock, run

OK = Answer(200)


def virtual(story: Coroutine[Any, Any, None]) -> None:
    run(story, TickingClock())


class World:
    """A pace, a Discord that answers as it is told, and what left when."""

    def __init__(self, global_limit: int = 50, workers: int = 1) -> None:
        self.sent: list[tuple[float, str]] = []
        self.heard: list[Answer] = []
        self.pace = LocalPace(global_limit, workers, on_answer=lambda answer, _app: self.heard.append(answer))
        self.loop = asyncio.get_running_loop()
        self.began = self.loop.time()

    async def send(
        self, lane: str, answer: Answer = OK, *, within_s: float = 1e6, takes_s: float = 0.1, **more: Any
    ) -> None:
        route = Route("GET /a", lane, **more)
        permit = await self.pace.acquire(route, deadline=self.loop.time() + within_s)
        permit.sent()
        self.sent.append((self.loop.time() - self.began, lane))
        try:
            await asyncio.sleep(takes_s)
            permit.complete(answer)
        finally:
            permit.release()

    def instants(self) -> list[float]:
        return [at for at, _ in self.sent]


def most_in_a_second(instants: list[float]) -> int:
    return max(sum(at <= other < at + 1 for other in instants) for at in instants)


@given(st.sampled_from([5, 50, 500]), st.integers(1, 8), st.integers(1, 60), st.integers(1, 60))
def test_never_above_its_share(global_limit: int, workers: int, calls: int, lanes: int) -> None:
    async def crowd() -> None:
        world = World(global_limit, workers)
        await asyncio.gather(*[world.send(f"{i % lanes}", takes_s=0.01) for i in range(calls)])
        share = global_limit / workers
        assert len(world.sent) == calls
        assert most_in_a_second(world.instants()) <= math.ceil(share)
        gaps = [b - a for a, b in zip(world.instants(), world.instants()[1:], strict=False)]
        assert all(gap >= 0.999 / share for gap in gaps), "evenly spaced, no burst"

    virtual(crowd())


def test_one_at_a_time_in_a_lane_and_in_order() -> None:
    async def lane() -> None:
        world = World()
        await asyncio.gather(*[world.send("x", takes_s=1.0) for _ in range(3)])
        assert world.instants() == pytest.approx([0.0, 1.0, 2.0], abs=0.001)

    virtual(lane())


def test_an_exhausted_bucket_is_waited_for_a_full_one_is_not() -> None:
    async def bucket() -> None:
        world = World()
        await world.send("x", Answer(200, "h", 5, 0, 0, 4.0))
        await world.send("x", Answer(200, "h", 5, 4, 0, 4.0))
        await world.send("x")
        assert world.instants() == pytest.approx([0.0, 4.1, 4.2], abs=0.001)

    virtual(bucket())


@pytest.mark.parametrize(("scope", "other_at"), [("user", 0.3), ("shared", 0.3), ("global", 5.1)])
def test_every_429_is_obeyed(scope: str, other_at: float) -> None:
    async def refused() -> None:
        world = World()
        await world.send("x", Answer(429, retry_after_s=5.0, scope=scope))
        world.sent.clear()
        await asyncio.sleep(0.2)
        await asyncio.gather(world.send("x"), world.send("y"))
        at = {lane: at for at, lane in world.sent}
        assert at["x"] == pytest.approx(5.1, abs=0.05)
        assert at["y"] == pytest.approx(other_at, abs=0.05)

    virtual(refused())


def test_a_global_429_holds_back_who_waits_for_the_spacing_too_but_no_interaction() -> None:
    async def refused() -> None:
        world = World(global_limit=5)
        bad = world.send("bad", Answer(429, retry_after_s=20.0, scope="global"))
        crowd = [world.send(f"{i}") for i in range(10)]
        interaction = world.send("interaction", takes_s=1.0, exempt=True)
        await asyncio.gather(bad, *crowd, interaction)
        await world.send("interaction", exempt=True)
        at = [at for at, lane in world.sent if lane not in {"bad", "interaction"}]
        assert min(at) >= 20.1
        assert most_in_a_second(at) <= 4, "no burst when it is over"

    virtual(refused())

    async def interactions() -> None:
        world = World()
        await world.send("bad", Answer(429, retry_after_s=20.0, scope="global"))
        await world.send("interaction", exempt=True)
        assert world.instants()[1] < 1

    virtual(interactions())


def test_nothing_leaves_after_its_deadline() -> None:
    async def late() -> None:
        world = World(global_limit=10)
        calls = [world.send(f"{i}", within_s=1.0) for i in range(40)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        refused = [result for result in results if isinstance(result, WaitRefusedError)]
        assert len(world.sent) + len(refused) == 40
        assert refused
        assert max(world.instants()) <= 1.0

    virtual(late())


def test_a_wait_that_cannot_fit_is_refused_at_once_with_its_length() -> None:
    async def late() -> None:
        world = World()
        await world.send("x", Answer(429, retry_after_s=60.0, scope="user"))
        before = world.loop.time()
        with pytest.raises(WaitRefusedError) as refusal:
            await world.send("x", within_s=5.0)
        assert world.loop.time() == pytest.approx(before, abs=0.001)
        assert refusal.value.retry_after_s == pytest.approx(60.0, abs=0.001)

    virtual(late())


def test_a_full_lane_is_refused_at_the_deadline() -> None:
    async def late() -> None:
        world = World()
        slow = asyncio.ensure_future(world.send("x", takes_s=100.0))
        await asyncio.sleep(1)
        with pytest.raises(WaitRefusedError):
            await world.send("x", within_s=5.0)
        assert world.loop.time() - world.began == pytest.approx(6.0, abs=0.001)
        await slow
        await world.send("x")
        assert len(world.sent) == 2

    virtual(late())


def test_giving_up_frees_the_lane() -> None:
    async def cancel() -> None:
        world = World(global_limit=1)
        await world.send("first")
        waiting = asyncio.ensure_future(world.send("x"))
        await asyncio.sleep(0.1)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        await world.send("x")
        assert [lane for _, lane in world.sent] == ["first", "x"]

    virtual(cancel())


def test_an_unanswered_call_is_unknown_and_the_circuit_hears_everything() -> None:
    async def unknown() -> None:
        world = World()
        permit = await world.pace.acquire(Route("GET /a", "x"), deadline=world.loop.time() + 1)
        permit.sent()
        permit.release()
        await world.send("x", Answer(403))
        assert world.heard == [NO_ANSWER, Answer(403)]

    virtual(unknown())


def test_a_drain_ends_every_wait_and_no_call_in_flight() -> None:
    async def drained() -> None:
        world = World()
        in_flight = asyncio.create_task(world.send("x", takes_s=5))
        for_its_turn = asyncio.create_task(world.send("x"))
        for_the_spacing = [asyncio.create_task(world.send(f"{lane}")) for lane in range(3)]
        await asyncio.sleep(0.001)
        world.pace.drain()
        outcomes = await asyncio.gather(for_its_turn, *for_the_spacing, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {DrainingError}
        await in_flight
        assert [lane for _, lane in world.sent] == ["x"]

    virtual(drained())


def test_lanes_are_forgotten_once_nothing_holds_them_back() -> None:
    async def lanes_in_use() -> int:
        await asyncio.sleep(0)
        return len(world.pace._lanes)

    async def many_lanes() -> None:
        nonlocal world
        world = World(500)
        await asyncio.gather(*[world.send(f"{lane}") for lane in range(50)])
        assert await lanes_in_use() == 0
        await world.send("x", Answer(200, hash="h", limit=5, remaining=0, reset_after_s=2.0))
        assert await lanes_in_use() == 1
        with pytest.raises(WaitRefusedError):
            await world.send("x", within_s=1)
        await asyncio.sleep(2.5)
        assert await lanes_in_use() == 0

    world: World
    virtual(many_lanes())
