"""Batches of transitions: one call in flight at a time, with the items of several calls; in virtual time."""

import asyncio
import itertools
from typing import Any

import pytest

from discordproxy_ratelimit.redis.batch import (
    CROWD,
    CROWD_MIN_CPU,
    CROWD_STEP_S,
    MAX_CROWD_GATHER_S,
    MAX_DELAY_S,
    MAX_GATHER_S,
    MAX_ITEMS,
    BatchItem,
    ScriptBatch,
)
from fakes.virtual_time import VirtualClock, run


class Server:
    """Answers each item with its own first argument; may be slow, away or wrong.

    `turn_s` is the real time that each turn of the event loop seems to take, `cpu` the share of a CPU that its thread
    seems to use.
    """

    def __init__(self, takes_s: float = 0.0, *, turn_s: float = 0.0, cpu: float = 0.0) -> None:
        self.calls: list[list[Any]] = []
        self.at: list[float] = []
        self.takes_s, self.failures = takes_s, 0
        self.up = asyncio.Event()
        self.up.set()
        self.cpu = cpu
        self.batch = ScriptBatch(
            self._run, self.up.wait, clock=itertools.count(0.0, turn_s).__next__, cpu_clock=self._used_cpu_s
        )

    def _used_cpu_s(self) -> float:
        return self.cpu * asyncio.get_running_loop().time()

    async def _run(self, items: list[BatchItem]) -> list[list[Any]]:
        self.calls.append([item.arguments[0] for item in items])
        self.at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.takes_s)
        if self.failures:
            self.failures -= 1
            raise ConnectionError("gone")
        return [[item.arguments[0]] for item in items]

    def add(self, name: Any, *, hurry: bool = True, lasting: bool = False, **options: Any) -> "asyncio.Future[Any]":
        reply = asyncio.get_running_loop().create_future()
        item = BatchItem([name], ["k"] * 4, reply.set_result, reply.set_exception, lasting)
        self.batch.add(item, hurry=hurry, **options)
        return reply


def story(coroutine: Any) -> None:
    run(coroutine, VirtualClock())


def test_a_ticks_items_travel_together_in_their_order() -> None:
    async def tick() -> None:
        server = Server()
        replies = await asyncio.gather(*[server.add(i) for i in range(10)])
        assert replies == [[i] for i in range(10)]
        assert server.calls == [list(range(10))]
        await server.batch.close()

    story(tick())


def test_what_comes_during_a_call_is_the_next_one() -> None:
    async def busy() -> None:
        server = Server(takes_s=0.5)
        first = server.add("first")
        await asyncio.sleep(0.1)
        later = [server.add(i) for i in range(5)]
        await asyncio.gather(first, *later)
        assert server.calls == [["first"], [0, 1, 2, 3, 4]]
        await server.batch.close()

    story(busy())


def test_a_call_is_bounded() -> None:
    async def crowd() -> None:
        server = Server()
        await asyncio.gather(*[server.add(i) for i in range(2 * MAX_ITEMS + 1)])
        assert [len(call) for call in server.calls] == [MAX_ITEMS, MAX_ITEMS, 1]
        assert [name for call in server.calls for name in call] == list(range(2 * MAX_ITEMS + 1))
        await server.batch.close()

    story(crowd())


def test_what_is_urgent_goes_before_what_waits_already_in_its_own_order() -> None:
    async def crowd() -> None:
        server = Server(takes_s=0.1)
        waiting = [server.add(i) for i in range(2 * MAX_ITEMS)]
        await asyncio.sleep(0.05)
        urgent = [server.add(name, urgent=True) for name in "xyz"]
        await asyncio.gather(*waiting, *urgent)
        assert server.calls[0] == list(range(MAX_ITEMS))
        assert server.calls[1][:4] == ["x", "y", "z", MAX_ITEMS]
        await server.batch.close()

    story(crowd())


@pytest.mark.parametrize(("hurry", "waits_s"), [(True, 0.0), (False, MAX_DELAY_S)])
def test_only_who_is_in_no_hurry_waits_for_company(*, hurry: bool, waits_s: float) -> None:
    async def alone() -> None:
        server = Server()
        began = asyncio.get_running_loop().time()
        await server.add("x", hurry=hurry)
        assert server.at[0] - began == pytest.approx(waits_s, abs=1e-6)
        await server.batch.close()

    story(alone())


def test_while_the_event_loop_is_busy_items_of_the_next_turns_join() -> None:
    async def turns() -> None:
        turns = 20
        server = Server(turn_s=MAX_GATHER_S / turns)
        replies = [server.add(0)]
        for number in range(1, 2 * turns):
            await asyncio.sleep(0)
            replies.append(server.add(number))
        await asyncio.gather(*replies)
        first, *_ = server.calls
        assert turns - 2 <= len(first) <= turns + 2, "for at most MAX_GATHER_S"
        assert [name for call in server.calls for name in call] == list(range(2 * turns))
        await server.batch.close()

    story(turns())


def test_an_item_does_not_wait_for_others_while_the_event_loop_is_idle() -> None:
    async def alone() -> None:
        server = Server()
        first = server.add(0)
        for _ in range(3):
            await asyncio.sleep(0)
        await asyncio.gather(first, server.add(1))
        assert server.calls == [[0], [1]]
        await server.batch.close()

    story(alone())


@pytest.mark.parametrize(
    ("size", "cpu", "waits_s"),
    [
        pytest.param(CROWD - 1, 1.0, 0.0, id="a-small-call-before"),
        pytest.param(CROWD, CROWD_MIN_CPU / 2, CROWD_STEP_S, id="an-idle-worker"),
        pytest.param(CROWD, 2 * CROWD_MIN_CPU, MAX_CROWD_GATHER_S, id="a-busy-worker"),
    ],
)
def test_after_a_large_call_the_next_one_gathers_items_while_the_worker_is_busy(
    size: int, cpu: float, waits_s: float
) -> None:
    async def calls() -> None:
        server = Server(cpu=cpu)
        await asyncio.gather(*[server.add(i) for i in range(size)])
        began = asyncio.get_running_loop().time()
        await server.add("next")
        assert server.at[1] - began == pytest.approx(waits_s, abs=CROWD_STEP_S / 10)
        await server.batch.close()

    story(calls())


def test_a_busy_worker_that_gathers_items_sends_a_full_call_at_once() -> None:
    async def calls() -> None:
        server = Server(cpu=1.0)
        await asyncio.gather(*[server.add(i) for i in range(CROWD)])
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*[server.add(i) for i in range(MAX_ITEMS + 1)])
        assert [len(call) for call in server.calls] == [CROWD, MAX_ITEMS, 1]
        assert server.at[1] == began
        await server.batch.close()

    story(calls())


def test_a_batch_that_closes_sends_what_a_busy_worker_gathers() -> None:
    async def calls() -> None:
        server = Server(cpu=1.0)
        await asyncio.gather(*[server.add(i) for i in range(CROWD)])
        reply = server.add("last")
        await server.batch.close()
        assert reply.result() == ["last"]

    story(calls())


def test_a_batch_that_closes_delays_nothing_after_a_large_call() -> None:
    async def calls() -> None:
        server = Server(takes_s=0.1, cpu=1.0)
        replies = [server.add(i) for i in range(CROWD)]
        await asyncio.sleep(0.05)
        late = server.add("late")
        await server.batch.close()
        assert [reply.result() for reply in (*replies, late)] == [*([i] for i in range(CROWD)), ["late"]]
        assert server.at[1] - server.at[0] == pytest.approx(0.1, abs=1e-6)

    story(calls())


def test_a_reply_that_cannot_be_processed_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    async def fails() -> None:
        def fail(_: list[Any]) -> None:
            raise KeyError

        server = Server()
        server.batch.add(BatchItem(["fails"], [], fail), hurry=True)
        assert await server.add("works") == ["works"]
        assert await server.add("later") == ["later"]
        await server.batch.close()

    story(fails())
    assert "cannot be processed" in caplog.text


def test_nothing_is_delayed_while_the_worker_stops() -> None:
    async def stops() -> None:
        server = Server()
        began = asyncio.get_running_loop().time()
        queued = server.add("queued", hurry=False)
        server.batch.stop_delaying()
        await asyncio.gather(queued, server.add("later", hurry=False))
        assert server.at == [began]
        await server.batch.close()

    story(stops())


def test_company_takes_along_who_waits() -> None:
    async def together() -> None:
        server = Server()
        patient = server.add("patient", hurry=False)
        await asyncio.sleep(0)
        await asyncio.gather(patient, server.add("hurried"))
        assert server.calls == [["patient", "hurried"]]
        await server.batch.close()

    story(together())


def test_the_least_patient_item_decides_when_all_leave() -> None:
    async def impatient() -> None:
        server = Server()
        began = asyncio.get_running_loop().time()
        patient = server.add("patient", hurry=False, max_delay_s=0.5)
        await asyncio.sleep(0.1)
        await asyncio.gather(patient, server.add("usual", hurry=False))
        assert server.calls == [["patient", "usual"]]
        assert server.at[0] - began == pytest.approx(0.1 + MAX_DELAY_S, abs=1e-6)
        await server.add("patient", hurry=False, max_delay_s=0.5)
        assert server.at[1] - server.at[0] == pytest.approx(0.5, abs=1e-6)
        await server.batch.close()

    story(impatient())


def test_who_has_gone_is_not_asked_for() -> None:
    async def gone() -> None:
        server = Server()
        gone = BatchItem(["gone"], [])
        server.batch.add(gone, hurry=True)
        gone.is_cancelled = True
        assert await server.add("here") == ["here"]
        assert server.calls == [["here"]]
        await server.batch.close()

    story(gone())


def test_a_failed_call_fails_all_but_the_lasting_which_come_first_afterwards() -> None:
    async def away() -> None:
        server = Server()
        server.failures = 1
        server.up.clear()
        lasting = [server.add(f"lasting {i}", lasting=True) for i in range(2)]
        fails = server.add("fails")
        with pytest.raises(ConnectionError):
            await fails
        later = server.add("later")
        await asyncio.sleep(60)
        assert len(server.calls) == 1, "nothing is sent to a server that is away"
        server.up.set()
        assert await asyncio.gather(*lasting, later) == [["lasting 0"], ["lasting 1"], ["later"]]
        assert server.calls[1:] == [["lasting 0", "lasting 1", "later"]]
        await server.batch.close()

    story(away())


def test_who_is_queued_behind_a_failed_call_hears_of_it_while_the_server_is_away() -> None:
    async def away() -> None:
        server = Server(takes_s=0.1)
        server.failures = 1
        server.up.clear()
        under_way = server.add("under way")
        await asyncio.sleep(0.05)
        behind, lasting = server.add("behind"), server.add("lasting", lasting=True)
        results = await asyncio.gather(under_way, behind, return_exceptions=True)
        assert [type(result) for result in results] == [ConnectionError] * 2
        server.up.set()
        assert await lasting == ["lasting"]
        assert server.calls == [["under way"], ["lasting"]]
        await server.batch.close()

    story(away())


def test_a_sign_of_life_is_nobodys_to_wait_for() -> None:
    async def poke() -> None:
        server = Server()
        server.failures = 1
        server.batch.poke()
        server.batch.poke("g")
        await asyncio.sleep(1)
        assert server.calls == [["n", "g"]]
        await server.batch.close()

    story(poke())


def test_closing_sends_what_is_queued_and_waits_for_the_call_under_way() -> None:
    async def close() -> None:
        server = Server(takes_s=0.1)
        first = server.add("under way")
        await asyncio.sleep(0.05)
        last = server.add("queued", hurry=False)
        await server.batch.close()
        assert first.result() == ["under way"]
        assert last.result() == ["queued"]

    story(close())


def test_closing_does_not_wait_for_a_server_that_is_away() -> None:
    async def close() -> None:
        server = Server()
        server.failures = 1
        server.up.clear()
        lost = server.add("lost", lasting=True)
        await asyncio.sleep(0.1)
        began = asyncio.get_running_loop().time()
        await server.batch.close()
        assert asyncio.get_running_loop().time() - began <= 2
        assert not lost.done()

    story(close())


def test_a_batch_that_was_not_used_closes_without_a_call() -> None:
    async def unused() -> None:
        server = Server()
        await server.batch.close()
        assert server.calls == []

    story(unused())
