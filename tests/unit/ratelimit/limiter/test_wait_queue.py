"""Waiting calls by lane, the lanes' timers and the calls' deadlines; in virtual time."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import uvloop

from discordproxy_ratelimit.errors import WaitRefusedError
from discordproxy_ratelimit.limiter.wait_queue import Waiter, WaitQueue
from discordproxy_ratelimit.permit import Caller
from discordproxy_ratelimit.route import Route
from fakes.virtual_time import VirtualClock, run

A, B = Route("GET /a", "x=1"), Route("GET /b", "x=1")


def in_virtual_time(story: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    def test() -> None:
        run(story(), VirtualClock())

    return test


def waiter(name: str, route: Route = A) -> Waiter:
    loop = asyncio.get_running_loop()
    return Waiter(name, route, Caller(), loop.time() + 1e6, loop.time() + 1e6, loop.time(), loop.create_future())


class Asked:
    """The lanes under test and a diary of whom they asked for, and when."""

    def __init__(self, *waiters: Waiter) -> None:
        self.began = asyncio.get_running_loop().time()
        self.diary: list[tuple[float, str]] = []
        self.lanes = WaitQueue(self._note)
        for one in waiters:
            self.lanes.add(one)

    def _note(self, one: Waiter, _in_case: object) -> None:
        self.diary.append((round(asyncio.get_running_loop().time() - self.began, 3), one.id))


@in_virtual_time
async def test_a_lane_asks_once_for_its_first_waiter() -> None:
    asked = Asked(waiter("1"), waiter("2"), waiter("3", B))
    asked.lanes.serve_in(A.lane, 2.0)
    await asyncio.sleep(60)
    assert asked.diary == [(2.0, "1")]


@in_virtual_time
async def test_the_earlier_appointment_counts() -> None:
    asked = Asked(waiter("1"))
    asked.lanes.serve_in(A.lane, 2.0)
    asked.lanes.serve_in(A.lane, 5.0)
    await asyncio.sleep(10)
    asked.lanes.serve_in(A.lane, 5.0)
    asked.lanes.serve_in(A.lane, 1.0)
    await asyncio.sleep(10)
    assert asked.diary == [(2.0, "1"), (11.0, "1")]


@in_virtual_time
async def test_a_newer_answer_makes_a_later_appointment() -> None:
    asked = Asked(waiter("1"))
    asked.lanes.serve_in(A.lane, 2.0)
    asked.lanes.clear_timer(A.lane)
    asked.lanes.serve_in(A.lane, 5.0)
    await asyncio.sleep(10)
    assert asked.diary == [(5.0, "1")]


@in_virtual_time
async def test_whoever_is_first_when_the_time_comes_is_asked_for() -> None:
    first, second = waiter("1"), waiter("2")
    asked = Asked(first, second)
    asked.lanes.serve_in(A.lane, 2.0)
    asked.lanes.remove(first)
    assert asked.lanes.first(A.lane) is second
    await asyncio.sleep(10)
    assert asked.diary == [(2.0, "2")]


@in_virtual_time
async def test_an_empty_lane_asks_nobody() -> None:
    only = waiter("1")
    asked = Asked(only)
    asked.lanes.serve_in(A.lane, 2.0)
    asked.lanes.remove(only)
    asked.lanes.remove(only)
    asked.lanes.serve_in(A.lane, 1.0)
    await asyncio.sleep(10)
    assert asked.diary == []
    assert (len(asked.lanes), asked.lanes.first(A.lane), asked.lanes.get("1")) == (0, None, None)


@in_virtual_time
async def test_closing_stops_every_appointment() -> None:
    asked = Asked(waiter("1"), waiter("2", B))
    asked.lanes.serve_in(A.lane, 2.0)
    asked.lanes.serve_in(B.lane, 2.0)
    asked.lanes.close()
    await asyncio.sleep(10)
    assert asked.diary == []


@in_virtual_time
async def test_walking_over_the_waiters_survives_their_leaving() -> None:
    asked = Asked(waiter("1"), waiter("2"), waiter("3", B))
    for one in asked.lanes:
        asked.lanes.remove(one)
    assert len(asked.lanes) == 0


@in_virtual_time
async def test_a_forgotten_grant_is_waited_for_anew() -> None:
    one = waiter("1")
    one.accept("h|x=1", 0.0)
    one.reset()
    assert not one.placed
    assert not one.grant.done()
    one.grant.cancel()
    one.reset()
    assert one.grant.cancelled(), "who gave up does not come back"


def waiting_until(deadline_s: float, name: str = "1") -> Waiter:
    one = waiter(name)
    one.deadline = one.since + deadline_s
    return one


@in_virtual_time
async def test_a_call_is_refused_at_its_deadline() -> None:
    late, early = waiting_until(9.0, "late"), waiting_until(5.0, "early")
    lanes = Asked(late, early).lanes
    await asyncio.sleep(4.9)
    assert not early.grant.done()
    await asyncio.sleep(0.2)
    assert isinstance(early.grant.exception(), WaitRefusedError)
    assert not late.grant.done()
    await asyncio.sleep(4)
    assert isinstance(late.grant.exception(), WaitRefusedError)
    lanes.close()


@in_virtual_time
async def test_an_earlier_deadline_replaces_the_first_one() -> None:
    one = waiting_until(60.0)
    lanes = Asked(one).lanes
    lanes.expire_at(one, one.since + 2.0)
    await asyncio.sleep(2.1)
    assert isinstance(one.grant.exception(), WaitRefusedError)
    lanes.close()


@in_virtual_time
async def test_a_granted_or_ended_call_has_no_deadline() -> None:
    granted, ended = waiting_until(5.0, "granted"), waiting_until(5.0, "ended")
    lanes = Asked(granted, ended).lanes
    granted.accept("h|x=1", 0.0)
    ended.end()
    lanes.remove(ended)
    await asyncio.sleep(60)
    assert granted.grant.exception() is None
    assert ended.grant.cancelled()


@in_virtual_time
async def test_deadlines_of_calls_that_have_ended_do_not_pile_up() -> None:
    lanes = Asked().lanes
    stays = waiting_until(100.0, "stays")
    lanes.add(stays)
    for number in range(1000):
        one = waiting_until(1000.0, str(number))
        lanes.add(one)
        one.end()
        lanes.remove(one)
    assert len(lanes._deadlines) < 200
    await asyncio.sleep(101)
    assert isinstance(stays.grant.exception(), WaitRefusedError)


def test_timers_that_are_due_at_once_are_replaced_by_earlier_ones() -> None:
    """With uvloop, the handle of such a timer has no time."""

    async def story() -> None:
        loop = asyncio.get_running_loop()
        late = waiter("late")
        late.deadline = loop.time()
        asked = Asked(late)
        later = waiter("later")
        later.deadline = loop.time() - 1.0
        asked.lanes.add(later)
        asked.lanes.serve_in(A.lane, 0.0)
        asked.lanes.serve_in(A.lane, -1.0)
        await asyncio.wait([late.grant, later.grant])
        for each in (late, later):
            assert isinstance(each.grant.exception(), WaitRefusedError)
        asked.lanes.close()

    uvloop.run(story())
