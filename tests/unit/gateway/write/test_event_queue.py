"""When the writer takes events from its queue, in virtual time."""

import asyncio

import pytest

from discordproxy_gateway.discord.dispatch import Dispatch
from discordproxy_gateway.write.batch import EVENTS_PER_CALL, PlannedEvent
from discordproxy_gateway.write.event_queue import GATHERINGS, QUEUE_LENGTH, EventQueue, Followers
from fakes.virtual_time import VirtualClock, run

FOLLOWED = GATHERINGS[Followers.EVENTS]
UNFOLLOWED = GATHERINGS[Followers.NONE]


class Reader:
    """Takes everything that is due, and keeps when and how much that was."""

    def __init__(self, queue: EventQueue) -> None:
        self.batches: list[tuple[float, int]] = []
        self._queue = queue
        self._start = asyncio.get_running_loop().time()

    async def read(self) -> None:
        while batch := await self._queue.next_batch():
            time = round(asyncio.get_running_loop().time() - self._start, 6)
            self.batches.append((time, len(batch.events)))


class Source:
    """A socket that gathers events unread."""

    def __init__(self, queue: EventQueue, *, able: bool = True) -> None:
        self.unread: list[PlannedEvent] = []
        self._queue = queue
        self._able = able
        self._wanted = 1

    def arrive(self, event: PlannedEvent) -> None:
        self.unread.append(event)
        self._read()

    def gather(self, events: int) -> bool:
        self._wanted = events if self._able else 1
        return self._able

    def stop_gathering(self) -> None:
        self._wanted = 1
        asyncio.get_running_loop().call_soon(self._read)

    def _read(self) -> None:
        if len(self.unread) >= self._wanted:
            for event in self.unread:
                assert self._queue.put_nowait(event)
            self.unread.clear()


def planned(name: str = "A", at: float = 0.0) -> PlannedEvent:
    return PlannedEvent(at, Dispatch(name, {}, 1, at))


def batches(*offers: tuple[float, str], followers: Followers = Followers.EVENTS, **source: bool) -> list:
    """Return time and size of each batch when events arrive at these times."""

    async def story() -> list[tuple[float, int]]:
        queue = EventQueue()
        queue.follow(followers)
        queue.source = Source(queue, **source) if source else None
        reader = Reader(queue)
        reading = asyncio.create_task(reader.read())
        start = asyncio.get_running_loop().time()
        for at, name in offers:
            await asyncio.sleep(max(0.0, start + at - asyncio.get_running_loop().time()))
            event = planned(name, at)
            if queue.source is not None:
                queue.source.arrive(event)
            elif not queue.put_nowait(event):
                await queue.put(event)
        await asyncio.sleep(10)
        reading.cancel()
        return reader.batches

    return run(story(), VirtualClock())


@pytest.mark.parametrize("source", [{}, {"able": True}, {"able": False}])
def test_an_event_after_a_quiet_moment_is_due_at_once(source):
    assert batches((0, "A"), (1, "A"), (2, "A"), **source) == [(0, 1), (1, 1), (2, 1)]


@pytest.mark.parametrize("source", [{}, {"able": True}, {"able": False}])
@pytest.mark.parametrize("followers", Followers)
def test_events_gather_after_a_batch(source, followers):
    interval_s = GATHERINGS[followers].interval_s
    offers = ((0, "A"), (0.01, "A"), (0.02, "A"), (0.03, "A"))
    assert batches(*offers, followers=followers, **source) == [(0, 1), (interval_s, 3)]


@pytest.mark.parametrize("name", ["INTERACTION_CREATE", "READY", "RESUMED", "GUILD_CREATE", "GUILD_MEMBERS_CHUNK"])
def test_an_urgent_event_ends_the_wait_for_all(name):
    offers = ((0, "A"), (0.01, "A"), (0.02, name), (0.03, "A"))
    assert batches(*offers) == [(0, 1), (0.02, 2), (0.02 + FOLLOWED.interval_s, 1)]


def test_an_interaction_does_not_wait_for_its_followers():
    offers = ((0, "A"), (0.01, "A"), (0.02, "INTERACTION_CREATE"))
    assert batches(*offers, followers=Followers.INTERACTIONS, able=True) == [(0, 1), (0.02, 2)]


@pytest.mark.parametrize("source", [{}, {"able": True}])
@pytest.mark.parametrize("followers", [Followers.NONE, Followers.EVENTS])
def test_many_events_end_the_wait(source, followers):
    many = GATHERINGS[followers].events
    assert batches((0, "A"), *[(0.01, "A")] * many, followers=followers, **source)[:2] == [(0, 1), (0.01, many)]


def test_new_followers_end_an_interval_of_unread_events():
    async def story() -> None:
        queue = EventQueue()
        queue.source = source = Source(queue)
        reader = Reader(queue)
        reading = asyncio.create_task(reader.read())
        source.arrive(planned())
        await asyncio.sleep(0.01)
        source.arrive(planned())
        queue.follow(Followers.NONE)  # as before
        await asyncio.sleep(0.01)
        assert len(source.unread) == 1
        queue.follow(Followers.INTERACTIONS)
        await asyncio.sleep(0.01)
        assert not source.unread
        await asyncio.sleep(UNFOLLOWED.interval_s)
        reading.cancel()
        assert [count for _, count in reader.batches] == [1, 1]

    run(story(), VirtualClock())


def test_events_without_room_in_a_batch_follow_it_at_once():
    async def story() -> None:
        queue = EventQueue()
        for _ in range(EVENTS_PER_CALL + 1):
            queue.put_nowait(planned())
        sizes = [len((await queue.next_batch()).events) for _ in range(2)]
        assert sizes == [EVENTS_PER_CALL, 1]
        assert len(queue) == 0

    run(story(), VirtualClock())


def test_at_most_so_many_heavy_events_are_queued():
    async def story() -> None:
        queue = EventQueue()
        putting = [asyncio.create_task(queue.put(planned("GUILD_CREATE"))) for _ in range(20)]
        await asyncio.sleep(1)
        queued = len(queue)
        assert 0 < queued < 20
        batch = await queue.next_batch()
        await asyncio.wait_for(asyncio.gather(*putting), 1)
        assert len(batch.events) + len(queue) == 20

    run(story(), VirtualClock())


def test_a_full_queue_holds_the_socket_back_and_the_end_comes_last():
    async def story() -> None:
        queue = EventQueue()
        for _ in range(QUEUE_LENGTH):
            assert queue.put_nowait(planned())
        assert not queue.put_nowait(planned())
        waiting = asyncio.create_task(queue.put(planned("LAST")))
        ending = asyncio.create_task(queue.put_end())
        await asyncio.sleep(1)
        assert not waiting.done()
        taken = []
        while batch := await queue.next_batch():
            taken += batch.events
            await asyncio.sleep(0)
        await asyncio.gather(waiting, ending)
        assert len(taken) == QUEUE_LENGTH + 1
        assert taken[-1].name == "LAST"

    run(story(), VirtualClock())
