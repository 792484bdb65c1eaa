"""When the writer takes events from its queue, in virtual time."""

import asyncio

import pytest

from discordproxy_gateway.discord.dispatch import Dispatch
from discordproxy_gateway.write.event_queue import GATHER_EVENTS, GATHER_S, QUEUE_LENGTH, EventQueue
from fakes.virtual_time import VirtualClock, run


class Reader:
    """Takes everything that is due, and keeps when and how much that was."""

    def __init__(self, queue: EventQueue) -> None:
        self.batches: list[tuple[float, int]] = []
        self._queue = queue
        self._start = asyncio.get_running_loop().time()

    async def read(self) -> None:
        while True:
            await self._queue.wait_until_due()
            count = len(self._queue)
            for _ in range(count):
                self._queue.get_nowait()
            self.batches.append((round(asyncio.get_running_loop().time() - self._start, 6), count))


def batches(*offers: tuple[float, str]) -> list[tuple[float, int]]:
    """Return time and size of each batch when events arrive at these times."""

    async def story() -> list[tuple[float, int]]:
        queue = EventQueue()
        reader = Reader(queue)
        reading = asyncio.create_task(reader.read())
        start = asyncio.get_running_loop().time()
        for at, name in offers:
            await asyncio.sleep(max(0.0, start + at - asyncio.get_running_loop().time()))
            event = Dispatch(name, {}, 1, at)
            if not queue.put_nowait(event):
                await queue.put(event)
        await asyncio.sleep(10 * GATHER_S)
        reading.cancel()
        return reader.batches

    return run(story(), VirtualClock())


def test_an_event_after_a_quiet_moment_is_due_at_once():
    assert batches((0, "A"), (1, "A"), (2, "A")) == [(0, 1), (1, 1), (2, 1)]


def test_events_gather_after_a_batch():
    assert batches((0, "A"), (0.01, "A"), (0.02, "A"), (0.03, "A")) == [(0, 1), (GATHER_S, 3)]


@pytest.mark.parametrize("name", ["INTERACTION_CREATE", "READY", "RESUMED", "GUILD_CREATE", "GUILD_MEMBERS_CHUNK"])
def test_an_urgent_event_ends_the_wait_for_all(name):
    assert batches((0, "A"), (0.01, "A"), (0.02, name), (0.03, "A")) == [(0, 1), (0.02, 2), (0.02 + GATHER_S, 1)]


def test_many_events_end_the_wait():
    many = [(0.01, "A")] * GATHER_EVENTS
    assert batches((0, "A"), *many)[:2] == [(0, 1), (0.01, GATHER_EVENTS)]


def test_a_full_queue_holds_the_socket_back_and_the_end_comes_last():
    async def story() -> None:
        queue = EventQueue()
        for number in range(QUEUE_LENGTH):
            assert queue.put_nowait(Dispatch("A", {}, number, 0.0))
        assert not queue.put_nowait(Dispatch("A", {}, 1, 0.0))
        waiting = asyncio.create_task(queue.put(Dispatch("LAST", {}, 1, 0.0)))
        ending = asyncio.create_task(queue.put_end())
        await asyncio.sleep(1)
        assert not waiting.done()
        taken = []
        while len(queue):
            taken.append(queue.get_nowait())
            await asyncio.sleep(0)
        await asyncio.gather(waiting, ending)
        assert len(taken) == QUEUE_LENGTH + 2
        assert taken[-2].name == "LAST"
        assert taken[-1] is None

    run(story(), VirtualClock())
