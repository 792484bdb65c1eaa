"""The reception of large requests: which ones wait, which are refused, and that every byte is given back."""

import asyncio
import itertools
import time

import pytest

from discordproxy_api.calls.drain import Drain
from discordproxy_api.calls.errors import ApiError
from discordproxy_api.calls.metrics import Metrics
from discordproxy_api.pipeline.receiving import uploads as module
from discordproxy_api.pipeline.receiving.uploads import SMALL, Received, UploadLimits, Uploads

LARGE = 4 * SMALL
BUDGET = 2 * LARGE + 2 * SMALL


class Reception:
    def __init__(self, **limits) -> None:
        self.drain, self.metrics, self.numbers = Drain(), Metrics(), itertools.count()
        values = {"held_bytes": BUDGET, "announced": 2, "arriving": 2, "slow": 1, **limits}
        self.uploads = Uploads(UploadLimits(**values), drain=self.drain, metrics=self.metrics)

    @property
    def held(self):
        return self.metrics.upload_bytes._value.get()

    @property
    def waiting(self):
        return self.metrics.uploads_waiting._value.get()

    async def hold(self, size, done, *, declared=0, read=None, app=None):
        """Receive one request of an application, else of one of its own, and keep it until `done`."""

        async def arrives():
            return b"x" * size

        received = await self.uploads.receive(
            read or arrives, declared, received=Received(app or f"app {next(self.numbers)}")
        )
        try:
            assert len(received.pop()) == size
            assert received.pop() == b""
            await done.wait()
        finally:
            self.uploads.release(received)

    def start(self, *args, **kwargs):
        return asyncio.ensure_future(self.hold(*args, **kwargs))


async def settle():
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_request_counts_until_the_task_that_continues_its_call_has_ended():
    reception, loop = Reception(), asyncio.get_running_loop()

    async def arrives():
        return b"x" * LARGE

    received = await reception.uploads.receive(arrives)
    continuation = loop.create_future()
    reception.uploads.release(received, continuation)
    await settle()
    assert reception.held == LARGE
    continuation.cancel()
    await settle()
    assert reception.held == 0
    received = await reception.uploads.receive(arrives)
    reception.uploads.release(received, continuation)
    assert reception.held == 0


async def test_small_requests_are_not_counted():
    reception, done = Reception(), asyncio.Event()
    tasks = [reception.start(SMALL, done) for _ in range(50)]
    await settle()
    assert reception.held == 0
    done.set()
    await asyncio.gather(*tasks)


async def test_large_ones_are_held_and_given_back():
    reception, done = Reception(), asyncio.Event()
    tasks = [reception.start(LARGE, done) for _ in range(2)]
    await settle()
    assert reception.held == 2 * LARGE
    done.set()
    await asyncio.gather(*tasks)
    assert reception.held == 0


async def test_an_undeclared_one_without_room_is_refused():
    reception, done = Reception(), asyncio.Event()
    tasks = [reception.start(LARGE, done) for _ in range(2)]
    await settle()
    with pytest.raises(ApiError) as refused:
        await reception.hold(LARGE, done)
    assert (refused.value.reason, refused.value.status) == ("QUEUE_FULL", "RESOURCE_EXHAUSTED")
    assert refused.value.retry_after_s
    await asyncio.gather(reception.start(SMALL, done), *tasks, _set(done))
    assert reception.held == 0


async def test_declared_ones_wait_in_line():
    reception, done, order = Reception(), asyncio.Event(), []
    first = [reception.start(LARGE, done, declared=LARGE) for _ in range(2)]
    await settle()

    async def later(number):
        await reception.hold(LARGE, _set_event(), declared=LARGE)
        order.append(number)

    rest = [asyncio.ensure_future(later(number)) for number in range(4)]
    await settle()
    assert (reception.held, reception.waiting) == (2 * LARGE, 4)
    done.set()
    await asyncio.gather(*first, *rest)
    assert (order, reception.held, reception.waiting) == ([0, 1, 2, 3], 0, 0)


@pytest.mark.parametrize(("size", "held"), [(LARGE, LARGE), (SMALL, 0)])
async def test_what_was_declared_but_did_not_arrive_is_free(size, held):
    reception, done, other = Reception(), asyncio.Event(), asyncio.Event()
    task = reception.start(size, done, declared=BUDGET)
    await settle()
    assert reception.held == held
    other.set()
    await reception.hold(LARGE, other, declared=LARGE)
    done.set()
    await task
    assert reception.held == 0


async def test_more_than_declared_needs_room_of_its_own():
    reception, done = Reception(), asyncio.Event()
    task = reception.start(2 * LARGE, done, declared=LARGE)
    await settle()
    assert reception.held == 2 * LARGE
    with pytest.raises(ApiError):
        await reception.hold(2 * LARGE, done, declared=SMALL + 1)
    await asyncio.gather(task, _set(done))
    assert reception.held == 0


async def test_one_larger_than_the_budget_goes_alone():
    reception, done = Reception(), asyncio.Event()
    task = reception.start(4 * LARGE, done, declared=4 * LARGE)
    await settle()
    assert reception.held == BUDGET
    await asyncio.gather(task, _set(done))
    assert reception.held == 0


async def test_a_cancelled_wait_lets_the_next_one_in():
    reception, done = Reception(), asyncio.Event()
    holder = reception.start(LARGE, done, declared=LARGE)
    await settle()
    big = reception.start(BUDGET, done, declared=BUDGET)
    small = reception.start(LARGE, done, declared=LARGE)
    await settle()
    assert reception.waiting == 2
    big.cancel()
    await settle()
    assert (reception.waiting, reception.held) == (0, 2 * LARGE)
    await asyncio.gather(holder, small, _set(done))
    assert reception.held == 0


async def test_cancelled_in_the_moment_of_admission():
    reception, done = Reception(), asyncio.Event()
    holder = reception.start(BUDGET, done, declared=BUDGET)
    await settle()
    waiter = reception.start(LARGE, asyncio.Event(), declared=LARGE)
    await settle()
    holder.cancel()
    await asyncio.sleep(0)  # the holder gives its bytes back and admits the waiter, which has not run yet
    waiter.cancel()
    await asyncio.gather(holder, waiter, return_exceptions=True)
    assert (reception.held, reception.waiting) == (0, 0)


async def test_the_drain_ends_the_wait():
    reception, done = Reception(), asyncio.Event()
    holder = reception.start(BUDGET, done, declared=BUDGET)
    await settle()
    waiter = reception.start(LARGE, done, declared=LARGE)
    await settle()
    reception.drain.begin()
    with pytest.raises(ApiError, match="stopping"):
        await waiter
    await asyncio.gather(holder, _set(done))
    assert reception.held == 0


async def test_the_drain_ends_several_waits_in_the_same_moment():
    reception, done = Reception(), asyncio.Event()
    holder = reception.start(LARGE, done, declared=LARGE)
    await settle()
    waiters = [reception.start(size, done, declared=size) for size in (BUDGET, LARGE, LARGE)]
    await settle()
    reception.drain.begin()
    ends = await asyncio.gather(*waiters, return_exceptions=True)
    assert [getattr(end, "reason", end) for end in ends] == ["DRAINING"] * 3
    await asyncio.gather(holder, _set(done))
    assert (reception.held, reception.waiting) == (0, 0)


async def test_slow_senders_do_not_keep_others_out(monkeypatch):
    monkeypatch.setattr(module, "PROMPT_S", 0.01)
    reception, done, arrived = Reception(arriving=3, slow=1), asyncio.Event(), asyncio.Event()

    async def slowly():
        await arrived.wait()
        return b"x"

    slow = reception.start(1, done, read=slowly)
    await settle()
    with pytest.raises(ApiError) as refused:
        await reception.hold(1, done, read=slowly)
    assert refused.value.reason == "QUEUE_FULL"
    quick = reception.start(1, done)
    await asyncio.gather(slow, quick, _set(done), _set(arrived))


async def test_a_request_that_never_arrives_is_given_up(monkeypatch):
    monkeypatch.setattr(module, "PROMPT_S", 0.01)
    reception = Reception(receive_timeout_s=0.1)
    with pytest.raises(ApiError, match="did not arrive"):
        await reception.hold(1, asyncio.Event(), read=asyncio.Event().wait)


async def test_a_cancelled_reception_frees_its_place():
    reception = Reception(arriving=1, announced=1)
    for declared in (0, LARGE):
        task = reception.start(1, asyncio.Event(), read=asyncio.Event().wait, declared=declared)
        await settle()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await reception.hold(1, _set_event(), declared=declared)
    assert reception.held == 0


async def test_a_declared_upload_may_take_its_time_while_slow_senders_fill_their_places(monkeypatch):
    monkeypatch.setattr(module, "PROMPT_S", 0.01)
    reception, done, arrived = Reception(slow=1), asyncio.Event(), asyncio.Event()

    async def slowly():
        await arrived.wait()
        return b"x"

    undeclared = reception.start(1, done, read=slowly)
    declared = reception.start(1, done, read=slowly, declared=LARGE)
    done_first, _ = await asyncio.wait({undeclared, declared}, timeout=0.1)
    assert not done_first
    await asyncio.gather(undeclared, declared, _set(done), _set(arrived))
    assert reception.held == 0


async def test_a_loop_that_was_busy_does_not_take_a_request_for_slow(monkeypatch):
    monkeypatch.setattr(module, "PROMPT_S", 0.001)
    reception, arrived = Reception(slow=0), asyncio.Event()
    loop = asyncio.get_running_loop()

    async def arrives():
        loop.call_soon(time.sleep, 0.05)
        loop.call_later(0.002, arrived.set)
        await arrived.wait()
        return b"x"

    await reception.hold(1, _set_event(), read=arrives)  # as a slow request it would find no place
    assert reception.held == reception.waiting == 0


async def test_an_application_leaves_memory_for_others():
    reception, done = Reception(held_bytes=8 * LARGE, announced=99), asyncio.Event()
    many = [reception.start(LARGE, done, declared=LARGE, app="many") for _ in range(20)]
    await settle()
    assert (reception.held, reception.waiting) == (4 * LARGE, 16)
    with pytest.raises(ApiError):
        await reception.hold(LARGE, done, app="many")
    others = [reception.start(LARGE, done, declared=declared, app="other") for declared in (0, LARGE)]
    await settle()
    assert (reception.held, reception.waiting) == (6 * LARGE, 16)
    await asyncio.gather(*many, *others, _set(done))
    assert (reception.held, reception.waiting) == (0, 0)


async def test_who_waits_for_room_is_passed_by_nobody_but_the_share_of_others():
    reception, done, first = Reception(held_bytes=8 * LARGE, announced=99), asyncio.Event(), asyncio.Event()
    one, two, three = (asyncio.Event() for _ in range(3))
    many = [reception.start(LARGE, event, declared=LARGE, app="many") for event in (one, two, done, done, done)]
    other = reception.start(3 * LARGE, three, declared=3 * LARGE, app="other")
    await settle()
    assert (reception.held, reception.waiting) == (7 * LARGE, 1)
    big = reception.start(3 * LARGE, first, declared=3 * LARGE, app="big")
    small = reception.start(LARGE, done, declared=LARGE, app="small")
    await settle()
    assert reception.waiting == 3  # there is room for the small one, but it came after the big one
    one.set()
    await settle()
    assert reception.waiting == 3
    two.set()
    await settle()
    assert (reception.held, reception.waiting) == (6 * LARGE, 2)  # the application has its share again
    three.set()
    await settle()
    assert (reception.held, reception.waiting) == (7 * LARGE, 0)
    await asyncio.gather(*many, other, big, small, *map(_set, (done, first)))
    assert (reception.held, reception.waiting) == (0, 0)


@pytest.mark.parametrize("declared", [0, LARGE])
async def test_stalled_uploads_of_an_application_leave_places_for_others(monkeypatch, declared):
    monkeypatch.setattr(module, "PROMPT_S", 0.01)
    reception = Reception(held_bytes=99 * LARGE, announced=4, slow=4, arriving=99)
    stalled = [
        reception.start(1, asyncio.Event(), read=asyncio.Event().wait, declared=declared, app="stalled")
        for _ in range(9)
    ]
    await asyncio.wait(stalled, timeout=0.1)
    arrived = asyncio.Event()

    async def slowly():
        await arrived.wait()
        return b"x"

    other = reception.start(1, _set_event(), read=slowly, declared=declared, app="other")
    await asyncio.wait({other}, timeout=0.05)
    arrived.set()
    await asyncio.wait_for(other, 5)
    for task in stalled:
        task.cancel()
    await asyncio.gather(*stalled, return_exceptions=True)
    assert reception.held == 0


def _set_event():
    event = asyncio.Event()
    event.set()
    return event


async def _set(event):
    event.set()
